"""Semantic caches that may answer the second question of a pair by the first one's answer."""

from __future__ import annotations

import asyncio
import inspect
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from redisvl.extensions.cache.llm import SemanticCache

from helix.cache import CacheMiddleware
from helix.cache.memory import MemoryCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.types import Message, Receive, Scope, Send, Vector
from perf.semcache.sets import Pair

__all__ = ["PLAIN_COSINE", "Outcome", "Remembered", "by_cosine", "helix", "least_cosines"]

PLAIN_COSINE = 0.85
LITELLM_COSINE = 0.8
"""LiteLLM has no default: its documentation's examples say `similarity_threshold: 0.8`."""
_PATH = "/v1/chat/completions"


class Remembered:
    """The packaged embedder, which embeds each text once for all systems."""

    def __init__(self) -> None:
        self._embedder = SentenceTransformerEmbedder(remembered=0)
        self._known: dict[str, Vector] = {}
        self.name, self.dim = "", 0

    async def open(self) -> None:
        """Load the model."""
        await self._embedder.open()
        self.name, self.dim = self._embedder.name, self._embedder.dim

    async def close(self) -> None:
        """Let go of it."""
        await self._embedder.close()

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors, each made alone, as the cache makes them."""
        for text in texts:
            if text not in self._known:
                (vector,) = await self._embedder.embed([text])
                self._known[text] = array("f", vector)
        return [self._known[text] for text in texts]


def least_cosines() -> Mapping[str, float]:
    """The cosine from which each of the others serves: their whole rule, on the same embeddings."""
    distance = inspect.signature(SemanticCache.__init__).parameters["distance_threshold"].default
    return {
        f"cosine {PLAIN_COSINE:.2f}": PLAIN_COSINE,
        f"redisvl {1 - distance:.2f}": 1 - distance,
        f"LiteLLM {LITELLM_COSINE:.2f}": LITELLM_COSINE,
    }


async def by_cosine(pairs: Sequence[Pair], embedder: Remembered) -> list[float]:
    """The cosine of each pair; 0 where a text is beyond the model's window."""
    found = []
    for pair in pairs:
        one, other = await embedder.embed([pair.one, pair.other])
        found.append(float(np.dot(one, other)) if len(one) and len(other) else 0.0)
    return found


class Outcome(NamedTuple):
    """Whether a pair's second question was served, whether a rule keeps either out of the semantic tier, the veto."""

    is_served: bool
    is_ineligible: bool
    veto: str


async def helix(pairs: Sequence[Pair], embedder: Remembered) -> list[Outcome]:
    """What Helix's own middleware makes of each pair; each has a cache of its own."""
    records: list[Mapping[str, Any]] = []
    middleware = CacheMiddleware(
        _provider,
        embedder=embedder,
        store=MemoryCacheStore(max_entries=100_000),
        observe=lambda stage, facts: records.append(facts),
    )
    await middleware.open()
    found = []
    for number, pair in enumerate(pairs):
        records.clear()
        await _ask(middleware, pair.one, number)
        await _ask(middleware, pair.other, number)
        reasons = [record.get("ineligible") for record in records]
        asked = records[-1]
        is_served = asked["status"] in ("semantic", "exact")
        found.append(Outcome(is_served, any(reasons), asked.get("veto") or ""))
    await middleware.close()
    return found


async def _ask(middleware: CacheMiddleware, text: str, number: int) -> None:
    """Ask as somebody of whom the cache knows nothing else."""
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}]})
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        message = next(given, None)
        if message is None:
            await asyncio.Event().wait()
        return message or {}

    async def send(message: Message) -> None:
        """Nobody listens: what was decided is on record."""

    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer %d" % number)]
    scope: Scope = {"type": "http", "method": "POST", "path": _PATH, "query_string": b"", "headers": headers}
    await middleware(scope, receive, send)


async def _provider(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the question."""
    message = await receive()
    asked = orjson.loads(message["body"])["messages"][-1]["content"]
    answer: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": asked}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(answer), "more_body": False})
