"""Another embedder: what the first one's vectors find is found by the next one's, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Entry, Evidence, Vector
from tests.cache.conftest import CHAT, Provider, ask, chat
from tests.cache.test_redis import digest, indexes

FAST = 1e6


class Letters:
    """An embedder of a few dimensions: how often letters occur. Two of other `turns` put them in another order."""

    dim = 8

    def __init__(self, turn: int) -> None:
        self.name = f"letters-{turn}"
        self._turn = turn
        self.asked: list[str] = []
        self.fails = False

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        if self.fails:
            raise BackendUnavailable("the embedder is out")
        self.asked += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> Vector:
        if "too long" in text:
            return []
        counts = [1.0 + text.lower().count(letter) for letter in "etaoinsr"]
        length = sum(count * count for count in counts) ** 0.5
        return [counts[(at + self._turn) % 8] / length for at in range(8)]


OLD, NEW = Letters(0), Letters(3)


async def keep(store: RedisCacheStore, embedder: Letters, number: int, text: str) -> None:
    (vector,) = await embedder.embed([text])
    entry = Entry(digest(number), "chat", "m", b"{}", 1700000000.0 + number)
    await store.put(entry.id, entry, ttl_seconds=600, scope="s", text=text, vector=vector, embedder=embedder.name)


async def found(store: RedisCacheStore, embedder: Letters, text: str) -> list[str]:
    (vector,) = await embedder.embed([text])
    return [one.text for one in await store.near("s", vector, count=50, embedder=embedder.name)]


async def test_embedders_do_not_find_each_others(store: RedisCacheStore) -> None:
    """Vectors of the same size, but of another model, are never compared."""
    await keep(store, OLD, 1, "the text of the first")
    assert await found(store, NEW, "the text of the first") == []
    assert await found(store, OLD, "the text of the first") == ["the text of the first"]


async def test_everything_moves(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """Each question is embedded once, keeps what was learned and its time, and the old index goes."""
    texts = [f"question number {number} of many" for number in range(40)]
    for number, text in enumerate(texts):
        await keep(store, OLD, number, text)
    await store.learn(digest(7), Evidence(right=3), group="g")
    client = Redis.from_url(redis_url)
    before = await client.pttl(f"{redis_prefix}a:{digest(7)}")
    new = Letters(3)
    assert await store.migrate(new, texts_per_second=FAST)
    assert sorted(new.asked) == sorted(texts)
    assert sorted(await found(store, new, "question")) == sorted(texts)
    (vector,) = await new.embed([texts[7]])
    nearest = {one.entry_id: one for one in await store.near("s", vector, count=50, embedder=new.name)}[digest(7)]
    assert (nearest.evidence, nearest.group) == (Evidence(right=3), "g")
    assert 0 < await client.pttl(f"{redis_prefix}a:{digest(7)}") <= before
    assert len(await indexes(client, redis_prefix)) == 1
    fields: list[bytes] = await client.hkeys(f"{redis_prefix}a:{digest(7)}")  # type: ignore[assignment]  # not decoded
    assert len([name for name in fields if name.startswith(b"h8_")]) == 1
    await client.aclose()
    assert await store.get(digest(7)) is not None


async def test_what_cannot_be_embedded_keeps_its_answer(store: RedisCacheStore) -> None:
    """A question beyond the new embedder's window is not found by nearness any more, its answer by its key it is."""
    await keep(store, OLD, 1, "fits well enough")
    await keep(store, OLD, 2, "another that fits")
    old_vector = (await OLD.embed(["short"]))[0]
    entry = Entry(digest(3), "chat", "m", b"{}", 1.0)
    await store.put(
        entry.id, entry, ttl_seconds=600, scope="s", text="this is too long", vector=old_vector, embedder=OLD.name
    )
    assert await store.migrate(NEW, texts_per_second=FAST)
    assert sorted(await found(store, NEW, "fits")) == ["another that fits", "fits well enough"]
    assert await store.get(digest(3)) is not None


async def test_encrypted_questions_move(redis_url: str, redis_prefix: str) -> None:
    """With the key they are read and embedded; what another key wrote is left to its answer, unread."""
    keys = ["first-" * 8, "second-" * 8]
    first, second = (
        RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30, encryption_keys=[key]) for key in keys
    )
    await keep(first, OLD, 1, "written with the first")
    await keep(second, OLD, 2, "written with the second")
    new = Letters(3)
    assert await first.migrate(new, texts_per_second=FAST)
    assert new.asked == ["written with the first"]
    assert await found(first, new, "written") == ["written with the first"]
    await first.flush()
    await first.close()
    await second.close()


async def test_a_migration_that_ended_is_taken_up(store: RedisCacheStore) -> None:
    """What was embedded before the embedder failed is not embedded again."""
    for number in range(20):
        await keep(store, OLD, number, f"question number {number}")

    class Failing(Letters):
        async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
            self.fails = len(self.asked) == 7
            return await super().embed(texts)

    failing = Failing(3)
    with pytest.raises(BackendUnavailable, match="out"):
        await store.migrate(failing, texts_per_second=FAST)
    new = Letters(3)
    assert await store.migrate(new, texts_per_second=FAST)
    assert len(failing.asked) == 7
    assert len(new.asked) == 13
    assert not set(failing.asked) & set(new.asked)


async def test_one_process_at_a_time(redis_url: str, redis_prefix: str) -> None:
    """Of several that start together one embeds, and each question is embedded once."""
    stores = [RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30) for _ in range(3)]
    for number in range(30):
        await keep(stores[0], OLD, number, f"question number {number}")
    embedders = [Letters(3) for _ in stores]
    await asyncio.gather(*(one.migrate(by, texts_per_second=FAST) for one, by in zip(stores, embedders, strict=True)))
    while not await stores[0].migrate(embedders[0], texts_per_second=FAST):
        pass
    asked = [text for embedder in embedders for text in embedder.asked]
    assert len(asked) == len(set(asked)) == 30
    await stores[0].flush()
    for one in stores:
        await one.close()


async def test_an_entry_that_changes_meanwhile(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """What expired while it was embedded does not come back, and what was stored anew keeps its own vector."""
    await keep(store, OLD, 1, "goes meanwhile")
    await keep(store, OLD, 2, "comes anew meanwhile")
    client = Redis.from_url(redis_url)

    class Slow(Letters):
        async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
            vectors = await super().embed(texts)
            if "goes" in texts[0]:
                await client.delete(f"{redis_prefix}a:{digest(1)}")
            elif len(self.asked) < 3:
                await keep(store, NEW, 2, "comes anew meanwhile")
            return vectors

    new = Slow(3)
    assert await store.migrate(new, texts_per_second=FAST)
    assert await client.exists(f"{redis_prefix}a:{digest(1)}") == 0
    assert await found(store, NEW, "comes") == ["comes anew meanwhile"]
    await client.aclose()


async def test_the_stage_migrates_once_it_has_started(
    provider: Provider, store: RedisCacheStore, redis_url: str, redis_prefix: str
) -> None:
    """An app with another embedder finds what the one before kept, a moment after its start."""
    question, again = "How do I reset my password?", "How do I reset my password??"
    before = CacheMiddleware(provider, store=store, embedder=OLD)
    await before.open()
    await ask(before, CHAT, chat(question))
    await before.close()
    after = CacheMiddleware(provider, store=store, embedder=NEW, migrated_texts_per_second=FAST)
    await after.open()
    moving = after._mover._task
    assert moving is not None
    await moving
    client = Redis.from_url(redis_url)
    assert len(await indexes(client, redis_prefix)) == 1
    await client.aclose()
    assert (await ask(after, CHAT, chat(again))).record["nearest"] > 0.99
    await after.close()
