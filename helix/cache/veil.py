"""A veil over hits, where callers share answers: by nothing that Helix does can one of them tell that another asked.

A hit takes as long as a miss might have taken. The delay is not added to the time of the look-up, it takes its place:
so there is nothing beneath it that an average over many requests would bring out, and every request draws anew. A draw
that stayed the same would tell: whoever asks twice would see two equal times where the first was a hit as well, and two
different ones where it was a miss.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias

from helix.kernel import exact
from helix.kernel.errors import UpstreamGarbled
from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.tap import HeaderList, Tap
from helix.kernel.types import Message, Send, Usage

__all__ = ["Cover", "Latency", "Pace", "Pause", "Veil", "Watch"]

ENOUGH = 32
"""So many misses of a kind are seen before hits are drawn from them."""
_KEPT = 512
_NEAR = 128
"""So many of those kept, the nearest in size, are drawn from."""
_KINDS = 256
_BLUR = 0.03
"""A draw is blurred by so much, since whoever caused a miss himself might know its time again."""
_DEFAULT_SPREAD = 0.3
_DEFAULT_TOKENS_PER_SECOND = 80.0

Kind: TypeAlias = tuple[str, str, bool]
"""Dialect, model as callers name it, streamed or not."""
Pause: TypeAlias = Callable[[asyncio.Task[None], float], Awaitable[object]]
"""Waits for a task, at most so many seconds."""


class Latency(NamedTuple):
    """When a reply's headers, the first and the last of its body came, in seconds after the request, and its size."""

    start: float
    first: float
    last: float
    tokens: int


async def _pause(task: asyncio.Task[None], seconds: float) -> None:
    await asyncio.wait((task,), timeout=seconds)


def _is_shared(partition: str) -> bool:
    return not partition.startswith("key:")


class Veil:
    """Has hits take the time of misses, which it watches; one for a stage.

    - `most_seconds`: no hit is kept back longer than that.
    - `default_seconds`: about so long a hit takes until enough misses of its model have been seen.
    - `shared`: whether more than one caller is given the answers of a partition; those of one caller are not veiled.
      By default all that are not written "key:…".
    """

    def __init__(
        self,
        *,
        most_seconds: float = 30.0,
        default_seconds: float = 1.0,
        shared: Callable[[str], bool] = _is_shared,
        clock: Callable[[], float] = time.perf_counter,
        pause: Pause = _pause,
        draws: random.Random | None = None,
    ) -> None:
        for name, value in (("most_seconds", most_seconds), ("default_seconds", default_seconds)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be more than 0, not {value!r}")
        self.most_seconds = most_seconds
        self.covers = shared
        self.clock = clock
        self.pause = pause
        self.draws = draws or random.SystemRandom()
        self._default_seconds = default_seconds
        self._seen: OrderedDict[Kind, deque[Latency]] = OrderedDict()

    def saw(self, kind: Kind, latency: Latency) -> None:
        """Take note of how long a miss took."""
        self._seen.setdefault(kind, deque(maxlen=_KEPT)).append(latency)
        self._seen.move_to_end(kind)
        if len(self._seen) > _KINDS:
            self._seen.popitem(last=False)

    def draw(self, kind: Kind, tokens: int) -> Latency:
        """How long a hit of so many output tokens is to take."""
        seen = self._seen.get(kind)
        if seen is None or len(seen) < ENOUGH:
            start = self._default_seconds * self.draws.lognormvariate(0.0, _DEFAULT_SPREAD)
            lasts = tokens / _DEFAULT_TOKENS_PER_SECOND
            drawn = Latency(start, start, start + lasts, tokens) if kind[2] else _at_once(start + lasts, tokens)
        else:
            drawn = self._blurred(self.draws.choice(_nearest(seen, tokens)), tokens)
        most = self.most_seconds
        return Latency(min(drawn.start, most), min(drawn.first, most), min(drawn.last, most), tokens)

    def _blurred(self, one: Latency, tokens: int) -> Latency:
        blur = self.draws.uniform(1 - _BLUR, 1 + _BLUR)
        # What of a reply comes after its first part comes at the pace of the one that was seen.
        lasts = (one.last - one.first) * (1 + tokens) / (1 + one.tokens)
        return Latency(one.start * blur, one.first * blur, (one.first + lasts) * blur, tokens)


def _at_once(seconds: float, tokens: int) -> Latency:
    return Latency(seconds, seconds, seconds, tokens)


def _nearest(seen: deque[Latency], tokens: int) -> list[Latency]:
    return sorted(reversed(seen), key=lambda one: abs(math.log((1 + one.tokens) / (1 + tokens))))[:_NEAR]


class Pace:
    """When the parts of one hit go out; a context manager. `arrived`, of the veil's clock: when the request came."""

    def __init__(self, veil: Veil, exchange: Exchange, usage: Usage | None, *, arrived: float) -> None:
        self._veil = veil
        self._exchange = exchange
        self._arrived = arrived
        self._latency = veil.draw(_kind_of(exchange), _tokens(usage))

    def __enter__(self) -> Self:
        self._left = asyncio.create_task(self._exchange.departure())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._left.cancel() and not self._left.cancelled():
            self._left.exception()  # a server that fails to say whether the caller is there has lost him as well

    async def begins(self) -> bool:
        """Wait until the headers are due; whether the caller is still there."""
        began = self._veil.clock()
        stays = await self._until(self._latency.start)
        # Telemetry is not to take it for Helix's own work.
        self._exchange.record.cache["waited_ms"] = (self._veil.clock() - began) * 1000
        return stays

    async def ends(self) -> bool:
        """Wait until the end is due; whether the caller is still there."""
        return await self._until(self._latency.last)

    async def parts(self, events: list[Event]) -> AsyncIterator[Event]:
        """The events of a stream, each when it is due, as if by chance; none once the caller has left."""
        first, lasts = self._latency.first, self._latency.last - self._latency.first
        between = sorted(self._veil.draws.random() for _ in events[2:])
        for event, at in zip(events, (0.0, *between, 1.0), strict=False):
            if not await self._until(first + at * lasts):
                return
            yield event

    async def _until(self, seconds: float) -> bool:
        left = self._arrived + seconds - self._veil.clock()
        await self._veil.pause(self._left, max(left, 0.0))
        return not self._left.done()


class Watch:
    """A send for the inner app that sees how long a miss takes, but for the time in which the caller is not reading.

    A miss counts where `answered` was called with what the provider counted before its last part came.
    """

    def __init__(self, veil: Veil, exchange: Exchange, send: Send, *, arrived: float) -> None:
        self._veil = veil
        self._kind = _kind_of(exchange)
        self._send = send
        self._arrived = arrived
        self._start: float | None = None
        self._first: float | None = None
        self._tokens: int | None = None

    def answered(self, usage: Usage | None) -> None:
        """The answer is whole."""
        self._tokens = _tokens(usage)

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        now = self._veil.clock()
        seconds = now - self._arrived
        is_body = message["type"] == "http.response.body"
        if message["type"] == "http.response.start":
            self._start = seconds
        elif is_body and self._first is None and message.get("body"):
            self._first = seconds
        await self._send(message)
        self._arrived += self._veil.clock() - now
        is_last = is_body and not message.get("more_body", False)
        if is_last and self._tokens is not None and self._start is not None and self._first is not None:
            self._veil.saw(self._kind, Latency(self._start, self._first, seconds, self._tokens))


class Cover(Tap):
    """Makes good replies of one dialect alike, hits and misses: headers, form, and when they say they were made."""

    async def on_start(self, headers: HeaderList) -> HeaderList:
        """Leave the headers that hits have too."""
        if not 200 <= self.status < 300 or self._form == "other":
            return [item for item in headers if not item[0].lower().startswith(b"x-helix-cache")]
        model = [item for item in headers if item[0].lower() == b"x-helix-model"]
        if not self.is_stream:
            return [(b"content-type", b"application/json"), *model]
        form = (b"content-type", b"text/event-stream; charset=utf-8")
        return [form, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"), *model]

    async def on_answer(self, answer: Any) -> Any:
        """Write a good answer as all are written."""
        return self._renewed(answer) if isinstance(answer, dict) and 200 <= self.status < 300 else answer

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        """Write events as all are written."""
        return [self._renewed_event(event) for event in events]

    def _renewed_event(self, event: Event) -> Event:
        try:
            payload = event.json() if event.data is not None else None
        except UpstreamGarbled:
            return event
        if not isinstance(payload, dict):
            return event
        payload = self._renewed(payload)
        return Event(exact.dumps(payload), event.name, event.id, event.retry, json=payload)

    def _renewed(self, answer: dict[str, Any]) -> dict[str, Any]:
        made_at = int(self.exchange.started_at)
        renewed = {name: made_at if name in _MADE and value else value for name, value in answer.items()}
        response = renewed.get("response")
        if isinstance(response, dict):
            renewed["response"] = self._renewed(response)
        return renewed


_MADE = frozenset(("created", "created_at", "completed_at"))


def _kind_of(exchange: Exchange) -> Kind:
    return exchange.dialect.name if exchange.dialect is not None else "", exchange.model, exchange.stream


def _tokens(usage: Usage | None) -> int:
    return usage.output_tokens if usage is not None else 0
