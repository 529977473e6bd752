"""One request taken through ASGI stages by hand, for a host that has hooks where a server would have messages.

    host's hook before the call   ask() ──▶ stages ──▶ inside()      the question as the stages pass it on
    host's hook after the call    answer() / feed() ──▶ stages ──▶   the answer as the stages give it to the caller

The stages are the very middlewares that a server would run. Their innermost app, `inside`, waits where a provider would
be asked, until the host comes with the answer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from helix.kernel import exact
from helix.kernel.errors import BackendUnavailable, HelixError
from helix.kernel.exchange import KEY, Exchange
from helix.kernel.reply import refuse
from helix.kernel.sse import encode
from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send
from helix.kernel.wire import CHAT, Dialect

__all__ = ["Passage", "inside", "receiving", "scope_of"]

_PASSAGE = "helix.passage"

Headers = list[tuple[bytes, bytes]]


def scope_of(dialect: Dialect, headers: Headers) -> Scope:
    """The scope of a request in a dialect."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": dialect.path,
        "query_string": b"",
        "headers": headers,
    }


def receiving(payload: dict[str, Any]) -> Receive:
    """A receive that gives a whole body; the caller never leaves, since the host says so otherwise."""
    body = exact.dumps(payload)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """The innermost app of the stages: stops the passage until it is over."""
    passage: Passage = scope[_PASSAGE]
    await passage._stop(scope, receive, send)


class Passage:
    """One request on its way through the stages, whose innermost app is `inside`.

    A passage that nobody ends does so itself after `patience_seconds`.
    """

    def __init__(self, stages: ASGIApp, scope: Scope, receive: Receive, *, patience_seconds: float = 3600.0) -> None:
        self._stages = stages
        self._scope: Scope = {**scope, _PASSAGE: self}
        self._receive = receive
        self._patience_seconds = patience_seconds
        self._loop = asyncio.get_running_loop()
        self._asked: asyncio.Future[None] = self._loop.create_future()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self._inner: tuple[Scope, Receive, Send] | None = None
        self._out: list[bytes] = []
        self.status = 0
        """The status of the reply as the stages give it; 0 until it starts."""
        self.headers: Headers = []
        """The headers of the reply as the stages give it."""

    @property
    def exchange(self) -> Exchange:
        """The request as the stages share it; `ask` comes first."""
        if self._inner is None:
            raise RuntimeError("this passage has not asked")
        exchange: Exchange = self._inner[0][KEY]
        return exchange

    @property
    def scope(self) -> Scope:
        """The scope as the stages pass it on; `ask` comes first."""
        if self._inner is None:
            raise RuntimeError("this passage has not asked")
        return self._inner[0]

    @property
    def is_over(self) -> bool:
        """Whether the stages are done with the request."""
        return self._task is not None and self._task.done()

    async def ask(self) -> bytes | None:
        """Let the question pass; None, or the body of the reply where a stage replied itself."""
        task = self._task = asyncio.create_task(self._run())
        try:
            await asyncio.wait((task, self._asked), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.leave()
            raise
        if not task.done():
            return None
        task.result()
        if self.status == 0:
            raise BackendUnavailable("a stage ended without a reply")
        return self._taken()

    async def answer(self, body: bytes, status: int = 200) -> bytes:
        """Pass a whole JSON answer; return it as the stages give it."""
        await self._start(status, b"application/json")
        await self._pass({"type": "http.response.body", "body": body, "more_body": False})
        return await self._ended()

    async def begin(self) -> None:
        """Begin the answer as a stream of events."""
        await self._start(200, b"text/event-stream")

    async def feed(self, data: bytes) -> bytes:
        """Pass a piece of a stream; return what the stages give now."""
        await self._pass({"type": "http.response.body", "body": data, "more_body": True})
        return self._taken()

    async def end(self, data: bytes = b"") -> bytes:
        """Pass the end of a stream; return what the stages still give."""
        await self._pass({"type": "http.response.body", "body": data, "more_body": False})
        return await self._ended()

    async def fail(self, error: HelixError) -> bytes:
        """Say that there is no answer, or no more of it; return what the stages still give, the error included."""
        if self._inner is None or self.is_over:
            return self._taken()
        scope, receive, send = self._inner
        if self.status == 0:
            await refuse(error)(scope, receive, send)
            return await self._ended()
        exchange = self.exchange
        exchange.error_code = error.code
        return await self.end(encode((exchange.dialect or CHAT).error_events(error)))

    def leave(self) -> None:
        """Go without an answer: the caller has left. Nothing where the passage is over."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        await self._stages(self._scope, self._receive, self._take)

    async def _stop(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._inner = scope, receive, send
        self._asked.set_result(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                await self._over

    async def _start(self, status: int, content_type: bytes) -> None:
        headers = [(b"content-type", content_type)]
        await self._pass({"type": "http.response.start", "status": status, "headers": headers})

    async def _pass(self, message: Message) -> None:
        """Send as the innermost app would: what a stage raises comes out of that app, for the stages to reply."""
        if self._inner is None or self.is_over:
            return
        try:
            await self._inner[2](message)
        except HelixError as error:
            self._raise(error)
            await self._finished()

    def _raise(self, error: HelixError) -> None:
        if not self._over.done() and not self.is_over:
            self._over.set_exception(error)

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self._out.append(message.get("body", b""))

    async def _ended(self) -> bytes:
        if not self._over.done():
            self._over.set_result(None)
        await self._finished()
        return self._taken()

    async def _finished(self) -> None:
        """Wait until the stages are done; raises what comes out of them."""
        if self._task is not None:
            await self._task

    def _taken(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)
