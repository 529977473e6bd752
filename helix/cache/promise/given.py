"""Answers that were given from near, remembered by request and by entry until somebody may say how right they were."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass

from helix.cache.promise.learning import Decision, Verdict, evidence_of
from helix.kernel.types import CacheStore, Evidence

__all__ = ["REMEMBERED_SECONDS", "Given", "claim", "given_by", "given_of", "remember"]

REMEMBERED_SECONDS = 86_400.0
"""How long an answer can be marked by its request: a day. An answer from near takes about 500 bytes of it in Redis."""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer as it was given: which entry's, as of when, in which scope and bin it counts, what spoke for it.

    `request` is the id of the request; empty where it is judged at once.
    """

    entry: str
    stored_at: float
    scope: str
    bin: int
    right: Evidence
    """What a verdict that it was right teaches of the entry."""
    request: str = ""


def given_of(decision: Decision, entry: str, stored_at: float, request: str = "") -> Given | None:
    """An answer that was just given; None where no neighbour of the decision has this entry."""
    for neighbour in decision.serves:
        if neighbour.candidate.entry_id == entry:
            right = evidence_of(neighbour, Verdict.SAME)
            return None if right is None else Given(entry, stored_at, decision.scope, decision.bin, right, request)
    return None


async def remember(given: Given, store: CacheStore) -> None:
    """Keep it for REMEMBERED_SECONDS, by its request and as the latest of its entry. Raises BackendUnavailable."""
    line = json.dumps(astuple(given))
    for name in (_by_request(given.request), _by_entry(given.entry)):
        await store.append(name, [line], most=1, ttl_seconds=REMEMBERED_SECONDS)


async def given_by(store: CacheStore, *, request: str = "", entry: str = "") -> Given | None:
    """The answer that a request was given, or that an entry gave last. Raises BackendUnavailable."""
    lines = await store.lines(_by_request(request) if request else _by_entry(entry))
    if not lines:
        return None
    entry, stored_at, scope, bin, right, request = json.loads(lines[0])
    return Given(entry, stored_at, scope, bin, Evidence(*right), request)


async def claim(given: Given, store: CacheStore) -> bool:
    """Whether nobody judged this answer before; from now on, somebody did. Raises BackendUnavailable."""
    marks = await store.tally(f"promise:marked:{given.request}", {"n": 1.0}, ttl_seconds=REMEMBERED_SECONDS)
    return marks["n"] == 1.0


def _by_request(request: str) -> str:
    return f"given:request:{request}"


def _by_entry(entry: str) -> str:
    return f"given:entry:{entry}"
