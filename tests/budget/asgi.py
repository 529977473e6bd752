"""A caller and a provider, both raw ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return orjson.loads(self.body)


async def post(
    app: ASGIApp,
    payload: Any,
    path: str = "/v1/chat/completions",
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    on_body: Callable[[bytes], None] | None = None,
    state: dict[str, Any] | None = None,
) -> Reply:
    """Send one request; `on_body` sees each piece of the answer and may raise, as a broken connection does."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    reply = Reply()

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert reply.status == 0
            reply.status = message["status"]
            reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            reply.body += message.get("body", b"")
            if on_body is not None:
                on_body(message.get("body", b""))

    scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers), "query_string": b""}
    scope.update(state or {})
    await app(scope, receive, send)
    return reply


def answers(answer: Any, *, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> ASGIApp:
    """A provider that gives a whole JSON answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        body = orjson.dumps(answer)
        start = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
        await send({"type": "http.response.start", "status": status, "headers": start})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app


def streams(*payloads: Any, then: Callable[[], Any] | None = None) -> ASGIApp:
    """A provider that streams chat chunks; `then` is awaited before the end, and may never come back."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        start = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        for payload in payloads:
            data = payload if isinstance(payload, bytes) else orjson.dumps(payload)
            await send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})
        if then is not None:
            await then()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def chat_answer(usage: Any = None, text: str = "hello", model: str = "priced") -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }
    return answer if usage is None else {**answer, "usage": usage}


def chat_chunk(text: str = "", *, usage: Any = None, finish: str | None = None) -> dict[str, Any]:
    choices = [] if usage is not None else [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "priced", "choices": choices}
    return chunk if usage is None else {**chunk, "usage": usage}


def chat_request(**more: Any) -> dict[str, Any]:
    return {"model": "priced", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10, **more}


@asynccontextmanager
async def started(app: ASGIApp) -> AsyncIterator[None]:
    """Run an app's lifespan round a block."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    task = asyncio.ensure_future(app({"type": "lifespan"}, inbox.get, outbox.put))
    inbox.put_nowait({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    yield
    inbox.put_nowait({"type": "lifespan.shutdown"})
    assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
    await task


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the lifespan as an app without one of its own."""
    while True:
        message = await receive()
        kind = message["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def with_lifespan(app: ASGIApp) -> ASGIApp:
    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        await (nothing if scope["type"] == "lifespan" else app)(scope, receive, send)

    return both
