"""The parts of the overview page as HTML, from what the administration API answers."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from helix.console.format import count, duration, moment, percent, short_count, usd

__all__ = [
    "card",
    "empty",
    "escape",
    "kind_name",
    "latency",
    "models",
    "notice",
    "redactions",
    "status",
    "tiles",
]

Json: TypeAlias = Mapping[str, Any]


def escape(value: object) -> str:
    """Text that is safe in HTML, in a quoted attribute, and in Gradio's templates (`${…}`, `{{…}}`)."""
    return html.escape(str(value)).replace("{", "&#123;").replace("$", "&#36;")


def status(until: datetime, *, is_live: bool) -> str:
    """Whether what is shown is fresh."""
    word = "Live" if is_live else "Not updating"
    return (
        f'<div class="hx-status {"live" if is_live else "stale"}"><i></i>{word}<time>{moment(until)} UTC</time></div>'
    )


def tiles(overview: Json) -> str:
    """The six figures that matter most, each with what puts it in proportion."""
    cache = overview["cache"]
    cost, saved = overview["cost_usd"], overview["saved_usd"]
    times, own = overview["latency_ms"], overview["overhead_ms"]
    found = sum(overview["redactions"].values())
    failed = overview["errors"]
    return "".join(
        (
            '<div class="hx-tiles">',
            _tile(
                "requests",
                "Requests",
                short_count(overview["requests"]),
                f'<span class="{"bad" if failed else ""}">{count(failed)} failed</span>'
                f" · {count(overview['streams'])} streamed",
            ),
            _tile(
                "hit_rate",
                "Cache hit rate",
                percent(overview["hit_rate"]),
                f"{count(cache.get('exact', 0))} exact · {count(cache.get('semantic', 0))} semantic",
            ),
            _tile(
                "cost_usd",
                "Spend",
                usd(cost),
                f"{short_count(overview['input_tokens'])} tokens in · {short_count(overview['output_tokens'])} out",
            ),
            _tile(
                "saved_usd",
                "Saved by cache",
                usd(saved),
                f"{percent(saved / (cost + saved))} of the full price" if saved > 0 else "nothing yet",
                "good" if saved > 0 else "",
            ),
            _tile(
                "latency",
                "Latency, median",
                duration(times["p50"]),
                f"Helix's own part {duration(own['p50'])}",
            ),
            _tile(
                "redactions",
                "Personal data taken out",
                short_count(found),
                f"{count(overview['restored'])} put back into answers",
            ),
            "</div>",
        )
    )


def latency(overview: Json) -> str:
    """Percentiles of the whole request and of Helix's own part."""
    rows = "".join(
        f"<tr><th>{word}</th>"
        + "".join(f'<td data-latency="{name}.{p}">{duration(overview[name][p])}</td>' for p in ("p50", "p95", "p99"))
        + "</tr>"
        for name, word in (
            ("latency_ms", "Whole request"),
            ("overhead_ms", "Helix's own part"),
        )
    )
    head = "<tr><th></th><th>50th</th><th>95th</th><th>99th</th></tr>"
    return card("Latency percentiles", f'<table class="hx-table"><thead>{head}</thead><tbody>{rows}</tbody></table>')


def redactions(overview: Json) -> str:
    """How often each kind of personal data was taken out."""
    found: Mapping[str, int] = overview["redactions"]
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return card(
        "Personal data by kind",
        _ranking(
            (kind_name(kind), amount, count(amount), f' data-kind="{escape(kind)}"') for kind, amount in ranked[:8]
        )
        or '<p class="hx-none">None was found.</p>',
    )


def models(overview: Json) -> str:
    """The most used models."""
    return card(
        "Models",
        _ranking(
            (one["model"] or "unknown", one["requests"], f"{count(one['requests'])} · {usd(one['cost_usd'])}", "")
            for one in overview["models"][:8]
        )
        or '<p class="hx-none">None was used.</p>',
    )


def empty(origin: str, window: str) -> str:
    """What to do where nothing has happened yet."""
    question = {
        "model": "demo/echo",
        "messages": [{"role": "user", "content": "I am Ada, ada@example.com. Where is my order?"}],
    }
    line = (
        f"curl {origin}/v1/chat/completions \\\n"
        '  -H "Authorization: Bearer ${HELIX_MASTER_KEY:-$(cat .helix/master.key)}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{json.dumps(question)}'"
    )
    return (
        f'<section class="hx-card hx-empty"><h2>No request in the last {escape(window)}</h2>'
        "<p>Send one, from the folder where Helix was started or with your key in the header; it appears here within "
        "seconds. Send it twice, and the second comes from the cache.</p>"
        f"<pre><code>{escape(line)}</code></pre></section>"
    )


def notice(message: str) -> str:
    """Why there is nothing to show."""
    return f'<section class="hx-card hx-notice" role="alert"><h2>No data</h2><p>{escape(message)}</p></section>'


def _tile(metric: str, label: str, value: str, note: str, mood: str = "") -> str:
    return (
        f'<div class="hx-tile {mood}"><span class="hx-label">{label}</span>'
        f'<strong data-metric="{metric}">{value}</strong><span class="hx-note">{note}</span></div>'
    )


def card(title: str, inner: str, aside: str = "") -> str:
    """A titled box."""
    return f'<section class="hx-card"><header><h2>{title}</h2>{aside}</header>{inner}</section>'


def _ranking(rows: Iterable[tuple[str, int, str, str]]) -> str:
    """Name, amount, the amount as text, further attributes."""
    listed = list(rows)
    most = max((amount for _, amount, _, _ in listed), default=0) or 1
    items = "".join(
        f'<li{attributes}><span class="name" title="{escape(name)}">{escape(name)}</span><b>{text}</b>'
        f'<i style="width:{100 * amount / most:.1f}%"></i></li>'
        for name, amount, text, attributes in listed
    )
    return f'<ol class="hx-rank">{items}</ol>' if items else ""


_ACRONYMS = {"us", "uk", "ip", "ssn", "url", "id", "iban", "nrp", "itin", "nhs", "pii"}


def kind_name(kind: str) -> str:
    """EMAIL_ADDRESS → Email address."""
    words = [word.upper() if word in _ACRONYMS else word for word in kind.lower().split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
