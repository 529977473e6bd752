"""The playground: what the redact stage would do with a text, and what stands there when it cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from helix.console.feed import Feed, FeedError
from helix.console.redaction import explained
from tests.conftest import Serve

TEXT = "Jane <b>, $9 at 10.0.0.1"
SPANS: list[dict[str, Any]] = [
    {
        "start": 0,
        "end": 4,
        "kind": "PERSON",
        "score": 0.856,
        "recognizer": "Names",
        "reason": "a <model>",
        "action": "placeholder",
        "replacement": "<PERSON_1>",
    },
    {
        "start": 16,
        "end": 24,
        "kind": "IP_ADDRESS",
        "score": 0.2,
        "recognizer": "Ip",
        "reason": "",
        "action": "unsure",
        "replacement": None,
    },
]


def test_each_finding_is_told_readably() -> None:
    """Marked in the text, with what is done, what goes out and why; nothing of it is taken for HTML or a template."""
    html = explained(TEXT, {"text": "<PERSON_1> <b>, $9 at 10.0.0.1", "spans": SPANS, "blocked": False})
    assert '<mark title="Person">Jane</mark> &lt;b&gt;, &#36;9 at <mark class="kept" title="IP address">' in html
    row = "<td>Jane</td><td>Person</td><td>placeholder</td><td>&lt;PERSON_1&gt;</td><td>0.86</td>"
    assert f"{row}<td>Names: a &lt;model&gt;</td>" in html
    assert "<td>left: score too low</td><td></td><td>0.20</td><td>Ip</td>" in html
    assert "refused" not in html
    assert "refused" in explained(TEXT, {"text": "", "spans": SPANS, "blocked": True})


def test_a_clean_text_is_said_to_be_one() -> None:
    """In words."""
    assert "None was found" in explained("hi", {"text": "hi", "spans": [], "blocked": False})


async def test_the_console_asks_with_a_body_and_tells_what_went_wrong(serve: Serve) -> None:
    """The API's own sentence, for people to read."""

    async def redact(request: Request) -> JSONResponse:
        given = await request.json()
        if given["text"] == "down":
            return JSONResponse({"error": {"message": "the detector of personal data failed"}}, 503)
        return JSONResponse({"text": given["text"], "spans": [], "blocked": False})

    feed = Feed(await serve(Starlette(routes=[Route("/helix/redact", redact, methods=["POST"])])), "key")
    try:
        assert (await feed.post("/helix/redact", {"text": "hi"}))["text"] == "hi"
        with pytest.raises(FeedError, match=r"^The detector of personal data failed\.$"):
            await feed.post("/helix/redact", {"text": "down"})
    finally:
        await feed.close()
