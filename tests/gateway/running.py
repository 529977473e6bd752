"""A gateway that is up, as its callers and its operators meet it, and everywhere that it leaves traces."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import httpx
import openai
from backports import zstd
from redis.asyncio import Redis

from helix.cache.skeleton import SKELETON
from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send
from helix.telemetry.clickhouse import ClickHouse

T = TypeVar("T")

COMPRESSED = b"\x02\x01"
"""How what the cache keeps begins, compressed and in the clear (helix/cache/value.py)."""

MASTER = "sk-hx-master-of-the-gateway-tests"
PROVIDER_KEY = "sk-real-key-of-the-provider"

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"


async def eventually(ask: Callable[[], Awaitable[T]], is_right: Callable[[T], bool], seconds: float = 30.0) -> T:
    """What is asked for, once it is right; it must be so before the deadline."""
    deadline = time.monotonic() + seconds
    while not is_right(found := await ask()):
        assert time.monotonic() < deadline, f"after {seconds:g} s it is still {found!r}"
        await asyncio.sleep(0.02)
    return found


class Recorder:
    """An app, and the bodies of the requests that reached it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.received: list[bytes] = []
        self.url = ""

    @property
    def heard(self) -> str:
        """All of them as one text, escapes resolved."""
        return json.dumps([json.loads(body) for body in self.received], ensure_ascii=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[bytes] = []

        async def hear() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                parts.append(message.get("body", b""))
                if not message.get("more_body", False) and any(parts):
                    self.received.append(b"".join(parts))
            return message

        await self.app(scope, hear if scope["type"] == "http" else receive, send)


def request(dialect: str, text: str, *, model: str = "", **fields: Any) -> tuple[str, dict[str, Any]]:
    """Path and body of a request that says one thing, in a dialect."""
    if dialect == "responses":
        return RESPONSES, {"model": model or "gpt-4o", "input": text, **fields}
    messages = [{"role": "user", "content": text}]
    if dialect == "messages":
        return MESSAGES, {"model": model or "claude", "max_tokens": 500, "messages": messages, **fields}
    return CHAT, {"model": model or "gpt-4o", "messages": messages, **fields}


def fault(reply: httpx.Response, dialect: str) -> dict[str, Any]:
    """The error in a reply of Helix's own, which must be one sentence in the form of the dialect."""
    body = reply.json()
    if dialect == "messages":
        assert body["type"] == "error"
        assert {"type", "message"} <= set(body["error"])
    else:
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert isinstance(body["error"]["code"], str)
    message = body["error"]["message"]
    assert 10 < len(message) < 400
    assert "\n" not in message
    assert "Traceback" not in reply.text
    error: dict[str, Any] = body["error"]
    return error


@dataclass
class Running:
    """A gateway on a server."""

    url: str
    redis_url: str
    store: ClickHouse
    spool: Path
    records: Callable[[], Iterable[logging.LogRecord]]
    stack: AsyncExitStack = field(repr=False)
    caller: httpx.AsyncClient
    """Shows no credential of its own."""
    admin: httpx.AsyncClient
    """Shows the master key."""

    # Callers

    async def ask(self, text: str, dialect: str = "chat", *, key: str = MASTER, **fields: Any) -> httpx.Response:
        """Send one request by plain HTTP; `headers` are sent along, and the other fields stand in the body."""
        shown = {"authorization": f"Bearer {key}"} if key else {}
        headers = {**shown, **fields.pop("headers", {})}
        path, body = request(dialect, text, **fields)
        return await self.caller.post(path, json=body, headers=headers)

    async def openai(self, key: str = MASTER) -> openai.AsyncOpenAI:
        """OpenAI's own client."""
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)
        return await self.stack.enter_async_context(client)

    async def claude(self, key: str = MASTER) -> anthropic.AsyncAnthropic:
        """Anthropic's own client."""
        client = anthropic.AsyncAnthropic(base_url=self.url, api_key=key, max_retries=0)
        return await self.stack.enter_async_context(client)

    # Operators

    async def get(self, path: str, **query: Any) -> Any:
        """What the administration API answers."""
        reply = await self.admin.get(path, params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def key(self, **fields: Any) -> dict[str, Any]:
        """Make a virtual key; `key` is the secret."""
        reply = await self.admin.post("/helix/keys", json={"name": "of the test", **fields})
        assert reply.status_code == 201, reply.text
        made: dict[str, Any] = reply.json()
        return made

    async def rows(self, count: int) -> list[dict[str, Any]]:
        """The rows of all requests, earliest first, once as many are there as were sent; there must not be more."""

        async def ask() -> list[dict[str, Any]]:
            reply = await self.admin.get("/helix/requests", params={"limit": 500})
            return [] if reply.status_code == 503 else reply.json()["data"]

        found = await eventually(ask, lambda rows: len(rows) >= count)
        assert len(found) == count, [(row["status"], row["error_code"]) for row in found]
        return found[::-1]

    async def budgets(self) -> list[dict[str, Any]]:
        """Every budget, once nothing is reserved in any."""

        async def ask() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await self.get("/helix/budgets"))["data"]
            return found

        return await eventually(ask, lambda budgets: all(budget["reserved_usd"] == 0 for budget in budgets))

    async def cached(self, count: int) -> None:
        """Wait until so many answers are stored: they are, off the caller's path."""
        await eventually(lambda: self.get("/helix/cache"), lambda cache: cache["entries"] >= count)

    # Traces

    async def traces(self) -> dict[str, str]:
        """Everything that the gateway has written anywhere, by place."""
        return {
            "logs": "\n".join(f"{record.getMessage()} {record.__dict__}" for record in self.records()),
            "Redis": await _redis_text(self.redis_url),
            "ClickHouse": await _clickhouse_text(self.store),
            "metrics": (await self.caller.get("/metrics")).text,
            "spool": "\n".join(f"{path} {_text_of(path)}" for path in self.spool.rglob("*")),
        }

    async def leaks(self, values: Iterable[str]) -> list[tuple[str, str]]:
        """Which of these values stand where."""
        traces = await self.traces()
        return [(where, value) for where, text in traces.items() for value in values if value in text]


def _text_of(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


async def _redis_text(url: str) -> str:
    client: Any = Redis.from_url(url)
    readers: dict[bytes, Callable[[bytes], Awaitable[Any]]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": client.xrange,
    }
    try:
        found = [(key, await readers[await client.type(key)](key)) async for key in client.scan_iter()]
        return "\n".join(f"{key!r} {_in_words(value)!r}" for key, value in found)
    finally:
        await client.aclose()


def _in_words(value: Any) -> Any:
    """A value of Redis's, with what the cache compressed as it was."""
    if isinstance(value, dict):
        return {name: _in_words(item) for name, item in value.items()}
    if isinstance(value, bytes) and value.startswith(COMPRESSED):
        return zstd.decompress(value[6:], zstd.ZstdDict(SKELETON, is_raw=True))
    return value


async def _clickhouse_text(store: ClickHouse) -> str:
    tables = await store.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
    found = []
    for table in tables:
        parameters = {"table": table["name"]}
        found += [f"{table} {row}" for row in await store.query("SELECT * FROM {table:Identifier}", parameters)]
    return "\n".join(found)
