"""One thing in the place of another: what is true of a dog need not be true of a rabbit."""

from __future__ import annotations

from helix.cache.guards.align import Alignment
from helix.cache.guards.reading import Reading

__all__ = ["same_terms"]


def same_terms(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """Where one text repeats the other word for word, no content word stands in another's place but a synonym."""
    if pairs.window is None or not (one.is_english and other.is_english):
        return True
    here, there = pairs.window
    return pairs.rest != tuple(at for at in here if one.tokens[at].is_content) or not (
        pairs.rest and pairs.other_rest and len(here) == len(there)
    )
