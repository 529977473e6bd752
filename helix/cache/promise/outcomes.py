"""What traffic has shown of near questions: how near they were, and whether their answers were the same. No text.

Every miss is compared with its neighbours, a hit only by chance. So each outcome has a weight, one over the chance that
it was compared (Horvitz and Thompson 1952), and together they stand for all of the traffic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from helix.cache.promise.fit import LabelledPair
from helix.cache.promise.learning import COMPARED, Decision, Verdict
from helix.kernel.types import CacheStore

__all__ = ["MOST_KEPT", "keep", "outcomes", "seen"]

MOST_KEPT = 20_000
"""Outcomes of an embedder that are kept, the latest; some 60 bytes each."""
KEPT_SECONDS = 60 * 86_400.0


def seen(
    decision: Decision, verdicts: Mapping[str, Verdict], entry: str, *, was_served: bool
) -> list[tuple[float, float, bool, float, str]]:
    """One row a neighbour that no guard vetoed and whose answer was compared without a doubt; see `LabelledPair`.

    `verdicts` are by group. `entry` is that of the request, which its outcomes share.
    """
    weight = 1.0 / decision.share if was_served and decision.share > 0 else 1.0
    return [
        (round(one.candidate.similarity, 4), round(one.overlap, 4), verdict is Verdict.SAME, round(weight, 3), entry)
        for one in decision.neighbours[:COMPARED]
        if one.veto is None
        and one.overlap is not None
        and one.candidate.entry_id != entry
        and (verdict := verdicts.get(one.group)) in (Verdict.SAME, Verdict.OTHER)
    ]


async def keep(store: CacheStore, embedder: str, rows: list[tuple[float, float, bool, float, str]]) -> None:
    """Add outcomes to those of an embedder, in all processes. Raises BackendUnavailable."""
    if rows:
        lines = [json.dumps(row) for row in rows]
        await store.append(_name(embedder), lines, most=MOST_KEPT, ttl_seconds=KEPT_SECONDS)


async def outcomes(store: CacheStore, embedder: str) -> list[LabelledPair]:
    """The outcomes of an embedder, latest first. Raises BackendUnavailable."""
    found = []
    for line in await store.lines(_name(embedder)):
        similarity, overlap, same, weight, entry = json.loads(line)
        found.append(LabelledPair(similarity, overlap, same, entry, weight))
    return found


def _name(embedder: str) -> str:
    return f"outcomes:{embedder}"
