"""Whoever waits for the answer: notices that they left, and then breaks off what is being waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from helix.kernel.errors import ClientDisconnected, UpstreamTimeout
from helix.kernel.types import Receive

__all__ = ["Caller"]

T = TypeVar("T")

GRACE_SECONDS = 0.02
"""A call that is over by then is not watched: breaking it off would save nothing, and watching costs a task."""


class Caller:
    """Watches `receive` for the caller's disconnect while the present task waits for a provider.

    Only what goes through `waits` is broken off, so that no stage further out is cut in the middle of its own work.
    """

    __slots__ = ("_gone", "_receive", "_task", "_timer", "_waiting", "_watch")

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a caller can only be watched from within a task")
        self._task = task
        self._receive = receive
        self._gone = False
        self._waiting = False
        self._watch: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._begin)

    async def sleeps(self, seconds: float) -> None:
        """Wait for the caller's sake. Raises ClientDisconnected."""
        await self.waits(asyncio.sleep(seconds), None, "")

    async def waits(self, awaitable: Awaitable[T], timeout_seconds: float | None, what: str) -> T:
        """Await something for the caller's sake. Raises ClientDisconnected, and UpstreamTimeout (`what` was late)."""
        self._waiting = True
        deadline = asyncio.timeout(timeout_seconds)
        try:
            async with deadline:
                if self._gone:
                    self._task.cancel()
                return await awaitable
        except TimeoutError:
            if not deadline.expired():
                raise
            raise UpstreamTimeout(f"{what} did not come within {timeout_seconds:g} s") from None
        except asyncio.CancelledError:
            if self._gone and self._task.uncancel() == 0:
                raise ClientDisconnected("the caller left before the answer was complete") from None
            raise
        finally:
            self._waiting = False

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _begin(self) -> None:
        self._watch = asyncio.create_task(self._see_them_leave())

    async def _see_them_leave(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._waiting:
            self._task.cancel()
