"""What is wrong in the store: never a wrong answer, never a 500, whatever stands in Redis and whatever Redis says."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Entry, Vector

from .conftest import CHAT, Provider, answer_of, ask, chat

QUESTION, AGAIN = "How do I reset my password?", "How can I reset my password?"
KEYS = ["a-key-of-the-cache-" * 2, "another-key-of-it-" * 2]


async def keys_of(url: str, prefix: str) -> tuple[Any, list[bytes]]:
    client = Redis.from_url(url)
    return client, [key async for key in client.scan_iter(f"{prefix}a:*")]


@pytest.fixture(params=[(), (KEYS[0],)], ids=["clear", "encrypted"])
def sealed(request: pytest.FixtureRequest, redis_url: str, redis_prefix: str) -> RedisCacheStore:
    """A store in the clear, and one that encrypts."""
    return RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30, encryption_keys=request.param)


async def test_damaged_answers_are_misses(
    sealed: RedisCacheStore, provider: Provider, redis_url: str, redis_prefix: str
) -> None:
    """Whatever byte of an answer changed, the caller gets the provider's, and it is stored anew."""
    app = CacheMiddleware(provider, store=sealed, mode="exact")
    for round in range(5):
        await ask(app, CHAT, chat(QUESTION))
        await app.close()
        client, (key,) = await keys_of(redis_url, redis_prefix)
        value = bytearray(await client.hget(key, "answer"))
        value[random.randrange(len(value))] ^= 1 << random.randrange(8)
        await client.hset(key, "answer", bytes(value))
        await client.aclose()
        reply = await ask(app, CHAT, chat(QUESTION))
        assert (reply.status, reply.cache) == (200, "miss")
        await app.close()
        assert (await ask(app, CHAT, chat(QUESTION))).cache == "exact"
        await sealed.flush()
        assert provider.calls == 2 * (round + 1)
    assert sum(sealed.unreadable.values()) == 5
    await sealed.close()


async def test_swapped_answers_are_misses(
    sealed: RedisCacheStore, provider: Provider, redis_url: str, redis_prefix: str
) -> None:
    """An answer that was put in another's place is not given."""
    app = CacheMiddleware(provider, store=sealed, mode="exact")
    for question in (QUESTION, "What is the capital of France?"):
        await ask(app, CHAT, chat(question))
    await app.close()
    client, (one, other) = await keys_of(redis_url, redis_prefix)
    answers = [await client.hget(key, "answer") for key in (one, other)]
    await client.hset(one, "answer", answers[1])
    await client.hset(other, "answer", answers[0])
    await client.aclose()
    assert [(await ask(app, CHAT, chat(QUESTION))).cache for _ in range(1)] == ["miss"]
    await app.close()
    await sealed.flush()
    await sealed.close()


async def test_a_question_of_another_scope(sealed: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """Who moves an entry into another scope, or swaps its question, does not have it found there."""
    vector = [0.6, 0.8, 0.0, 0.0]
    for number, scope in ((1, "mine"), (2, "yours")):
        entry = Entry(f"{number:040x}", "chat", "m", b"{}", 1.0)
        await sealed.put(entry.id, entry, ttl_seconds=60, scope=scope, text=f"text {number}", vector=vector)
    client, keys = await keys_of(redis_url, redis_prefix)
    for key in keys:
        await client.hset(key, "scope", "yours")
    await client.aclose()
    assert [one.text for one in await sealed.near("yours", vector, count=5)] == ["text 2"]
    assert sealed.unreadable == {"damaged": 1}
    await sealed.flush()
    await sealed.close()


@pytest.mark.parametrize("value", [b"", b"\x01old", b"\x02", b"\xff" * 100, b'{"a":1}'])
async def test_anything_in_place_of_an_answer(
    store: RedisCacheStore, provider: Provider, redis_url: str, redis_prefix: str, value: bytes
) -> None:
    """Entries of an older version, and what never was one, are misses."""
    app = CacheMiddleware(provider, store=store, mode="exact")
    await ask(app, CHAT, chat(QUESTION))
    await app.close()
    client, (key,) = await keys_of(redis_url, redis_prefix)
    await client.hset(key, "answer", value)
    await client.aclose()
    assert (await ask(app, CHAT, chat(QUESTION))).cache == "miss"
    await app.close()


async def test_a_key_of_another_type(
    store: RedisCacheStore, provider: Provider, redis_url: str, redis_prefix: str
) -> None:
    """Where something else has the entry's key, the caller gets the provider's answer."""
    app = CacheMiddleware(provider, store=store, mode="exact")
    await ask(app, CHAT, chat(QUESTION))
    await app.close()
    client, (key,) = await keys_of(redis_url, redis_prefix)
    await client.delete(key)
    await client.rpush(key, "what is this?")
    assert (await ask(app, CHAT, chat(QUESTION))).status == 200
    await app.close()
    await client.delete(key)
    await client.aclose()


async def test_the_wrong_key_is_a_miss(provider: Provider, redis_url: str, redis_prefix: str) -> None:
    """What another key encrypted is not read; with both keys it is, and counted is only what was not."""
    first, second, both = (
        RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30, encryption_keys=keys)
        for keys in (KEYS[:1], KEYS[1:], KEYS[::-1])
    )
    said = []
    for store in (first, both, second):
        app = CacheMiddleware(provider, store=store, mode="exact")
        said.append((await ask(app, CHAT, chat(QUESTION))).cache)
        await app.close()
    assert said == ["miss", "exact", "miss"]
    assert (both.unreadable, second.unreadable) == ({}, {"key": 1})
    await first.flush()
    for store in (first, second, both):
        await store.close()


@pytest.mark.parametrize("prefix", ["*", "a[b]c?", "{tag}:", "q\"u'o\\te ", "ü:", "a|b@{c}"])
async def test_strange_prefixes(redis_url: str, prefix: str) -> None:
    """A prefix is taken as it is, whatever it would mean in a pattern or a query; others' keys stay."""
    client = Redis.from_url(redis_url)
    await client.set("somebody-else's", "1")
    store = RedisCacheStore(redis_url, prefix=prefix, timeout_seconds=30)
    for scope in ("s", "a b", "{x}|y", "-@*"):
        entry = Entry(f"{hash(scope) % 2**64:040x}", "chat", "m", b"{}", 1.0)
        await store.put(entry.id, entry, ttl_seconds=60, scope=scope, text=scope, vector=[1.0, 0.0])
        assert [one.text for one in await store.near(scope, [1.0, 0.0], count=5)] == [scope]
        assert await store.get(entry.id) is not None
    assert await store.flush() == 4
    assert await client.get("somebody-else's") == b"1"
    await client.delete("somebody-else's")
    await client.aclose()
    await store.close()


async def test_an_index_of_other_vectors(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """An index that is not ours in our index's place is told of, by name; what is exact works all the same."""
    vector = [1.0, 0.0, 0.0, 0.0]
    await store.near("s", vector, count=1)
    client: Any = Redis.from_url(redis_url)
    names = [name.decode() for name in await client.execute_command("FT._LIST")]
    (name,) = [name for name in names if name.startswith(redis_prefix)]
    await client.execute_command("FT.DROPINDEX", name)
    field = [*(f"h4_{name.rpartition(':')[2]}", "VECTOR", "FLAT", 6)]
    shape = ("TYPE", "FLOAT32", "DIM", 3, "DISTANCE_METRIC", "L2")
    await client.execute_command("FT.CREATE", name, "PREFIX", 1, "other:", "SCHEMA", *field, *shape)
    other = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30)
    with pytest.raises(BackendUnavailable, match=r"of other vectors.*FT\.DROPINDEX"):
        await other.near("s", vector, count=1)
    entry = Entry(f"{1:040x}", "chat", "m", b"{}", 1.0)
    await other.put(entry.id, entry, ttl_seconds=60)
    assert await other.get(entry.id) is not None
    await client.execute_command("FT.DROPINDEX", name)
    await client.aclose()
    await other.close()


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0, 1e308])
async def test_an_embedder_gone_wrong(provider: Provider, store: RedisCacheStore, wrong: float) -> None:
    """Vectors of NaN, of infinities and of nothing find nothing; equal questions are hits."""

    class Wrong:
        name, dim = "wrong", 8

        async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
            return [[wrong] * 8 for _ in texts]

    app = CacheMiddleware(provider, store=store, embedder=Wrong(), semantic_timeout_seconds=60)
    assert (await ask(app, CHAT, chat(QUESTION))).cache == "miss"
    await app.close()
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "miss"
    await app.close()
    assert (await ask(app, CHAT, chat(QUESTION))).cache == "exact"
    await app.close()


async def test_a_huge_answer(store: RedisCacheStore, provider: Provider) -> None:
    """One of 800 kB comes back as it is; one beyond the bound is given, and not kept."""
    sizes = {"a": 400_000, "b": 2_000_000}
    provider.answer = lambda path, number: answer_of(path, "ab"[number > 1] * sizes["ab"[number > 1]])
    app = CacheMiddleware(provider, store=store, mode="exact")
    said = []
    for question in (QUESTION, QUESTION, AGAIN, AGAIN):
        reply = await ask(app, CHAT, chat(question))
        said.append((reply.cache, len(reply.json["choices"][0]["message"]["content"])))
        await app.close()
    assert said == [("miss", 400_000), ("exact", 400_000), ("miss", 2_000_000), ("miss", 2_000_000)]


async def test_a_redis_that_may_only_be_read(
    provider: Provider, plain_redis_url: str, embedder: SentenceTransformerEmbedder
) -> None:
    """A replica gives what it has, keeps nothing, and nobody gets an error for it."""
    app = CacheMiddleware(provider, store=plain_redis_url, mode="exact")
    await ask(app, CHAT, chat(QUESTION))
    await app.close()
    client: Any = Redis.from_url(plain_redis_url)
    await client.execute_command("REPLICAOF", "127.0.0.1", 1)
    for question in (QUESTION, AGAIN, AGAIN):
        assert (await ask(app, CHAT, chat(question))).status == 200
        await app.close()
    await client.execute_command("REPLICAOF", "NO", "ONE")
    await client.aclose()


async def test_a_redis_that_is_full_and_forgets_nothing(provider: Provider, plain_redis_url: str) -> None:
    """What it has is given, whatever it cannot keep meanwhile."""
    app = CacheMiddleware(provider, store=plain_redis_url, mode="exact")
    await ask(app, CHAT, chat(QUESTION))
    await app.close()
    client: Any = Redis.from_url(plain_redis_url)
    await client.config_set("maxmemory-policy", "noeviction")
    await client.config_set("maxmemory", 1)
    said = [(await ask(app, CHAT, chat(question))).cache for question in (QUESTION, AGAIN, QUESTION, AGAIN, QUESTION)]
    assert said == ["exact", "miss", "exact", "miss", "exact"]
    await app.close()
    await client.aclose()
