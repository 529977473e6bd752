"""Carrying a request to the inner app for everybody who waits for its answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from helix.cache.flight.flight import MAX_FLIGHT_BYTES, Flight
from helix.cache.flight.lease import Lease
from helix.kernel.errors import UpstreamBroke
from helix.kernel.exchange import Exchange
from helix.kernel.types import Message, Send

__all__ = ["Leading"]

log = logging.getLogger("helix.cache")

_ALONE_BYTES = 64 * 1024
"""So much waits for a leader for whom alone the call is made; then the provider waits for him."""

_flying: set[asyncio.Task[None]] = set()
"""The loop itself holds tasks weakly, and a flight may outlive the request that began it."""


class Leading:
    """The call of a flight's leader, in a task of its own: it goes on while anybody waits, here or elsewhere.

    It ends when the last one leaves: by a disconnect that the inner app hears of where its own caller is still there to
    be told how it ended, else by cancellation.
    """

    def __init__(self, flight: Flight, lease: Lease, exchange: Exchange) -> None:
        self._flight = flight
        self._lease = lease
        self._exchange = exchange
        self._gone = asyncio.Event()
        self._leader_left = False
        self._leader_over = False
        self._task: asyncio.Task[None] | None = None
        self._outbox = _Outbox()

    async def fly(self, call: Callable[[Send], Awaitable[None]], send: Send) -> None:
        """Make the call and send the leader what is his. Raises what the call raises."""
        self._exchange.outlive(self._receive)
        self._flight.on_change = self._lease.on_change = self._look_round
        task = self._task = asyncio.ensure_future(self._call(call))
        _flying.add(task)
        task.add_done_callback(_flying.discard)
        task.add_done_callback(self._land)
        self._look_round()
        try:
            await self._outbox.drain(send)
            await asyncio.wait((task,))
        except BaseException:
            self._leader_left = self._leader_over = True
            self._outbox.drop()
            self._look_round()
            if not self._is_wanted:
                await asyncio.wait((task,))
            raise
        task.result()

    async def _call(self, call: Callable[[Send], Awaitable[None]]) -> None:
        await call(self._outbox.put)

    def _land(self, task: asyncio.Task[None]) -> None:
        self._outbox.close()
        if self._leader_over and not task.cancelled() and (error := task.exception()) is not None:
            # Nobody is there to be told. Its message may quote the request.
            log.error("a request that outlived its caller failed: %s", type(error).__name__)

    @property
    def _is_wanted(self) -> bool:
        return self._flight.riders > 0 or self._lease.is_wanted

    async def _receive(self) -> Message:
        """What the inner app hears of the callers: that all have left."""
        await self._exchange.departure()
        self._leader_left = True
        self._look_round()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def _look_round(self) -> None:
        """See whether anybody still waits."""
        is_wanted = self._is_wanted
        self._outbox.widen(MAX_FLIGHT_BYTES if is_wanted else _ALONE_BYTES, waits=not is_wanted)
        if self._leader_left and not is_wanted and self._flight.outcome is None:
            self._gone.set()
            if self._leader_over and self._task is not None:
                self._task.cancel()


class _Outbox:
    """The leader's messages on their way from the flight's task to his own."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._limit_bytes = _ALONE_BYTES
        self._waits = True
        self._drops = False
        self._lags = False
        self._closed = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    def widen(self, limit_bytes: int, *, waits: bool) -> None:
        """Hold so much; beyond it the flight waits, or goes on without the leader."""
        self._limit_bytes, self._waits = limit_bytes, waits
        self._room.set()

    async def put(self, message: Message) -> None:
        """The flight's send."""
        if self._drops:
            return
        self._messages.append(message)
        self._bytes += len(message.get("body", b""))
        self._news.set()
        if self._bytes > _ALONE_BYTES and not self._waits:
            await asyncio.sleep(0)  # a provider that never makes us wait would keep the others from reading
        while self._bytes > self._limit_bytes and not self._drops:
            if not self._waits:
                self._lags = True
                self.drop()
                return
            self._room.clear()
            await self._room.wait()

    def drop(self) -> None:
        """Take nothing more: the leader is gone."""
        self._drops = True
        self._messages.clear()
        self._room.set()
        self._news.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._news.set()

    async def drain(self, send: Send) -> None:
        """Send everything, until there is no more. Raises UpstreamBroke where the leader reads too slowly."""
        while True:
            while self._messages:
                message = self._messages.popleft()
                self._bytes -= len(message.get("body", b""))
                self._room.set()
                await send(message)
            if self._lags:
                raise UpstreamBroke("the answer was read too slowly")
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()
