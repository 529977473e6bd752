"""The store in this process: what it keeps, how long, and how much."""

from __future__ import annotations

import math
import sys
import tracemalloc

import numpy as np
import pytest

from helix.cache import CacheMiddleware, MemoryCacheStore
from helix.cache.memory import ENTRY_OVERHEAD_BYTES
from helix.cache.promise.learning import Promise
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Entry, Evidence
from tests.cache.conftest import CHAT, Provider, ask, chat


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def entry(key: str, body: bytes = b'{"a":1}') -> Entry:
    return Entry(key, "chat", "m", body, 1700000000.0, namespace=key.rpartition(":")[0])


def digest(number: int) -> str:
    return f"{number:040x}"


def unit(*front: float) -> list[float]:
    return [*front, *[0.0] * (8 - len(front))]


async def put(
    store: MemoryCacheStore, key: str, vector: list[float] | None = None, *, scope: str = "s", ttl_seconds: float = 60
) -> None:
    await store.put(key, entry(key), ttl_seconds=ttl_seconds, scope=scope, text=f"text {key[-1]}", vector=vector)


async def texts(store: MemoryCacheStore, vector: list[float], *, scope: str = "s") -> list[str]:
    return [item.text for item in await store.near(scope, vector, count=5)]


async def test_put_and_get() -> None:
    """An entry comes back as it was, by its key alone."""
    store = MemoryCacheStore()
    await put(store, digest(1))
    assert await store.get(digest(1)) == entry(digest(1))
    assert await store.get(digest(2)) is None


async def test_time_to_live() -> None:
    """Past its time an entry is neither found nor counted; stored anew it has its new time."""
    clock = Clock()
    store = MemoryCacheStore(clock=clock)
    await put(store, digest(1), unit(1), ttl_seconds=10)
    await put(store, digest(2), unit(1), ttl_seconds=10)
    clock.now += 5
    await put(store, digest(2), unit(1), ttl_seconds=10)
    clock.now += 5
    assert await store.get(digest(1)) is None
    assert await store.get(digest(2)) is not None
    assert await texts(store, unit(1)) == ["text 2"]
    assert (await store.stats())["entries"] == 1
    clock.now += 5
    assert await texts(store, unit(1)) == []
    assert (await store.stats()) == {"entries": 0, "bytes": 0, "namespaces": []}


async def test_entries_stored_again_and_again_leave_nothing_behind() -> None:
    """What the deadlines remember is bounded by what is kept, however often an entry is replaced."""
    store = MemoryCacheStore()
    for _ in range(1000):
        await put(store, digest(1), unit(1))
    assert len(store._deadlines) < 100
    assert (await store.stats())["entries"] == 1


async def test_the_least_recently_used_goes_first() -> None:
    """Beyond `max_entries` the entry goes that was longest neither stored nor given; its question goes with it."""
    store = MemoryCacheStore(max_entries=2)
    await put(store, digest(1), unit(1))
    await put(store, digest(2), unit(1))
    await store.get(digest(1))
    await put(store, digest(3), unit(1))
    assert await store.get(digest(2)) is None
    assert sorted(await texts(store, unit(1))) == ["text 1", "text 3"]


async def test_bytes_are_bounded() -> None:
    """Answers, texts and vectors count; what is larger than everything is not kept and drives nothing out."""
    store = MemoryCacheStore(max_bytes=4 * (ENTRY_OVERHEAD_BYTES + 1000))
    for number in range(10):
        key = digest(number)
        await store.put(key, entry(key, b"x" * 1000), ttl_seconds=60)
    stats = await store.stats()
    assert (stats["entries"], stats["bytes"]) == (4, 4 * (ENTRY_OVERHEAD_BYTES + 1000))
    await store.put(digest(11), entry(digest(11), b"x" * 20_000), ttl_seconds=60)
    assert await store.get(digest(11)) is None
    assert (await store.stats())["entries"] == 4


@pytest.mark.parametrize("scopes", [1, 2000])
async def test_bytes_are_counted_as_the_process_takes_them(scopes: int) -> None:
    """The bound is on memory: what is counted is about what is taken, with one scope or one for every entry."""
    count, dim = 2000, 384
    store = MemoryCacheStore()
    await put(store, digest(0), [1.0] * dim)  # what is imported and made once
    vectors = np.random.default_rng(1).normal(size=(count, dim)).tolist()
    tracemalloc.start()
    for number in range(1, count):
        key = f"{number:040x}"
        body = b"x" * 700 + str(number).encode()
        await store.put(
            key,
            Entry(key, "chat", "m", body, 1.0),
            ttl_seconds=60,
            scope="s",
            text=f"q {number}",
            vector=vectors[number],
        )
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counted = (await store.stats())["bytes"]
    assert 0.75 < counted / taken < 1.5


async def test_near_is_best_first_and_inside_its_scope() -> None:
    """Neighbours come by cosine similarity, whatever the vectors' lengths, and none from another scope."""
    store = MemoryCacheStore()
    for number, (scope, vector) in enumerate(
        [("s", unit(3)), ("s", unit(0.8, 0.6)), ("s", unit(0, 1)), ("other", unit(1))]
    ):
        await put(store, digest(number), vector, scope=scope)
    found = await store.near("s", unit(0.5), count=2)
    assert [(item.entry_id, item.text) for item in found] == [(digest(0), "text 0"), (digest(1), "text 1")]
    assert [item.similarity for item in found] == pytest.approx([1.0, 0.8], abs=1e-6)
    assert await store.near("nobody", unit(1), count=2) == []


async def test_near_is_exact_among_many() -> None:
    """After additions, replacements and removals the five nearest are those of a comparison with each."""
    random = np.random.default_rng(7)
    store = MemoryCacheStore()
    vectors = random.normal(size=(500, 8))
    for number, vector in enumerate(vectors):
        await put(store, digest(number), vector.tolist())
    for number in range(0, 500, 3):
        await store.flush(entry_id=digest(number))
    for number in range(1, 500, 3):
        vectors[number] = random.normal(size=8)
        await put(store, digest(number), vectors[number].tolist())
    left = [number for number in range(500) if number % 3]
    asked = random.normal(size=8)
    similarity = vectors @ asked / np.linalg.norm(vectors, axis=1)
    best = sorted(left, key=lambda number: -similarity[number])[:5]
    assert [item.entry_id for item in await store.near("s", asked.tolist(), count=5)] == [digest(n) for n in best]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0, 1e308])
async def test_a_vector_without_a_direction(wrong: float) -> None:
    """It is near to nothing and finds nothing; the answer is found by its key."""
    store = MemoryCacheStore()
    await put(store, digest(1), unit(1))
    await put(store, digest(2), [wrong] * 8)
    assert await texts(store, unit(1)) == ["text 1"]
    assert await texts(store, [wrong] * 8) == []
    assert await store.get(digest(2)) is not None
    await put(store, digest(1), [wrong] * 8)
    assert await texts(store, unit(1)) == []


async def test_vectors_of_another_size() -> None:
    """Another embedder's vectors live beside the first's, and neither finds the other's."""
    store = MemoryCacheStore()
    await put(store, digest(1), unit(1))
    await put(store, digest(2), [1.0, 0.0])
    assert await texts(store, unit(1)) == ["text 1"]
    assert await texts(store, [1.0, 0.0]) == ["text 2"]


async def test_flush_and_stats() -> None:
    """One entry, one namespace (the default one has no name), or everything goes, questions too."""
    store = MemoryCacheStore()
    keys = [digest(1), digest(2), f"a:{digest(1)}", f"a:{digest(2)}", f"ab:{digest(1)}"]
    for key in keys:
        await store.put(key, entry(key), ttl_seconds=60, scope="s", text=key, vector=unit(1))
    stats = await store.stats()
    assert [(row["namespace"], row["entries"]) for row in stats["namespaces"]] == [("", 2), ("a", 2), ("ab", 1)]
    assert stats["bytes"] == sum(row["bytes"] for row in stats["namespaces"])
    assert await store.flush(entry_id=keys[0]) == 1
    assert await store.flush(entry_id=keys[0]) == 0
    assert await store.flush(namespace="a") == 2
    assert await store.flush(namespace="") == 1
    assert await texts(store, unit(1)) == [keys[4]]
    assert await store.flush() == 1
    assert (await store.stats())["bytes"] == 0


async def test_what_is_learned_of_an_entry() -> None:
    """Evidence adds up and comes with the neighbour; of what is gone nothing is learned, another answer starts anew."""
    store = MemoryCacheStore()
    await put(store, digest(1), unit(1))
    await store.learn(digest(1), Evidence(right=1, surplus=0.25))
    await store.learn(digest(1), Evidence(wrong=1), group="g")
    await store.learn(digest(2), Evidence(wrong=1))
    (found,) = await store.near("s", unit(1), count=5)
    assert (found.evidence, found.group) == (Evidence(1, 1, 0.25), "g")
    assert (found.stored_at, found.model) == (1700000000.0, "m")
    await put(store, digest(1), unit(1))
    (found,) = await store.near("s", unit(1), count=5)
    assert (found.evidence, found.group) == (Evidence(), "")


async def test_tallies() -> None:
    """Counters add up by name, outlive a flush, and are forgotten when nobody added to them for their time."""
    clock = Clock()
    store = MemoryCacheStore(clock=clock)
    assert await store.tally("a", {}, ttl_seconds=10) == {}
    await store.tally("a", {"hits": 1}, ttl_seconds=10)
    clock.now += 9
    assert await store.tally("a", {"hits": 1, "misses": 0.5}, ttl_seconds=10) == {"hits": 2, "misses": 0.5}
    await store.flush()
    clock.now += 9
    assert await store.tally("a", {}, ttl_seconds=10) == {"hits": 2, "misses": 0.5}
    assert await store.tally("b", {}, ttl_seconds=10) == {}
    clock.now += 1
    assert await store.tally("a", {"hits": 1}, ttl_seconds=10) == {"hits": 1}


async def test_tallies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many names the longest untouched is forgotten."""
    monkeypatch.setattr("helix.cache.memory.MAX_TALLIES", 2)
    store = MemoryCacheStore()
    for name in ("a", "b", "a", "c"):
        await store.tally(name, {"n": 1}, ttl_seconds=10)
    assert [await store.tally(name, {}, ttl_seconds=10) for name in "abc"] == [{"n": 2}, {}, {"n": 1}]


async def test_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest lines are kept, latest first, outlive a flush, and are forgotten after a time or beyond a number."""
    monkeypatch.setattr("helix.cache.memory.MAX_LISTS", 2)
    clock = Clock()
    store = MemoryCacheStore(clock=clock)
    assert await store.lines("a") == []
    await store.append("a", ["1", "2"], most=3, ttl_seconds=10)
    clock.now += 9
    await store.append("a", ["3", "4"], most=3, ttl_seconds=10)
    await store.flush()
    assert await store.lines("a") == ["4", "3", "2"]
    clock.now += 10
    assert await store.lines("a") == []
    await store.append("a", ["5"], most=3, ttl_seconds=10)
    assert await store.lines("a") == ["5"]
    for name in "bc":
        await store.append(name, ["1"], most=3, ttl_seconds=10)
    assert [await store.lines(name) for name in "abc"] == [[], ["1"], ["1"]]


async def test_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearness says what to install; what is exact works all the same."""
    monkeypatch.delitem(sys.modules, "helix.cache.search.matrix", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    store = MemoryCacheStore()
    with pytest.raises(BackendUnavailable, match=r"numpy.*\[semantic\]"):
        await store.near("s", unit(1), count=1)
    with pytest.raises(BackendUnavailable, match="numpy"):
        await put(store, digest(1), unit(1))
    await put(store, digest(1))
    assert await store.get(digest(1)) is not None


@pytest.mark.parametrize("option", ["max_entries", "max_bytes"])
def test_bounds_are_checked(option: str) -> None:
    """A bound of nothing is refused."""
    with pytest.raises(ValueError, match=option):
        MemoryCacheStore(max_entries=int(option != "max_entries"), max_bytes=int(option != "max_bytes"))


async def test_a_cache_without_a_store(provider: Provider, embedder: SentenceTransformerEmbedder) -> None:
    """`CacheMiddleware(app)` needs no Redis: equal and equivalent questions are answered from the process."""
    unchecked = Promise(check_share=0.0)  # the provider is asked by callers alone
    app = CacheMiddleware(provider, embedder=embedder, promise=unchecked, semantic_timeout_seconds=60.0)
    assert (await ask(app, CHAT, chat("How do I reset my password?"))).cache == "miss"
    await app.close()  # stored by now
    assert (await ask(app, CHAT, chat("How do I reset my password?"))).cache == "exact"
    assert (await ask(app, CHAT, chat("How can I reset my password?"))).cache == "semantic"
    assert (await ask(app, CHAT, chat("What is the capital of France?"))).cache == "miss"
    assert provider.calls == 2
