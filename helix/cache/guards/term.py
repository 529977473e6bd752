"""One thing in the place of another: what is true of a dog need not be true of a rabbit."""

from __future__ import annotations

from helix.cache.guards.align import Alignment
from helix.cache.guards.grammar import PRONOUNS
from helix.cache.guards.reading import Reading

__all__ = ["same_terms"]

_OTHERS = frozenset(("he", "she", "they"))  # somebody else than who asks: "my orders", "his orders"


def same_terms(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """Where one text repeats the other word for word, no content word stands in another's place but a synonym."""
    if pairs.window is None or not (one.is_english and other.is_english):
        return True
    here, there = pairs.window
    if len(here) == len(there) == 1:
        persons = {PRONOUNS.get(one.tokens[here[0]].lower, ""), PRONOUNS.get(other.tokens[there[0]].lower, "")}
        if len(persons) > 1 and "" not in persons and not persons.isdisjoint(_OTHERS):
            return False
    return pairs.rest != tuple(at for at in here if one.tokens[at].is_content) or not (
        pairs.rest and pairs.other_rest and len(here) == len(there)
    )
