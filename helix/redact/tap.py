"""Values put back into a reply as it passes, whole or streamed."""

from __future__ import annotations

from collections import deque
from typing import Any

from helix.kernel.errors import UpstreamGarbled
from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.tap import HeaderList
from helix.kernel.types import Send
from helix.kernel.wire import Channel, Dialect, Text, replaced
from helix.redact.restore import Form, Restorer, RunningText
from helix.redact.text_tap import TextTap

__all__ = ["RestoreTap"]

# So many of the latest events are looked through for what a text said last, where a piece of it begins with a letter.
_RECENT = 64


class RestoreTap(TextTap[RunningText]):
    """Restores a reply.

    Events that hold nothing like a stand-in pass as the bytes they are, unparsed, while nothing is held back.
    """

    __slots__ = ("_header", "_recent", "_restorer", "_running")

    def __init__(
        self, exchange: Exchange, send: Send, dialect: Dialect, restorer: Restorer, header: tuple[bytes, bytes]
    ) -> None:
        super().__init__(exchange, send, dialect)
        self._restorer = restorer
        self._header = header
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
        for text in self.dialect.answer_texts(answer):
            value = self._restorer.whole(text.value, _form(text))
            if value != text.value:
                edits[text.path] = text.placed(value)
        # Noted here, for whoever further out tells of it in the answer itself.
        self.exchange.record.redact["restored"] = self._restorer.restored
        return replaced(answer, edits)

    def reads(self, event: Event) -> bool:
        """Whether an event may hold a stand-in, or the beginning of one."""
        return event.data is not None and (self._restorer.reads_all or self._restorer.may_stand_in(event.data))

    def on_passed(self, event: Event) -> None:
        """Keep the latest events, for what their texts said last."""
        self._recent.append(event)

    def running(self, text: Text) -> RunningText:
        """The text from its beginning where it is read from there, else from here on."""
        if text.channel is None or not self._restorer.reads_all:
            return RunningText(self._restorer, _form(text), self._last_said(text))
        running = self._running.get(text.channel)
        if running is None:
            running = self._running[text.channel] = RunningText(self._restorer, _form(text))
        return running

    async def feed(self, running: RunningText, piece: str) -> str:
        """What can be said of a text with its next piece."""
        return running.feed(piece)

    async def flush(self, running: RunningText) -> str:
        """What was held back of a text."""
        return running.flush()

    async def snapshot(self, text: Text) -> str:
        """The text restored, but not counted again."""
        return self._restorer.whole(text.value, _form(text), counts=False)

    def _last_said(self, text: Text) -> str:
        """What came before a piece of a text, as far as it matters to whether a word begins there: one character."""
        if not text.value[0].isupper():
            return ""
        for event in reversed(self._recent):
            try:
                payload = event.json()
            except UpstreamGarbled:
                continue
            for earlier in self.dialect.event_texts(payload) if isinstance(payload, dict) else ():
                if earlier.channel == text.channel:
                    return earlier.value[-1]
        return ""


def _form(text: Text) -> Form:
    return "json" if text.is_json else "signed" if text.form == "signed" else "text"
