"""`semcache`, pairs: of two questions, is the second served the first one's answer?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from helix.cache.guards import GUARDS, compare
from helix.cache.guards.align import align
from helix.cache.guards.reading import read
from perf.measure import target
from perf.semcache.sets import Pair, read_pairs
from perf.semcache.systems import PLAIN_COSINE, Remembered, by_cosine, helix, least_cosines

__all__ = ["measure"]

_WRONG_AT_MOST = 0.02
_WRONG = (
    "number",
    "name",
    "location",
    "place",
    "product code",
    "before_after",
    "antonym",
    "negation",
    "tense",
    "modifier",
    "and_or",
)
_RIGHT_AT_LEAST = {"contraction": 0.95, "filler": 0.95, "paraphrase": 0.95, "typo": 0.80}
_MOST_MS = 0.2


async def measure(data: Path, embedder: Remembered) -> dict[str, Any]:
    """Shares served by each system, by set and kind; what each guard costs, and what it alone stops."""
    sets = read_pairs(data)
    served: dict[str, Any] = {}
    near: list[Pair] = []
    for name, pairs in sets.items():
        cosines = await by_cosine(pairs, embedder)
        near += [pair for pair, cosine in zip(pairs, cosines, strict=True) if cosine >= PLAIN_COSINE]
        ours = await helix(pairs, embedder)
        systems = {system: [cosine >= least for cosine in cosines] for system, least in least_cosines().items()}
        systems["Helix"] = [outcome.is_served for outcome in ours]
        systems["ineligible"] = [outcome.is_ineligible for outcome in ours]
        served[name] = _by_kind(pairs, systems)
    guards = _guards(near)
    targets = _targets(served)
    targets.append(target("guards, ms of CPU time a candidate", guards["ms"]["all, read before"], at_most=_MOST_MS))
    return {"served": served, "guards": guards, "targets": targets}


def _by_kind(pairs: Sequence[Pair], systems: Mapping[str, Sequence[bool]]) -> dict[str, Any]:
    rows: dict[tuple[bool, str], list[int]] = {}
    for at, pair in enumerate(pairs):
        rows.setdefault((pair.same, pair.kind), []).append(at)
        rows.setdefault((pair.same, "all"), []).append(at)
    return {
        f"{'same' if same else 'other'}: {kind}": {"pairs": len(places)}
        | {system: sum(hits[at] for at in places) / len(places) for system, hits in systems.items()}
        for (same, kind), places in sorted(rows.items())
    }


def _targets(served: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, kinds in served.items():
        for kind, shares in kinds.items():
            is_same, _, what = kind.partition(": ")
            label = f"{name}, {what}"
            if is_same == "other" and what.startswith(_WRONG):
                found.append(target(f"{label}: false hits", shares["Helix"], at_most=_WRONG_AT_MOST))
            least = next((least for start, least in _RIGHT_AT_LEAST.items() if what.startswith(start)), None)
            if is_same == "same" and least is not None:
                found.append(target(f"{label}: served", shares["Helix"], at_least=least))
    return found


def _guards(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Of pairs that plain cosine serves: CPU time a pair, what each guard stops of the false hits, alone, of the right.

    A false hit that several stop counts for each; one that a single guard stops counts as its alone.
    """
    read.cache_clear()
    cost = {"reading two texts": _ms(pairs, lambda pair: (read(pair.one), read(pair.other)))}
    readings = [(read(pair.one), read(pair.other)) for pair in pairs]
    stops: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    harms: Counter[str] = Counter()
    spent: dict[str, float] = dict.fromkeys(("pairing words", *(name for name, _ in GUARDS)), 0.0)
    others = max(1, sum(not pair.same for pair in pairs))
    spent_all = 0.0
    for pair, (one, other) in zip(pairs, readings, strict=True):
        compare(pair.one, pair.other)  # reads what the cache of readings has let go
        started = time.thread_time()
        compare(pair.one, pair.other)
        spent_all += time.thread_time() - started
        started = time.thread_time()
        alignment = align(one, other)
        spent["pairing words"] += time.thread_time() - started
        vetoes = []
        for name, allows in GUARDS:
            allows(one, other, alignment)
            started = time.thread_time()
            if not allows(one, other, alignment):
                vetoes.append(name)
            spent[name] += time.thread_time() - started
        (harms if pair.same else stops).update(vetoes)
        if not pair.same and len(vetoes) == 1:
            alone.update(vetoes)
    cost |= {name: 1000 * seconds / len(pairs) for name, seconds in spent.items()}
    cost["all, read before"] = 1000 * spent_all / len(pairs)
    same = max(1, sum(pair.same for pair in pairs))
    return {
        "ms": cost,
        "stops": {
            name: {
                "of_false_hits": stops[name] / others,
                "alone": alone[name] / others,
                "of_right_hits": harms[name] / same,
            }
            for name, _ in GUARDS
        },
    }


def _ms(pairs: Sequence[Pair], run: Callable[[Pair], object]) -> float:
    started = time.thread_time()
    for pair in pairs:
        run(pair)
    return 1000 * (time.thread_time() - started) / len(pairs)
