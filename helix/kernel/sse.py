"""An incremental codec for server-sent events over bytes. No I/O.

Follows the event stream grammar of the HTML standard
(https://html.spec.whatwg.org/multipage/server-sent-events.html): lines end in LF, CR or CRLF; an empty line ends an
event; `data` lines join with LF; a line that starts with a colon is a comment. An event keeps the bytes it was read
from, so passing one on changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from helix.kernel import exact
from helix.kernel.errors import UpstreamGarbled

__all__ = ["DONE", "Decoder", "Event", "encode"]

_EMPTY_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_BOM = b"\xef\xbb\xbf"


class Event:
    """One event of a stream: its fields, and the bytes that carry it.

    `data` is None for an event without a `data` field (a comment, a bare `retry`): a browser would not dispatch it,
    but it is passed on like any other.
    """

    __slots__ = ("_json", "data", "id", "name", "raw", "retry")

    def __init__(
        self,
        data: bytes | None = None,
        name: str | None = None,
        id: str | None = None,
        retry: int | None = None,
        *,
        raw: bytes | None = None,
        json: Any = None,
    ) -> None:
        self.data = data
        self.name = name
        self.id = id
        self.retry = retry
        self.raw = _encode(data, name, id, retry) if raw is None else raw
        self._json = json

    @classmethod
    def of(cls, payload: Any, name: str | None = None) -> Event:
        """An event whose data is a JSON value."""
        return cls(exact.dumps(payload), name, json=payload)

    def json(self) -> Any:
        """The data as JSON, parsed once; None where there is none or it is `[DONE]`. Raises UpstreamGarbled."""
        if self._json is None and self.data and self.data != b"[DONE]":
            try:
                self._json = exact.loads(self.data)
            except ValueError:
                raise UpstreamGarbled("the provider sent an event that is not JSON") from None
        return self._json

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return (self.data, self.name, self.id, self.retry) == (other.data, other.name, other.id, other.retry)

    def __hash__(self) -> int:
        return hash((self.data, self.name, self.id, self.retry))

    def __repr__(self) -> str:
        # The data may hold somebody's words: say only how much there is.
        size = None if self.data is None else len(self.data)
        return f"Event(name={self.name!r}, data=<{size} bytes>)"


def encode(events: Iterable[Event]) -> bytes:
    """The bytes of some events; those that were decoded come out as they came in."""
    return b"".join([event.raw for event in events])


def _encode(data: bytes | None, name: str | None, id: str | None, retry: int | None) -> bytes:
    if name is None and id is None and retry is None and data is not None and b"\n" not in data and b"\r" not in data:
        return b"data: " + data + b"\n\n"
    lines: list[bytes] = []
    if name is not None:
        lines.append(b"event: " + name.encode())
    if id is not None:
        lines.append(b"id: " + id.encode())
    if retry is not None:
        lines.append(b"retry: %d" % retry)
    if data is not None:
        # A lone CR ends a line as well, so it cannot stand inside data. JSON escapes it; nothing of ours holds one.
        lines.extend(b"data: " + line for line in data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    return b"\n".join(lines) + b"\n\n"


def _parse(raw: bytes) -> Event:
    if raw.startswith(b"data: {") and raw.endswith(b"}\n\n") and raw.count(b"\n") == 2 and b"\r" not in raw:
        return Event(raw[6:-2], raw=raw)  # what nearly every event of an OpenAI stream looks like
    data: list[bytes] = []
    name = id = retry = None
    for line in raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit():
            retry = int(value)
    return Event(b"\n".join(data) if data else None, name, id, retry, raw=raw)


DONE = Event(b"[DONE]")
"""How the OpenAI dialects end a stream."""


class Decoder:
    """Cuts bytes into events, wherever the chunks' borders fall.

    `limit_bytes` caps one event, so that a provider that never ends one cannot fill the memory.
    """

    __slots__ = ("_limit_bytes", "_searched", "_started", "pending")

    def __init__(self, pending: bytes = b"", *, limit_bytes: int = 16 * 1024 * 1024) -> None:
        self.pending = pending
        self._searched = 0
        self._started = bool(pending)
        self._limit_bytes = limit_bytes

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that this chunk completes. Raises UpstreamGarbled for an event over the limit."""
        buffer = self.pending + chunk if self.pending else chunk
        if not self._started and buffer:
            if _BOM.startswith(buffer):  # a byte order mark may come in pieces too
                self.pending = buffer
                return []
            buffer = buffer.removeprefix(_BOM)
            self._started = True
        events: list[Event] = []
        start, search = 0, max(0, self._searched - 3)
        plain = b"\r" not in buffer
        while True:
            if plain:
                end = buffer.find(b"\n\n", search) + 2
                if end == 1:
                    break
            else:
                match = _EMPTY_LINE.search(buffer, search)
                if match is None:
                    break
                # A CR at the very end counts at once, so that nothing waits; if it was half of a CRLF, the LF that
                # follows is one more empty line, which is dropped.
                end = match.end()
            raw = buffer[start:end]
            if not raw.isspace():
                events.append(_parse(raw))
            start = search = end
        self.pending = buffer[start:]
        self._searched = len(self.pending)
        if len(self.pending) > self._limit_bytes:
            raise UpstreamGarbled(f"the provider sent an event of more than {self._limit_bytes} bytes")
        return events

    def flush(self) -> list[Event]:
        """Return what is left when the stream has ended.

        The standard drops an unfinished event; a gateway passes it on, for providers that forget the last empty line.
        """
        rest, self.pending, self._searched = self.pending, b"", 0
        return [_parse(rest)] if rest.strip() and not _BOM.startswith(rest) else []
