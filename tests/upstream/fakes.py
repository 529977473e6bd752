"""Real providers on loopback that do as they are told, and what is sent to them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Behaviour = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


def chat_answer(text: str = "Hello!", model: str = "gpt-4o-2024-08-06") -> dict[str, Any]:
    """A whole chat answer with a field that Helix does not know."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "x_unknown": {"kept": True},
    }


def chat_chunk(text: str | None = None, finish: str | None = None) -> bytes:
    """One event of a chat stream."""
    delta = {} if text is None else {"content": text}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


class Provider:
    """A provider: does what stands in `plan`, an entry a request, then `otherwise`; remembers every request."""

    def __init__(self) -> None:
        self.plan: deque[Behaviour] = deque()
        self.otherwise: Behaviour = says("Hello!")
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        """Set when whoever asked has gone before the answer was complete."""
        self.url = ""

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.requests]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.path, {k.lower(): v for k, v in request.headers.items()}, body))
        self.arrived.set()
        behaviour = self.plan.popleft() if self.plan else self.otherwise
        try:
            return await behaviour(request, json.loads(body))
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise


def says(text: str, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer a chat, as a stream where that is asked for."""

    async def behaviour(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body.get("stream"):
            parts = [chat_chunk(word) for word in text.split(" ")]
            return await stream(request, [*parts, chat_chunk(finish="stop"), b"data: [DONE]\n\n"], headers)
        return web.json_response(chat_answer(text), headers=headers)

    return behaviour


async def stream(
    request: web.Request, parts: list[bytes], headers: dict[str, str] | None = None, *, end: bool = True
) -> web.StreamResponse:
    """Send the parts of an event stream, each in a write of its own."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream", **(headers or {})})
    await response.prepare(request)
    for part in parts:
        await response.write(part)
        await asyncio.sleep(0)
    if end:
        await response.write_eof()
    return response


def streams(*parts: bytes) -> Behaviour:
    """Send these parts of an event stream and end it."""

    async def behaviour(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await stream(request, list(parts))

    return behaviour


def refuses(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer with an error status."""
    error = {"error": {"message": f"no: {status}", "type": "some_error", "param": None, "code": f"e{status}"}}

    async def behaviour(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(error if body is None else body, status=status, headers=headers)

    return behaviour


def sends(body: bytes, content_type: str = "application/json") -> Behaviour:
    """Answer 200 with these bytes."""

    async def behaviour(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type)

    return behaviour


def hangs() -> Behaviour:
    """Never answer."""

    async def behaviour(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return behaviour


def hangs_after(*parts: bytes) -> Behaviour:
    """Begin a stream and never go on."""

    async def behaviour(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        await stream(request, list(parts), end=False)
        await asyncio.Event().wait()
        raise AssertionError

    return behaviour


def dies_after(*parts: bytes) -> Behaviour:
    """Begin a stream (or nothing) and cut the connection."""

    async def behaviour(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        response = await stream(request, list(parts), end=False) if parts else web.Response()
        if request.transport is not None:
            request.transport.close()
        return response

    return behaviour


def deployment(provider: Provider | str, name: str = "gpt-4o", **params: Any) -> dict[str, Any]:
    """An entry of model_list for OpenAI's wire at a provider."""
    info = params.pop("info", None)
    url = provider if isinstance(provider, str) else provider.url
    entry = {
        "model_name": name,
        "litellm_params": {"model": "openai/gpt-4o", "api_base": f"{url}/v1", "api_key": "sk-real", **params},
    }
    return entry if info is None else {**entry, "model_info": info}


def chat(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}


def events(body: str) -> list[str]:
    """The data of a stream's events."""
    return [block.partition("data: ")[2] for block in body.split("\n\n") if "data: " in block]
