"""Whoever waits for an answer that somebody else asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self, TypeAlias

from helix.cache.flight.flight import Flight, Place
from helix.cache.replay import Reply
from helix.kernel.errors import UpstreamBroke
from helix.kernel.exchange import Exchange

__all__ = ["Ride", "Rider"]

GRACE_SECONDS = 0.02
"""Who has the answer by then is not watched: it would cost a task."""

Ride: TypeAlias = Literal["answered", "left", "found", "broken", "apart"]
"""What came of a ride: the caller has a reply, be it one that broke off and says so; he left; there is an earlier
answer, `finding`; nothing came, and somebody may try again; nothing comes that can be shared, or it is late."""


class Rider:
    """A caller who waits for flights until `deadline` (of the loop's time) and may leave meanwhile.

    A context manager. `begin` makes his reply, once it is known that a flight has one. With `most_behind_seconds` he is
    given everything as long after he asked as the leader was, or so many seconds later than the leader.
    """

    def __init__(
        self,
        exchange: Exchange,
        begin: Callable[[Flight], Reply],
        *,
        deadline: float,
        most_behind_seconds: float | None = None,
    ) -> None:
        self._asked_at = time.time() if most_behind_seconds is not None else None
        self._most_behind_seconds = most_behind_seconds or 0.0
        self._exchange = exchange
        self._begin = begin
        self._deadline = deadline
        self._wake = asyncio.Event()
        self._has_left = False
        self._is_late = False
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._timers = loop.call_at(self._deadline, self._run_late), loop.call_later(GRACE_SECONDS, self._begin_watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def ride(self, flight: Flight) -> Ride:
        """Follow a flight to its end, and give the caller what it says."""
        place = flight.join(self._wake.set, asked_at=self._asked_at, most_behind_seconds=self._most_behind_seconds)
        try:
            if self._exchange.stream:
                ride = await self._ride_stream(flight, place)
                if ride is not None:
                    return ride
            while flight.outcome_seen(place) is None:
                if not await self._goes_on():
                    return "left" if self._has_left else "apart"
            return await self._arrive(flight)
        finally:
            flight.leave(place)

    async def _ride_stream(self, flight: Flight, place: Place) -> Ride | None:
        """Pass a stream on as it comes; None where nothing of one can be passed on."""
        reply: Reply | None = None
        while True:
            outcome, events = flight.outcome_seen(place), flight.events(place)
            if reply is None and (events is None or outcome not in (None, "whole")):
                return "apart" if events is None else None
            if events:
                reply = reply or self._begin(flight)
                await reply.say(events)
                continue  # more may have come meanwhile
            if reply is not None and events is None:
                await reply.break_off(UpstreamBroke("the answer was read too slowly"))
                return "answered"
            if outcome is not None:
                if reply is None:
                    return None
                await (reply.end() if outcome == "whole" else reply.break_off(_BROKE))
                return "answered"
            if not await self._goes_on() and (self._has_left or reply is None):
                return "left" if self._has_left else "apart"

    async def _arrive(self, flight: Flight) -> Ride:
        if flight.outcome == "found":
            return "found"
        if flight.outcome not in ("whole", "refused"):
            return "apart" if flight.outcome == "apart" else "broken"
        if flight.answer is None:  # a stream that cannot be read as a whole
            return "apart"
        reply = self._begin(flight)
        await (reply.give(flight.answer) if flight.outcome == "whole" else reply.refuse(flight.status, flight.answer))
        return "answered"

    async def _goes_on(self) -> bool:
        """Wait for something new; whether the caller is still there and it is not late."""
        await self._wake.wait()
        self._wake.clear()
        return not (self._has_left or self._is_late)

    def _run_late(self) -> None:
        self._is_late = True
        self._wake.set()

    def _begin_watch(self) -> None:
        self._watch = asyncio.create_task(self._exchange.departure())
        self._watch.add_done_callback(self._see_off)

    def _see_off(self, watch: asyncio.Task[None]) -> None:
        # A server that fails to say whether the caller is there has lost him as well.
        self._has_left = not watch.cancelled()
        if self._has_left:
            watch.exception()
            self._wake.set()


_BROKE = UpstreamBroke("the answer broke off")
