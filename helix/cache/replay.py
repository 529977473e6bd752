"""Replies that the cache gives: an earlier answer, or one that somebody else is being given, in the form asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from helix.cache.veil import Pace
from helix.kernel import exact
from helix.kernel.errors import HelixError, UpstreamGarbled
from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.tap import HeaderList
from helix.kernel.types import Send, Usage
from helix.kernel.wire import Dialect

__all__ = ["MESSAGE_BYTES", "Reply"]

MESSAGE_BYTES = 8 * 1024
"""About so much of a stream goes out at once, so that a long answer waits for its reader and not in memory."""


class Reply:
    """A reply to one request, streamed if it asked for a stream, with usage if it asked for that.

    Usage says in the dialect's own place that a cache answered. `saved` is told what the provider had counted, and
    gives headers that say what that is worth; those of a stream that is passed on went before. Under a veil nothing
    says that a cache answered; at a `pace`, a whole answer is given no faster than that.
    """

    __slots__ = (
        "_dialect",
        "_exchange",
        "_headers",
        "_is_veiled",
        "_pace",
        "_saved",
        "_send",
        "_shows_usage",
        "_usage",
        "has_begun",
    )

    def __init__(
        self,
        exchange: Exchange,
        dialect: Dialect,
        send: Send,
        headers: HeaderList,
        *,
        saved: Callable[[Usage], HeaderList] | None = None,
        is_veiled: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self._exchange = exchange
        self._dialect = dialect
        self._send = send
        self._headers = headers
        self._shows_usage = dialect.asks_usage(exchange.payload)
        self._saved = saved
        self._is_veiled = is_veiled
        self._pace = pace
        self._usage: Usage | None = None
        self.has_begun = False

    async def give(self, answer: dict[str, Any], body: bytes | None = None) -> None:
        """Give a whole answer; `body` is how it is written, if that is known."""
        usage = self._dialect.usage(answer) if self._saved is not None else None
        if usage is not None and self._saved is not None:
            self._headers = [*self._headers, *self._saved(usage)]
        marked = self._marked(answer)
        if self._pace is not None and not (
            await self._pace.begins() and (self._exchange.stream or await self._pace.ends())
        ):
            return
        if not self._exchange.stream:
            if marked is not answer or body is None:
                body = self._exchange.encode_answer(marked)
            await self._whole(200, body)
            return
        if self._pace is not None:
            await self._begin()
            async for event in self._pace.parts(list(self._dialect.stream(marked, include_usage=self._shows_usage))):
                await self._pass([event])
            await self._send(_END)
            return
        for events in _batches(self._dialect.stream(marked, include_usage=self._shows_usage)):
            await self._pass(events)
            await asyncio.sleep(0)  # a long answer is many events: others have their turn
        await self._send(_END)

    async def refuse(self, status: int, body: dict[str, Any]) -> None:
        """Say that the request is wrong, as the provider said it."""
        await self._whole(status, exact.dumps(body))

    async def say(self, events: list[Event]) -> None:
        """Pass on a part of a stream."""
        shown = [event for event in map(self._shown, events) if event is not None]
        for batch in _batches(shown):
            await self._pass(batch)

    async def end(self) -> None:
        """The stream is whole."""
        if self._usage is not None and self._saved is not None:
            self._saved(self._usage)
        await self._send(_END)

    async def break_off(self, error: HelixError) -> None:
        """The stream ends before its end: say so, in the dialect's own form."""
        self._exchange.error_code = error.code
        await self._send(self._exchange.message(self._dialect.error_events(error), more_body=False))

    # Inside

    async def _pass(self, events: list[Event]) -> None:
        if not self.has_begun:
            await self._begin()
        await self._send(self._exchange.message(events, more_body=True))

    async def _begin(self) -> None:
        self.has_begun = True
        headers = [*self._headers, (b"content-type", b"text/event-stream; charset=utf-8")]
        headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _marked(self, payload: dict[str, Any]) -> dict[str, Any]:
        return payload if self._is_veiled else self._dialect.as_cached(payload)

    async def _whole(self, status: int, body: bytes) -> None:
        self.has_begun = True
        headers = [*self._headers, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _shown(self, event: Event) -> Event | None:
        """An event of somebody else's stream as this caller is to see it; None where he did not ask for it."""
        if event.data is None:
            return event
        try:
            payload = event.json()
        except UpstreamGarbled:
            return event
        if not isinstance(payload, dict):
            return event
        self._usage = self._dialect.event_usage(payload, self._usage)
        if not self._shows_usage and self._dialect.is_usage_only(payload):
            return None
        marked = self._marked(payload)
        return (
            event if marked is payload else Event(exact.dumps(marked), event.name, event.id, event.retry, json=marked)
        )


_END = {"type": "http.response.body", "body": b"", "more_body": False}


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Events in lists of about MESSAGE_BYTES."""
    batch: list[Event] = []
    size = 0
    for event in events:
        batch.append(event)
        size += len(event.raw)
        if size >= MESSAGE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
