"""Recognizers of countries' identity numbers. Imports Presidio: import this module where a detector is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from presidio_analyzer import Pattern, PatternRecognizer, predefined_recognizers

from helix.redact.languages import NATIONAL, National
from helix.redact.recognizers.base import WEAK, Native

__all__ = ["recognizers"]


class _French(PatternRecognizer):  # type: ignore[misc]
    """A recognizer of one kind, made of its class's patterns and context words."""

    KIND: ClassVar[str]
    PATTERNS: ClassVar[list[Pattern]]
    CONTEXT: ClassVar[list[str]]
    COUNTRY_CODE = "fr"

    def __init__(self, supported_language: str = "fr") -> None:
        super().__init__(
            self.KIND, patterns=list(self.PATTERNS), context=self.CONTEXT, supported_language=supported_language
        )


class FrNir(_French):
    """Numbers of the register of natural persons: sex, year, month, place, order, key (INSEE; décret 82-103)."""

    KIND = "FR_NIR"
    PATTERNS: ClassVar = [
        Pattern(
            "NIR",
            r"(?<![\w.])[1-478][ .]?\d\d[ .]?(?:0[1-9]|1[0-2]|[2-4]\d|[5-9]\d)[ .]?(?:\d\d|2[AB])"
            r"[ .]?\d{3}[ .]?\d{3}[ .]?\d\d(?![\w])",
            0.5,
        )
    ]
    CONTEXT: ClassVar = ["nir", "insee", "sécurité sociale", "securite sociale", "sécu", "numéro de sécu", "vitale"]

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the key is right: 97 less the rest of the number by 97, Corsica's departments as 19 and 18."""
        number = "".join(filter(str.isalnum, pattern_text)).upper()
        digits = number.replace("2A", "19").replace("2B", "18")
        return digits.isdigit() and 97 - int(digits[:13]) % 97 == int(digits[13:])


class FrTaxId(_French):
    """Tax numbers (numéro fiscal, SPI): ten digits and a key of three (OECD, TIN structure of France)."""

    KIND = "FR_TAX_ID"
    PATTERNS: ClassVar = [Pattern("SPI", r"(?<![\w.])[0-3]\d[ ]?\d\d[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}(?![\w])", WEAK)]
    CONTEXT: ClassVar = ["fiscal", "fiscale", "spi", "impôt", "impôts", "impots", "tin"]

    def validate_result(self, pattern_text: str) -> bool | None:
        """False with a wrong key; with a right one the score stays for the context to raise."""
        digits = "".join(filter(str.isdigit, pattern_text))
        return None if int(digits[:10]) % 511 == int(digits[10:]) else False


class FrPassport(_French):
    """Passport numbers: two digits, two letters, five digits."""

    KIND = "FR_PASSPORT"
    PATTERNS: ClassVar = [Pattern("passport", r"\b\d\d[A-Z]{2}\d{5}\b", WEAK)]
    CONTEXT: ClassVar = ["passeport", "passport"]


_OWN: dict[str, type[PatternRecognizer]] = {of.__name__: of for of in (FrNir, FrTaxId, FrPassport)}


def _native(of: type[PatternRecognizer], national: National) -> type[Native]:
    """The same recognizer as one of Helix's own."""
    in_context = national.in_context

    class InLanguage(Native, of):  # type: ignore[misc]
        is_certain = national.is_certain
        proves = not in_context and of.validate_result is not PatternRecognizer.validate_result

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            if in_context:
                patterns: list[Pattern] = list(self.patterns)  # type: ignore[has-type]
                self.patterns = [Pattern(p.name, p.regex, min(p.score, WEAK)) for p in patterns]

        def validate_result(self, pattern_text: str) -> bool | None:
            valid: bool | None = super().validate_result(pattern_text)
            return None if in_context and valid else valid

    # Not the same name: Presidio looks recognizers up by it.
    InLanguage.__name__ = InLanguage.__qualname__ = f"National{of.__name__}"
    return InLanguage


def recognizers(entities: Sequence[str], languages: Sequence[str]) -> list[Native]:
    """The recognizers of the kinds that are asked for, of the countries where these are spoken."""
    made: list[Native] = []
    for language in languages:
        for kind, national in NATIONAL.get(language, {}).items():
            if kind in entities:
                of = _OWN.get(national.recognizer) or getattr(predefined_recognizers, national.recognizer)
                made.append(_native(of, national)(supported_language=language))
    return made
