"""Slips of the hand."""

from __future__ import annotations

from functools import lru_cache

from helix.cache.guards.grammar import FUNCTION
from helix.cache.guards.lexicon import bases, entry

__all__ = ["is_slip", "is_usual", "reseated", "slips"]

_CARRYING = ("way", "best", "good", "want", "know", "like", "tell")  # the phrases of grammar.CARRIERS are made of
_LEAST_LETTERS = 4
"""Words shorter than this are other words when a letter differs; two neighbours may be swapped in any."""


def is_slip(one: str, other: str) -> str | None:
    """What makes one word of the other: neighbours "swapped", a letter "dropped" or "replaced"; None for more."""
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    if len(long) - len(short) > 1 or one == other:
        return None
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) == len(long):
        if short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]:
            return "swapped"
        return "replaced" if len(short) >= _LEAST_LETTERS and short[at + 1 :] == long[at + 1 :] else None
    return "dropped" if len(long) > _LEAST_LETTERS and short[at:] == long[at + 1 :] else None


@lru_cache(maxsize=32768)
def is_usual(word: str) -> bool:
    """Whether a lower-case word is likely what it seems, and not another one misspelt."""
    if word in FUNCTION:
        return True
    known = [entry(base) for base in bases(word)]
    return any(found is not None and (found.frequent or len(word) > _LEAST_LETTERS) for found in known)


@lru_cache(maxsize=1)
def slips() -> dict[str, str]:
    """Closed-class words with two neighbours swapped, as far as that gives no other word, and what was meant."""
    found: dict[str, str] = {}
    for word in sorted(FUNCTION | set(_CARRYING)):
        for at in range(len(word) - 1):
            slip = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            if not is_usual(slip):
                found.setdefault(slip, word)
    return found


def reseated(left: str, right: str) -> tuple[str, str] | None:
    """Two words with the letter beside the space moved across it, where that makes usual words of both."""
    for cut in ((left[:-1], left[-1:] + right), (left + right[:1], right[1:])):
        if all(len(word) > 1 or word in ("a", "i") for word in cut) and all(map(is_usual, cut)):
            return cut
    return None
