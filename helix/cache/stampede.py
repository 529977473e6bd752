"""Equal requests at once: one asks upstream, all are given what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from helix.cache.flight import Board, Flight, Leading, Lease, Rider
from helix.cache.replay import Reply
from helix.cache.tiers import Asked, Finding, is_fresh
from helix.kernel.exchange import Exchange
from helix.kernel.types import Send

__all__ = ["Part", "Sharing", "Stampede"]

_LAND_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How equal requests in flight at once share one upstream call.

    `lease_seconds`: so long after the process that asks has died, the others ask for themselves. `wait_seconds`: so
    long a request waits for the beginning of an answer that another one asked for, before it asks for itself.
    """

    lease_seconds: float = 10.0
    wait_seconds: float = 120.0

    def __post_init__(self) -> None:
        for name in ("lease_seconds", "wait_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Part:
    """One request's part, and what the stage does for it.

    `look` looks for an earlier answer, `settles` says whether what it found is the reply, `give` gives that, or has the
    inner app answer this request alone. `fly` has it answer for all, into a send, and gives the task that keeps the
    answer, if it is kept. `begin` makes the reply of one who is given another's answer.
    `most_behind_seconds`: see Rider.
    """

    exchange: Exchange
    asked: Asked
    found: Finding
    look: Callable[[Lease | None], Awaitable[Finding]]
    settles: Callable[[Finding], bool]
    give: Callable[[Finding], Awaitable[None]]
    fly: Callable[[Finding, Flight, Send], Awaitable[asyncio.Task[None] | None]]
    begin: Callable[[Flight], Reply]
    most_behind_seconds: float | None = None


class Stampede:
    """Brings equal requests together: in this process by the board, across processes by leases of the store."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._board = Board()
        self._landing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for leases that are being given back."""
        if self._landing:
            await asyncio.wait(self._landing, timeout=_LAND_SECONDS)

    async def answer(self, part: Part, send: Send) -> None:
        """Answer a request by whichever way is the first to have an answer."""
        dialect = part.asked.dialect
        # An earlier answer may be turned into another dialect's, one that is being given is not.
        key = f"{part.found.key}/{dialect.name}/{part.asked.form}"
        if part.most_behind_seconds is not None:  # a stream that waits for a whole answer would not look like one
            key = f"{key}/{'stream' if part.exchange.stream else 'whole'}"
        deadline = asyncio.get_running_loop().time() + self._sharing.wait_seconds
        while True:
            flight, is_new = self._board.find(key, dialect)
            if flight is None:
                break
            if is_new and await self._lead(part, flight, send):
                return
            behind = part.most_behind_seconds
            with Rider(part.exchange, part.begin, deadline=deadline, most_behind_seconds=behind) as rider:
                ride = await rider.ride(flight)
            if ride in ("answered", "left"):
                return
            if ride == "found" and (found := _fitting(flight, part.asked)) is not None:
                await part.give(found)
                return
            if ride != "broken":
                break
        await part.give(await part.look(None))

    async def _lead(self, part: Part, flight: Flight, send: Send) -> bool:
        """Look, and ask for all if nothing is found; False if another process does so already."""
        lease = Lease(flight, lease_seconds=self._sharing.lease_seconds)
        flight.on_outcome = partial(self._board.clear, flight)
        try:
            found = await part.look(lease)
        except BaseException:
            flight.fail()
            self._land(flight, lease, None)
            raise
        if lease.is_elsewhere:
            flight.on_outcome = flight.on_change = partial(self._followed, flight, lease)
            return False
        if part.settles(found):
            flight.found((found, part.asked.wish)) if found.entry is not None else flight.fail()
            self._land(flight, lease, None)
            await part.give(found)
            return True

        async def fly(send: Send) -> None:
            storing = None
            try:
                storing = await part.fly(found, flight, send)
            finally:
                flight.fail()
                self._land(flight, lease, storing)

        await Leading(flight, lease, part.exchange).fly(fly, send)
        return True

    def _followed(self, flight: Flight, lease: Lease) -> None:
        if flight.outcome is not None or not flight.riders:
            flight.on_outcome = flight.on_change = None
            self._land(flight, lease, None)

    def _land(self, flight: Flight, lease: Lease, storing: asyncio.Task[None] | None) -> None:
        """Have other processes look for themselves, once they will find what is being stored."""
        self._board.clear(flight)
        if not lease.is_taken:
            return
        task = asyncio.create_task(_give_back(lease, storing))
        self._landing.add(task)
        task.add_done_callback(self._landing.discard)


async def _give_back(lease: Lease, storing: asyncio.Task[None] | None) -> None:
    if storing is not None:
        await asyncio.wait((storing,))
    await lease.close()


def _fitting(flight: Flight, asked: Asked) -> Finding | None:
    """What another request found, if this one would have found it too."""
    found: Finding
    found, wish = flight.finding
    if found.entry is None or not is_fresh(found.entry, asked.wish):
        return None
    # What is near enough depends on what a request asks for. It is checked for the first one, which is enough.
    return replace(found, tier_ms={}, decision=None) if found.status == "exact" or wish == asked.wish else None
