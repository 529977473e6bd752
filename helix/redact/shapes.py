"""How a piece of a text is written: its case, and what stands before it. The names model sees it beside the piece.

The model's vocabulary is lower case and knows no white space: it reads "will smith" and "WILL SMITH" as it reads "Will
Smith". The shape gives back what that loses, where there is something to see.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["SHAPES", "shapes"]

_CASES, _GAPS = 7, 3

SHAPES = _CASES * _GAPS
"""How many shapes there are; each is an integer from 0."""


def _case(piece: str) -> int:
    if piece.islower():
        return 1
    if piece.isupper():
        return 2 if len(piece) == 1 else 3
    if piece.istitle():
        return 4
    if piece.isdigit():
        return 6
    return 5 if piece.isalpha() else 0


def shapes(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The shape of each piece text[start:end]: its case, times whether a line, a word, or nothing ends before it."""
    found = []
    for start, end in offsets:
        before = text[start - 1] if start else "\n"
        gap = 0 if not before.isspace() else 2 if before in "\n\r" else 1
        found.append(_case(text[start:end]) * _GAPS + gap)
    return found
