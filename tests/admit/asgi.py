"""A caller and an app, both raw ASGI."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from helix.kernel.exchange import Exchange
from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    body_was_read: bool = False
    exchange: Exchange | None = None

    @property
    def error(self) -> Any:
        return orjson.loads(self.body)["error"]


CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}


async def call(
    app: ASGIApp,
    payload: Any = CHAT,
    path: str = "/v1/chat/completions",
    *,
    method: str = "POST",
    key: str = "",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    client: tuple[str, int] | None = ("203.0.113.9", 5000),
) -> Reply:
    """Send one request."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    reply = Reply()

    async def receive() -> Message:
        if parts:
            reply.body_was_read = True
            return parts.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert reply.status == 0
            reply.status = message["status"]
            reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            reply.body += message.get("body", b"")

    bearer = ((b"authorization", b"Bearer " + key.encode()),) if key else ()
    scope: Scope = {"type": "http", "method": method, "path": path, "headers": [*bearer, *headers], "client": client}
    await app(scope, receive, send)
    reply.exchange = scope.get("helix.exchange")
    return reply


async def ok(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that says yes."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    start = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": start})
    await send({"type": "http.response.body", "body": b"{}", "more_body": False})
