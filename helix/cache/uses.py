"""Counting hits without a write for each: what this process gave out, told to the catalog once a second."""

from __future__ import annotations

import asyncio
from collections import Counter

from helix.cache.breaker import Breaker
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import CacheCatalog

__all__ = ["Uses"]

MAX_WAITING = 10_000


class Uses:
    """Hits by entry and partition, waiting to be told. Where the catalog is out, they are forgotten."""

    __slots__ = ("_breaker", "_catalog", "_every_seconds", "_hits", "_task")

    def __init__(self, *, every_seconds: float = 1.0) -> None:
        self._every_seconds = every_seconds
        self._hits: Counter[tuple[str, str]] = Counter()
        self._catalog: CacheCatalog | None = None
        self._task: asyncio.Task[None] | None = None
        self._breaker = Breaker("the count of the cache's hits")

    def note(self, catalog: CacheCatalog, entry_id: str, partition: str) -> None:
        """An entry was given out."""
        self._catalog = catalog
        if len(self._hits) < MAX_WAITING:
            self._hits[entry_id, partition] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tell_later())

    async def close(self) -> None:
        """Tell what waits, now."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self._tell()

    async def _tell_later(self) -> None:
        await asyncio.sleep(self._every_seconds)
        await self._tell()

    async def _tell(self) -> None:
        hits, self._hits = self._hits, Counter()
        if not hits or self._catalog is None:
            return
        try:
            await self._catalog.used(hits)
        except BackendUnavailable as error:
            self._breaker.failed(error)
        else:
            self._breaker.succeeded()
