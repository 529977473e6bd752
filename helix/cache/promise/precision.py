"""How right hits from near have been, as far as checks and reports tell: a share with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from statistics import NormalDist
from typing import Any

from helix.cache.promise.bound import BINS, Tally
from helix.cache.promise.calibration import Interval

__all__ = ["precision", "summary"]


def precision(tally: Tally, confidence: float = 0.95) -> Interval | None:
    """The share of hits that was right, with a two-sided interval; None before the first check.

    Each bin's hits are judged by that bin's checks; the interval is Wilson's (1927), for the effective size of the
    sample (bound.py).
    """
    asked = squares = wrong = 0.0
    for bin in range(BINS + 1):
        if tally.asked[bin] > 0 and tally.checked[bin] > 0:
            asked += tally.asked[bin]
            squares += tally.asked[bin] ** 2 / tally.checked[bin]
            wrong += tally.asked[bin] * min(1.0, tally.wrong[bin] / tally.checked[bin])
    if squares <= 0:
        return None
    size, right = asked * asked / squares, 1.0 - wrong / asked
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    centre = (right + z * z / (2 * size)) / (1 + z * z / size)
    width = z / (1 + z * z / size) * sqrt(right * (1 - right) / size + z * z / (4 * size * size))
    return Interval(max(0.0, centre - width), right, min(1.0, centre + width))


def summary(tally: Tally) -> Mapping[str, Any]:
    """Requests that were looked for, hits, checks, wrong ones among those, and the precision with its 95 % interval."""
    found = precision(tally)
    return {
        "requests": round(tally.requests),
        "hits": round(sum(tally.asked)),
        "checks": round(sum(tally.checked)),
        "wrong": round(sum(tally.wrong)),
        "precision": None if found is None else found.middle,
        "precision_low": None if found is None else found.low,
        "precision_high": None if found is None else found.high,
    }
