"""How the ledger's scripts are told of counters, and how what they reply is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from helix.budget.counters import Plan, Present
from helix.budget.limits import exceeded
from helix.kernel.errors import BudgetExceeded
from helix.kernel.types import Limit, Standing
from helix.kernel.windows import Period

__all__ = ["asked", "lost_record", "refusal", "resets_ms", "standings"]


def asked(plan: Plan, at: Present, amounts: Sequence[int]) -> list[str | int]:
    """What reserve.lua is told of each counter: its bucket, hard limit, the amount, a bucket's length, when to forget
    it; empty for what there is not."""
    told: list[str | int] = []
    for counter, period, amount in zip(plan.counters, at.periods, amounts, strict=True):
        told += (
            _or_empty(period.bucket),
            "" if counter.hard is None else counter.hard.most,
            amount,
            counter.window.step_ms or "",
            _or_empty(period.forget_ms),
        )
    return told


def lost_record(plan: Plan, at: Present, root: str, abandoned: str) -> str:
    """The record by which settle.lua books a reservation that Redis has lost: its counters, with nothing held."""
    lines = ["0\t" + abandoned]
    for counter, key, period in zip(plan.counters, at.keys, at.periods, strict=True):
        step, forget = counter.window.step_ms or "", _or_empty(period.forget_ms)
        lines.append(f"{root}{key}\t0\t{_or_empty(period.bucket)}\t0\t{step}\t{forget}")
    return "\n".join(lines)


def standings(plan: Plan, at: Present, sums: Sequence[int]) -> list[Standing]:
    """Where each limit stands by reserve.lua's reply: the limit in effect, settled and reserved of each counter."""
    found = []
    for limit, index in zip(plan.limits, plan.index, strict=True):
        most, settled, reserved = sums[3 * index : 3 * index + 3]
        ends = resets_ms(limit, at.periods[index])
        found.append(Standing(limit, settled, reserved, limit.most if limit.soft else most, ends))
    return found


def refusal(plan: Plan, reply: Any, found: Sequence[Standing], amounts: Sequence[int]) -> BudgetExceeded:
    """The error for a reply of reserve.lua that refuses."""
    code, now_ms, bucket = reply[:3]
    counter = plan.counters[code - 1]
    standing = next(one for one in found if one.limit is counter.hard)
    if counter.window.length_ms is not None:
        standing = replace(standing, resets_ms=counter.window.leaves_ms(bucket) if bucket >= 0 else None)
    return exceeded(standing, amounts[code - 1], now_ms)


def resets_ms(limit: Limit, period: Period) -> int | None:
    """When a limit's window ends; None for one that goes on."""
    return None if limit.window == "total" or period.bucket is not None else period.end_ms


def _or_empty(value: int | None) -> str | int:
    return "" if value is None else value
