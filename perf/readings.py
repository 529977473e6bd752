"""What a load measured: latencies, first events, delays of stamped events, errors; and their percentiles."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

__all__ = ["Readings", "percentiles"]

_STAMP = re.compile(rb"t(\d{10,20});")


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99, the maximum and the mean, in milliseconds; empty for no readings."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    last = len(ordered) - 1
    found = {f"p{share}": ordered[round(last * share / 100)] for share in (50, 90, 99)}
    found |= {"max": ordered[-1], "mean": sum(ordered) / len(ordered)}
    return {name: round(value * 1000, 4) for name, value in found.items()}


class Readings:
    """The readings of one run; times in seconds on the monotonic clock."""

    def __init__(self) -> None:
        self.begun = 0.0
        self.ended = 0.0
        self.errors: Counter[str] = Counter()
        self.reconnects = 0
        self.answered = 0
        """Requests answered rightly, the unmeasured ones of the warm-up among them."""
        self._latencies: dict[str, array[float]] = {}
        self._firsts = array("d")
        self._delays = array("d")

    @staticmethod
    def delays_in(part: bytes, now_ns: int) -> list[float]:
        """How long ago each stamped event in a part of a body was written, in seconds."""
        return [(now_ns - int(stamp)) / 1e9 for stamp in _STAMP.findall(part)]

    def take(self, tally: str, latency: float, first: float, delays: list[float]) -> None:
        """Take the readings of one answered request."""
        latencies = self._latencies.get(tally)
        if latencies is None:
            latencies = self._latencies[tally] = array("d")
        latencies.append(latency)
        if first:
            self._firsts.append(first)
            self._delays.extend(delays)

    def report(self) -> dict[str, Any]:
        """Requests per second and percentiles in milliseconds; `by` splits them by the tallied header."""
        every = [latency for latencies in self._latencies.values() for latency in latencies]
        seconds = self.ended - self.begun
        report: dict[str, Any] = {
            "requests": len(every),
            "answered": self.answered,
            "seconds": round(seconds, 3),
            "rps": round(len(every) / seconds, 1) if seconds > 0 else 0.0,
            "ms": percentiles(every),
            "errors": dict(self.errors),
            "reconnects": self.reconnects,
        }
        if any(self._latencies):
            report["by"] = {
                tally or "none": {"requests": len(latencies), "ms": percentiles(latencies)}
                for tally, latencies in sorted(self._latencies.items())
            }
        if self._firsts:
            report["first_ms"] = percentiles(self._firsts)
        if self._delays:
            report["events"] = len(self._delays)
            report["event_ms"] = percentiles(self._delays)
        return report
