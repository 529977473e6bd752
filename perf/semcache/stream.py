"""banking77's questions one after the other through the real tiers: what is served, what of it wrongly.

Two questions have the same answer where they have the same intent. A miss is answered by the provider with the intent's
name, and kept; a hit that is checked is asked upstream as well and counts as a miss. Plain cosine keeps misses too.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from helix.cache.directives import Directives
from helix.cache.eligibility import Eligibility
from helix.cache.guards import compare
from helix.cache.memory import MemoryCacheStore
from helix.cache.promise.answers import Answers
from helix.cache.promise.calibration import Calibration
from helix.cache.promise.learning import Learning, Promise
from helix.cache.tiers import Asked, Tiers
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.lifecycle import Resource
from helix.kernel.types import CacheStore, Embedder, Entry, Vector
from helix.kernel.wire import CHAT

__all__ = ["measure"]

_COSINES = (0.80, 0.85, 0.90, 0.95)
_SEGMENT = 1000
_PER_INTENT = 40
Row = dict[str, str]


class Remembered:
    """An embedder that embeds each text once, so that one file can be streamed in several orders."""

    def __init__(self, embedder: SentenceTransformerEmbedder) -> None:
        self._embedder = embedder
        self._known: dict[str, array[float]] = {}
        self.name, self.dim = embedder.name, embedder.dim

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors, each made by the real embedder at first use."""
        for text in texts:
            if text not in self._known:
                (vector,) = await self._embedder.embed([text])
                self._known[text] = array("f", vector)
        return [self._known[text] for text in texts]


def orders(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The orders in which the rows are streamed."""
    shuffled = list(rows)
    random.Random(0).shuffle(shuffled)
    taken: dict[str, int] = {}
    blocks = []
    for row in rows:
        taken[row["intent"]] = taken.get(row["intent"], 0) + 1
        if taken[row["intent"]] <= _PER_INTENT:
            blocks.append(row)
    found = {"in order": list(rows), "in order, first 3,000": list(rows[:3000])}
    found[f"in order, {_PER_INTENT} of each intent"] = blocks
    return found | {"shuffled": shuffled, "shuffled, first 3,000": shuffled[:3000]}


async def stream(
    rows: Sequence[Row], embedder: Embedder, store: CacheStore, promise: Promise, *, seed: int = 0
) -> dict[str, Any]:
    """Send rows through the tiers; shares of all requests, in all and by thousand."""
    calibration = Calibration.packaged(embedder.name)
    tiers = Tiers(
        Resource.borrowed(store),
        Resource.borrowed(embedder),
        mode="semantic",
        learning=lambda name: Learning(promise, calibration, compare, random=random.Random(seed)),
        semantic_timeout_seconds=60.0,
        eligibility=Eligibility(),
        secret="",
    )
    outcomes: list[tuple[bool, bool, bool]] = []
    vetoed = ineligible = 0
    spent = time.process_time()
    for row in rows:
        request = {"model": "m", "messages": [{"role": "user", "content": row["q"]}]}
        asked = Asked(CHAT, request, "perf", Directives())
        found = await tiers.look(asked, tiers.finding(asked), None)
        hit = found.entry is not None
        wrong = found.entry is not None and _intent(found.entry) != row["intent"]
        checked = found.decision is not None and found.decision.checks
        vetoed += found.veto is not None
        ineligible += found.ineligible is not None
        if not hit or checked:
            entry = _entry(found.key, row["intent"])
            if await tiers.keep(found, asked, entry, 86_400.0):
                await tiers.teach(found, entry, Answers(), was_served=hit)
        outcomes.append((hit and not checked, wrong, checked))
    return _shares(outcomes) | {
        "nearest_vetoed": vetoed / len(rows),
        "ineligible": ineligible / len(rows),
        "cpu_ms": (time.process_time() - spent) * 1000 / len(rows),
    }


async def plain(rows: Sequence[Row], embedder: Embedder, threshold: float) -> dict[str, Any]:
    """The same with the nearest question's cosine alone."""
    store = MemoryCacheStore(max_entries=len(rows) + 1, max_bytes=1 << 30)
    outcomes = []
    for at, row in enumerate(rows):
        (vector,) = await embedder.embed([row["q"]])
        near = await store.near("s", vector, count=1)
        entry = await store.get(near[0].entry_id) if near and near[0].similarity >= threshold else None
        if entry is None:
            key = f"{at:040x}"
            await store.put(
                key, _entry(key, row["intent"]), ttl_seconds=86_400.0, scope="s", text=row["q"], vector=vector
            )
        outcomes.append((entry is not None, entry is not None and _intent(entry) != row["intent"], False))
    return _shares(outcomes)


def measure(data: Path, *, max_false_hit_rate: float = 0.01, seeds: int = 1) -> dict[str, Any]:
    """Stream the file of banking77 in each order, with the promise and with plain cosine."""
    rows = [json.loads(line) for line in (data / "semcache" / "banking77_dev.jsonl").read_text().splitlines()]
    return asyncio.run(_measure(rows, Promise(max_false_hit_rate=max_false_hit_rate), seeds))


async def _measure(rows: Sequence[Row], promise: Promise, seeds: int) -> dict[str, Any]:
    real = SentenceTransformerEmbedder()
    await real.open()
    embedder = Remembered(real)
    found: dict[str, Any] = {"max_false_hit_rate": promise.max_false_hit_rate, "confidence": promise.confidence}
    for name, ordered in orders(rows).items():
        runs = []
        for seed in range(seeds):
            store = MemoryCacheStore(max_entries=len(rows) + 1, max_bytes=1 << 30)
            runs.append(await stream(ordered, embedder, store, promise, seed=seed))
        found[name] = {
            "requests": len(ordered),
            "helix": runs,
            "cosine": {f"{least:.2f}": await plain(ordered, embedder, least) for least in _COSINES},
        }
    await real.close()
    return found


def _shares(outcomes: Sequence[tuple[bool, bool, bool]]) -> dict[str, Any]:
    def of(part: Sequence[tuple[bool, bool, bool]]) -> dict[str, float]:
        hits, wrong, checks = (sum(column) / len(part) for column in zip(*part, strict=True))
        return {"hits": hits, "wrong": wrong, "checks": checks}

    parts = [outcomes[at : at + _SEGMENT] for at in range(0, len(outcomes), _SEGMENT)]
    return of(outcomes) | {"by_thousand": [of(part) for part in parts]}


def _entry(key: str, intent: str) -> Entry:
    answer = {
        "id": key,
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": intent}, "finish_reason": "stop"}],
    }
    return Entry(key, CHAT.name, "m", orjson.dumps(answer), time.time())


def _intent(entry: Entry) -> str:
    return str(orjson.loads(entry.body)["choices"][0]["message"]["content"])
