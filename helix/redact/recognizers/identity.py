"""Numbers by which a state or an insurer knows a person."""

from __future__ import annotations

from typing import ClassVar

from presidio_analyzer import Pattern
from presidio_analyzer.predefined_recognizers import (
    MedicalLicenseRecognizer,
    NhsRecognizer,
    UkNinoRecognizer,
    UsItinRecognizer,
    UsLicenseRecognizer,
    UsPassportRecognizer,
    UsSsnRecognizer,
)

from helix.redact.reading import DIGIT
from helix.redact.recognizers.base import WEAK, Anchored, Clustered

__all__ = ["Dea", "Itin", "License", "Nhs", "Nino", "Passport", "Ssn"]


class Ssn(Clustered, UsSsnRecognizer):  # type: ignore[misc]
    """US social security numbers."""

    digits = 9
    PATTERNS: ClassVar = [
        Pattern("dashes", r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])", 0.5),
        Pattern("blanks or dots", r"(?<![\w.])\d{3}([ .])\d{2}\1\d{4}(?![\w.]\w)\b", WEAK),
        Pattern("other groups", r"\b(?:\d{5}-\d{4}|\d{3}-\d{6}|\d{9})\b", 0.05),
    ]
    _SAMPLES = frozenset({"123456789", "987654320", "078051120"})

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it can be none; the published samples, which Presidio leaves out, are taken for real ones."""
        digits = "".join(character for character in pattern_text if character.isdigit())
        return digits not in self._SAMPLES and bool(super().invalidate_result(pattern_text))


class Itin(Clustered, UsItinRecognizer):  # type: ignore[misc]
    """US individual taxpayer numbers."""

    digits = 9


class Passport(Clustered, UsPassportRecognizer):  # type: ignore[misc]
    """US passport numbers."""

    digits = 8


class License(Anchored, UsLicenseRecognizer):  # type: ignore[misc]
    """US driver's licence numbers."""

    needs = DIGIT
    # Five digits among up to three letters: two of them stand side by side.
    anchor = r"\d\d"
    around = r"^\W_"
    PATTERNS: ClassVar = [
        Pattern(pattern.name, pattern.regex, min(pattern.score, WEAK)) for pattern in UsLicenseRecognizer.PATTERNS
    ]

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it is shorter than any state's, or a word."""
        return sum(map(str.isdigit, pattern_text)) < 5


class Dea(Clustered, MedicalLicenseRecognizer):  # type: ignore[misc]
    """US DEA certificate numbers; about one in ten such strings has a valid check digit, so it needs context."""

    digits = 7
    PATTERNS: ClassVar = [Pattern("DEA", r"\b[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}\b", WEAK)]

    def validate_result(self, pattern_text: str) -> bool | None:
        """False with a wrong check digit; with a right one the score stays for the context to raise."""
        return None if super().validate_result(pattern_text) else False


class Nhs(Clustered, NhsRecognizer):  # type: ignore[misc]
    """UK NHS numbers; one in eleven ten-digit numbers has a valid check digit, so it needs context."""

    digits = 10
    PATTERNS: ClassVar = [Pattern("NHS", r"\b\d{3}[- ]?\d{3}[- ]?\d{4}\b", WEAK)]

    def validate_result(self, pattern_text: str) -> bool | None:
        """False with a wrong check digit; with a right one the score stays for the context to raise."""
        return None if super().validate_result(pattern_text) else False


class Nino(Clustered, UkNinoRecognizer):  # type: ignore[misc]
    """UK national insurance numbers."""

    digits = 6
