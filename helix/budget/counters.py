"""Which sums of the ledger a request's limits look at, at a moment, and what it takes from each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from helix.budget.limits import checked, taken, window
from helix.kernel.types import Limit, Money, Usage
from helix.kernel.windows import Period, Window

__all__ = ["Counter", "Plan", "Present", "plan_of", "stem_of"]


@dataclass(frozen=True, slots=True)
class Counter:
    """One sum: what a scope takes of a unit in a window; one hard limit holds for it and any number of soft ones."""

    stem: str
    window: Window
    hard: Limit | None
    any: Limit
    """One of its limits, by which to tell its scope and unit."""


@dataclass(frozen=True, slots=True)
class Present:
    """A plan's counters at a moment: their keys and periods, and from when until when these are the present ones."""

    keys: tuple[str, ...]
    periods: tuple[Period, ...]
    from_ms: int
    until_ms: int


class Plan:
    """The counters of some limits."""

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.limits = checked(limits)
        grouped: dict[str, list[Limit]] = {}
        for limit in self.limits:
            grouped.setdefault(stem_of(limit), []).append(limit)
        self.counters = tuple(
            Counter(stem, window(group[0]), next((one for one in group if not one.soft), None), group[0])
            for stem, group in grouped.items()
        )
        order = {stem: index for index, stem in enumerate(grouped)}
        self.index = tuple(order[stem_of(limit)] for limit in self.limits)
        """For each limit, which counter is its own."""
        self._present = Present((), (), 0, 0)

    def at(self, now_ms: int) -> Present:
        """The counters at a moment."""
        if not self._present.from_ms <= now_ms < self._present.until_ms:
            periods = tuple(counter.window.at(now_ms) for counter in self.counters)
            keys = tuple(
                f"{counter.stem}:{period.name}" if period.name else counter.stem
                for counter, period in zip(self.counters, periods, strict=True)
            )
            from_ms, until_ms = max(one.start_ms for one in periods), min(one.end_ms for one in periods)
            self._present = Present(keys, periods, from_ms, until_ms)
        return self._present

    def taken(self, cost: Money, usage: Usage, spared: Collection[str] = ()) -> list[int]:
        """What a request takes from each counter; nothing from those of a scope that is spared."""
        return [0 if counter.any.scope in spared else taken(counter.any, cost, usage) for counter in self.counters]


def stem_of(limit: Limit) -> str:
    """How the ledger calls the sum that a limit looks at, without the period. Raises ValueError like `checked`."""
    found = window(limit)
    # Before there were other units there was USD alone, and so it has no name in these.
    unit = "" if limit.unit == "usd" else f"/{limit.unit}"
    return f"{'c' if found.length_ms is None else 'w'}:{limit.scope}:{found.stem}{unit}"


@lru_cache(maxsize=4096)
def plan_of(limits: tuple[Limit, ...]) -> Plan:
    """The plan of these limits, remembered. Raises ValueError for an impossible limit."""
    return Plan(limits)
