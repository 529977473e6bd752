"""Giving places back: off the caller's path, and again until the store has taken note."""

from __future__ import annotations

import asyncio
import logging

from helix.admit.limits import RequestLimiter
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Principal

__all__ = ["Places"]

MAX_BACKLOG = 65_536
"""Places kept while the store is down; those beyond are left to their lease, oldest first."""

_BATCH = 256
_FIRST_DELAY_SECONDS = 0.1
_LAST_DELAY_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Places:
    """The places of parallel requests on their way back to a limiter.

    While the store is down they wait here and are tried again, after 0.1 s at first and at most every 5 s; giving one
    back that was never taken does nothing.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[RequestLimiter, Principal]] = {}
        self._task: asyncio.Task[None] | None = None

    def give_back(self, limiter: RequestLimiter, principal: Principal, request_id: str) -> None:
        """Release a request's place soon; returns at once, and the caller's cancellation does not reach it."""
        if len(self._waiting) >= MAX_BACKLOG:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[request_id] = (limiter, principal)
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def drained(self) -> None:
        """Return when every place is given back."""
        while self._task is not None:
            await asyncio.wait((self._task,))

    async def close(self, timeout_seconds: float = 5.0) -> None:
        """Wait for what is on its way; what cannot be given back in time is left to its lease."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.drained()
        except TimeoutError:
            _log.warning("%d places of parallel requests could not be freed; their leases will", len(self._waiting))
            self._waiting.clear()
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        delay_seconds = _FIRST_DELAY_SECONDS
        try:
            while self._waiting:
                batch = [(name, *self._waiting.pop(name)) for name in list(self._waiting)[:_BATCH]]
                freed = await asyncio.gather(*(self._release(*item) for item in batch))
                if any(freed):
                    delay_seconds = _FIRST_DELAY_SECONDS
                else:
                    await asyncio.sleep(delay_seconds)
                    delay_seconds = min(delay_seconds * 2, _LAST_DELAY_SECONDS)
        finally:
            self._task = None

    async def _release(self, request_id: str, limiter: RequestLimiter, principal: Principal) -> bool:
        try:
            await limiter.release(principal, request_id)
        except BackendUnavailable:
            if len(self._waiting) < MAX_BACKLOG:
                self._waiting[request_id] = (limiter, principal)
            return False
        return True
