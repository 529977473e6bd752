"""Answers in this process: bounded in entries and bytes, the least recently used go first."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import NO_EVIDENCE, Candidate, Entry, Evidence, Vector

if TYPE_CHECKING:
    from helix.cache.search.matrix import Matrix

__all__ = ["MemoryCacheStore"]

MAX_ENTRIES = 10_000
MAX_BYTES = 64 * 1024 * 1024
MAX_TALLIES = 10_000
MAX_LISTS = 10_000
ENTRY_OVERHEAD_BYTES = 1000
"""What the objects around an entry take, measured by tracemalloc: a key, an Entry, its place in four containers."""
_BYTES_PER_FLOAT = 4


@dataclass(slots=True)
class _Kept:
    entry: Entry
    expires_at: float
    size_bytes: int
    space: tuple[str, str, int] | None
    """Scope, embedder and size of the vectors among which its question can be found."""
    text: str
    evidence: Evidence = NO_EVIDENCE
    group: str = ""


class MemoryCacheStore:
    """A CacheStore of one process, for one event loop: nothing is shared with others, and nothing outlives it.

    - `max_entries`, `max_bytes`: where either is reached, the least recently used entries go. An entry that alone is
      larger than `max_bytes` is not kept.
    - `clock`: seconds that only grow.

    The semantic tier compares with every question of a scope, in about a millisecond for 10,000; it needs numpy, else
    `near` and `put` with a vector raise BackendUnavailable.
    """

    def __init__(
        self,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value!r}")
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._deadlines: list[tuple[float, str]] = []
        self._spaces: dict[tuple[str, str, int], Matrix] = {}
        self._tallies: OrderedDict[str, tuple[float, dict[str, float]]] = OrderedDict()
        self._lists: OrderedDict[str, tuple[float, deque[str]]] = OrderedDict()

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go: what was kept stays for a second start of the app."""

    async def get(self, key: str) -> Entry | None:
        """The entry of a key, which thereby is the most recently used; None where there is none."""
        self._expire()
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept.entry

    async def near(self, scope: str, vector: Vector, *, count: int, embedder: str = "") -> Sequence[Candidate]:
        """The nearest entries inside a scope, best first."""
        self._expire()
        matrix = self._spaces.get((scope, embedder, len(vector)))
        if matrix is None:
            _matrix_type()  # says what is missing before the first question is kept, too
            return []
        return [self._candidate(id, similarity) for id, similarity in matrix.near(vector, count)]

    async def put(
        self,
        key: str,
        entry: Entry,
        *,
        ttl_seconds: float,
        scope: str = "",
        text: str = "",
        vector: Vector | None = None,
        embedder: str = "",
    ) -> None:
        """Store an entry; with a vector, make it findable by nearness to `text` inside `scope`."""
        matrix_type = _matrix_type() if vector else None
        self._expire()
        self._remove(key)
        space = (scope, embedder, len(vector)) if vector else None
        size_bytes = ENTRY_OVERHEAD_BYTES + len(entry.body) + len(text) + _BYTES_PER_FLOAT * len(vector or ())
        if size_bytes > self._max_bytes:
            return
        if space is not None and vector is not None and matrix_type is not None:
            matrix = self._spaces.setdefault(space, matrix_type(len(vector)))
            if not matrix.add(key, vector):
                self._drop_if_empty(space)
                space = None
        kept = _Kept(entry, self._clock() + ttl_seconds, size_bytes, space, text)
        self._kept[key] = kept
        self._bytes += size_bytes
        heappush(self._deadlines, (kept.expires_at, key))
        while len(self._kept) > self._max_entries or self._bytes > self._max_bytes:
            self._remove(next(iter(self._kept)))

    async def learn(self, entry_id: str, evidence: Evidence, *, group: str | None = None) -> None:
        """Add to what is known about a findable entry, and put it into a group if one is given."""
        kept = self._kept.get(entry_id)
        if kept is not None and kept.space is not None:
            kept.evidence += evidence
            kept.group = kept.group if group is None else group

    async def tally(self, name: str, added: Mapping[str, float], *, ttl_seconds: float) -> Mapping[str, float]:
        """Add to the counters of a name and return all of them; beyond MAX_TALLIES the longest untouched go."""
        now = self._clock()
        expires_at, counters = self._tallies.get(name, (0.0, {}))
        if expires_at <= now:
            counters = {}
        if added:
            for counter, amount in added.items():
                counters[counter] = counters.get(counter, 0.0) + amount
            self._tallies[name] = (now + ttl_seconds, counters)
            self._tallies.move_to_end(name)
            if len(self._tallies) > MAX_TALLIES:
                self._tallies.popitem(last=False)
        return dict(counters)

    async def append(self, name: str, lines: Sequence[str], *, most: int, ttl_seconds: float) -> None:
        """Add to a list, of which the latest `most` lines are kept; beyond MAX_LISTS the longest untouched go."""
        now = self._clock()
        expires_at, known = self._lists.get(name, (0.0, ()))
        kept = deque(known if expires_at > now else (), maxlen=most)
        kept.extend(lines)
        self._lists[name] = (now + ttl_seconds, kept)
        self._lists.move_to_end(name)
        if len(self._lists) > MAX_LISTS:
            self._lists.popitem(last=False)

    async def lines(self, name: str) -> Sequence[str]:
        """A list, latest line first; empty where there is none."""
        expires_at, kept = self._lists.get(name, (0.0, ()))
        return list(reversed(kept)) if expires_at > self._clock() else []

    async def flush(self, *, namespace: str | None = None, entry_id: str | None = None) -> int:
        """Remove one entry, one namespace ("" is the default one) or everything; return how many entries went."""
        self._expire()
        if entry_id is not None:
            return int(self._remove(entry_id))
        chosen = [key for key in self._kept if namespace is None or key.rpartition(":")[0] == namespace]
        for key in chosen:
            self._remove(key)
        return len(chosen)

    async def stats(self) -> Mapping[str, Any]:
        """Entries and bytes, in all and by namespace."""
        self._expire()
        found: dict[str, dict[str, Any]] = {}
        for key, kept in self._kept.items():
            name = key.rpartition(":")[0]
            row = found.setdefault(name, {"namespace": name, "entries": 0, "bytes": 0})
            row["entries"] += 1
            row["bytes"] += kept.size_bytes
        return {
            "entries": len(self._kept),
            "bytes": self._bytes,
            "namespaces": sorted(found.values(), key=lambda row: row["namespace"]),
        }

    # Inside

    def _candidate(self, id: str, similarity: float) -> Candidate:
        kept = self._kept[id]
        entry = kept.entry
        return Candidate(id, kept.text, similarity, entry.stored_at, entry.model, kept.evidence, kept.group)

    def _expire(self) -> None:
        """Remove what is past its time. Deadlines of what is gone or was stored anew are passed over."""
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            at, key = heappop(self._deadlines)
            kept = self._kept.get(key)
            if kept is not None and kept.expires_at == at:
                self._remove(key)
        if len(self._deadlines) > 2 * len(self._kept) + 64:
            self._deadlines = [(kept.expires_at, key) for key, kept in self._kept.items()]
            heapify(self._deadlines)

    def _remove(self, key: str) -> bool:
        kept = self._kept.pop(key, None)
        if kept is None:
            return False
        self._bytes -= kept.size_bytes
        if kept.space is not None:
            self._spaces[kept.space].remove(key)
            self._drop_if_empty(kept.space)
        return True

    def _drop_if_empty(self, space: tuple[str, str, int]) -> None:
        if not self._spaces[space]:
            del self._spaces[space]


def _matrix_type() -> type[Matrix]:
    try:
        from helix.cache.search.matrix import Matrix  # numpy takes a tenth of a second to import
    except ImportError:
        raise BackendUnavailable(
            "the semantic cache in this process needs numpy: pip install 'helix-gateway[semantic]'"
        ) from None
    return Matrix
