"""Requests over time, as HTML: one column a slice, stacked from below."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from helix.console.format import count
from helix.console.render import card

__all__ = ["activity"]

Json: TypeAlias = Mapping[str, Any]


def activity(overview: Json) -> str:
    """Requests over time as stacked bars: provider, cache, failed."""
    step = timedelta(seconds=overview["step_seconds"])
    slices = [{**one, "at": datetime.fromisoformat(one["at"])} for one in overview["slices"]]
    most = _round_up(max((one["requests"] for one in slices), default=0))
    bars = "".join(_bar(one, most, step) for one in slices)
    form, every = _labels(step * len(slices))
    labels = "".join(
        f'<span style="left:{100 * index / len(slices):.2f}%">{one["at"].strftime(form)}</span>'
        for index, one in enumerate(slices)
        if one["at"].timestamp() % every == 0
    )
    legend = "".join(
        f'<span class="{name}"><i></i>{word}</span>'
        for name, word in (("provider", "Provider"), ("cached", "Cache"), ("failed", "Failed"))
    )
    return card(
        f"Requests per {_step_name(step)}",
        f'<div class="hx-chart" role="img" aria-label="Requests per {_step_name(step)}, UTC">'
        f'<div class="hx-y"><span>{count(most)}</span><span>{count(most // 2)}</span><span>0</span></div>'
        f'<div class="hx-plot">{bars}</div><div class="hx-x">{labels}</div></div>',
        f'<div class="hx-legend">{legend}</div>',
    )


def _bar(one: Json, most: int, step: timedelta) -> str:
    total, failed, cached = one["requests"], one["errors"], one["hits"]
    parts = (("failed", failed), ("cached", cached), ("provider", max(0, total - failed - cached)))
    day = "%d %b %H:%M" if step >= timedelta(minutes=5) else "%H:%M"
    tip = f"{one['at'].strftime(day)} · {count(total)} requests"
    tip += f" · {count(cached)} from cache" if cached else ""
    tip += f" · {count(failed)} failed" if failed else ""
    stack = "".join(f'<i class="{name}" style="height:{100 * n / most:.2f}%"></i>' for name, n in parts if n)
    return f'<div data-tip="{tip}">{stack}</div>'


def _labels(length: timedelta) -> tuple[str, int]:
    """How an axis of this length is labelled: the form of a time, and seconds between labels; at most nine of them."""
    for seconds in (60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600):
        if length / timedelta(seconds=seconds) <= 8:
            return "%H:%M", seconds
    return "%d %b", 86400


def _round_up(value: int) -> int:
    """The next even number that reads well at the top of an axis."""
    size = 1
    while True:
        for factor in (2, 4, 6, 8, 10):
            if value <= factor * size:
                return factor * size
        size *= 10


def _step_name(step: timedelta) -> str:
    seconds = int(step.total_seconds())
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            return name if seconds == size else f"{seconds // size} {name}s"
    return f"{seconds} seconds"
