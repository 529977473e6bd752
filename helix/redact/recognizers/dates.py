"""Dates in digits."""

from __future__ import annotations

from presidio_analyzer.predefined_recognizers import DateRecognizer

from helix.redact.reading import DIGIT
from helix.redact.recognizers.base import Anchored

__all__ = ["Date"]

_MONTHS = "|".join(
    "".join(f"[{letter}{letter.lower()}]" for letter in month)
    for month in ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
)


class Date(Anchored, DateRecognizer):  # type: ignore[misc]
    """Dates, as Presidio has them."""

    needs = DIGIT
    is_certain = True
    anchor = rf"[/.-](?:(?<=\d[/.-])(?:\d|{_MONTHS})|(?<=(?:{_MONTHS})-)\d)"
    around = r"\w/.:+-"
