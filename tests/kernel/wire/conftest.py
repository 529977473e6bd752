"""A real server that replays a dialect's stream, for the official clients to read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from helix.kernel.sse import Event
from helix.kernel.types import Receive, Scope, Send

Replay = Callable[[Iterable[Event]], Awaitable[str]]


@pytest.fixture
def replay(serve: Callable[[Any], Awaitable[str]]) -> Replay:
    """`base_url = await replay(events)`: every request is answered by that stream, one event a message."""

    async def start(events: Iterable[Event]) -> str:
        kept = list(events)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
                return
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for event in kept:
                await send({"type": "http.response.body", "body": event.raw, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        return await serve(app)

    return start
