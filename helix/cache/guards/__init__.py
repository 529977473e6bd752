"""What stands between a near neighbour and a hit: cosine similarity is blind to these differences.

The text that was asked and the text that an answer was given to are read once (`reading`), their words paired
(`align`), and each guard says whether the answer may be given to the other as well, as far as it can tell. Guards
reason from the language, with WordNet's help (`lexicon`); they are pure and symmetric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from helix.cache.guards.align import Alignment, align
from helix.cache.guards.conjunction import same_conjunction
from helix.cache.guards.dates import same_dates
from helix.cache.guards.language import same_language
from helix.cache.guards.modifier import same_modifiers
from helix.cache.guards.names import same_names
from helix.cache.guards.numbers import same_numbers
from helix.cache.guards.order import same_direction
from helix.cache.guards.placeholders import same_placeholders
from helix.cache.guards.polarity import same_negation, same_sense
from helix.cache.guards.question import same_question
from helix.cache.guards.reading import Reading, read
from helix.cache.guards.roles import same_roles
from helix.cache.guards.spelling import are_one_slip_apart
from helix.cache.guards.symbols import are_same_symbols, same_symbols
from helix.cache.guards.tense import same_tense
from helix.cache.guards.term import same_terms

__all__ = ["GUARDS", "Comparison", "Guard", "compare", "veto"]

Guard: TypeAlias = Callable[[Reading, Reading, Alignment], bool]

GUARDS: tuple[tuple[str, Guard], ...] = (
    ("placeholders", same_placeholders),
    ("symbols", same_symbols),
    ("language", same_language),
    ("numbers", same_numbers),
    ("dates", same_dates),
    ("negation", same_negation),
    ("antonym", same_sense),
    ("names", same_names),
    ("order", same_direction),
    ("conjunction", same_conjunction),
    ("question", same_question),
    ("roles", same_roles),
    ("tense", same_tense),
    ("modifier", same_modifiers),
    ("term", same_terms),
)
"""Every guard by the name that `x-helix-cache-veto` says; it returns whether the hit is allowed."""


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
    first, second = sorted((asked, answered))  # so that who asked first makes no difference
    if first.casefold() == second.casefold() or (are_one_slip_apart(first, second) and are_same_symbols(first, second)):
        return Comparison(None, 1.0)
    one, other = read(first), read(second)
    pairs = align(one, other)
    for name, allows in GUARDS:
        if not allows(one, other, pairs):
            return Comparison(name, pairs.overlap)
    return Comparison(None, pairs.overlap)


def veto(asked: str, answered: str) -> str | None:
    """The name of the first guard that forbids the hit, or None."""
    return compare(asked, answered).veto
