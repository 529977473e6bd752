"""Answers that Helix's cache found, handed to LiteLLM where it asks its own cache.

A hook before the call cannot reply. LiteLLM's cache can, for every kind of request, whole and streamed, and what it
replies goes through the hooks after the call like any answer; so for a hit the request is told to ask it.
"""

from __future__ import annotations

import secrets
import weakref
from collections import deque
from typing import Any

import litellm
from litellm.caching.caching import Cache
from litellm.types.caching import CACHED_STREAM_EVENTS_KEY, EMBEDDING_CACHE_FORMAT_VERSION

from helix.kernel import exact
from helix.kernel.sse import Decoder
from helix.kernel.wire import COMPLETIONS, EMBEDDINGS, MESSAGES, Dialect

__all__ = ["Answers", "can_replay"]


def can_replay(dialect: Dialect, *, stream: bool) -> bool:
    """Whether LiteLLM can reply from a cache; it fails (a KeyError in 1.106) at streams of the older completions."""
    return not (stream and dialect is COMPLETIONS)


class Answers(Cache):  # type: ignore[misc]  # LiteLLM's types are not followed
    """LiteLLM's cache, in which there is but what was put a moment ago under a name that nobody else knows."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[str, deque[Any]] = {}

    @classmethod
    def installed(cls) -> Answers:
        """The one of this process. Raises ValueError where LiteLLM has a cache of its own: two would disagree."""
        if litellm.cache is None:
            litellm.cache = cls()
        if not isinstance(litellm.cache, cls):
            raise ValueError("LiteLLM's own cache is on: turn off litellm_settings.cache, or Helix's cache")
        return litellm.cache

    def put(self, dialect: Dialect, body: bytes, owner: Any) -> str:
        """Keep an answer, whole or as events, until it is asked for or its owner is gone; return its name."""
        name = f"helix-{secrets.token_hex(16)}"
        self._answers[name] = deque(_entries(dialect, body))
        weakref.finalize(owner, self._answers.pop, name, None).atexit = False
        return name

    def get_cache_key(self, **kwargs: Any) -> str:
        """The name that the request was given; one that finds nothing where it was given none."""
        return str(kwargs.get("cache_key") or "")

    async def async_get_cache(self, dynamic_cache_object: Any = None, **kwargs: Any) -> Any:
        """The answer of this name. Embeddings are asked for one by one, in the order of their inputs."""
        entries = self._answers.get(self.get_cache_key(**kwargs))
        return entries.popleft() if entries else None

    def get_cache(self, dynamic_cache_object: Any = None, **kwargs: Any) -> None:
        """Nothing: the proxy does not ask without awaiting."""

    async def async_add_cache(self, result: Any, dynamic_cache_object: Any = None, **kwargs: Any) -> None:
        """Nothing: Helix's cache stage stores."""

    async def async_add_cache_pipeline(self, result: Any, dynamic_cache_object: Any = None, **kwargs: Any) -> None:
        """Nothing: Helix's cache stage stores."""

    def add_cache(self, result: Any, **kwargs: Any) -> None:
        """Nothing: Helix's cache stage stores."""


def _entries(dialect: Dialect, body: bytes) -> list[Any]:
    if body.startswith((b"data:", b"event:")):
        decoder = Decoder()
        events = decoder.feed(body) + decoder.flush()
        if dialect is MESSAGES:
            return [{CACHED_STREAM_EVENTS_KEY: [event.raw.decode() for event in events]}]
        assembler = dialect.assembler()
        for event in events:
            assembler.feed(event)
        return [assembler.answer()]
    answer = exact.loads(body)
    if dialect is EMBEDDINGS:
        return [_embedding(answer, item) for item in answer["data"]]
    return [answer]


def _embedding(answer: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    tokens = (answer.get("usage") or {}).get("prompt_tokens")
    return {
        "embedding": item["embedding"],
        "index": item["index"],
        "object": "embedding",
        "model": answer.get("model"),
        "prompt_tokens": tokens if item["index"] == 0 else 0,
        "prompt_tokens_details": None,
        "format_version": EMBEDDING_CACHE_FORMAT_VERSION,
    }
