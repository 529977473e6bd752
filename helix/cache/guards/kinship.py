"""What words have to do with each other, as keys: words that share one are kin."""

from __future__ import annotations

from functools import lru_cache

from helix.cache.guards.lexicon import Entry, bases, entry, undone

__all__ = ["against", "contrary", "meanings"]


@lru_cache(maxsize=4096)
def meanings(word: str) -> frozenset[str]:
    """Shared by synonyms, and by words of one root."""
    known = _entries(word)
    roots = {f"root {found.root or base}" for base, found in known.items()}
    return frozenset(roots.union(*(found.senses for found in known.values())))


@lru_cache(maxsize=4096)
def against(word: str) -> frozenset[str]:
    """Shared with `contrary` of the words that mean the opposite, or that undo it."""
    return frozenset({*(f"is {base}" for base in bases(word)), *(f"not {other}" for other in _opposites(word))})


@lru_cache(maxsize=4096)
def contrary(word: str) -> frozenset[str]:
    """Shared with `against` of the words that mean the opposite, or that undo it."""
    return frozenset({*(f"not {base}" for base in bases(word)), *(f"is {other}" for other in _opposites(word))})


def _opposites(word: str) -> frozenset[str]:
    return undone(word).union(*(found.opposites for found in _entries(word).values()))


def _entries(word: str) -> dict[str, Entry]:
    return {base: found for base in bases(word) if (found := entry(base)) is not None}
