"""Which words of two texts account for each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from helix.cache.guards.reading import Reading

__all__ = ["Alignment", "align"]

_LEAST_LETTERS = 4
"""Words shorter than this are other words, not misspelt ones, when a letter differs."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The share of both texts' content that is accounted for, 0 to 1."""

    overlap: float


def align(one: Reading, other: Reading) -> Alignment:
    """Pair equal words, then words one slip of the hand apart."""
    left, right = Counter(one.words), Counter(other.words)
    total = left.total() + right.total()
    if not total:
        return Alignment(1.0)
    rest, others = left - right, right - left
    unpaired = rest.total() + others.total()
    spare = sorted(others.elements())
    for word in sorted(rest.elements()):
        match = next((candidate for candidate in spare if one_slip(word, candidate)), None)
        if match is not None:
            spare.remove(match)
            unpaired -= 2
    return Alignment(1.0 - unpaired / total)


def one_slip(one: str, other: str) -> bool:
    """Whether two words differ by one letter dropped, added, replaced, or swapped with its neighbour."""
    short, long = sorted((one, other), key=len)
    if len(short) < _LEAST_LETTERS or len(long) - len(short) > 1 or not (one.isalpha() and other.isalpha()):
        return False
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    if short[at + 1 :] == long[at + 1 :]:
        return True
    return short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
