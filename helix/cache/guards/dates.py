"""Days, months, years, times of day: when a question is about."""

from __future__ import annotations

from helix.cache.guards.align import Alignment
from helix.cache.guards.reading import Reading

__all__ = ["same_dates"]


def same_dates(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """The same dates and times, in any order; told only by the way ("this morning"), they may be missing."""
    if one.dates == other.dates:
        return True
    return not (one.dates and other.dates) and not pairs.is_verbatim
