"""A way to call an ASGI app and see what its inner app was sent, and a detector that finds what it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from helix.kernel.sse import Decoder, Event
from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send, Span
from helix.redact.spans import resolve


class Reply:
    """What an ASGI app sent."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.bodies: list[bytes] = [m["body"] for m in messages[1:]]
        self.body = b"".join(self.bodies)

    def json(self) -> Any:
        return orjson.loads(self.body)

    def events(self) -> list[Event]:
        decoder = Decoder()
        return decoder.feed(self.body) + decoder.flush()


class Provider:
    """An inner app that keeps every request it is sent and answers by a function of it.

    An answer is a JSON value, or a list of bytes for a stream, one body message each.
    """

    def __init__(self, answer: Callable[[Any], Any], *, status: int = 200) -> None:
        self._answer = answer
        self._status = status
        self.bodies: list[bytes] = []
        self.scopes: list[Scope] = []

    @property
    def requests(self) -> list[Any]:
        return [orjson.loads(body) for body in self.bodies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        self.bodies.append(body)
        self.scopes.append(scope)
        answer = self._answer(orjson.loads(body))
        kind = b"text/event-stream" if isinstance(answer, list) else b"application/json"
        await send({"type": "http.response.start", "status": self._status, "headers": [(b"content-type", kind)]})
        if isinstance(answer, list):
            for piece in answer:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send({"type": "http.response.body", "body": orjson.dumps(answer), "more_body": False})


def scope_of(path: str, **more: Any) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        **more,
    }


async def call(app: ASGIApp, payload: Any, path: str = "/v1/chat/completions", scope: Scope | None = None) -> Reply:
    """Send one request to an app, in one message."""
    sent: list[Message] = []
    given = [{"type": "http.request", "body": orjson.dumps(payload), "more_body": False}]

    async def receive() -> Message:
        return given.pop() if given else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of(path) if scope is None else scope, receive, send)
    return Reply(sent)


class FixedDetector:
    """A detector that finds given values wherever they stand: for what does not depend on Presidio."""

    def __init__(self, **kinds: Sequence[str]) -> None:
        self._values = [(value, kind) for kind, values in kinds.items() for value in values]
        self.asked: list[str] = []

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        self.asked += texts
        return [self._found(text) for text in texts]

    def _found(self, text: str) -> list[Span]:
        spans: list[Span] = []
        for value, kind in self._values:
            at = text.find(value)
            while at >= 0:
                spans.append(Span(at, at + len(value), kind, 1.0, "fixed"))
                at = text.find(value, at + len(value))
        return list(resolve(spans))


def chat(*contents: Any, **more: Any) -> dict[str, Any]:
    """A chat request whose user says these things in turn."""
    return {"model": "m", "messages": [{"role": "user", "content": content} for content in contents], **more}


def chat_answer(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


def last_text(request: Any) -> str:
    return str(request["messages"][-1]["content"])
