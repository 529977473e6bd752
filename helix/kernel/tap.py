"""What a stage does with the reply that passes by: the base of every stage's tap over send."""

from __future__ import annotations

from typing import Any

from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.types import Message, Send

__all__ = ["Tap"]

HeaderList = list[tuple[bytes, bytes]]


class Tap:
    """A send for the inner app. Subclasses override `on_start`, `on_answer` and `on_events`; the rest passes.

    A whole JSON answer is held until it is complete, then `on_answer` sees it parsed, before `on_start` sees the
    headers, so that headers can tell of the body. Of a stream, `on_start` comes first and `on_events` sees each
    message's events. Events that a subclass puts in get sequence numbers where the dialect has them. A reply with a
    content-encoding, or of another media type, passes untouched after `on_start`.
    """

    __slots__ = ("_form", "_number", "_parts", "_reader", "_start", "complete", "exchange", "send", "status")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self.exchange = exchange
        self.send = send
        self.status = 0
        """The reply's HTTP status; 0 until it starts."""
        self.complete = False
        """Whether the last message of the reply has been passed on."""
        self._form = ""
        self._number = -1
        self._parts: list[bytes] = []
        self._start: Message | None = None
        self._reader = exchange.reader()

    @property
    def is_stream(self) -> bool:
        """Whether the reply is a stream of events that this tap can read."""
        return self._form == "events"

    async def on_start(self, headers: HeaderList) -> HeaderList:
        """Return the reply's headers, perhaps with others added."""
        return headers

    async def on_answer(self, answer: Any) -> Any:
        """See a whole JSON reply of any status; return another to put in its place, or the same object."""
        return answer

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        """See the events of one message; return others to send in their place, or the same list object.

        `last` says that the body ends with this message; `events` may be empty.
        """
        return events

    async def __call__(self, message: Message) -> None:
        """Take one message from the inner app."""
        kind = message["type"]
        if kind == "http.response.body":
            if self._form == "events":
                await self._pass_events(message)
            elif self._form == "json":
                await self._hold(message)
            else:
                self.complete = not message.get("more_body", False)
                await self.send(message)
        elif kind == "http.response.start":
            self.status = message["status"]
            self._form = _form_of(message["headers"])
            if self._form == "json":
                self._start = message
            else:
                await self._send_start(message, None)
        else:
            await self.send(message)

    async def _pass_events(self, message: Message) -> None:
        events = self._reader.events(message)
        last = not message.get("more_body", False)
        changed = await self.on_events(events, last=last)
        if self.exchange.dialect is not None:
            changed, self._number = self.exchange.dialect.numbered(changed, self._number)
        # Half an event must wait for its other half: what comes between them might not be passed on as it is.
        if changed is not events or not self._reader.is_whole:
            if not changed and not last:
                return
            message = self.exchange.message(changed, more_body=not last)
        if last:
            self.complete = True
        await self.send(message)

    async def _hold(self, message: Message) -> None:
        self._parts.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        answer = self.exchange.answer(body)
        changed = await self.on_answer(answer)
        if changed is not answer:
            body = self.exchange.encode_answer(changed)
        start, self._start = self._start, None
        if start is not None:
            await self._send_start(start, len(body))
        self.complete = True
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_start(self, message: Message, length: int | None) -> None:
        headers = await self.on_start(message["headers"])
        if length is not None:
            headers = [item for item in headers if item[0] != b"content-length"]
            headers.append((b"content-length", b"%d" % length))
        if headers is not message["headers"]:
            message = {**message, "headers": headers}
        await self.send(message)


def _form_of(headers: HeaderList) -> str:
    form = ""
    for name, value in headers:
        # By length first: of many headers, few need a lower-case copy.
        if len(name) == 12 and name.lower() == b"content-type":
            if value.startswith(b"text/event-stream"):
                form = "events"
            elif value.startswith(b"application/json"):
                form = "json"
        elif len(name) == 16 and name.lower() == b"content-encoding" and value.lower() != b"identity":
            return "other"
    return form or "other"
