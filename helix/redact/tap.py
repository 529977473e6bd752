"""Values put back into a reply as it passes, whole or streamed."""

from __future__ import annotations

from collections import deque
from typing import Any

from helix.kernel import exact
from helix.kernel.errors import UpstreamGarbled
from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.tap import HeaderList, Tap
from helix.kernel.types import Send
from helix.kernel.wire import Channel, Dialect, Text, replaced
from helix.redact.restore import Form, Restorer, RunningText

__all__ = ["RestoreTap"]


# So many of the latest events are looked through for what a text said last, where a piece of it begins with a letter.
_RECENT = 64


class RestoreTap(Tap):
    """Restores a reply.

    Events that hold nothing like a stand-in pass as the bytes they are, unparsed, while nothing is held back.
    """

    __slots__ = ("_dialect", "_header", "_held", "_recent", "_restorer", "_running")

    def __init__(
        self, exchange: Exchange, send: Send, dialect: Dialect, restorer: Restorer, header: tuple[bytes, bytes]
    ) -> None:
        super().__init__(exchange, send)
        self._dialect = dialect
        self._restorer = restorer
        self._header = header
        self._held: dict[Channel, tuple[RunningText, Event]] = {}
        """Channels that hold something back, each with the latest event that carried a piece of it."""
        self._running: dict[Channel, RunningText] = {}
        """Every channel's text, where texts must be read from their beginnings."""
        self._recent: deque[Event] = deque(maxlen=_RECENT)

    async def on_start(self, headers: HeaderList) -> HeaderList:
        """Say what was taken out of the request."""
        return [*headers, self._header]

    async def on_answer(self, answer: Any) -> Any:
        """Restore every text of a whole answer."""
        if not isinstance(answer, dict):
            return answer
        edits = {}
        for text in self._dialect.answer_texts(answer):
            value = self._restorer.whole(text.value, _form(text))
            if value != text.value:
                edits[text.path] = text.placed(value)
        # Noted here, for whoever further out tells of it in the answer itself.
        self.exchange.record.redact["restored"] = self._restorer.restored
        return replaced(answer, edits)

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        """Restore the texts of some events."""
        out: list[Event] = []
        changed = False
        for event in events:
            if self._held or self._may_change(event):
                restored = self._restored(event)
                changed = changed or restored != [event]
                out += restored
            else:
                out.append(event)
            self._recent.append(event)
        if last and self._held:
            changed = True
            out += self._flushed(list(self._held))
        return out if changed else events

    def _restored(self, event: Event) -> list[Event]:
        """The event restored, after events with what must be said before it."""
        try:
            payload = event.json()
        except UpstreamGarbled:
            return [*self._flushed(list(self._held)), event] if event.name == "error" else [event]
        if not isinstance(payload, dict):
            ends = self._held and self._ends(event)
            return [*self._flushed(list(self._held)), event] if ends else [event]
        texts = self._dialect.event_texts(payload)
        before: list[Event] = []
        if self._held:
            here = {text.channel for text in texts}
            closing = list(self._held) if self._ends(event) else self._dialect.closes(payload, self._held)
            before = self._flushed([channel for channel in closing if channel not in here])
        edits = {}
        for text in texts:
            value = self._next(text, event, payload)
            if value != text.value:
                edits[text.path] = text.placed(value)
        if not edits:
            return [*before, event]
        changed = replaced(payload, edits)
        return [*before, Event(exact.dumps(changed), event.name, event.id, event.retry, json=changed)]

    def _ends(self, event: Event) -> bool:
        """Whether nothing is said after this event."""
        return self._dialect.is_end(event) or self._dialect.is_error(event)

    def _next(self, text: Text, event: Event, payload: Any) -> str:
        """What can be said of a text of an event."""
        if text.channel is None:  # a snapshot of what was streamed before
            return self._restorer.whole(text.value, _form(text), counts=False)
        held = self._held.pop(text.channel, None)
        running = held[0] if held else self._running.get(text.channel)
        if running is None:
            before = "" if self._restorer.reads_all else self._last_said(text)
            running = RunningText(self._restorer, _form(text), before)
            if self._restorer.reads_all:
                self._running[text.channel] = running
        value = running.feed(text.value)
        if running.is_holding:
            if self._ends(event) or self._dialect.closes(payload, {text.channel: None}):
                value += running.flush()
            else:
                self._held[text.channel] = running, event
        return value

    def _flushed(self, channels: list[Channel]) -> list[Event]:
        """Events with what these channels held back."""
        out = []
        for channel in channels:
            running, template = self._held.pop(channel)
            payload = self._dialect.delta(template.json(), channel, running.flush())
            out.append(Event.of(payload, template.name))
        return out

    def _may_change(self, event: Event) -> bool:
        """Whether an event may hold a stand-in, or the beginning of one."""
        return event.data is not None and (self._restorer.reads_all or self._restorer.may_stand_in(event.data))

    def _last_said(self, text: Text) -> str:
        """What came before a piece of a text, as far as it matters to whether a word begins there: one character."""
        if not text.value[0].isupper():
            return ""
        for event in reversed(self._recent):
            try:
                payload = event.json()
            except UpstreamGarbled:
                continue
            for earlier in self._dialect.event_texts(payload) if isinstance(payload, dict) else ():
                if earlier.channel == text.channel:
                    return earlier.value[-1]
        return ""


def _form(text: Text) -> Form:
    return "json" if text.is_json else "signed" if text.form == "signed" else "text"
