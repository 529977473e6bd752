"""The outermost stage: one row per request, whatever happens inside."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Iterable
from typing import Any

from helix.kernel.errors import ClientDisconnected, ConfigError, HelixError, UpstreamGarbled
from helix.kernel.exchange import BODY_TIMEOUT_SECONDS, KEY, MAX_BODY_BYTES, Exchange, attach
from helix.kernel.lifecycle import lifespan
from helix.kernel.reply import Guard
from helix.kernel.sse import Event
from helix.kernel.tap import HeaderList, Tap
from helix.kernel.types import ASGIApp, Message, Money, Observer, Receive, Scope, Send, Usage
from helix.kernel.wire import dialect_of
from helix.telemetry.metrics import Metrics
from helix.telemetry.models import ModelNames
from helix.telemetry.row import NAMES, row_of, token
from helix.telemetry.sink import Sink

__all__ = ["TelemetryMiddleware"]

_log = logging.getLogger("helix.telemetry")

_REOPEN_SECONDS = 5.0


class TelemetryMiddleware:
    """Record every request: a row for the sink, and counts for `metrics`.

    Turns an exception from inside into a reply, so that the caller sees no traceback and the row says what happened.
    `models` are the configured model names (`openai/*` is a pattern): others are recorded as "other".
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sink: Sink,
        metrics: Metrics | None = None,
        models: Iterable[str] = (),
        max_body_bytes: int = MAX_BODY_BYTES,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
        observe: Observer | None = None,
    ) -> None:
        if max_body_bytes < 1:
            raise ValueError(f"max_body_bytes must be at least 1, not {max_body_bytes}")
        if body_timeout_seconds <= 0:
            raise ValueError(f"body_timeout_seconds must be positive, not {body_timeout_seconds}")
        self.app = app
        self._sink = sink
        self._metrics = metrics
        self._name_of = ModelNames(models)
        self._max_body_bytes = max_body_bytes
        self._body_timeout_seconds = body_timeout_seconds
        self._observe = observe
        self._opened = _Opened(sink)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and record it; what is no request to a model is passed on alone."""
        if scope["type"] == "lifespan":
            wrapped = lifespan(send, opening=(self._opened,), closing=(self._opened,))
            await self.app(scope, receive, wrapped)
            return
        if scope["type"] != "http" or dialect_of(scope["method"], scope["path"]) is None:
            await self.app(scope, receive, send)
            return
        watch = _Watch(receive)
        exchange = attach(scope, receive if KEY in scope else watch)
        exchange.max_body_bytes = self._max_body_bytes
        exchange.body_timeout_seconds = self._body_timeout_seconds
        guard = Guard(send)
        tap = _RequestTap(exchange, guard)
        exchange.on_read = tap.on_read
        if not self._sink.is_open:
            await self._opened.open_at_need()
        if self._metrics is not None:
            self._metrics.in_progress += 1
        try:
            await self._pass(exchange, tap, guard, watch)
        finally:
            self._record(exchange, tap)

    async def _pass(self, exchange: Exchange, tap: _RequestTap, guard: Guard, watch: _Watch) -> None:
        error: HelixError | None = None
        try:
            await self.app(exchange.scope, exchange.receive, tap)
        except asyncio.CancelledError:
            tap.fail(ClientDisconnected("the request was cancelled"))
            raise
        except HelixError as raised:
            error = raised
        except Exception as raised:
            # Its message may quote the request: only what was raised, and where.
            if not watch.is_gone:
                _log.error("request %s failed: %s", exchange.id, _place(raised))
            error = HelixError("an internal error occurred")
        # A stream that ended with an error that nobody was there to hear did not end for the provider's sake.
        left = watch.is_gone and exchange.record.upstream.get("status") == ClientDisconnected.status
        if guard.ended and not left:
            return
        if watch.is_gone:
            tap.fail(ClientDisconnected("the caller left"))
            return
        error = error or HelixError("the reply was not finished")
        tap.fail(error, status=tap.status if guard.started else error.status)
        await guard.fail(error, exchange)

    def _record(self, exchange: Exchange, tap: _RequestTap) -> None:
        tap.request_model = self._name_of(exchange.model, is_served=tap.status < 400 and not tap.error_code)
        row = row_of(exchange, tap, time.perf_counter() - exchange.started)
        self._sink.put(row)
        if self._metrics is not None:
            self._metrics.in_progress -= 1
            self._metrics.count(row)
        if self._observe is not None:
            self._observe("telemetry", dict(zip(NAMES, row, strict=True)))


class _RequestTap(Tap):
    """Notes of a passing reply what the row needs, and adds Helix's own headers. It is the row's Outcome."""

    __slots__ = (
        "_hides_usage",
        "error_code",
        "finish_reason",
        "first_byte_seconds",
        "first_token_seconds",
        "request_model",
        "response_model",
        "usage",
    )

    def __init__(self, exchange: Exchange, send: Send) -> None:
        super().__init__(exchange, send)
        self._hides_usage = False
        self.error_code = ""
        self.finish_reason = ""
        self.first_byte_seconds = 0.0
        self.first_token_seconds: float | None = None
        self.request_model = ""
        self.response_model = ""
        self.usage: Usage | None = None

    def on_read(self) -> None:
        """The body is there: make a stream carry usage."""
        self._hides_usage = self.exchange.ask_usage()

    def fail(self, error: HelixError, status: int | None = None) -> None:
        """The request ended otherwise than by a whole reply; `status` is the one that the caller was sent."""
        self.status, self.error_code = status or error.status, error.code

    async def on_start(self, headers: HeaderList) -> HeaderList:
        """Add the request's id and Helix's own part of the time."""
        exchange = self.exchange
        self.first_byte_seconds = time.perf_counter() - exchange.started
        waited_ms = exchange.record.upstream.get("first_ms") or exchange.record.cache.get("waited_ms") or 0.0
        overhead_ms = self.first_byte_seconds * 1e3 - waited_ms
        more = [(b"x-helix-request-id", exchange.id.encode())]
        if not exchange.record.cache.get("veiled"):  # a look-up that finds something takes another time
            more.append((b"x-helix-overhead-ms", b"%.2f" % max(overhead_ms, 0.0)))
        for name, value in headers:
            if name == b"x-helix-model":
                self.response_model = token(value.decode("latin-1"))
            elif name == b"x-helix-request-id":
                del more[0]
        if self.status >= 400 and not self.error_code:
            self.error_code = f"http_{self.status}"
        return [*headers, *more]

    async def on_answer(self, answer: Any) -> Any:
        """See a whole reply."""
        dialect = self.exchange.dialect
        if dialect is None or not isinstance(answer, dict):
            return answer
        if self.status >= 400:
            self.error_code = self.exchange.error_code or _error_code(answer)
            return answer
        self.usage = self.exchange.usage(answer)
        self.finish_reason = token(dialect.finish_reason(answer))
        if _wants_metadata(self.exchange.scope):
            return {**answer, "helix_metadata": _metadata(self.exchange)}
        return answer

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        """See some events of a stream, and take out those that the caller did not ask for."""
        dialect = self.exchange.dialect
        if dialect is None:
            return events
        hidden: list[Event] = []
        for event in events:
            if event.data is None:
                continue
            if self.first_token_seconds is None:
                self.first_token_seconds = time.perf_counter() - self.exchange.started
            try:
                payload = event.json()
            except UpstreamGarbled:
                continue  # the stage that must understand it says so
            if payload is None:
                continue
            if dialect.is_error(event):
                self.error_code = self.exchange.error_code or _error_code(payload)
                continue
            self.usage = dialect.event_usage(payload, self.usage)
            reason = dialect.event_finish_reason(payload)
            if reason:
                self.finish_reason = token(reason)
            if self._hides_usage and dialect.is_usage_only(payload):
                hidden.append(event)
        return [event for event in events if event not in hidden] if hidden else events


class _Watch:
    """The server's receive, remembering whether the caller has left."""

    __slots__ = ("_receive", "is_gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_gone = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_gone = True
        return message


class _Opened:
    """The sink as this stage opens it; it closes no sink that was open before."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._is_ours = False
        self._not_before = 0.0

    async def open(self) -> None:
        if not self._sink.is_open:
            await self._sink.open()
            self._is_ours = True

    async def close(self) -> None:
        if self._is_ours:
            self._is_ours = False
            await self._sink.close()

    async def open_at_need(self) -> None:
        """Open where there was no lifespan, or it failed; requests go on without, and their rows wait in memory."""
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _REOPEN_SECONDS
        try:
            await self.open()
        except ConfigError as error:
            _log.error("telemetry rows wait in memory: %s", error)


def _error_code(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        for name in ("code", "type"):
            if error.get(name):
                return token(str(error[name]))
    return "error"


def _wants_metadata(scope: Scope) -> bool:
    return any(name == b"x-helix-metadata" and value.strip().lower() == b"body" for name, value in scope["headers"])


def _metadata(exchange: Exchange) -> dict[str, Any]:
    record = exchange.record
    if record.cache.get("veiled"):  # all else is different for what a cache answered
        redact = record.redact
        return {
            "request_id": exchange.id,
            "redactions": redact.get("entities") or {},
            "restored": redact.get("restored") or 0,
        }
    return {
        "request_id": exchange.id,
        "model": record.upstream.get("model"),
        "provider": record.upstream.get("provider"),
        "cache": record.cache.get("status"),
        "cache_similarity": record.cache.get("similarity"),
        "redactions": record.redact.get("entities") or {},
        "restored": record.redact.get("restored") or 0,
        "cost_usd": Money(record.budget.get("cost_nano_usd") or 0).usd,
        "saved_usd": Money(record.cache.get("saved_nano_usd") or 0).usd,
        "attempts": record.upstream.get("attempts") or 0,
        "fallbacks": record.upstream.get("fallbacks") or 0,
    }


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    way = " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{type(error).__name__} at {way}"
