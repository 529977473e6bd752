"""banking77's questions one after the other through the real tiers: what is served, what of it wrongly.

Two questions have the same answer where they have the same intent. A miss is answered by the provider with the intent's
name, and kept; a hit that is checked is asked upstream as well and counts as a miss. Plain cosine keeps misses too.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import orjson

from helix.cache.directives import Directives
from helix.cache.eligibility import Eligibility
from helix.cache.guards import Comparison, compare
from helix.cache.memory import MemoryCacheStore
from helix.cache.promise.answers import Answers
from helix.cache.promise.calibration import Calibration
from helix.cache.promise.learning import Learning, Promise
from helix.cache.tiers import Asked, Tiers
from helix.kernel.lifecycle import Resource
from helix.kernel.types import CacheStore, Embedder, Entry
from helix.kernel.wire import CHAT
from perf.measure import target
from perf.semcache.systems import Remembered

__all__ = ["measure"]

_COSINES = (0.80, 0.85, 0.90, 0.95)
_SEGMENT = 1000
_PER_INTENT = (20, 40)
_SHORT = 3000
_HITS_AT_LEAST = 0.5
Row = dict[str, str]
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


def orders(rows: Sequence[Row], seed: int) -> dict[str, list[Row]]:
    """The orders in which the rows are streamed; `seed` shuffles."""
    rng = random.Random(seed)
    shuffled = rng.sample(rows, len(rows))
    intents = list(dict.fromkeys(row["intent"] for row in rows))
    rng.shuffle(intents)
    found = {"in order": list(rows)}
    for most in _PER_INTENT:
        found[f"in order, {most} of each intent"] = _first(rows, most)
    found["intents shuffled"] = sorted(rows, key=lambda row: intents.index(row["intent"]))
    return found | {"shuffled": shuffled, f"shuffled, first {_SHORT:,}": shuffled[:_SHORT]}


def _first(rows: Sequence[Row], most: int) -> list[Row]:
    """The first rows of each intent, in their order."""
    taken: Counter[str] = Counter()
    found = []
    for row in rows:
        taken[row["intent"]] += 1
        if taken[row["intent"]] <= most:
            found.append(row)
    return found


async def stream(
    rows: Sequence[Row],
    embedder: Embedder,
    store: CacheStore,
    promise: Promise,
    compared: Callable[[str, str], Comparison],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Send rows through the tiers; shares of all requests, in all and by thousand."""
    calibration = Calibration.packaged(embedder.name)
    tiers = Tiers(
        Resource.borrowed(store),
        Resource.borrowed(embedder),
        mode="semantic",
        learning=lambda name: Learning(promise, calibration, compared, random=random.Random(seed)),
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


def plain(rows: Sequence[Row], vectors: Floats) -> dict[str, dict[str, float]]:
    """The same with the nearest question's cosine alone, by the least cosine that is served."""
    kept = np.zeros((len(_COSINES), len(rows)), dtype=bool)
    outcomes: list[list[tuple[bool, bool, bool]]] = [[] for _ in _COSINES]
    for start in range(0, len(rows), _SEGMENT):
        part = vectors[start : start + _SEGMENT] @ vectors.T
        for at, near in enumerate(part, start):
            for number, least in enumerate(_COSINES):
                earlier = np.where(kept[number, :at], near[:at], -1.0)
                nearest = int(earlier.argmax()) if at else -1
                hit = nearest >= 0 and bool(earlier[nearest] >= least)
                kept[number, at] = not hit
                outcomes[number].append((hit, hit and rows[nearest]["intent"] != rows[at]["intent"], False))
    return {f"{least:.2f}": _share(part) for least, part in zip(_COSINES, outcomes, strict=True)}


async def measure(rows: Sequence[Row], embedder: Remembered, *, seed: int = 0) -> dict[str, Any]:
    """Stream rows of `q` and `intent` in each order, with Helix as it is configured by default and with plain cosine.

    Texts are embedded once, and each pair of them compared once, for all orders.
    """
    promise = Promise()
    compared = cache(compare)
    found: dict[str, Any] = {}
    for name, ordered in orders(rows, seed).items():
        store = MemoryCacheStore(max_entries=len(ordered) + 1, max_bytes=1 << 30)
        vectors = np.array(await embedder.embed([row["q"] for row in ordered]), dtype=np.float32)
        ours = await stream(ordered, embedder, store, promise, compared, seed=seed)
        found[name] = {"requests": len(ordered), "helix": ours, "cosine": plain(ordered, vectors)}
    whole = found["in order"]["helix"]
    return {
        "orders": found,
        "targets": [
            target("in order: wrong answers, share of requests", whole["wrong"], at_most=promise.max_false_hit_rate),
            target("in order: hits, share of requests", whole["hits"], at_least=_HITS_AT_LEAST),
        ],
    }


def _share(outcomes: Sequence[tuple[bool, bool, bool]]) -> dict[str, float]:
    hits, wrong, checks = (sum(column) / len(outcomes) for column in zip(*outcomes, strict=True))
    return {"hits": hits, "wrong": wrong, "checks": checks}


def _shares(outcomes: Sequence[tuple[bool, bool, bool]]) -> dict[str, Any]:
    parts = [outcomes[at : at + _SEGMENT] for at in range(0, len(outcomes), _SEGMENT)]
    return _share(outcomes) | {"by_thousand": [_share(part) for part in parts]}


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
