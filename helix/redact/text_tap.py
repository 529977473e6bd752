"""A tap over the texts of a stream, each of which may be held back for a while."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from helix.kernel import exact
from helix.kernel.errors import UpstreamGarbled
from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.tap import Tap
from helix.kernel.types import Send
from helix.kernel.wire import Channel, Dialect, Text, replaced

__all__ = ["TextTap"]


class Running(Protocol):
    """One text of a stream on its way."""

    @property
    def is_holding(self) -> bool:
        """Whether something of it is held back."""
        ...


R = TypeVar("R", bound=Running)


class TextTap(Tap, Generic[R]):
    """Changes the texts of a reply's events. What a text may not say yet it says before the text, or the stream, ends.

    A subclass says which events it must read, and what becomes of each piece; other events pass as the bytes they are.
    """

    __slots__ = ("dialect", "held")

    def __init__(self, exchange: Exchange, send: Send, dialect: Dialect) -> None:
        super().__init__(exchange, send)
        self.dialect = dialect
        self.held: dict[Channel, tuple[R, Event]] = {}
        """Channels that hold something back, each with the latest event that carried a piece of it."""

    @abstractmethod
    def reads(self, event: Event) -> bool:
        """Whether an event must be read while nothing is held back."""

    @abstractmethod
    def running(self, text: Text) -> R:
        """The running text that a piece belongs to of which nothing is held back."""

    @abstractmethod
    async def feed(self, running: R, piece: str) -> str:
        """Take the next piece of a text; return what can be said now."""

    @abstractmethod
    async def flush(self, running: R) -> str:
        """A text has ended: return what was held back."""

    @abstractmethod
    async def snapshot(self, text: Text) -> str:
        """A whole text of a stream, which repeats what was streamed before."""

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        """Change the texts of some events."""
        out: list[Event] = []
        changed = False
        for event in events:
            if self.held or self.reads(event):
                new = await self._changed(event)
                changed = changed or new != [event]
                out += new
            else:
                out.append(event)
            self.on_passed(event)
        if last and self.held:
            changed = True
            out += await self.flushed(list(self.held))
        return out if changed else events

    def on_passed(self, event: Event) -> None:
        """Note an event, as it came, that has been dealt with."""

    async def flushed(self, channels: list[Channel]) -> list[Event]:
        """Events with what these channels held back."""
        out = []
        for channel in channels:
            running, template = self.held.pop(channel)
            payload = self.dialect.delta(template.json(), channel, await self.flush(running))
            out.append(Event.of(payload, template.name))
        return out

    async def _changed(self, event: Event) -> list[Event]:
        """The event changed, after events with what must be said before it."""
        try:
            payload = event.json()
        except UpstreamGarbled:
            return [*await self.flushed(list(self.held)), event] if event.name == "error" else [event]
        if not isinstance(payload, dict):
            ends = self.held and self._ends(event)
            return [*await self.flushed(list(self.held)), event] if ends else [event]
        texts = self.dialect.event_texts(payload)
        before: list[Event] = []
        if self.held:
            here = {text.channel for text in texts}
            closing = list(self.held) if self._ends(event) else self.dialect.closes(payload, self.held)
            before = await self.flushed([channel for channel in closing if channel not in here])
        edits = {}
        for text in texts:
            value = await (self.snapshot(text) if text.channel is None else self._next(text, text.channel, event))
            if value != text.value:
                edits[text.path] = text.placed(value)
        if not edits:
            return [*before, event]
        changed = replaced(payload, edits)
        return [*before, Event(exact.dumps(changed), event.name, event.id, event.retry, json=changed)]

    def _ends(self, event: Event) -> bool:
        """Whether nothing is said after this event."""
        return self.dialect.is_end(event) or self.dialect.is_error(event)

    async def _next(self, text: Text, channel: Channel, event: Event) -> str:
        """What can be said of a piece of a text."""
        held = self.held.pop(channel, None)
        running = held[0] if held else self.running(text)
        value = await self.feed(running, text.value)
        if running.is_holding:
            closing: dict[Channel, Any] = {channel: None}
            if self._ends(event) or self.dialect.closes(event.json(), closing):
                value += await self.flush(running)
            else:
                self.held[channel] = running, event
        return value
