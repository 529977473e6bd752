from __future__ import annotations

import asyncio
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from helix.cache.redis import RedisCacheStore
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Entry, Evidence, Selection


def entry(key: str, body: bytes = b'{"a":1}') -> Entry:
    return Entry(key, "chat", "m", body, 1700000000.0, namespace=key.rpartition(":")[0])


def digest(number: int) -> str:
    return f"{number:040x}"


def unit(*front: float) -> list[float]:
    return [*front, *[0.0] * (8 - len(front))]


async def test_put_and_get(store: RedisCacheStore) -> None:
    """An entry comes back as it was, by its key alone."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60)
    assert await store.get(digest(1)) == entry(digest(1))
    assert await store.get(digest(2)) is None


async def test_exact_get_is_one_command(store: RedisCacheStore, redis_url: str) -> None:
    """A look-up costs one command and nothing else."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60)
    client = Redis.from_url(redis_url)
    before = await client.info("commandstats")
    await store.get(digest(1))
    after = await client.info("commandstats")
    await client.aclose()

    def calls(stats: dict[str, dict[str, int]]) -> dict[str, int]:
        return {name: row["calls"] for name, row in stats.items() if name != "cmdstat_info"}

    grown = {name: count - calls(before).get(name, 0) for name, count in calls(after).items()}
    assert {name: count for name, count in grown.items() if count} == {"cmdstat_hget": 1}


async def test_an_entry_is_one_key_that_expires(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """The answer and its question go together, be it by time or by eviction."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60, scope="s", text="t", vector=unit(1))
    client = Redis.from_url(redis_url)
    (key,) = [key async for key in client.scan_iter(f"{redis_prefix}*{digest(1)}")]
    assert 0 < await client.pttl(key) <= 60_000
    await client.aclose()


async def test_near_is_best_first_and_inside_its_scope(store: RedisCacheStore) -> None:
    """Neighbours come by similarity, with their texts, and none from another scope."""
    for number, (scope, vector) in enumerate(
        [("s", unit(1)), ("s", unit(0.8, 0.6)), ("s", unit(0, 1)), ("other", unit(1))]
    ):
        await store.put(
            digest(number), entry(digest(number)), ttl_seconds=60, scope=scope, text=f"text {number}", vector=vector
        )
    found = await store.near("s", unit(1), count=2)
    assert [(item.entry_id, item.text) for item in found] == [(digest(0), "text 0"), (digest(1), "text 1")]
    assert [item.similarity for item in found] == pytest.approx([1.0, 0.8], abs=0.0005)  # in float16
    assert await store.near("nobody", unit(1), count=2) == []


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0, 1e308])
async def test_a_vector_without_a_direction(store: RedisCacheStore, wrong: float) -> None:
    """It is near to nothing and finds nothing; its answer is found by its key."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60, scope="s", text="some", vector=unit(1))
    await store.put(digest(2), entry(digest(2)), ttl_seconds=60, scope="s", text="none", vector=[wrong] * 8)
    assert [item.text for item in await store.near("s", unit(1), count=5)] == ["some"]
    assert await store.near("s", [wrong] * 8, count=5) == []
    assert await store.get(digest(2)) is not None


async def test_a_vector_of_any_length(store: RedisCacheStore) -> None:
    """Only the direction matters, also where a float of 16 bits could not hold the numbers."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60, scope="s", text="some", vector=unit(6e30, 8e30))
    (found,) = await store.near("s", unit(6e-30, 8e-30), count=5)
    assert found.similarity == pytest.approx(1.0, abs=0.0005)


async def test_vectors_in_half_the_memory(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """By default a vector takes two bytes a float; those in float32 live beside it, and neither finds the other's."""
    whole = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30, vector_type="float32")
    near, far = [0.6, 0.8, 0.0, 0.0], [0.0, 0.6, 0.8, 0.0]
    await whole.put(digest(3), entry(digest(3)), ttl_seconds=60, scope="s", text="whole", vector=near)
    for number, vector in ((1, near), (2, far)):
        key = digest(number)
        await store.put(key, entry(key), ttl_seconds=60, scope="s", text=f"text {number}", vector=vector)
    found = await store.near("s", near, count=5)
    assert [candidate.text for candidate in found] == ["text 1", "text 2"]
    assert [candidate.similarity for candidate in found] == pytest.approx([1.0, 0.48], abs=0.0005)
    assert [candidate.text for candidate in await whole.near("s", near, count=5)] == ["whole"]
    client = Redis.from_url(redis_url)
    fields: dict[bytes, bytes] = await client.hgetall(f"{redis_prefix}a:{digest(1)}")  # type: ignore[assignment]
    await client.aclose()
    (kept,) = [value for name, value in fields.items() if name.startswith(b"h4_")]
    assert len(kept) == 8
    await whole.close()


async def test_the_index_over_vectors_is_the_catalogs_too(
    store: RedisCacheStore, redis_url: str, redis_prefix: str
) -> None:
    """Once it is open there is one index only: entries are listed and counted by it, those without a vector too."""
    for number, at in ((1, 9.0), (2, 10.0), (3, 100.5)):
        kept = replace(entry(digest(number)), stored_at=at)
        await store.put(digest(number), kept, ttl_seconds=60)
        assert await store.catalog.count(Selection(everything=True)) == number
    client = Redis.from_url(redis_url)
    assert await indexes(client, redis_prefix) == [f"{redis_prefix}catalog"]
    await store.put(digest(4), entry(digest(4)), ttl_seconds=60, scope="s", text="t", vector=unit(1))
    (index,) = await indexes(client, redis_prefix)
    assert index.startswith(f"{redis_prefix}i:")
    await client.aclose()
    assert await store.catalog.count(Selection(everything=True)) == 4
    page, _ = await store.catalog.page(Selection(everything=True), limit=9)
    assert [one.id for one in page] == [digest(number) for number in (4, 3, 2, 1)]


async def indexes(client: Redis, prefix: str) -> list[str]:
    """The names of a test's own indexes."""
    names = await client.execute_command("FT._LIST")  # type: ignore[no-untyped-call]
    return sorted(name.decode() for name in names if name.decode().startswith(prefix))


async def test_vectors_of_another_size(store: RedisCacheStore) -> None:
    """Another embedder's vectors live beside the first's, and neither finds the other's."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60, scope="s", text="long", vector=unit(1))
    await store.put(digest(2), entry(digest(2)), ttl_seconds=60, scope="s", text="short", vector=[1.0, 0.0])
    assert [item.text for item in await store.near("s", unit(1), count=5)] == ["long"]
    assert [item.text for item in await store.near("s", [1.0, 0.0], count=5)] == ["short"]


async def test_two_stores_make_one_index(redis_url: str, redis_prefix: str) -> None:
    """Processes that start together agree on the index."""
    stores = [RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30) for _ in range(4)]
    await asyncio.gather(*(one.near("s", unit(1), count=1) for one in stores))
    await stores[0].put(digest(1), entry(digest(1)), ttl_seconds=60, scope="s", text="t", vector=unit(1))
    assert len(await stores[3].near("s", unit(1), count=1)) == 1
    await stores[0].flush()
    await asyncio.gather(*(one.close() for one in stores))


async def test_the_index_is_made_again_after_a_flush(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """A Redis that lost its index is not an outage."""
    await store.near("s", unit(1), count=1)
    client = Redis.from_url(redis_url)
    (index,) = await indexes(client, redis_prefix)
    await client.ft(index).dropindex()
    await client.aclose()
    assert await store.near("s", unit(1), count=1) == []
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60, scope="s", text="t", vector=unit(1))
    assert len(await store.near("s", unit(1), count=1)) == 1


async def test_a_redis_without_search(plain_redis_url: str) -> None:
    """A Redis that cannot search says so and what to use; what is exact works there all the same."""
    store = RedisCacheStore(plain_redis_url, timeout_seconds=30)
    with pytest.raises(BackendUnavailable, match=r"no search module.*redis:8"):
        await store.near("s", unit(1), count=1)
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60)
    assert await store.get(digest(1)) is not None
    await store.close()


async def test_flush(store: RedisCacheStore) -> None:
    """One entry, one namespace (the default one has no name), or everything goes, questions too."""
    keys = [digest(1), digest(2), f"a:{digest(1)}", f"a:{digest(2)}", f"ab:{digest(1)}"]
    for key in keys:
        await store.put(key, entry(key), ttl_seconds=60, scope="s", text=key, vector=unit(1))
    assert await store.flush(entry_id=keys[0]) == 1
    assert await store.flush(entry_id=keys[0]) == 0
    assert await store.flush(namespace="a") == 2
    assert await store.get(keys[4]) is not None
    assert await store.flush(namespace="") == 1
    assert [item.text for item in await store.near("s", unit(1), count=5)] == [keys[4]]
    assert await store.flush() == 1
    assert (await store.stats())["entries"] == 0


@pytest.mark.parametrize("name", ["*", "a*", "[a-z]", "a b", "a:b"])
async def test_flush_takes_no_patterns(store: RedisCacheStore, name: str) -> None:
    """What cannot be a name or an id matches nothing."""
    await store.put(f"a:{digest(1)}", entry(f"a:{digest(1)}"), ttl_seconds=60)
    assert await store.flush(namespace=name) == 0
    assert await store.flush(entry_id=name) == 0
    assert (await store.stats())["entries"] == 1


async def test_stats(store: RedisCacheStore) -> None:
    """Entries and bytes are counted in all and by namespace."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60)
    await store.put(f"a:{digest(1)}", entry(f"a:{digest(1)}", random.randbytes(5000)), ttl_seconds=60)
    stats = await store.stats()
    assert stats["entries"] == 2
    assert [(row["namespace"], row["entries"]) for row in stats["namespaces"]] == [("", 1), ("a", 1)]
    assert stats["namespaces"][1]["bytes"] > 5000
    assert stats["bytes"] == sum(row["bytes"] for row in stats["namespaces"])


@pytest.mark.parametrize(
    ("maxmemory", "policy", "says"),
    [
        ("0", "volatile-lru", "no limit"),
        ("100mb", "noeviction", "refuses all writes"),
        ("100mb", "allkeys-lru", "may forget keys and spending"),
        ("100mb", "volatile-lru", ""),
        ("100mb", "volatile-lfu", ""),
    ],
)
async def test_how_redis_makes_room_is_looked_at_once(
    plain_redis_url: str, caplog: pytest.LogCaptureFixture, maxmemory: str, policy: str, says: str
) -> None:
    """The first answer that is kept tells of a Redis that forgets nothing, or the wrong things; the next does not."""
    client = Redis.from_url(plain_redis_url)
    await client.config_set("maxmemory", maxmemory)
    await client.config_set("maxmemory-policy", policy)
    await client.aclose()
    store = RedisCacheStore(plain_redis_url, timeout_seconds=30)
    for number in (1, 2):
        await store.put(digest(number), entry(digest(number)), ttl_seconds=60)
    await store.close()
    told = [record.getMessage() for record in caplog.records if record.name == "helix.cache"]
    assert len(told) == bool(says)
    assert says in "".join(told)


async def test_no_redis_there(tmp_path: Path) -> None:
    """An address where nothing listens is an outage."""
    store = RedisCacheStore(f"unix://{tmp_path}/none.sock")
    with pytest.raises(BackendUnavailable):
        await store.get(digest(1))
    with pytest.raises(BackendUnavailable):
        await store.near("s", unit(1), count=1)
    await store.close()


async def test_a_redis_that_does_not_answer() -> None:
    """A server that accepts and is silent is an outage after the time-out; its password is not in the message."""
    silent = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = RedisCacheStore(f"redis://:hunter2@127.0.0.1:{port}", timeout_seconds=0.05)
    for call in (store.get(digest(1)), store.near("s", unit(1), count=1)):
        with pytest.raises(BackendUnavailable) as raised:
            await call
        assert "hunter2" not in raised.value.message
    await store.close()
    silent.set()
    server.close()
    await server.wait_closed()


async def learned(store: RedisCacheStore, scope: str = "s") -> tuple[Evidence, str]:
    """What a search says was learned about the nearest entry."""
    (nearest,) = await store.near(scope, unit(1), count=1)
    return nearest.evidence, nearest.group


async def test_what_is_learned_adds_up(store: RedisCacheStore) -> None:
    """Evidence is summed whoever learned it, and the search that finds an entry returns it with the entry's group."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60, scope="s", text="t", vector=unit(1))
    assert await learned(store) == (Evidence(), "")
    await store.learn(digest(1), Evidence(right=1.0, surplus=0.25, information=0.125))
    await store.learn(digest(1), Evidence(wrong=2.0, surplus=-0.5, information=0.125), group=digest(7))
    await store.learn(digest(1), Evidence(right=1.0))
    assert await learned(store) == (Evidence(2.0, 2.0, -0.25, 0.25), digest(7))


async def test_nothing_is_learned_about_what_is_gone(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """What is learned about an entry that is not there leaves no key behind."""
    await store.learn(digest(1), Evidence(right=1.0), group="g")
    client = Redis.from_url(redis_url)
    assert await client.exists(f"{redis_prefix}a:{digest(1)}") == 0
    await client.aclose()


async def test_another_answer_is_another_entry(store: RedisCacheStore) -> None:
    """What was learned of an answer does not hold for the one that takes its place."""
    await store.put(digest(1), entry(digest(1)), ttl_seconds=60, scope="s", text="t", vector=unit(1))
    await store.learn(digest(1), Evidence(right=5.0), group="g")
    await store.put(digest(1), entry(digest(1), b'{"a":2}'), ttl_seconds=60, scope="s", text="t", vector=unit(1))
    assert await learned(store) == (Evidence(), "")


async def test_lists_keep_the_latest_lines(store: RedisCacheStore) -> None:
    """Latest first, apart by name, no more than asked for, and forgotten after their time."""
    assert await store.lines("a") == []
    await store.append("a", [], most=3, ttl_seconds=60)
    await store.append("a", ["1", "2"], most=3, ttl_seconds=60)
    await store.append("a", ["3", "ä"], most=3, ttl_seconds=60)
    await store.append("b", list("12345"), most=2, ttl_seconds=0.001)
    assert await store.lines("a") == ["ä", "3", "2"]
    while await store.lines("b"):
        pass


async def test_counters_are_shared_and_apart_by_name(store: RedisCacheStore) -> None:
    """Counters add up, are returned whole, and those of another name are others."""
    assert await store.tally("a", {}, ttl_seconds=60) == {}
    assert await store.tally("a", {"x": 1.0, "y": 0.5}, ttl_seconds=60) == {"x": 1.0, "y": 0.5}
    assert await store.tally("a", {"x": 1.5}, ttl_seconds=60) == {"x": 2.5, "y": 0.5}
    assert await store.tally("b", {}, ttl_seconds=60) == {}
