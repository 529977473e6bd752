"""The cache: what it holds, what was given most often, and removing it, counted first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import urlencode

import gradio as gr

from helix.console.feed import Feed, FeedError
from helix.console.format import count, percent, short_count
from helix.console.render import card, escape, notice

__all__ = ["cache_section", "entries", "held", "marked", "precise"]

Json: TypeAlias = Mapping[str, Any]

SHOWN = 25
LEAST_SIMILARITY = 0.8
SIMILAR, EVERYTHING, MOST_USED = "Similar to a text", "Everything", "Most used"
# What is chosen → the API's parameter; those without one are asked for otherwise.
CHOICES: Mapping[str, str] = {
    "Latest": "",
    MOST_USED: "",
    "Tag": "tag",
    "Namespace": "namespace",
    "Model": "model",
    "User": "user",
    "Partition": "partition",
    "Scope": "scope",
    "Entry": "entry",
    SIMILAR: "",
    EVERYTHING: "",
}
_LISTS = ("Latest", MOST_USED)
_OPTIONS: Mapping[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def cache_section(feed: Feed) -> None:
    """Put the cache's part into the page that is being built. Nothing of it is asked for until somebody asks."""
    with gr.Row(elem_classes="hx-row", elem_id="hx-cache-bar"):
        what = gr.Dropdown(list(CHOICES), value="Latest", label="Cache", elem_id="hx-cache-what")
        value = gr.Textbox(label="Which", max_length=20_000, elem_id="hx-cache-value")
        look = gr.Button("Show", elem_id="hx-cache-show", scale=0)
        weigh = gr.Button("Count", elem_id="hx-cache-count", scale=0)
        remove = gr.Button("Remove", visible=False, variant="stop", elem_id="hx-cache-remove", scale=0)
    told = gr.HTML("", elem_id="hx-cache-told")
    listed = gr.HTML("", elem_id="hx-cache-entries")

    async def show(chosen: str, said: str) -> tuple[str, str]:
        try:
            stats = held(await feed.get("/helix/cache", max_age_seconds=1.0))
            return stats, entries(await _rows(feed, chosen, said))
        except FeedError as error:
            return "", notice(str(error))

    async def weighed(chosen: str, said: str) -> tuple[str, Any]:
        """What would go; only then can it be removed, and only this."""
        try:
            amount = await _removed(feed, chosen, said, dry_run=True)
        except FeedError as error:
            return notice(str(error)), gr.update(visible=False)
        if not amount:
            return _sentence("Nothing would be removed."), gr.update(visible=False)
        return _sentence(f"{count(amount)} would be removed."), gr.update(visible=True, value=f"Remove {count(amount)}")

    async def removed(chosen: str, said: str) -> tuple[str, str, Any]:
        try:
            amount = await _removed(feed, chosen, said, dry_run=False)
            return (
                _sentence(f"{count(amount)} removed."),
                entries(await _rows(feed, "Latest", "")),
                gr.update(visible=False),
            )
        except FeedError as error:
            return notice(str(error)), "", gr.update(visible=False)

    look.click(show, [what, value], [told, listed], **_OPTIONS)
    weigh.click(weighed, [what, value], [told, remove], **_OPTIONS)
    remove.click(removed, [what, value], [told, listed, remove], **_OPTIONS)
    for changed in (what.change, value.change):
        changed(lambda: gr.update(visible=False), None, remove, **_OPTIONS)


def held(stats: Json) -> str:
    """How much is in the cache, by namespace."""
    about = "about " if stats["bytes_estimated"] else ""
    rows = "".join(
        f"<tr><td>{escape(row['namespace']) or 'default'}</td>"
        f'<td class="num">{count(row["entries"])}</td><td class="num">{short_count(row["bytes"] or 0)}B</td></tr>'
        for row in stats["namespaces"]
    )
    head = "<tr><th>Namespace</th><th>Entries</th><th>Memory</th></tr>"
    return card(
        "Cache",
        f'<table class="hx-table"><thead>{head}</thead><tbody>{rows}</tbody></table>'
        if rows
        else '<p class="hx-none">It holds nothing.</p>',
        f'<span class="hx-dim"><b data-metric="cache_entries">{count(stats["entries"])}</b> entries, '
        f"{about}{short_count(stats['bytes'] or 0)}B</span>",
    )


def precise(found: Json) -> str:
    """How right answers from near have been."""
    if found["precision"] is None:
        inner = f"{count(found['hits'])} given, none was checked or marked yet"
    else:
        inner = (
            f'<b data-metric="precision">{percent(found["precision"])}</b> right, 95 % interval '
            f"{percent(found['precision_low'])} to {percent(found['precision_high'])} · {count(found['hits'])} given, "
            f"{count(found['checks'])} checked or marked, {count(found['wrong'])} wrong"
        )
    return card("Answers from near", f'<p class="hx-none">{inner}</p>')


def marked(told: Json) -> str:
    """What came of marking an answer wrong."""
    if not told["counted"]:
        return _sentence("The answer was marked before" + (", and is removed now." if told["evicted"] else "."))
    return _sentence("Marked wrong: the answer " + ("is removed." if told["evicted"] else "was gone already."))


def entries(rows: Sequence[Json]) -> str:
    """Entries as the API lists them: what they are about, never what they answer."""
    if not rows:
        return card("Cached answers", '<p class="hx-none">There is none.</p>')
    near = rows[0]["similarity"] is not None
    names = (*(("Similarity",) if near else ()), "Stored", "Entry", "Model", "Question", "Tags", "Given", "Expires")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(_entry(row, near) for row in rows)
    return card(
        "Cached answers",
        '<div class="hx-scroll"><table class="hx-table">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>",
        f'<span class="hx-dim">{len(rows)} shown, times in UTC; questions are kept without personal data</span>',
    )


def _entry(row: Json, near: bool) -> str:
    cells = (
        *((f"{row['similarity']:.3f}",) if near else ()),
        _time(row["stored_at"]),
        f'<span title="{escape(row["id"])}">{escape(row["namespace"])} …{escape(row["id"][-8:])}</span>',
        escape(row["asked_model"] or row["model"]),
        f'<span title="{escape(row["text"])}">{escape(row["text"][:120])}</span>',
        escape(", ".join(row["tags"])),
        count(row["hits"]),
        _time(row["expires_at"]),
    )
    return f'<tr data-entry="{escape(row["id"])}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _time(written: str) -> str:
    at = datetime.fromisoformat(written).astimezone(UTC)
    return f'<time title="{at.isoformat()}">{at.strftime("%d %b %H:%M")}</time>'


def _sentence(text: str) -> str:
    """A sentence that tells what was done."""
    return f'<p class="hx-none" role="status">{escape(text)}</p>'


async def _rows(feed: Feed, chosen: str, said: str) -> Sequence[Json]:
    if chosen == SIMILAR:
        found: Sequence[Json] = (await _similar(feed, said, remove=False))["data"]
        return found
    query: dict[str, Any] = {"limit": SHOWN}
    if chosen == MOST_USED:
        query["sort"] = "used"
    elif name := CHOICES[chosen]:
        query[name] = said.strip()
    page: Mapping[str, Sequence[Json]] = await feed.get(f"/helix/cache/entries?{urlencode(query)}", max_age_seconds=0.0)
    return page["data"]


async def _removed(feed: Feed, chosen: str, said: str, *, dry_run: bool) -> int:
    if chosen in _LISTS:
        raise FeedError("Say what to remove: a tag, a model, a text, or everything.")
    if chosen == SIMILAR:
        return len((await _similar(feed, said, remove=not dry_run))["data"])
    query = {"all": "true"} if chosen == EVERYTHING else {CHOICES[chosen]: said.strip()}
    told = await feed.delete(f"/helix/cache?{urlencode(query | ({'dry_run': 'true'} if dry_run else {}))}")
    return int(told["removed"])


async def _similar(feed: Feed, text: str, *, remove: bool) -> Json:
    body = {"text": text, "min_similarity": LEAST_SIMILARITY, "limit": SHOWN, "remove": remove}
    told: Json = await feed.post("/helix/cache/similar", body)
    return told
