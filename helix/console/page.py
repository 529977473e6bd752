"""The overview page in Gradio: what is where, and when it is fetched anew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import gradio as gr
from starlette.applications import Starlette

from helix.console import render
from helix.console.cache import cache_section, marked, precise
from helix.console.chart import activity as activity_chart
from helix.console.feed import Feed, FeedError
from helix.console.redaction import explained
from helix.console.table import requests as requests_table

__all__ = ["overview_page"]

REFRESH_SECONDS = 2.0
LATEST = 25
# Label → the API's span, and how long a reply is remembered: a long span changes little, and costs more to add up.
WINDOWS: Mapping[str, tuple[str, str, float]] = {
    "15 min": ("15m", "15 minutes", 1.5),
    "1 h": ("1h", "hour", 1.5),
    "24 h": ("24h", "24 hours", 10.0),
    "7 d": ("7d", "7 days", 60.0),
}
_SIGN_OUT = '<form method="post" action="logout"><button type="submit" class="hx-out">Sign out</button></form>'
# Rows come and go with each update; their table's box stays.
_ON_WRONG = """element.addEventListener('click', event => {
  const button = event.target.closest('[data-wrong]');
  if (!button) return;
  trigger('click', {request: button.dataset.wrong});
});"""
_HEAD = """<link rel="icon" href="{icon}">
<script>
(() => {
  const ask = window.fetch;
  window.fetch = async (...request) => {
    const reply = await ask(...request);
    if (reply.status === 401) window.location.reload();
    return reply;
  };
})();
</script>"""


def overview_page(feed: Feed) -> Starlette:
    """An app with the page at its root. Every event bypasses Gradio's queue, so that replicas need share nothing."""
    with gr.Blocks(title="Helix", analytics_enabled=False, fill_width=True) as blocks:
        with gr.Row(elem_id="hx-bar"):
            gr.HTML(_brand(), elem_id="hx-brand")
            window = gr.Radio(list(WINDOWS), value="1 h", show_label=False, container=False, elem_id="hx-window")
            status = gr.HTML("", elem_id="hx-live")
            gr.HTML(_SIGN_OUT, elem_id="hx-logout")
        tiles = gr.HTML('<p class="hx-none">Loading…</p>', elem_id="hx-tiles")
        with gr.Row(elem_classes="hx-row"):
            activity = gr.HTML("", elem_id="hx-activity")
            latency = gr.HTML("", elem_id="hx-latency")
        with gr.Row(elem_classes="hx-row even"):
            redactions = gr.HTML("", elem_id="hx-redactions")
            models = gr.HTML("", elem_id="hx-models")
        precision = gr.HTML("", elem_id="hx-precision")
        said = gr.HTML("", elem_id="hx-marked")
        latest = gr.HTML("", elem_id="hx-requests", js_on_load=_ON_WRONG)
        with gr.Row(elem_classes="hx-row"):
            text = gr.Textbox(label="Try redaction", lines=3, max_length=20_000, elem_id="hx-try")
            ask = gr.Button("Explain", elem_id="hx-explain", scale=0)
        findings = gr.HTML("", elem_id="hx-explained")
        cache_section(feed)
        outputs = [status, tiles, activity, latency, redactions, models, precision, latest]

        async def refresh(chosen: str, request: gr.Request) -> list[Any]:
            span, name, max_age_seconds = WINDOWS[chosen]
            try:
                overview = await feed.get(f"/helix/overview?since={span}", max_age_seconds=max_age_seconds)
                page = await feed.get(f"/helix/requests?limit={LATEST}&since={span}", max_age_seconds=1.5)
                near = await nearness()
            except FeedError as error:
                return [render.status(datetime.now(UTC), is_live=False), render.notice(str(error)), *[""] * 6]
            until = datetime.fromisoformat(overview["until"])
            live = render.status(until, is_live=True)
            if not overview["requests"]:
                return [live, render.empty(_origin(request), name), *[""] * 6]
            return [
                live,
                render.tiles(overview),
                activity_chart(overview),
                render.latency(overview),
                render.redactions(overview),
                render.models(overview),
                near,
                requests_table(page["data"]),
            ]

        async def nearness() -> str:
            try:
                return precise(await feed.get("/helix/cache/precision", max_age_seconds=1.5))
            except FeedError as error:
                if error.status == 404:  # there is no cache
                    return ""
                raise

        async def mark(event: gr.EventData) -> str:
            try:
                body = {"verdict": "wrong", "request_id": str(event.request)}
                return marked(await feed.post("/helix/cache/feedback", body))
            except FeedError as error:
                return render.notice(str(error))

        latest.click(mark, None, said, queue=False, show_progress="hidden", api_visibility="private")

        async def explain(given: str) -> str:
            try:
                return explained(given, await feed.post("/helix/redact", {"text": given})) if given else ""
            except FeedError as error:
                return render.notice(str(error))

        ask.click(explain, text, findings, queue=False, show_progress="hidden", api_visibility="private")
        for event in (blocks.load, gr.Timer(REFRESH_SECONDS).tick, window.change):
            event(refresh, window, outputs, queue=False, show_progress="hidden", api_visibility="private")

    app = Starlette()
    gr.mount_gradio_app(
        app,
        blocks,
        path="",  # where the console is mounted is the scope's root_path; Gradio's own parameter breaks its addresses
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        show_error=True,
        theme=_theme(),
        css=_text("style.css"),
        head=_HEAD.replace("{icon}", _icon()),
    )
    return app


def _theme() -> gr.themes.Base:
    fonts = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
    mono = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace")
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", radius_size="md", font=list(fonts), font_mono=list(mono)
    )


def _origin(request: gr.Request) -> str:
    """The address that the browser knows this gateway by."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    return f"{scheme}://{request.headers.get('host', '127.0.0.1:8000')}"


def _brand() -> str:
    return f'<div class="hx-brand">{_text("icon.svg")}<h1>Helix</h1><span>Overview</span></div>'


def _icon() -> str:
    return f"data:image/svg+xml,{quote(_text('icon.svg'))}"


def _text(name: str) -> str:
    return files("helix.console").joinpath(name).read_text(encoding="utf-8")
