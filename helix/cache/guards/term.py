"""One thing in the place of another: what is true of a dog need not be true of a rabbit."""

from __future__ import annotations

from functools import lru_cache

from helix.cache.guards.align import Alignment
from helix.cache.guards.grammar import PRONOUNS
from helix.cache.guards.reading import REMEMBERED, Reading

__all__ = ["same_terms"]

_OTHERS = frozenset(("he", "she", "they"))  # somebody else than who asks: "my orders", "his orders"


def same_terms(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """Where one text repeats the other word for word, no content word stands in another's place but a synonym."""
    if not (one.is_english and other.is_english):
        return True
    if {_gender(one), _gender(other)} == {"he", "she"}:
        return False
    if pairs.window is None:
        return True
    here, there = pairs.window
    if len(here) == len(there) == 1:
        persons = {PRONOUNS.get(one.tokens[here[0]].lower, ""), PRONOUNS.get(other.tokens[there[0]].lower, "")}
        if len(persons) > 1 and "" not in persons and not persons.isdisjoint(_OTHERS):
            return False
    return pairs.rest != tuple(at for at in here if one.tokens[at].is_content) or not (
        pairs.rest and pairs.other_rest and len(here) == len(there)
    )


@lru_cache(maxsize=REMEMBERED)
def _gender(reading: Reading) -> str:
    """The one of "he" and "she" that alone is spoken of; "" for neither or both."""
    spoken = {PRONOUNS.get(word, "") for word in reading.words()} & {"he", "she"}
    return spoken.pop() if len(spoken) == 1 else ""
