"""Entries out of one Redis and into another."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio

from helix.cache.catalog.quota import Quota
from helix.cache.redis import RedisCacheStore
from helix.kernel.types import Entry, Evidence, Loaded, Packed, Selection
from tests.cache.test_redis import digest, unit

EVERYTHING = Selection(everything=True)
KEYS = ["a" * 32, "b" * 32]
Make = Callable[..., RedisCacheStore]


@pytest_asyncio.fixture
async def make(redis_url: str) -> AsyncIterator[Make]:
    """Stores with a part of the database each."""
    async with AsyncExitStack() as stack:

        def made(**options: object) -> RedisCacheStore:
            prefix = f"test:{secrets.token_hex(6)}:"
            store = RedisCacheStore(redis_url, prefix=prefix, timeout_seconds=30, **options)  # type: ignore[arg-type]
            stack.push_async_callback(store.close)
            stack.push_async_callback(store.flush)
            return store

        yield made


async def fill(store: RedisCacheStore) -> list[Entry]:
    """One entry with a question and one without."""
    entries = [
        Entry(digest(1), "chat", "m", b'{"a": "private"}', 1700000001.0, partition="p_1", tags=("a",)),
        Entry(f"faq:{digest(2)}", "chat", "m", b"{}", 1700000000.0, namespace="faq"),
    ]
    await store.put(entries[0].id, entries[0], ttl_seconds=60, scope="s", text="What is it?", vector=unit(1))
    await store.put(entries[1].id, entries[1], ttl_seconds=60)
    return entries


@pytest.mark.parametrize("keys", [[], KEYS])
async def test_what_is_carried_is_found_as_before(make: Make, keys: list[str]) -> None:
    """By key, by nearness and by what it says of itself, with what was learned; it expires when it would have."""
    source, target = make(encryption_keys=keys), make(encryption_keys=keys)
    entries = await fill(source)
    await source.learn(entries[0].id, Evidence(right=3))
    packed, cursor = await source.catalog.dump(EVERYTHING, limit=10)
    assert cursor is None
    assert await target.near("s", unit(1), count=5) == []  # there is an index
    assert any(b"private" in value for one in packed for value in one.fields.values()) is not bool(keys)
    assert await target.catalog.load(packed) == Loaded(stored=2)
    for entry in entries:
        found = await target.get(entry.id)
        assert found is not None
        assert (found.body, found.stored_at) == (entry.body, entry.stored_at)
    (near,) = await target.near("s", unit(1), count=5)
    assert (near.text, near.evidence.right) == ("What is it?", 3)
    assert await target.catalog.count(Selection(tag="a")) == 1
    for one in (await target.catalog.page(EVERYTHING, limit=10))[0]:
        assert 0 < one.expires_at - time.time() <= 60


async def test_again_is_no_harm(make: Make) -> None:
    """What is there stays as it is, so that a load that broke off can be done again."""
    store = make()
    entries = await fill(store)
    packed, _ = await store.catalog.dump(EVERYTHING, limit=10)
    newer = replace(entries[0], body=b'{"newer": 1}')
    await store.put(newer.id, newer, ttl_seconds=60)
    await store.flush(entry_id=entries[1].id)
    assert await store.catalog.load(packed) == Loaded(stored=1, present=1)
    found = await store.get(newer.id)
    assert found is not None
    assert found.body == newer.body


async def test_in_pages(make: Make) -> None:
    """Each entry is dumped once."""
    store = make()
    for number in range(7):
        entry = Entry(digest(number), "chat", "m", b"{}", 1700000000.0 + number)
        await store.put(entry.id, entry, ttl_seconds=60)
    ids: list[str] = []
    cursor = None
    while True:
        packed, cursor = await store.catalog.dump(EVERYTHING, limit=3, cursor=cursor)
        ids += [one.id for one in packed]
        if cursor is None:
            break
    assert sorted(ids) == [digest(number) for number in range(7)]


BROKEN: dict[str, Callable[[Packed], Packed]] = {
    "a damaged answer": lambda one: replace(one, fields={**one.fields, "answer": one.fields["answer"][:-1]}),
    "another's answer": lambda one: replace(one, id=digest(9)),
    "no answer": lambda one: replace(one, fields={"about": one.fields["about"], "at": one.fields["at"]}),
    "a strange id": lambda one: replace(one, id="../" + digest(1)),
    "a strange field": lambda one: replace(one, fields={**one.fields, "x": b"1"}),
    "a short vector": lambda one: replace(
        one, fields={name: value[: 15 if name.startswith("h8_") else None] for name, value in one.fields.items()}
    ),
    "another's question": lambda one: replace(one, fields={**one.fields, "scope": b"other"}),
    "another namespace": lambda one: replace(one, fields={**one.fields, "about": b"nfaq"}),
    "no time": lambda one: replace(one, fields={**one.fields, "at": b"soon"}),
    "no text": lambda one: replace(one, fields={**one.fields, "about": b"\xff"}),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_what_does_not_fit_is_refused(make: Make, broken: Callable[[Packed], Packed]) -> None:
    """Nothing of it is kept; the others are."""
    source, target = make(), make()
    await fill(source)
    first, second = (await source.catalog.dump(EVERYTHING, limit=10))[0]
    assert await target.catalog.load([broken(first), second]) == Loaded(stored=1, refused=1)
    assert await target.catalog.count(EVERYTHING) == 1


async def test_what_another_key_encrypted_is_refused(make: Make) -> None:
    """It could never be read; and what is not encrypted is refused where all is to be."""
    source, other, clear = make(encryption_keys=KEYS[:1]), make(encryption_keys=KEYS[1:]), make()
    await fill(source)
    await fill(clear)
    packed, _ = await source.catalog.dump(EVERYTHING, limit=10)
    assert await other.catalog.load(packed) == Loaded(refused=2)
    assert await clear.catalog.load(packed) == Loaded(refused=2)
    unencrypted, _ = await clear.catalog.dump(EVERYTHING, limit=10)
    await source.flush()
    assert await source.catalog.load(unencrypted) == Loaded(refused=2)


async def test_what_expired_on_the_way(make: Make) -> None:
    """It is counted, not kept."""
    source, target = make(), make()
    await fill(source)
    packed, _ = await source.catalog.dump(EVERYTHING, limit=10)
    late = [replace(one, expires_at=time.time() - 1) for one in packed]
    assert await target.catalog.load(late) == Loaded(expired=2)


async def test_the_quota_holds(make: Make) -> None:
    """What is loaded counts as what is stored does."""
    source, target = make(), make(quota=Quota(entries=2))
    for number in range(5):
        entry = Entry(digest(number), "chat", "m", b"{}", 1700000000.0, partition="p_1")
        await source.put(entry.id, entry, ttl_seconds=60)
    packed, _ = await source.catalog.dump(EVERYTHING, limit=10)
    await asyncio.gather(*(target.catalog.load([one]) for one in packed))
    assert await target.catalog.count(EVERYTHING) == 2


async def test_alike(make: Make) -> None:
    """Entries near to a vector in whatever scope, best first, inside a selection, at least so similar."""
    store = make()
    for number, (scope, vector, tags) in enumerate(
        [("s", unit(1), ("a",)), ("t", unit(0.8, 0.6), ("a",)), ("t", unit(0.9, 0.435), ()), ("t", unit(0, 1), ())]
    ):
        entry = Entry(digest(number), "chat", "m", b"{}", 1700000000.0, tags=tags)
        await store.put(entry.id, entry, ttl_seconds=60, scope=scope, text=f"text {number}", vector=vector)
    found = await store.catalog.alike(EVERYTHING, unit(1), least=0.7, limit=10)
    assert [one.text for one in found] == ["text 0", "text 2", "text 1"]
    assert [one.similarity for one in found] == pytest.approx([1.0, 0.9, 0.8], abs=2e-3)
    assert [one.text for one in await store.catalog.alike(EVERYTHING, unit(1), least=0.7, limit=2)] == [
        "text 0",
        "text 2",
    ]
    tagged = await store.catalog.alike(Selection(tag="a"), unit(1), least=0.7, limit=10)
    assert [one.text for one in tagged] == ["text 0", "text 1"]
    assert await store.catalog.alike(EVERYTHING, unit(0), least=0.0, limit=10) == []
