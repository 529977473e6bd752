"""The catalog of a Redis, with its search module and without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from helix.cache.redis import RedisCacheStore
from helix.kernel.errors import InvalidRequest
from helix.kernel.types import Entry, Listed, Selection
from tests.cache.test_redis import digest, unit

EVERYTHING = Selection(everything=True)


@pytest_asyncio.fixture(params=["search", "plain"])
async def either(request: pytest.FixtureRequest, redis_prefix: str) -> AsyncIterator[RedisCacheStore]:
    """A store in a Redis that can search, and one in a Redis that cannot."""
    url = request.getfixturevalue("redis_url" if request.param == "search" else "plain_redis_url")
    opened = RedisCacheStore(url, prefix=redis_prefix, timeout_seconds=30.0)
    assert await opened.catalog.open() is (request.param == "search")
    yield opened
    await opened.flush()
    await opened.close()


async def put(store: RedisCacheStore, number: int, **about: Any) -> str:
    """Store an entry; the lower its number, the later."""
    namespace = about.get("namespace", "")
    key = f"{namespace}:{digest(number)}" if namespace else digest(number)
    entry = Entry(key, "chat", "openai/gpt-4o", b'{"a": 1}', 1700000000.0 - number)
    await store.put(key, replace(entry, **about), ttl_seconds=60)
    return key


async def listed(store: RedisCacheStore, selection: Selection = EVERYTHING) -> list[str]:
    """The ids that a selection means, latest first."""
    page, _ = await store.catalog.page(selection, limit=500)
    return [one.id for one in page]


async def test_each_part_selects(either: RedisCacheStore) -> None:
    """By id, namespace, tag, either model, user and partition; and what is said together must fit together."""
    keys = [
        await put(either, 0),
        await put(either, 1, namespace="faq", tags=("a", "b")),
        await put(either, 2, namespace="faq", asked_model="smart", tags=("b",)),
        await put(either, 3, users=("u_1", "u_2"), partition="p_1"),
        await put(either, 4, users=("u_2",), partition="p_2", model="demo/echo"),
    ]
    for said, numbers in (
        (EVERYTHING, [0, 1, 2, 3, 4]),
        (Selection(namespace=""), [0, 3, 4]),
        (Selection(namespace="faq"), [1, 2]),
        (Selection(tag="b"), [1, 2]),
        (Selection(tag="a"), [1]),
        (Selection(tag="b", model="smart"), [2]),
        (Selection(model="openai/gpt-4o"), [0, 1, 2, 3]),
        (Selection(model="demo/echo"), [4]),
        (Selection(user="u_2"), [3, 4]),
        (Selection(partition="p_2"), [4]),
        (Selection(user="u_2", partition="p_1"), [3]),
        (Selection(entries=(keys[3], keys[0], "nobody", digest(77))), [0, 3]),
        (Selection(entries=(keys[3], keys[0]), user="u_1"), [3]),
        (Selection(namespace="fa"), []),
        (Selection(scope="nobody"), []),
    ):
        assert await listed(either, said) == [keys[number] for number in numbers], said
        assert await either.catalog.count(said) == len(numbers), said
    assert await either.catalog.remove(Selection(tag="b")) == 2
    assert await listed(either) == [keys[0], keys[3], keys[4]]
    assert await either.get(keys[1]) is None
    assert await either.catalog.remove(EVERYTHING) == 3
    assert await either.catalog.remove(EVERYTHING) == 0


async def test_by_scope(store: RedisCacheStore) -> None:
    """The questions of one scope go together."""
    for number, scope in enumerate(("s", "s", "other")):
        key = digest(number)
        entry = Entry(key, "chat", "m", b"{}", 1700000000.0)
        await store.put(key, entry, ttl_seconds=60, scope=scope, text=f"text {number}", vector=unit(1))
    assert await store.catalog.remove(Selection(scope="s")) == 2
    assert [found.text for found in await store.near("other", unit(1), count=5)] == ["text 2"]
    assert await store.near("s", unit(1), count=5) == []


HOSTILE = [
    "*",
    "a*",
    "}",
    "a} | @about:{n",
    "a|b",
    "\\",
    "a b",
    " a",
    "é\u2028",
    "-1",
    "a\x1ftb",
    "'\"",
    "@scope:{x}",
    "%",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_names_are_taken_as_they_are(either: RedisCacheStore, name: str) -> None:
    """Whatever a model is called, that name selects it and no other; as a tag it selects nothing."""
    await put(either, 0)
    key = await put(either, 1, asked_model=name)
    assert await listed(either, Selection(model=name)) == [key]
    for other in (Selection(tag=name), Selection(user=name), Selection(partition=name), Selection(scope=name)):
        assert await either.catalog.count(other) == 0
    assert await either.catalog.remove(Selection(namespace=name)) == 0
    assert await either.catalog.remove(Selection(entries=(name,))) == 0
    assert await either.catalog.count(EVERYTHING) == 2


async def test_an_entry_is_told_without_its_answer(store: RedisCacheStore) -> None:
    """What it is about, how long it lives, how large it is, how often it was given."""
    entry = Entry(
        digest(1), "chat", "openai/gpt-4o", b'{"secret": 1}', 1700000000.5,
        asked_model="smart", partition="p_1", users=("u_1",), tags=("a",),
    )  # fmt: skip
    await store.put(digest(1), entry, ttl_seconds=60, scope="s", text="Where is <ORDER_ID_1>?", vector=unit(1))
    await store.catalog.used({(digest(1), "p_1"): 2, (digest(9), "p_1"): 7})
    await store.catalog.used({(digest(1), "p_1"): 1})
    (one,), cursor = await store.catalog.page(EVERYTHING, limit=10)
    assert cursor is None
    assert 0 < one.expires_at - time.time() <= 60
    assert one.bytes > len(entry.body)
    assert one == Listed(
        digest(1), "chat", "openai/gpt-4o", "smart", "", 1700000000.5, one.expires_at, one.bytes, 3, "s",
        "p_1", ("u_1",), ("a",), "Where is <ORDER_ID_1>?",
    )  # fmt: skip
    assert [found.id for found in await store.catalog.most_used(10)] == [digest(1)]


async def test_pages_go_on_where_they_ended(either: RedisCacheStore) -> None:
    """Each entry is on one page, also where many were stored at the same time, and where some are removed meanwhile."""
    keys = [await put(either, number, stored_at=1700000000.0 - number // 4) for number in range(10)]
    found: list[str] = []
    cursor = None
    while True:
        page, cursor = await either.catalog.page(EVERYTHING, limit=3, cursor=cursor)
        found += [one.id for one in page]
        if cursor is None:
            break
    assert sorted(found) == sorted(keys)
    assert [keys.index(key) // 4 for key in found] == [number // 4 for number in range(10)]


@pytest.mark.parametrize("cursor", ["", "x", "1700000000.0", "nan-0", "inf-0", "1-x", "1--1", "1-99999999999"])
async def test_a_foreign_cursor(store: RedisCacheStore, cursor: str) -> None:
    """A cursor that no list gave is refused, and not repeated."""
    with pytest.raises(InvalidRequest, match=r"must be a next_cursor that this list gave$"):
        await store.catalog.page(EVERYTHING, limit=3, cursor=cursor)


async def test_more_than_a_page(store: RedisCacheStore) -> None:
    """Counting and removing take all there is."""
    await asyncio.gather(*(put(store, number, tags=("odd",) if number % 2 else ()) for number in range(1201)))
    assert await store.catalog.count(Selection(tag="odd")) == 600
    assert (await store.stats())["entries"] == 1201
    assert await store.catalog.remove(Selection(tag="odd")) == 600
    assert await store.catalog.count(EVERYTHING) == 601


async def test_stats_tell_sizes_by_namespace(either: RedisCacheStore) -> None:
    """A namespace of many entries is estimated from some of them, and says so."""
    for number in range(3):
        await put(either, number, namespace="faq")
    told = await either.catalog.stats()
    assert told["namespaces"] == [{"namespace": "faq", "entries": 3, "bytes": told["bytes"]}]
    assert told["bytes_estimated"] is False
    await asyncio.gather(*(put(either, number) for number in range(201)))
    more = await either.catalog.stats()
    assert more["bytes_estimated"] is True
    assert more["namespaces"][0]["bytes"] == pytest.approx(201 * told["bytes"] / 3, rel=0.1)
    await either.catalog.remove(Selection(namespace="faq"))
    assert [row["namespace"] for row in (await either.catalog.stats())["namespaces"]] == [""]


async def test_namespaces_go_with_their_entries(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """Callers choose namespaces: they cannot fill the memory with those whose entries are gone."""
    for number in range(3):
        id = f"old{number}:{digest(number)}"
        await store.put(id, Entry(id, "chat", "m", b"{}", 1.0, namespace=f"old{number}"), ttl_seconds=0.05)
    kept = [await put(store, 3, namespace="long"), await put(store, 4, namespace="longer")]
    await store.catalog.prolong(kept[1:], 600)
    await asyncio.sleep(0.1)
    await put(store, 5)
    client = Redis.from_url(redis_url)
    names: dict[Any, Any] = dict(await client.zrange(f"{redis_prefix}namespaces", 0, -1, withscores=True))  # type: ignore[arg-type]  # pairs
    await client.aclose()
    assert set(names) == {b"", b"long", b"longer"}
    assert names[b"longer"] - names[b"long"] > 500_000
    assert [row["namespace"] for row in (await store.stats())["namespaces"]] == ["", "long", "longer"]


async def test_more_namespaces_than_are_told(either: RedisCacheStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many only some are told, but all entries are counted."""
    monkeypatch.setattr("helix.cache.catalog.redis._MOST_NAMESPACES", 2)
    for number in range(5):
        await put(either, number, namespace=f"n{number}")
    stats = await either.stats()
    assert (stats["entries"], len(stats["namespaces"]), stats["bytes_estimated"]) == (5, 2, True)
    assert stats["bytes"] > sum(row["bytes"] for row in stats["namespaces"])


async def test_an_emptied_database(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """An index that was lost is made again, over what was stored since."""
    await put(store, 1)
    assert await listed(store) == [digest(1)]
    client = Redis.from_url(redis_url)
    await client.ft(f"{redis_prefix}catalog").dropindex()
    await client.aclose()
    await put(store, 2)
    assert sorted(await listed(store)) == [digest(1), digest(2)]


async def test_prolong_never_shortens(store: RedisCacheStore) -> None:
    """Answer and question live so long from now, or as long as they did."""
    short, long = await put(store, 1), digest(2)
    await store.put(long, Entry(long, "chat", "m", b"{}", 1.0), ttl_seconds=9000)
    assert await store.catalog.prolong([short, long, digest(3), "*"], 600) == 2
    page, _ = await store.catalog.page(EVERYTHING, limit=9)
    left = {one.id: one.expires_at - time.time() for one in page}
    assert 500 < left[short] <= 600
    assert 8000 < left[long] <= 9000


async def test_what_expired_is_not_counted_as_used(store: RedisCacheStore, redis_url: str, redis_prefix: str) -> None:
    """Counts of entries that are gone are forgotten."""
    key = await put(store, 1)
    await store.catalog.used({(key, ""): 1})
    client = Redis.from_url(redis_url)
    await client.delete(f"{redis_prefix}a:{key}")
    await store.catalog.used({(digest(2), ""): 1})
    assert await client.zcard(f"{redis_prefix}hits") == 0
    await client.aclose()
