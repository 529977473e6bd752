"""What stands between a near neighbour and a hit: cosine similarity is blind to these differences.

A guard takes the text that was asked and the text that an answer was given to, and says whether the answer may be
given to the other as well, as far as the guard can tell. Each is pure and symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

from helix.cache.guards.align import align
from helix.cache.guards.first import GUARDS, Guard, same_negation, same_numbers, same_placeholders
from helix.cache.guards.reading import read

__all__ = ["GUARDS", "Comparison", "Guard", "compare", "same_negation", "same_numbers", "same_placeholders", "veto"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the guards say about two texts.

    `veto` names the first guard that forbids the hit. `overlap` is the share of both texts' content that is accounted
    for (0 to 1): 1.0 where nothing of substance differs but spelling, inflection, contraction and filler.
    """

    veto: str | None
    overlap: float


def compare(asked: str, answered: str) -> Comparison:
    """Compare two texts: pure, symmetric, and without a veto for equal ones."""
    return Comparison(veto(asked, answered), align(read(asked), read(answered)).overlap)


def veto(asked: str, answered: str) -> str | None:
    """The name of the first guard that forbids the hit, or None."""
    for name, allows in GUARDS:
        if not allows(asked, answered):
            return name
    return None
