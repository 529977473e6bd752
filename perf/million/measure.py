"""Builds the cache through the store's own path, and measures it at 10,000, 100,000 and 1,000,000 entries."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from redis.asyncio import Redis

from helix.cache.guards import compare
from helix.cache.promise.learning import COMPARED, NEIGHBOURS
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.embedded.redis import EmbeddedRedis
from helix.kernel.types import Entry, Usage
from perf.measure import target
from perf.million.questions import SHARES, Questions, answers, texts

__all__ = ["measure"]

ASKED = 1000
RECALLED = 5
"""How many of the nearest the recall is of."""
_STAGES = (10_000, 100_000, 1_000_000)
_IN_FLIGHT = 256
_TTL_SECONDS = 7 * 86400.0
_EXPIRING = 5000
_GIB = 1024**3


def measure(folder: Path, entries: int = 1_000_000) -> dict[str, Any]:
    """Measure over an embedded Redis in a folder, without its append-only file, which takes no memory."""
    return asyncio.run(_measure(folder, entries))


async def _measure(folder: Path, entries: int) -> dict[str, Any]:
    server = EmbeddedRedis(folder, max_memory_bytes=16 * _GIB)
    url = await server.open()
    client = Redis.from_url(url)
    embedder = SentenceTransformerEmbedder(cache_dir=folder / "models")
    try:
        await client.config_set("appendonly", "no")
        await embedder.open()
        result: dict[str, Any] = {"entries": {}}
        for stage in (*(stage for stage in _STAGES if stage < entries), entries):
            await client.flushall()  # which drops the index too, and a store makes one at its first entry only
            store = RedisCacheStore(url, timeout_seconds=60.0)
            questions = Questions.make(stage, ASKED)
            lookup = _Lookup(store, embedder, questions, server.pid or 0)
            empty = (await client.info("memory"))["used_memory"]
            began, cpu = time.perf_counter(), (await client.info("cpu"))["used_cpu_user"]
            await _put(store, _entries(questions))
            seconds, cpu = time.perf_counter() - began, (await client.info("cpu"))["used_cpu_user"] - cpu
            memory = await client.info("memory")
            figures: dict[str, Any] = {
                "memory": {
                    "GiB": round(memory["used_memory"] / _GIB, 3),
                    "resident GiB": round(memory["used_memory_rss"] / _GIB, 3),
                    "bytes an entry": round((memory["used_memory"] - empty) / stage),
                },
                "build": {
                    "entries/s": round(stage / seconds),
                    "CPU ms of Redis an entry": round(1000 * cpu / stage, 3),
                },
            }
            figures |= await lookup.figures()
            result["entries"][f"{stage:,}"] = figures
            print(f"{stage:,}: {figures}", flush=True)
            if stage == entries:
                result["while 5,000 entries expire"] = await _expiring(store, client, lookup)
            await store.close()
    finally:
        await client.aclose()
        await embedder.close()
        await server.close()
    last = result["entries"][f"{entries:,}"]
    result["targets"] = [
        target("Redis, GiB", last["memory"]["GiB"], at_most=3.0),
        target("recall@5", last["recall@5"]["all"], at_least=0.97),
        target("embed, search, guards: CPU p50 ms", last["embed, search, guards"]["CPU p50 ms"], at_most=6.0),
        target("embed, search, guards: CPU p99 ms", last["embed, search, guards"]["CPU p99 ms"], at_most=25.0),
    ]
    return result


class _Lookup:
    """Asks the store for neighbours, and compares them with the true ones."""

    def __init__(
        self, store: RedisCacheStore, embedder: SentenceTransformerEmbedder, questions: Questions, pid: int
    ) -> None:
        self._redis = Path(f"/proc/{pid}/schedstat")
        self._store = store
        self._embedder = embedder
        self._questions = questions
        self._vectors = [array("f", row.tobytes()) for row in questions.asked]
        self._scopes = [_scope(scope) for scope in questions.asked_scopes]
        self._texts = list(texts(len(questions.asked), seed=len(questions.vectors)))  # new to the embedder

    async def figures(self) -> dict[str, Any]:
        """Recall, and times, one look-up after another.

        CPU time is that of this process and of Redis's together: nothing overlaps, so it is what a look-up takes where
        nothing else runs. `as it came` is by the clock, whatever else ran.
        """
        found: list[set[str]] = []
        embeddings: list[tuple[float, float]] = []
        searches: list[tuple[float, float]] = []
        wholes: list[tuple[float, float]] = []
        for scope, vector, text in zip(self._scopes, self._vectors, self._texts, strict=True):
            began = self._now()
            await self._embedder.embed([text])
            embedded = self._now()
            candidates = await self._store.near(scope, vector, count=NEIGHBOURS)
            searched = self._now()
            for candidate in candidates[:COMPARED]:
                compare(text, candidate.text)
            ended = self._now()
            embeddings.append((embedded[0] - began[0], embedded[1] - began[1]))
            searches.append((searched[0] - embedded[0], searched[1] - embedded[1]))
            wholes.append((ended[0] - began[0], ended[1] - began[1]))
            found.append({candidate.entry_id for candidate in candidates[:RECALLED]})
        return {
            "recall@5": self._recall(found),
            "embed": _both(embeddings),
            "search": _both(searches),
            "embed, search, guards": _both(wholes),
        }

    def _now(self) -> tuple[float, float]:
        """Seconds of CPU time so far, of both processes, and of the clock."""
        redis_ns = int(self._redis.read_text().split()[0])
        return time.process_time() + redis_ns / 1e9, time.perf_counter()

    async def search_times(self) -> list[float]:
        """Seconds of each search, once through."""
        times = []
        for scope, vector in zip(self._scopes, self._vectors, strict=True):
            began = time.perf_counter()
            await self._store.near(scope, vector, count=NEIGHBOURS)
            times.append(time.perf_counter() - began)
        return times

    def _recall(self, found: Sequence[set[str]]) -> dict[str, float]:
        """Of the five nearest by comparison with every vector of the scope in float32, the share that was found."""
        scopes = self._questions.scopes
        right: dict[str, list[int]] = {}
        for scope in np.unique(self._questions.asked_scopes):
            members = np.flatnonzero(scopes == scope)
            asked = np.flatnonzero(self._questions.asked_scopes == scope)
            similarity = self._questions.asked[asked] @ self._questions.vectors[members].T
            name = f"{SHARES[scope]:.0%} of all" if scope < len(SHARES) else "small scopes"
            tally = right.setdefault(name, [0, 0])
            for row, number in zip(similarity, asked.tolist(), strict=True):
                at_most = min(RECALLED, len(row))
                nearest = {_id(members[at]) for at in np.argpartition(-row, at_most - 1)[:at_most]}
                tally[0] += len(nearest & found[number])
                tally[1] += len(nearest)
        shares = {name: round(got / max(1, wanted), 4) for name, (got, wanted) in sorted(right.items())}
        return {"all": round(sum(got for got, _ in right.values()) / sum(all for _, all in right.values()), 4)} | shares


async def _put(store: RedisCacheStore, source: Iterator[tuple[Entry, str, str, array[float]]]) -> None:
    while batch := list(islice(source, _IN_FLIGHT)):
        await asyncio.gather(
            *(
                store.put(entry.id, entry, ttl_seconds=_TTL_SECONDS, scope=scope, text=text, vector=vector)
                for entry, scope, text, vector in batch
            )
        )


async def _expiring(store: RedisCacheStore, client: Redis, lookup: _Lookup) -> dict[str, float]:
    """Search times while entries go because their time is over."""
    more = Questions.make(_EXPIRING, 1, seed=2)
    before = await client.dbsize()
    rows = list(_entries(more, front="expiring"))
    await _put(store, iter(rows))
    at_ms = round(time.time() * 1000) + 1000
    async with client.pipeline(transaction=False) as pipe:
        for entry, *_ in rows:
            pipe.pexpireat(f"helix:cache:a:{entry.id}", at_ms)
        await pipe.execute()
    await asyncio.sleep(max(0.0, at_ms / 1000 - time.time()))
    times: list[float] = []
    began = time.perf_counter()
    while await client.dbsize() > before:
        times += await lookup.search_times()
    return _times(times) | {"entries/s": round(_EXPIRING / (time.perf_counter() - began))}


def _entries(questions: Questions, front: str = "") -> Iterator[tuple[Entry, str, str, array[float]]]:
    count = len(questions.vectors)
    for number, (body, text) in enumerate(zip(answers(count), texts(count), strict=True)):
        scope = questions.scopes[number]
        entry = Entry(
            id=_id(number, front),
            dialect="chat",
            model="gpt-4o-2024-08-06",
            asked_model="gpt-4o",
            body=body,
            stored_at=1_700_000_000.25 + number,
            usage=Usage(50, 80),
            partition=f"p_{_digest(f'partition {scope}', 12)}",
            users=(f"u_{_digest(f'user {number % 1000}', 12)}",),
        )
        yield entry, _scope(scope), text, array("f", questions.vectors[number].tobytes())


def _id(number: int, front: str = "") -> str:
    return _digest(f"{front}entry {number}", 20)


def _scope(number: int) -> str:
    return _digest(f"scope {number}", 20)


def _digest(text: str, size_bytes: int) -> str:
    return blake2b(text.encode(), digest_size=size_bytes).hexdigest()


def _both(seconds: Sequence[tuple[float, float]]) -> dict[str, float]:
    cpu, clock = zip(*seconds, strict=True)
    return {f"CPU {name}": value for name, value in _times(cpu).items()} | {
        f"as it came {name}": value for name, value in _times(clock).items()
    }


def _times(seconds: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.quantile(np.asarray(seconds) * 1000, (0.5, 0.99))
    return {"p50 ms": round(float(p50), 2), "p99 ms": round(float(p99), 2)}
