"""The load generator: N keep-alive connections, each of which sends its next request when the last is answered.

It runs in a process of its own (`python -m perf.load`, a Load as JSON on stdin, a report as JSON on stdout), over bare
asyncio protocols and httptools, so that on one core it asks several times faster than a proxy can answer. With a
`rate`, requests fall due at fixed times whether or not earlier ones are answered, and latency counts from the due time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any

import httptools
import orjson
import uvloop

from perf.questions import MAKERS, Question, body_of
from perf.readings import Readings

__all__ = ["Load", "Readings", "main"]

ANSWER_TIMEOUT_SECONDS = 30.0
_ONE_QUESTION = {"same"}


@dataclass(frozen=True)
class Load:
    """What to send where, how many at a time, and for how long.

    `tally` names a reply header whose values are counted, with latencies apart for each. `warmup_seconds` come first
    and are not measured. Where `questions` is finite, the run ends when each has been asked.
    """

    port: int
    path: str
    model: str
    questions: str
    connections: int
    seconds: float
    headers: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    warmup_seconds: float = 0.5
    rate: float | None = None
    tally: str = ""
    stream: bool = False
    max_tokens: int = 256


class Run:
    """One run of a load: hands out requests, takes in readings."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.readings = Readings()
        self.measuring = False
        self.over = False
        self.done = asyncio.Event()
        self.idle: deque[Caller] = deque()
        self.backlog: deque[float] = deque()
        self._busy = 0
        self._requests = self._make()

    def _make(self) -> Iterator[tuple[bytes, bytes, bool]]:
        load = self.load
        head = f"POST {load.path} HTTP/1.1\r\nhost: 127.0.0.1:{load.port}\r\ncontent-type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in load.headers.items())
        start = head.encode()

        def encode(question: Question) -> tuple[bytes, bytes, bool]:
            body = body_of(question, load.model, stream=load.stream, max_tokens=load.max_tokens)
            expect = b"[DONE]" if load.stream else question.expect.encode()
            request = b"%bcontent-length: %d\r\n\r\n%b" % (start, len(body), body)
            return request, expect, load.stream or question.stream

        questions = MAKERS[load.questions](load.seed)
        if load.questions in _ONE_QUESTION:
            return cycle([encode(next(questions))])
        return map(encode, questions)

    async def perform(self) -> dict[str, Any]:
        """Carry out the load and report."""
        loop = asyncio.get_running_loop()
        callers = [Caller(self) for _ in range(self.load.connections)]
        try:
            await asyncio.gather(*(caller.connect() for caller in callers))
        except OSError:
            self.readings.errors["connect"] += 1
            return self.readings.report()
        loop.call_later(self.load.warmup_seconds, self._begin)
        loop.call_later(self.load.warmup_seconds + self.load.seconds, self._end)
        if self.load.warmup_seconds == 0:
            self._begin()
        if self.load.rate is None:
            for caller in callers:
                self.next(caller)
        else:
            self.idle.extend(callers)
            await self._pace(self.load.rate)
        try:
            async with asyncio.timeout(self.load.warmup_seconds + self.load.seconds + ANSWER_TIMEOUT_SECONDS):
                await self.done.wait()
        except TimeoutError:
            self.readings.errors["unanswered"] += self._busy
        for caller in callers:
            caller.close()
        return self.readings.report()

    async def _pace(self, rate: float) -> None:
        start, number = time.monotonic(), 0
        while not self.over:
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number += 1
            if self.idle:
                self.next(self.idle.popleft(), due)
            else:
                self.backlog.append(due)

    def next(self, caller: Caller, due: float | None = None) -> None:
        """Give a caller its next request, or let it rest when there is none."""
        request = None if self.over else next(self._requests, None)
        if request is None:
            if self._busy == 0:
                self._finish()
            return
        self._busy += 1
        caller.send(*request, due)

    def answered(self, caller: Caller, error: str = "") -> None:
        """Take in the end of a caller's request."""
        self._busy -= 1
        if error:
            self.readings.errors[error] += 1
        else:
            self.readings.answered += 1
            if self.measuring:
                self.readings.take(caller.tally, time.monotonic() - caller.sent, caller.first, caller.delays)
        if not caller.connected:
            return
        self._rest(caller)

    def reconnected(self, caller: Caller) -> None:
        """A caller that had lost its connection is ready again."""
        self.readings.reconnects += 1
        self._rest(caller)

    def _rest(self, caller: Caller) -> None:
        if self.load.rate is None or self.over:
            self.next(caller)
        elif self.backlog:
            self.next(caller, self.backlog.popleft())
        else:
            self.idle.append(caller)

    def _begin(self) -> None:
        self.measuring = not self.over
        self.readings.begun = time.monotonic()

    def _end(self) -> None:
        self.over = True
        self._finish()

    def _finish(self) -> None:
        if self.measuring:
            self.measuring = False
            self.readings.ended = time.monotonic()
        if self._busy == 0:
            self.over = True
            self.done.set()


class Caller(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, run: Run) -> None:
        self.connected = False
        self.sent = 0.0
        self.first = 0.0
        self.delays: list[float] = []
        self.tally = ""
        self._run = run
        self._tally_header = run.load.tally.lower().encode()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._in_flight = False
        self._parts: list[bytes] = []
        self._expect = b""
        self._stream = False
        self._connecting: asyncio.Task[None] | None = None
        if self._tally_header:
            self.on_header = self._count_header

    async def connect(self) -> None:
        """Open the connection. Raises OSError."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._run.load.port)

    def close(self) -> None:
        """Close the connection and leave it closed."""
        self._run.over = True
        if self._transport is not None:
            self._transport.close()

    def send(self, request: bytes, expect: bytes, stream: bool, due: float | None) -> None:
        """Send a request; `expect` must be in the body of its answer."""
        if self._transport is None:
            raise RuntimeError("a caller without a connection cannot send")
        self._expect, self._stream, self._parts = expect, stream, []
        self.tally, self.first, self.delays = "", 0.0, []
        self._in_flight = True
        self.sent = time.monotonic() if due is None else due
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]
        self._parser = httptools.HttpResponseParser(self)
        self.connected = True

    def connection_lost(self, error: Exception | None) -> None:
        """Count what was in flight as an error, and connect again."""
        self.connected, self._transport = False, None
        if self._in_flight:
            self._in_flight = False
            self._run.answered(self, "connection_closed")
        if not self._run.over:
            self._connecting = asyncio.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        try:
            await self.connect()
        except OSError:
            self._run.readings.errors["connect"] += 1
            return
        self._run.reconnected(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._in_flight = False
            self._run.answered(self, "not_http")
            if self._transport is not None:
                self._transport.abort()

    def _count_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == self._tally_header:
            self.tally = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        """Take a part of the answer, and note when the first part and each stamped event came."""
        if self._stream:
            now = time.monotonic_ns()
            if not self._parts:
                self.first = now / 1e9 - self.sent
            self.delays += Readings.delays_in(part, now)
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Judge the answer and go on."""
        status = self._parser.get_status_code()
        self._in_flight = False
        if not 200 <= status < 300:
            error = f"status_{status}"
        else:
            body = b"".join(self._parts)
            whole = self._expect in body and (not self._stream or b"[DONE]" in body)
            error = "" if whole else "wrong_body"
        if not self._parser.should_keep_alive() and self._transport is not None:
            self.connected = False
            self._transport.close()
        self._run.answered(self, error)


def main() -> None:
    """Read a Load from stdin, perform it, print the report."""
    load = Load(**orjson.loads(sys.stdin.buffer.read()))
    report = uvloop.run(_perform(load))
    sys.stdout.buffer.write(orjson.dumps({"load": asdict(load), **report}))


async def _perform(load: Load) -> dict[str, Any]:
    return await Run(load).perform()


if __name__ == "__main__":
    main()
