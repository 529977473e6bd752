"""And or or: both of two things, or one of them."""

from __future__ import annotations

from functools import lru_cache

from helix.cache.guards.align import Alignment
from helix.cache.guards.reading import REMEMBERED, Reading

__all__ = ["same_conjunction"]

_KINDS = {"and": "and", "&": "and", "plus": "and", "or": "or", "nor": "or"}


def same_conjunction(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """The same two things are joined in the same way."""
    mine, theirs = _joints(one), _joints(other)
    if not mine or not theirs:
        return True
    return not any(
        kinds.isdisjoint(theirs.get(frozenset(pairs.pairs.get(end, -1) for end in ends), kinds))
        for ends, kinds in mine.items()
    )


@lru_cache(maxsize=REMEMBERED)
def _joints(reading: Reading) -> dict[frozenset[int], set[str]]:
    """What joins two words, by their places."""
    found: dict[frozenset[int], set[str]] = {}
    for at, token in enumerate(reading.tokens):
        kind = _KINDS.get(token.lower)
        if kind is None or (at >= 2 and reading.tokens[at - 1].lower == "/"):  # and/or
            continue
        left = max((place for place in reading.content if place < at), default=-1)
        right = min((place for place in reading.content if place > at), default=-1)
        if left >= 0 and right >= 0:
            found.setdefault(frozenset((left, right)), set()).add(kind)
    return found
