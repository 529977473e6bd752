"""Numbers of accounts, cards and wallets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from presidio_analyzer import Pattern
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    CryptoRecognizer,
    IbanRecognizer,
    UsBankRecognizer,
)

from helix.redact.reading import DIGIT, LONG_WORD, Reading
from helix.redact.recognizers.base import Anchored, Clustered, Found, Native

__all__ = ["BankAccount", "Card", "Crypto", "Iban"]


class Card(Clustered, CreditCardRecognizer):  # type: ignore[misc]
    """Payment cards by length, first digits and check digit (ISO/IEC 7812), in one run of digits or in groups."""

    digits = 12
    proves = True
    _ALONE = r"(?<![^\W_])(?<!\d[.]){}(?![^\W_])(?![.]\d)"
    PATTERNS: ClassVar = [
        Pattern("run", _ALONE.format(r"(?:[2-6]\d{11,18}|81\d{14,17}|1\d{14})"), 0.3),
        # The usual groups by themselves, since of several cards in a row the last pattern takes too many.
        Pattern("fours", _ALONE.format(r"[2-68]\d{3}([ -])\d{4}\1\d{4}\1\d{4}"), 0.3),
        Pattern("four, six and the rest", _ALONE.format(r"3\d{3}([ -])\d{6}\1\d{4,5}"), 0.3),
        Pattern("groups", _ALONE.format(r"[1-68]\d{3}([ -])\d{4,6}\1\d{4,5}(?:\1\d{1,4}){0,2}"), 0.3),
    ]
    # Lengths by first digits: Visa, Mastercard, Maestro and UnionPay and Discover, Amex, Diners, JCB, UATP, Mir.
    _SCHEME = re.compile(
        r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"
        r"|(?:50|5[6-9]|6\d)\d{10,17}|3[47]\d{13}|3(?:0[0-59]|6\d|[89]\d)\d{11,16}|35\d{14,17}|(?:2131|1800)\d{11}|1\d{14}"
        r"|220[0-5]\d{12,15}|81\d{14,17}"
    )

    # Numbers of 15 digits that start with 1 are mostly not UATP's: those need context.
    _RARE = re.compile(r"1(?!800)")

    def validate_result(self, pattern_text: str) -> bool | None:
        """Whether it is a card number of some scheme with a valid check digit."""
        number = "".join(character for character in pattern_text if character.isdigit())
        if not self._SCHEME.fullmatch(number) or not super().validate_result(number):
            return False
        return None if self._RARE.match(number) else True


class Iban(Native, IbanRecognizer):  # type: ignore[misc]
    """International bank account numbers, in lower case too."""

    needs = DIGIT
    is_certain = True
    _START = re.compile(r"\d\d(?<=[A-Za-z]{2}\d\d)")
    # Not of two letters and two digits to begin with alone: of at least eight more (the shortest has fifteen in all).
    _MORE = re.compile(r"(?:[ -]?[A-Za-z0-9]{4}){2}")

    def __init__(self, supported_language: str = "en") -> None:
        super().__init__(supported_language=supported_language, regex_flags=re.DOTALL | re.MULTILINE | re.IGNORECASE)

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """Where two letters and two digits begin one; what follows it without belonging to it is given back."""
        text = reading.text
        after = start
        for begin in self._START.finditer(text, start, end):
            if begin.start() < after + 2 or not self._MORE.match(text, begin.end()):
                continue
            for rule in self.rules:
                match = rule.pattern.match(text, begin.start() - 2)
                if match is None:
                    continue
                after = match.end()
                for group in (3, 2, 1):
                    value = text[match.start() : match.end(group)]
                    valid = self.validate_result(value)
                    if valid is not False:
                        score = 1.0 if valid else rule.score
                        if score >= floor:
                            yield Found(match.start(), match.end(group), score, rule.why_proved)
                        break


class BankAccount(Clustered, UsBankRecognizer):  # type: ignore[misc]
    """US bank account numbers."""

    digits = 8


class Crypto(Anchored, CryptoRecognizer):  # type: ignore[misc]
    """Bitcoin addresses with a valid checksum."""

    needs = LONG_WORD
    is_certain = True
    anchor = r"[0-9A-Za-z]{26}"
    around = "0-9A-Za-z"
    proves = True
