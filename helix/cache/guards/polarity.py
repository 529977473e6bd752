"""Negation and opposites: what is denied or turned round an odd number of times is another question."""

from __future__ import annotations

from functools import lru_cache

from helix.cache.guards.align import Alignment
from helix.cache.guards.grammar import NEGATIONS
from helix.cache.guards.reading import REMEMBERED, Reading

__all__ = ["same_negation", "same_sense"]

# Verbs and adjectives that deny what follows: "it failed" may stand for "it did not work".
_DENYING = frozenset("fail refuse lack deny decline reject prevent unable impossible miss forget stop".split())


def same_negation(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """An even number of negations and opposites in all."""
    if pairs.opposites:
        return True  # the next guard's to judge
    mine, theirs = _negations(one), _negations(other)
    if mine % 2 == theirs % 2:
        return True
    rest, reading = (pairs.rest, one) if mine < theirs else (pairs.other_rest, other)
    return any(not _DENYING.isdisjoint(reading.tokens[at].bases) for at in rest)


def same_sense(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """No opposites, or each made good by a negation or another opposite."""
    return not pairs.opposites or (_negations(one) + _negations(other) + len(pairs.opposites)) % 2 == 0


@lru_cache(maxsize=REMEMBERED)
def _negations(reading: Reading) -> int:
    return sum(word in NEGATIONS for word in reading.words())
