"""Replies that a stage gives itself: a refusal, and the end of a stream that broke."""

from __future__ import annotations

from typing import Any

import orjson

from helix.kernel.errors import Headers, HelixError, UpstreamStatus
from helix.kernel.exchange import KEY, Exchange
from helix.kernel.sse import encode
from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send
from helix.kernel.wire import CHAT, dialect_of

__all__ = ["Guard", "error_reply", "json_reply", "refuse", "telling"]


def refuse(error: HelixError) -> ASGIApp:
    """An ASGI app that replies with the error, in the form of the dialect that was spoken to."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status, headers, body = error_reply(error, scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app


def json_reply(status: int, value: Any, headers: tuple[tuple[str, str], ...] = ()) -> ASGIApp:
    """An ASGI app that replies with a JSON value."""
    body = orjson.dumps(value)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": _headers(scope, body, headers)})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app


def telling(send: Send, told: Headers) -> Send:
    """A send that adds headers to the reply."""
    headers = [(name.encode(), value.encode()) for name, value in told]

    async def tap(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return tap


def error_reply(error: HelixError, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of an error's reply. A provider's own JSON error goes through as it is."""
    dialect = dialect_of(scope.get("method", "POST"), scope.get("path", "")) or CHAT
    if isinstance(error, UpstreamStatus) and error.body and "json" in error.content_type:
        body = error.body
    else:
        body = orjson.dumps(dialect.error_body(error))
        exchange: Exchange | None = scope.get(KEY)
        if exchange is not None:
            exchange.error_code = error.code
    return error.status, _headers(scope, body, error.headers), body


def _headers(scope: Scope, body: bytes, more: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    exchange: Exchange | None = scope.get(KEY)
    if exchange is not None:
        headers.append((b"x-helix-request-id", exchange.id.encode()))
    headers.extend((name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in more)
    return headers


class Guard:
    """A send that never starts a reply twice, and knows how to fail at any point of one.

    Before the start, `fail` replies with the error. After it, a stream ends with one error event in the dialect's form,
    and any other body is cut off, so that the server closes the connection and nobody takes the half for the whole.
    """

    __slots__ = ("_is_stream", "_send", "ended", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.ended = False
        self._is_stream = False

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            if self.started:
                raise RuntimeError("a reply was started twice")
            self.started = True
            self._is_stream = is_event_stream(message["headers"])
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.ended = True
        await self._send(message)

    async def fail(self, error: HelixError, exchange: Exchange) -> None:
        """End the reply with an error. Raises the error itself where a started reply can only be cut off."""
        if self.ended:
            return
        if not self.started:
            await refuse(error)(exchange.scope, exchange.receive, self)
        elif self._is_stream:
            dialect = exchange.dialect or CHAT
            exchange.error_code = error.code
            await self({"type": "http.response.body", "body": encode(dialect.error_events(error)), "more_body": False})
        else:
            raise error


def is_event_stream(headers: Any) -> bool:
    """Whether response headers say server-sent events."""
    for name, value in headers:
        if len(name) == 12 and name.lower() == b"content-type":
            return value.startswith(b"text/event-stream")  # type: ignore[no-any-return]
    return False
