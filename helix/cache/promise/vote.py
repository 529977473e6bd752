"""From near neighbours to the one answer that would be given, and how much speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

from helix.cache.promise.calibration import Calibration, probability
from helix.kernel.types import Candidate, Evidence

__all__ = ["Neighbour", "Proposal", "correction", "propose", "weighed"]

VOICES = 2
"""How many of a group's nearest count; more would let a crowd of near copies outvote a nearer stranger."""
SPREAD = 1.0
"""Variance, in log-odds, of how much entries differ from what the calibration expects of them."""
_BOUND = 30.0


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A candidate, what the guards said of it, and the logarithm of its mass in the vote.

    `overlap` is None where it was not compared. `expected` is the probability that it is right by its mass alone,
    before anything was learned of it.
    """

    candidate: Candidate
    overlap: float | None
    veto: str | None
    mass: float
    expected: float

    @property
    def group(self) -> str:
        """What it votes for: its group, or itself where its answer was never compared with another's."""
        return self.candidate.group or self.candidate.entry_id


@dataclass(frozen=True, slots=True)
class Proposal:
    """The answer that the neighbours speak for: its group, its members best first, and the score.

    The score is the log-odds of a posterior: the group's mass against that of all other groups and of none of them.
    """

    group: str
    members: tuple[Neighbour, ...]
    score: float


def weighed(candidate: Candidate, overlap: float | None, veto: str | None, calibration: Calibration) -> Neighbour:
    """A candidate with its mass: the calibration's, corrected by what was learned of this very entry.

    The correction is one Newton step of the entry's own term, a random effect of variance SPREAD around 0: the score
    test's statistic over its information (the sums of an Evidence) and the prior's. So an entry whose answer was wrong
    where it was expected to be right loses most, and one that was never checked is what the calibration says.
    """
    expected = calibration.mass(candidate.similarity)
    own = correction(candidate.evidence)
    bounded = max(-_BOUND, min(_BOUND, expected + own))
    return Neighbour(candidate, overlap, veto, bounded, probability(expected))


def correction(known: Evidence) -> float:
    """How much more, or less, an entry is right than is expected of its like, in log-odds."""
    return known.surplus / (1.0 / SPREAD + known.information)


def propose(neighbours: Sequence[Neighbour]) -> Proposal | None:
    """What most speaks for, among neighbours that no guard vetoed; None where there are none.

    "None of them" has the mass 1. With a single neighbour the score is therefore the logarithm of its own mass;
    neighbours of the same answer add to it, those of others take from it.
    """
    groups: dict[str, list[Neighbour]] = {}
    for neighbour in sorted(neighbours, key=lambda one: -one.mass):
        groups.setdefault(neighbour.group, []).append(neighbour)
    if not groups:
        return None
    masses = {group: sum(exp(one.mass) for one in members[:VOICES]) for group, members in groups.items()}
    best = max(masses, key=masses.__getitem__)
    others = sum(mass for group, mass in masses.items() if group != best)
    return Proposal(best, tuple(one for one in groups[best] if one.veto is None), log(masses[best]) - log(others + 1.0))
