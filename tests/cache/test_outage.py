from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.embedded.redis import EmbeddedRedis
from helix.kernel.errors import BackendUnavailable

from .conftest import CHAT, Provider, ask, chat

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[EmbeddedRedis]:
    """A Redis that the test may stop and start; it is not running yet."""
    folder = tempfile.mkdtemp(prefix="hx-")
    made = EmbeddedRedis(folder)
    yield made
    await made.close()
    shutil.rmtree(folder)


async def until(app: CacheMiddleware, payload: dict[str, Any], status: str) -> None:
    """Ask until the cache says so; the test's own time-out is the limit."""
    while (await ask(app, CHAT, payload)).cache != status:  # noqa: ASYNC110 (a caller gets no event)
        await asyncio.sleep(0.05)


async def test_gone_at_start_and_back(server: EmbeddedRedis, provider: Provider) -> None:
    """Without Redis every request is answered by the provider; with it, the cache works without a restart."""
    app = CacheMiddleware(provider, store=server.url, mode="exact")
    await app.open()
    for _ in range(3):
        reply = await ask(app, CHAT, chat(ASKED))
        assert (reply.status, reply.cache, reply.record["outage"]) == (200, "bypass", "store")
    await server.open()
    await until(app, chat(ASKED), "exact")
    await app.close()


async def test_gone_in_flight_and_back(server: EmbeddedRedis, provider: Provider) -> None:
    """A Redis that stops is a miss, and what it kept is served when it is back."""
    await server.open()
    app = CacheMiddleware(provider, store=server.url, mode="exact")
    await ask(app, CHAT, chat(ASKED))
    await until(app, chat(ASKED), "exact")
    await server.close()
    assert (await ask(app, CHAT, chat(ASKED))).cache == "bypass"
    await server.open()
    calls = provider.calls
    await until(app, chat(ASKED), "exact")
    assert provider.calls >= calls
    await app.close()


async def test_while_it_is_gone_nobody_waits_twice(provider: Provider) -> None:
    """A silent Redis is asked once in a pause; the requests in between are not kept waiting for it."""
    connections = 0
    done = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await done.wait()
        writer.close()

    silent = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    app = CacheMiddleware(
        provider, store=RedisCacheStore(f"redis://127.0.0.1:{port}", timeout_seconds=0.05), mode="exact"
    )
    app._tiers._store_breaker._pause_seconds = 3600.0
    for _ in range(50):
        assert (await ask(app, CHAT, chat(ASKED))).cache == "bypass"
    assert provider.calls == 50
    assert connections <= 1
    done.set()
    silent.close()
    await silent.wait_closed()
    store = app._store.value
    assert isinstance(store, RedisCacheStore)
    await store.close()


async def test_refuse(tmp_path: Path, provider: Provider) -> None:
    """With `on_outage="refuse"` an outage is a 503 and the provider is not asked."""
    app = CacheMiddleware(provider, store=f"unix://{tmp_path}/none.sock", mode="exact", on_outage="refuse")
    reply = await ask(app, CHAT, chat(ASKED))
    assert (reply.status, provider.calls) == (503, 0)
    assert (reply.record["status"], reply.record["outage"]) == ("bypass", "store")
    assert reply.json["error"]["code"] == "backend_unavailable"
    await app.close()


class Broken:
    """An embedder that is out."""

    name = "broken"
    dim = 8

    async def embed(self, texts: Any) -> Any:
        raise BackendUnavailable("the embedder is out")


async def test_without_an_embedder_the_exact_tier_works(provider: Provider, store: RedisCacheStore) -> None:
    """The tiers fail apart."""
    app = CacheMiddleware(provider, store=store, embedder=Broken())
    await app.open()
    first = await ask(app, CHAT, chat(ASKED))
    assert (first.cache, first.record["outage"]) == ("miss", "semantic")
    assert (await ask(app, CHAT, chat(ASKED))).cache == "exact"
    refreshed = await ask(app, CHAT, chat(AGAIN), {"cache-control": "no-cache"})
    assert refreshed.cache == "refresh"
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "exact"
    await app.close()


async def test_without_search_the_exact_tier_works(
    provider: Provider,
    plain_redis_url: str,
    embedder: SentenceTransformerEmbedder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A Redis that cannot search serves what is exact, and the log says once what is missing."""
    store = RedisCacheStore(plain_redis_url, timeout_seconds=30)
    app = CacheMiddleware(provider, store=store, embedder=embedder, semantic_timeout_seconds=60)
    await app.open()
    assert (await ask(app, CHAT, chat(ASKED))).cache == "miss"
    assert (await ask(app, CHAT, chat(ASKED))).cache == "exact"
    assert [record.message for record in caplog.records if "no search module" in record.message][1:] == []
    assert "redis:8" in caplog.text
    await app.close()
    await store.close()


async def test_a_slow_embedder_is_not_waited_for(provider: Provider, store: RedisCacheStore) -> None:
    """Beyond `semantic_timeout_seconds` it is a miss."""

    class Stuck(Broken):
        async def embed(self, texts: Any) -> Any:
            await asyncio.Event().wait()

    app = CacheMiddleware(provider, store=store, embedder=Stuck(), semantic_timeout_seconds=0.02)
    reply = await ask(app, CHAT, chat(ASKED))
    assert (reply.cache, reply.record["outage"], reply.status) == ("miss", "semantic", 200)
    assert (await ask(app, CHAT, chat(ASKED))).cache == "exact"
    await app.close()


async def test_an_embedder_that_fails_in_its_own_way(
    provider: Provider, store: RedisCacheStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises is an outage, of which the log tells the kind and not the words."""

    class Foreign(Broken):
        async def embed(self, texts: Any) -> Any:
            raise ConnectionError(f"could not send {texts}")

    app = CacheMiddleware(provider, store=store, embedder=Foreign())
    await app.open()
    first = await ask(app, CHAT, chat(ASKED))
    assert (first.status, first.cache, first.record["outage"]) == (200, "miss", "semantic")
    assert (await ask(app, CHAT, chat(ASKED))).cache == "exact"
    assert "ConnectionError" in caplog.text
    assert ASKED not in caplog.text
    await app.close()


async def test_a_store_that_fails_in_its_own_way(provider: Provider) -> None:
    """Reading and writing both: the caller gets the provider's answer."""

    class Foreign:
        async def get(self, key: str) -> Any:
            raise ConnectionError

        async def put(self, key: str, entry: Any, **more: Any) -> None:
            raise ConnectionError

        async def near(self, scope: str, vector: Any, *, count: int, embedder: str = "") -> Any:
            raise ConnectionError

    store: Any = Foreign()
    app = CacheMiddleware(provider, store=store, mode="exact")
    await app.open()
    for _ in range(2):
        reply = await ask(app, CHAT, chat(ASKED))
        assert (reply.status, reply.cache, reply.record["outage"]) == (200, "bypass", "store")
    await app.close()


async def test_a_full_redis_is_a_miss(server: EmbeddedRedis, provider: Provider) -> None:
    """A Redis that refuses to write does not disturb the caller."""
    from redis.asyncio import Redis

    await server.open()
    client = Redis.from_url(server.url)
    await client.config_set("maxmemory-policy", "noeviction")
    await client.config_set("maxmemory", "1")
    app = CacheMiddleware(provider, store=server.url, mode="exact")
    for _ in range(3):
        reply = await ask(app, CHAT, chat(ASKED))
        assert reply.status == 200
        assert reply.cache in ("miss", "bypass")
    await client.aclose()
    await app.close()
