"""The latest requests, as an HTML table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from helix.console.format import THIN, count, duration, moment, usd
from helix.console.render import card, escape, kind_name

__all__ = ["requests"]

Json: TypeAlias = Mapping[str, Any]

_COLUMNS = {
    "Time": "",
    "Request": "mono",
    "Model": "",
    "Key": "clip",
    "Status": "",
    "Cache": "",
    "Personal data": "clip dim",
    "Tokens": "num",
    "Cost": "num",
    "Duration": "num",
}


def requests(rows: Sequence[Json]) -> str:
    """The rows as the API gives them, latest first."""
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in _COLUMNS.items())
    body = "".join(_request(row) for row in rows)
    return card(
        "Latest requests",
        '<div class="hx-scroll"><table class="hx-table">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>",
        f'<span class="hx-dim">{len(rows)} shown, times in UTC</span>',
    )


def _request(row: Json) -> str:
    at = datetime.fromisoformat(row["started_at"]).astimezone(UTC)
    id = escape(row["request_id"])
    kinds = ", ".join(f"{kind_name(kind)} × {amount}" for kind, amount in sorted(row["entities"].items()))
    key = row["key_name"] or row["key_id"]
    used = row["input_tokens"] or row["output_tokens"]
    cells = (
        f'<time title="{at.isoformat()}">{moment(at)}</time>',
        f'<span title="{id}">…{escape(row["request_id"][-8:])}</span>',
        _model(row["model"], row["response_model"]),
        f'<span title="{escape(key)}">{escape(key)}</span>',
        _status(row["status"], row["error_code"]),
        _cache(row["cache"], row["cache_similarity"]) + (_wrong(id) if row["cache"] == "semantic" else ""),
        f'<span title="{escape(kinds)}">{escape(kinds)}</span>',
        f"{count(row['input_tokens'])} → {count(row['output_tokens'])}" if used else "",
        _cost(row["cost_usd"], row["saved_usd"]),
        duration(row["duration_ms"]),
    )
    tds = "".join(f'<td class="{kind}">{cell}</td>' for kind, cell in zip(_COLUMNS.values(), cells, strict=True))
    return f'<tr data-request="{id}">{tds}</tr>'


def _wrong(id: str) -> str:
    """The button of an answer from near; `id` is escaped."""
    return f'<button type="button" class="hx-wrong" data-wrong="{id}" title="Remove the answer">wrong answer</button>'


def _model(asked: str, answered: str) -> str:
    """The model asked for, and the one that answered where that says more than the provider's name before it."""
    if not answered or answered.rpartition("/")[2] == asked.rpartition("/")[2]:
        return escape(asked)
    return f'{escape(asked)}<small title="answered by">{escape(answered)}</small>'


def _status(status: int, code: str) -> str:
    mood = "bad" if status >= 500 else "warn" if status >= 400 else "ok"
    return f'<span class="hx-badge {mood}">{status}</span>' + (f"<small>{escape(code)}</small>" if code else "")


def _cost(cost_usd: float, saved_usd: float) -> str:
    if saved_usd:
        return f'<span class="good"><small>saved</small> {usd(saved_usd)}</span>'
    return usd(cost_usd) if cost_usd else ""


def _cache(status: str, similarity: float | None) -> str:
    if not status:
        return ""
    near = f"{THIN}{similarity:.3f}" if similarity is not None and status == "semantic" else ""
    mood = "hit" if status in ("exact", "semantic", "shared") else "plain"
    return f'<span class="hx-badge {mood}">{escape(status)}{near}</span>'
