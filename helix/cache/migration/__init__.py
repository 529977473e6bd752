"""Another embedding model: what one model's vectors find is embedded anew by the next."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol, runtime_checkable

from helix.kernel.errors import BackendUnavailable
from helix.kernel.lifecycle import Resource
from helix.kernel.types import CacheStore, Embedder

__all__ = ["Migrating", "Mover"]

log = logging.getLogger("helix.cache")

PAUSE_SECONDS = 30.0


@runtime_checkable
class Migrating(Protocol):
    """A store in which vectors outlive the embedder that made them."""

    async def migrate(self, embedder: Embedder, *, texts_per_second: float) -> bool:
        """Embed anew the questions that other embedders' vectors find; whether that is all done."""
        ...


class Mover:
    """Has a store's questions embedded anew in the background, until no other embedder's vectors are left.

    Where another process does it, or a backend is out, it looks again after a while.
    """

    def __init__(self, store: Resource[CacheStore], embedder: Resource[Embedder], *, texts_per_second: float) -> None:
        self._store = store
        self._embedder = embedder
        self._texts_per_second = texts_per_second
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it is begun."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what is not done yet is done by the next to start."""
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait((task,))

    async def _run(self) -> None:
        while True:
            try:
                store = await self._store.open()
                if not isinstance(store, Migrating):
                    return
                if await store.migrate(await self._embedder.open(), texts_per_second=self._texts_per_second):
                    return
            except BackendUnavailable as error:
                # The breaker of the tier that asks the same backend has warned.
                log.info("questions of another embedder are not embedded anew yet: %s", error.message)
            except Exception as error:
                # Somebody else's embedder or store; its message may quote the text, so only its kind is told.
                log.error("questions of another embedder are not embedded anew: %s", type(error).__name__)
                return
            await asyncio.sleep(PAUSE_SECONDS)
