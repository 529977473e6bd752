"""Answers looked through, as they pass, for personal data that was not in the request."""

from __future__ import annotations

import asyncio
from typing import Any

from helix.kernel.errors import HelixError
from helix.kernel.exchange import Exchange
from helix.kernel.reply import Guard
from helix.kernel.sse import Event
from helix.kernel.types import Message
from helix.kernel.wire import Channel, Dialect, Text, replaced
from helix.redact.answers import Answers, LeakScan
from helix.redact.quotation import Quotation
from helix.redact.sentences import Everything, Sentences
from helix.redact.text_tap import TextTap

__all__ = ["LeakTap"]


class LeakTap(TextTap["_Scanned"]):
    """Scans a reply whose own values have been put back. `close` comes after the reply, whatever became of it.

    Of a stream each text waits for the end of its sentence, unless all that is found is only counted; then nothing
    waits. What may not pass, and an outage, ends the reply in the dialect's own form; what comes after is dropped.
    """

    __slots__ = ("_answers", "_channels", "_counting", "_failure", "_guard", "_scan", "_sending", "_timer", "_waking")

    def __init__(self, exchange: Exchange, guard: Guard, dialect: Dialect, answers: Answers, scan: LeakScan) -> None:
        super().__init__(exchange, guard, dialect)
        self._guard = guard
        self._answers = answers
        self._scan = scan
        self._channels: dict[Channel, _Scanned] = {}
        self._counting: set[asyncio.Task[str]] = set()
        self._failure: HelixError | None = None
        self._sending = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._waking: asyncio.Task[None] | None = None

    async def __call__(self, message: Message) -> None:
        """Take one message from the inner app. Raises what ended the reply, so that the provider stops too."""
        async with self._sending:
            if self._failure is not None:
                return
            try:
                await super().__call__(message)
            except HelixError as error:
                await self._fail(error)
                raise
            self._wake_when_due()

    async def on_answer(self, answer: Any) -> Any:
        """Scan every text of a whole answer."""
        if not isinstance(answer, dict) or self.status >= 400:
            return answer
        texts = self.dialect.answer_texts(answer)
        values = await self._scan.texts(texts)
        changed = {t.path: t.placed(value) for t, value in zip(texts, values, strict=True) if value != t.value}
        return replaced(answer, changed)

    def reads(self, event: Event) -> bool:
        """Whether an event has data: any may hold a text."""
        return event.data is not None

    def running(self, text: Text) -> _Scanned:
        """The text of a channel from its beginning."""
        channel: Channel = text.channel or ()
        if channel not in self._channels:
            self._channels[channel] = _Scanned(text, self._answers)
        return self._channels[channel]

    async def feed(self, running: _Scanned, piece: str) -> str:
        """What can be said of a text with its next piece, without what leaked."""
        ready = running.text.feed(piece)
        if running.only_counts:
            if ready:
                self._count(running, ready)
            return piece
        said = await self._scanned(running, ready) if ready else ""
        if ready or running.due is None:
            running.due = asyncio.get_running_loop().time() + self._answers.max_wait_seconds
        return said

    async def flush(self, running: _Scanned) -> str:
        """What was held back of a text, without what leaked."""
        running.due = None
        return await self._scanned(running, running.text.flush())

    async def snapshot(self, text: Text) -> str:
        """A repetition of what was streamed, without what leaked."""
        [value] = await self._scan.texts([text], counts=False)
        return value

    async def close(self) -> None:
        """Wait for what is still being counted; nothing is sent any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._waking is not None:
            self._waking.cancel()
        for running in self._channels.values():
            if running.only_counts and (rest := running.text.flush()):
                self._count(running, rest)
        await asyncio.gather(*self._counting)

    async def _scanned(self, running: _Scanned, text: str) -> str:
        if isinstance(running.text, Everything):
            [value] = await self._scan.texts([running.of._replace(value=text)])
            return value
        return await self._scan.piece(running.text.context, text, running.quotation, is_signed=running.is_signed)

    def _count(self, running: _Scanned, text: str) -> None:
        task = asyncio.ensure_future(self._scanned(running, text))
        self._counting.add(task)

    async def _fail(self, error: HelixError) -> None:
        self._failure = error
        self.held.clear()
        if self._guard.started and self.is_stream and not self._guard.ended:
            events, _ = self.dialect.numbered(self.dialect.error_events(error), self._number)
            self.exchange.error_code = error.code
            await self.send(self.exchange.message(events, more_body=False))
        else:
            await self._guard.fail(error, self.exchange)

    def _wake_when_due(self) -> None:
        """Let go of what has waited long enough, though the provider sends nothing more for now."""
        dues = [running.due for running, _ in self.held.values() if running.due is not None and running.may_be_cut]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if dues and not self.complete:
            self._timer = asyncio.get_running_loop().call_at(min(dues), self._wake)

    def _wake(self) -> None:
        self._waking = asyncio.ensure_future(self._release())

    async def _release(self) -> None:
        async with self._sending:
            now = asyncio.get_running_loop().time()
            due = [
                channel
                for channel, (running, _) in self.held.items()
                if running.may_be_cut and running.due is not None and running.due <= now
            ]
            if not due or self.complete or self._failure is not None:
                return
            try:
                events, self._number = self.dialect.numbered(await self.flushed(due), self._number)
                await self.send(self.exchange.message(events, more_body=True))
            except HelixError as error:
                await self._fail(error)
            self._wake_when_due()


class _Scanned:
    """One text of a stream on its way through the scan."""

    __slots__ = ("due", "is_signed", "of", "only_counts", "quotation", "text")

    def __init__(self, text: Text, answers: Answers) -> None:
        self.of = text
        self.only_counts = answers.only_counts
        self.is_signed = text.form == "signed"
        self.text: Sentences | Everything = Everything() if text.is_json else Sentences(answers.max_chars)
        self.quotation = Quotation()
        self.due: float | None = None
        """When, by the event loop's clock, what is held back may wait no longer."""

    @property
    def is_holding(self) -> bool:
        """Whether something is held back."""
        return self.text.is_holding and not self.only_counts

    @property
    def may_be_cut(self) -> bool:
        """Whether what is held back may be said before the text has ended."""
        return isinstance(self.text, Sentences)
