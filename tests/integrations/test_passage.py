"""Requests through stages by hand: the middlewares as they are, between the hooks of a host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from helix.integrations.passage import Passage, inside, receiving, scope_of
from helix.kernel.errors import BackendUnavailable, UpstreamBroke
from helix.kernel.types import ASGIApp, Receive, Scope, Send, Span
from helix.kernel.wire import CHAT
from helix.redact import RedactMiddleware

EMAIL = "anna@example.org"
ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": f"I am {EMAIL}"}]}


class Finder:
    """Finds one address; is down where it is told to be."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.is_down = is_down

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        if self.is_down:
            raise BackendUnavailable("it is down")
        starts = [text.find(EMAIL) for text in texts]
        return [[Span(at, at + len(EMAIL), "EMAIL_ADDRESS", 1.0)] if at >= 0 else [] for at in starts]


def passage(stages: ASGIApp | None = None, **options: Any) -> Passage:
    stages = stages or RedactMiddleware(inside, detector=Finder())
    return Passage(stages, scope_of(CHAT, []), receiving(ASKED), **options)


def answer(text: str) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}).encode()


def chunk(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


async def test_there_and_back() -> None:
    """The question goes on redacted, the answer comes back restored."""
    way = passage()
    assert await way.ask() is None
    assert way.exchange.payload["messages"][0]["content"] == "I am <EMAIL_ADDRESS_1>"
    assert json.loads(await way.answer(answer("Hello <EMAIL_ADDRESS_1>")))["choices"][0]["message"]["content"] == (
        f"Hello {EMAIL}"
    )
    assert way.is_over
    assert way.status == 200
    assert (b"x-helix-redactions", b"EMAIL_ADDRESS=1") in way.headers


async def test_stream() -> None:
    """What can be said is said at once; the rest when it is known what it is."""
    way = passage()
    await way.ask()
    await way.begin()
    assert await way.feed(chunk("Hello")) == chunk("Hello")
    assert b"<" not in await way.feed(chunk(" <EMAIL_"))
    assert EMAIL.encode() in await way.feed(chunk("ADDRESS_1>"))
    assert b"<EMA" in await way.feed(chunk("<EMA")) + await way.end(b"data: [DONE]\n\n")
    assert way.is_over


async def test_a_stage_that_replies() -> None:
    """Where a stage replies itself, its reply is what asking gives, and the passage is over."""
    way = passage(RedactMiddleware(inside, detector=Finder(is_down=True)))
    reply = await way.ask()
    assert reply is not None
    assert json.loads(reply)["error"]["code"] == "backend_unavailable"
    assert way.status == 503
    assert way.is_over


async def test_failure_before_the_answer() -> None:
    """No answer becomes an error reply, which the stages see."""
    way = passage()
    await way.ask()
    assert json.loads(await way.fail(UpstreamBroke("gone")))["error"]["code"] == "upstream_unreachable"
    assert way.status == 502
    assert way.is_over


async def test_failure_in_a_stream() -> None:
    """What a broken stream held back comes before its error."""
    way = passage()
    await way.ask()
    await way.begin()
    await way.feed(chunk("<EMAIL"))
    rest = await way.fail(UpstreamBroke("gone"))
    assert rest.index(b"<EMAIL") < rest.index(b"upstream_unreachable")


async def test_leaving() -> None:
    """A caller who leaves cancels the stages, wherever they are."""
    seen: list[str] = []

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await RedactMiddleware(inside, detector=Finder())(scope, receive, send)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    way = passage(stage)
    await way.ask()
    way.leave()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == ["cancelled"]
    way.leave()  # once more does no harm


async def test_patience() -> None:
    """A passage that nobody comes back to ends by itself, and lets go of what it holds."""
    ended = asyncio.Event()

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        await RedactMiddleware(inside, detector=Finder())(scope, receive, send)
        ended.set()

    way = passage(stage, patience_seconds=0.01)
    await way.ask()
    await asyncio.wait_for(ended.wait(), 10)
    await asyncio.sleep(0)
    assert way.is_over
    assert await way.feed(chunk("late")) == b""


async def test_nothing_without_asking() -> None:
    """There is no exchange before the question was asked."""
    with pytest.raises(RuntimeError, match="has not asked"):
        _ = passage().exchange
