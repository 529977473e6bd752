"""What the redact stage would do with a text, as HTML: the text with its findings marked, what goes out, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from helix.console.render import card, escape, kind_name

__all__ = ["explained"]

Json: TypeAlias = Mapping[str, Any]

_ACTIONS = {
    "allow": "left: on the allow-list",
    "unsure": "left: score too low",
    "keep": "left",
    "block": "request refused",
}


def explained(text: str, told: Json) -> str:
    """The answer of POST /helix/redact about this text."""
    if not told["spans"]:
        return card("Personal data", '<p class="hx-none">None was found: the text goes out as it is.</p>')
    head = "".join(f"<th>{name}</th>" for name in ("Found", "Kind", "What is done", "Goes out as", "Score", "Why"))
    rows = "".join(_row(text, span) for span in told["spans"])
    refused = '<p class="hx-none">A request with this text would be refused.</p>' if told["blocked"] else ""
    table = f'<table class="hx-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return card(
        "Personal data",
        f'{refused}<p class="hx-text">{_marked(text, told["spans"])}</p>'
        f'<p class="hx-text" id="hx-goes-out">{escape(told["text"])}</p>'
        f'<div class="hx-scroll">{table}</div>',
        f'<span class="hx-dim">{len(told["spans"])} found; the text is neither kept nor logged</span>',
    )


def _marked(text: str, spans: list[Json]) -> str:
    pieces: list[str] = []
    at = 0
    for span in spans:
        mood = "" if span["replacement"] else ' class="kept"'
        value = escape(text[span["start"] : span["end"]])
        title = escape(kind_name(span["kind"]))
        pieces += (escape(text[at : span["start"]]), f'<mark{mood} title="{title}">{value}</mark>')
        at = span["end"]
    return "".join((*pieces, escape(text[at:])))


def _row(text: str, span: Json) -> str:
    why = f"{span['recognizer']}: {span['reason']}" if span["reason"] else span["recognizer"]
    cells = (
        text[span["start"] : span["end"]],
        kind_name(span["kind"]),
        _ACTIONS.get(span["action"], span["action"]),
        span["replacement"] or "",
        f"{span['score']:.2f}",
        why,
    )
    return f'<tr data-found="{escape(span["kind"])}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
