"""A partition's quota, in Redis."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from helix.cache.catalog.quota import Quota
from helix.cache.redis import RedisCacheStore
from helix.kernel.types import Entry, Selection
from tests.cache.test_redis import digest, unit

EVERYTHING = Selection(everything=True)
Make = Callable[[Quota], Awaitable[RedisCacheStore]]


@pytest_asyncio.fixture
async def make(redis_url: str, redis_prefix: str) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def made(quota: Quota) -> RedisCacheStore:
            store = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30, quota=quota)
            stack.push_async_callback(store.close)
            stack.push_async_callback(store.flush)
            return store

        yield made


async def put(
    store: RedisCacheStore, number: int, partition: str = "p_1", size: int = 10, ttl_seconds: float = 60
) -> None:
    entry = Entry(digest(number), "chat", "m", os.urandom(size), 1.0 + number, partition=partition)
    await store.put(
        entry.id, entry, ttl_seconds=ttl_seconds, scope="s", text=f"text {number}", vector=unit(1, number / 1000)
    )


async def kept(store: RedisCacheStore) -> list[int]:
    page, _ = await store.catalog.page(EVERYTHING, limit=500)
    return sorted(int(one.id, 16) for one in page)


async def booked(store: RedisCacheStore, partition: str = "p_1") -> tuple[int, int, int, int]:
    """What the book has: entries by use and by expiry, sizes, and their sum."""
    book = f"{store._prefix}q:{partition}:"
    pipe = store._behind()
    told = await pipe.call("HGETALL", f"{book}b")
    pairs = told.items() if isinstance(told, dict) else zip(told[::2], told[1::2], strict=True)
    sizes = {name.decode(): int(size) for name, size in pairs}
    total = sizes.pop("", 0)
    assert total == sum(sizes.values())
    return await pipe.call("ZCARD", f"{book}u"), await pipe.call("ZCARD", f"{book}x"), len(sizes), total


async def test_entries(make: Make) -> None:
    """The oldest goes, with its question; storing again what is there takes no more room."""
    store = await make(Quota(entries=2))
    for number in (1, 2, 2, 3):
        await put(store, number)
    assert await kept(store) == [2, 3]
    assert sorted(found.text for found in await store.near("s", unit(1), count=5)) == ["text 2", "text 3"]
    assert (await booked(store))[:3] == (2, 2, 2)


async def test_bytes(make: Make) -> None:
    """As many go as the new one needs; one that alone is too large is not kept, and takes nothing."""
    store = await make(Quota(bytes=4000))
    for number in (1, 2, 3):
        await put(store, number, size=1000)
    assert await kept(store) == [1, 2, 3]
    await put(store, 4, size=2000)
    assert await kept(store) == [3, 4]
    await put(store, 5, size=5000)
    assert await kept(store) == [3, 4]
    await put(store, 4, size=5000)
    assert await kept(store) == [3]
    assert (await booked(store))[:3] == (1, 1, 1)


async def test_what_is_used_stays(make: Make) -> None:
    """The least recently used goes, not the oldest."""
    store = await make(Quota(entries=2))
    await put(store, 1)
    await put(store, 2)
    await store.catalog.used({(digest(1), "p_1"): 1})
    await put(store, 3)
    assert await kept(store) == [1, 3]


async def test_what_expired_takes_no_room(make: Make) -> None:
    """What is gone by itself goes first, so that nothing that lives goes for it."""
    store = await make(Quota(entries=2))
    await put(store, 1)
    await put(store, 2, ttl_seconds=0.05)
    await asyncio.sleep(0.1)
    assert await store.get(digest(2)) is None
    await put(store, 3)
    assert await kept(store) == [1, 3]
    assert (await booked(store))[:3] == (2, 2, 2)


async def test_what_is_removed_is_not_booked(make: Make) -> None:
    """Whatever removes an entry gives its room back."""
    store = await make(Quota(entries=2))
    await put(store, 1)
    await put(store, 2)
    assert await store.catalog.remove(Selection(entries=(digest(1),))) == 1
    assert (await booked(store))[:3] == (1, 1, 1)
    await put(store, 3)
    assert await kept(store) == [2, 3]
    await store.flush()
    assert await booked(store) == (0, 0, 0, 0)


async def test_many_processes_keep_one_quota(make: Make) -> None:
    """Storing at the same time, they do not exceed it together, and no other partition loses an entry."""
    stores = [await make(Quota(entries=5, bytes=100_000)) for _ in range(4)]
    await put(stores[0], 900, partition="p_2")
    await asyncio.gather(*(put(store, 10 * index + n) for index, store in enumerate(stores, 1) for n in range(10)))
    found = await kept(stores[0])
    assert len(found) == 6
    assert 900 in found
    assert (await booked(stores[0]))[:3] == (5, 5, 5)


@pytest.mark.parametrize("wrong", [{"entries": -1}, {"bytes": -1}])
def test_a_wrong_quota(wrong: dict[str, int]) -> None:
    """Less than nothing is refused."""
    with pytest.raises(ValueError, match="must be 0 or more"):
        Quota(**wrong)
