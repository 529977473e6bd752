"""The reply of a request that the cache could not answer, on its way to the caller: kept if it turns out whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from helix.cache.flight import Flight
from helix.kernel.errors import UpstreamGarbled
from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.tap import HeaderList, Tap
from helix.kernel.types import Send
from helix.kernel.wire import Assembler, Dialect

__all__ = ["CacheTap"]

Keep = Callable[[dict[str, Any], str], None]


class CacheTap(Tap):
    """Adds the cache's headers, and calls `keep(answer, model)` once when a whole 2xx answer has gone by.

    A stream is put together beside its passing; it is whole when its dialect's end has come, so one that is cut off
    never is. `keep` is None where the answer must not be stored, `flight` where nobody else may be given it; an answer
    of more than `max_bytes` is not put together.
    """

    __slots__ = (
        "_answer",
        "_assembler",
        "_dialect",
        "_flight",
        "_headers",
        "_hides_usage",
        "_keep",
        "_left_bytes",
        "_model",
        "_whole",
    )

    def __init__(
        self,
        exchange: Exchange,
        dialect: Dialect,
        send: Send,
        *,
        headers: HeaderList,
        keep: Keep | None,
        flight: Flight | None = None,
        max_bytes: int,
    ) -> None:
        super().__init__(exchange, send)
        self._dialect = dialect
        self._headers = headers
        self._keep = keep
        self._flight = flight
        # Usage is stored with the answer, and others may want to see it, whether or not this caller does.
        self._hides_usage = (keep is not None or flight is not None) and exchange.ask_usage()
        self._assembler: Assembler | None = None
        self._left_bytes = max_bytes
        self._answer: Any = None
        self._whole: dict[str, Any] | None = None
        self._model = ""

    async def on_answer(self, answer: Any) -> Any:
        """Take note of a whole answer."""
        self._answer = answer
        return answer

    async def on_start(self, headers: HeaderList) -> HeaderList:
        """Add the cache's headers."""
        is_good = 200 <= self.status < 300
        if not is_good:
            self._keep = None
        self._model = next((value.decode("latin-1") for name, value in headers if name == b"x-helix-model"), "")
        if self.is_stream and is_good:
            if self._keep is not None or self._flight is not None:
                self._assembler = self._dialect.assembler()
            if self._flight is not None:
                self._flight.begin(self.status, self._model)
        elif self._answer is not None:
            if isinstance(self._answer, dict):
                await self._finish(self._answer)
            if self._flight is not None:
                self._flight.answered(self.status, self._model, self._answer)
        elif self._flight is not None:
            self._flight.part() if is_good else self._flight.fail()
        return [*headers, *self._headers]

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        """Assemble the stream, and take out usage that only the cache asked for."""
        for event in events:
            if self._assembler is not None:
                await self._assemble(self._assembler, event)
        if self._flight is not None:
            self._flight.say(events)
            if last:
                self._flight.end(self._whole)
        if not self._hides_usage:
            return events
        shown = [event for event in events if not self._is_usage_only(event)]
        return shown if len(shown) < len(events) else events

    async def _assemble(self, assembler: Assembler, event: Event) -> None:
        self._left_bytes -= len(event.raw)
        if self._left_bytes < 0:
            self._assembler = None  # nobody keeps so much, and what never ends must not fill the memory
            return
        try:
            assembler.feed(event)
            if self._dialect.is_end(event):
                self._whole = assembler.answer()
                self._assembler = None
                if self._whole is not None:
                    await self._finish(self._whole)
        except UpstreamGarbled:
            self._assembler = None  # not ours to judge: the caller gets what the provider sent, and nobody else will

    def _is_usage_only(self, event: Event) -> bool:
        try:
            payload = event.json()
        except UpstreamGarbled:
            return False
        return isinstance(payload, dict) and self._dialect.is_usage_only(payload)

    async def _finish(self, answer: dict[str, Any]) -> None:
        keep, self._keep = self._keep, None
        if keep is not None:
            keep(answer, self._model)
            # One turn of the loop, in which the store's command is written: the caller, who may ask again as soon as
            # he sees the end, is to find what he was just told.
            await asyncio.sleep(0)
