"""Settling off the caller's path: each cost is booked as soon as may be, and kept until it is."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import NO_USAGE, Ledger, Money, Reservation, Usage

__all__ = ["Settlements"]

MAX_BACKLOG = 65_536
"""Costs kept while the ledger is down, some 40 MB; those beyond are given up, oldest first, and reported."""

_BATCH = 256
_FIRST_DELAY_SECONDS = 0.1
_LAST_DELAY_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Bill:
    reservation: Reservation
    cost: Money
    usage: Usage
    spared: Collection[str]


class Settlements:
    """The costs on their way into a ledger.

    While the ledger is down they wait here and are tried again, after 0.1 s at first and at most every 5 s; since a
    ledger settles exactly once, trying again is always safe. `lost` is told of each that had to be given up.
    """

    def __init__(self, ledger: Ledger, lost: Callable[[Reservation, Money], None]) -> None:
        self.ledger = ledger
        self._lost = lost
        self._tasks: set[asyncio.Task[None]] = set()
        self._backlog: deque[_Bill] = deque()
        self._retrying: asyncio.Task[None] | None = None

    def add(self, reservation: Reservation, cost: Money, usage: Usage = NO_USAGE, spared: Collection[str] = ()) -> None:
        """Settle a reservation soon; returns at once, and the caller's cancellation does not reach it."""
        self._start(self._settle(_Bill(reservation, cost, usage, spared)))

    def forgo(self, reservation: Reservation) -> None:
        """Free what may be held for a request that does not go on, though nobody knows; where that cannot be done now,
        its lease does it later."""
        self._start(self._free(reservation))

    async def drained(self) -> None:
        """Return when everything added so far is booked or given up."""
        while self._tasks or self._retrying is not None:
            await asyncio.wait([*self._tasks, *([self._retrying] if self._retrying is not None else ())])

    async def close(self, timeout_seconds: float = 5.0) -> None:
        """Wait for what is on its way; what cannot be booked in time is reported as lost."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.drained()
        except TimeoutError:
            pending = [*self._tasks, *([self._retrying] if self._retrying is not None else ())]
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            while self._backlog:
                self._give_up(self._backlog.popleft())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, bill: _Bill) -> None:
        try:
            await self.ledger.settle(bill.reservation, bill.cost, bill.usage, spared=bill.spared)
        except BackendUnavailable:
            if len(self._backlog) >= MAX_BACKLOG:
                self._give_up(self._backlog.popleft())
            self._backlog.append(bill)
            if self._retrying is None:
                self._retrying = asyncio.create_task(self._retry())
        except asyncio.CancelledError:
            self._give_up(bill)
            raise
        except Exception:
            _log.exception("a ledger refused to settle")
            self._give_up(bill)

    async def _free(self, reservation: Reservation) -> None:
        everything = {limit.scope for limit in reservation.limits}
        with suppress(BackendUnavailable):
            await self.ledger.settle(reservation, Money(0), spared=everything)

    async def _retry(self) -> None:
        delay_seconds = _FIRST_DELAY_SECONDS
        try:
            while self._backlog:
                await asyncio.sleep(delay_seconds)
                batch = [self._backlog.popleft() for _ in range(min(_BATCH, len(self._backlog)))]
                before = len(self._backlog)
                await asyncio.gather(*(self._settle(bill) for bill in batch))
                booked = before + len(batch) > len(self._backlog)
                delay_seconds = (
                    0.0 if booked else min(max(delay_seconds, _FIRST_DELAY_SECONDS) * 2, _LAST_DELAY_SECONDS)
                )
        finally:
            self._retrying = None

    def _give_up(self, bill: _Bill) -> None:
        _log.error("a cost of %s USD could not be booked (request %s)", bill.cost, bill.reservation.request_id)
        self._lost(bill.reservation, bill.cost)
