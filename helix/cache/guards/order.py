"""Before or after, above or below, from or to: which side of a thing is meant."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from helix.cache.guards.align import Alignment
from helix.cache.guards.reading import REMEMBERED, Reading

__all__ = ["same_direction"]


class Side(NamedTuple):
    """A relation and the place of the word that it relates to; -1 for none."""

    relation: str
    head: int


_RELATIONS = {
    **dict.fromkeys(("before", "prior", "preceding", "earlier"), "before"),
    **dict.fromkeys(("after", "following", "later", "afterwards"), "after"),
    **dict.fromkeys(("until", "till"), "until"),
    "since": "since",
    "during": "during",
    **dict.fromkeys(("above", "over", "exceeding"), "above"),
    **dict.fromkeys(("below", "under", "beneath"), "below"),
    **dict.fromkeys(("into", "onto"), "into"),
    "inside": "inside",
    "outside": "outside",
    "within": "inside",
    "without": "without",
    "with": "with",
    **dict.fromkeys(("on", "off", "up", "down", "in", "out", "from", "to", "toward", "towards", "for", "against")),
}
_OPPOSITES = (
    *(("before", "after"), ("before", "during"), ("after", "during"), ("until", "since"), ("before", "since")),
    *(
        ("above", "below"),
        ("inside", "outside"),
        ("inside", "after"),
        ("on", "off"),
        ("up", "down"),
        ("in", "out"),
        ("from", "to"),
        ("for", "against"),
    ),
)
_IN_TIME = frozenset(("before", "after", "until", "since"))
_ALIKE = 0.9
_LOOSE = frozenset(("on", "in", "to", "up", "for"))
"""Words that stand anywhere without meaning a side: they conflict with an opposite only where both relate the same."""


def same_direction(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """No relation in one text where the other has its opposite, unless the things related change places too."""
    mine, theirs = _sides(one), _sides(other)
    if not mine or not theirs:
        return True
    if pairs.overlap >= _ALIKE and _are_exchanged(mine, theirs, pairs):
        return False
    here, there = {side.relation for side in mine}, {side.relation for side in theirs}
    for first, second in _OPPOSITES:
        for relation, contrary in ((first, second), (second, first)):
            if relation in here and contrary in there and relation not in there and contrary not in here:
                for left in (side for side in mine if side.relation == relation):
                    for right in (side for side in theirs if side.relation == contrary):
                        if _conflict(left, right, pairs):
                            return False
    return True


def _are_exchanged(mine: tuple[Side, ...], theirs: tuple[Side, ...], pairs: Alignment) -> bool:
    """Whether one relation is to other things, all of which both texts name."""
    for relation in _IN_TIME:
        here = {pairs.pairs[side.head] for side in mine if side.relation == relation and side.head in pairs.pairs}
        there = {side.head for side in theirs if side.relation == relation}.intersection(pairs.pairs.values())
        if here and there and here.isdisjoint(there):
            return True
    return False


def _conflict(left: Side, right: Side, pairs: Alignment) -> bool:
    if pairs.pairs.get(left.head, -1) == right.head:
        return True
    if left.relation in _LOOSE or right.relation in _LOOSE:
        return False
    return not (left.head in pairs.pairs and right.head in pairs.pairs.values())


@lru_cache(maxsize=REMEMBERED)
def _sides(reading: Reading) -> tuple[Side, ...]:
    found = []
    for at, token in enumerate(reading.tokens):
        if token.kind == "word" and token.lower in _RELATIONS:
            head = next((place for place in reading.content if place > at), -1)
            if token.lower in ("on", "off", "up", "down", "in", "out"):
                # A particle goes with the verb before it: "turn it off".
                head = next((place for place in reversed(reading.content) if place < at), head)
            found.append(Side(_RELATIONS[token.lower] or token.lower, head))
    return tuple(found)
