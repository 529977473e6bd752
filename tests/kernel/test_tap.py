from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.kernel.exchange import Exchange
from helix.kernel.sse import DONE, Decoder, Event
from helix.kernel.tap import HeaderList, Tap
from helix.kernel.types import Message, Send

JSON = [(b"content-type", b"application/json"), (b"content-length", b"999")]
EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8")]


async def never() -> Message:
    raise AssertionError("receive was called")


def exchange_of(path: str = "/v1/chat/completions") -> Exchange:
    return Exchange({"type": "http", "method": "POST", "path": path, "headers": []}, never)


def start(headers: HeaderList, status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Out:
    """The outermost send."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])


class Shout(Tap):
    """Puts every answer and every event in capitals, and notes the identity of what it sees."""

    __slots__ = ("seen",)

    def __init__(self, exchange: Exchange, send: Send) -> None:
        super().__init__(exchange, send)
        self.seen: list[Any] = []

    async def on_answer(self, answer: Any) -> Any:
        self.seen.append(answer)
        return {"text": answer["text"].upper()}

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        self.seen += events
        return [Event((event.data or b"").upper()) for event in events]


class Watch(Tap):
    """Changes nothing."""

    __slots__ = ("lasts", "seen")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        super().__init__(exchange, send)
        self.seen: list[Any] = []
        self.lasts: list[bool] = []

    async def on_answer(self, answer: Any) -> Any:
        self.seen.append(answer)
        return answer

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        self.seen += events
        self.lasts.append(last)
        return events


async def test_an_untouched_answer_passes_as_the_very_bytes() -> None:
    out = Out()
    tap = Watch(exchange_of(), out)
    await tap(start(JSON))
    assert out.messages == []  # headers may tell of the body, so they wait for it
    await tap(body(b'{"text" :', more=True))
    await tap(body(b' "a"}'))
    assert out.body == b'{"text" : "a"}'
    assert out.headers[b"content-length"] == b"14"
    assert (tap.seen, tap.status, tap.complete) == ([{"text": "a"}], 200, True)


async def test_a_changed_answer_gets_its_own_length() -> None:
    out = Out()
    tap = Shout(exchange_of(), out)
    await tap(start(JSON))
    await tap(body(b'{"text": "abc"}'))
    assert json.loads(out.body) == {"text": "ABC"}
    assert out.headers[b"content-length"] == b"%d" % len(out.body)


async def test_headers_can_tell_of_the_answer() -> None:
    class Count(Watch):
        async def on_start(self, headers: HeaderList) -> HeaderList:
            return [*headers, (b"x-seen", b"%d" % len(self.seen))]

    out = Out()
    tap = Count(exchange_of(), out)
    await tap(start(JSON))
    await tap(body(b"{}"))
    assert out.headers[b"x-seen"] == b"1"


async def test_taps_share_one_parse() -> None:
    """What an inner tap parsed or made is the same object for the outer ones."""
    exchange, out = exchange_of(), Out()
    outer = Watch(exchange, out)
    middle = Watch(exchange, outer)
    inner = Shout(exchange, middle)
    await inner(start(JSON))
    await inner(body(b'{"text": "abc"}'))
    assert outer.seen[0] is middle.seen[0]
    assert outer.seen == [{"text": "ABC"}]

    outer, out = Watch(exchange, Out()), Out()
    middle = Watch(exchange, outer)
    inner = Shout(exchange, middle)
    await inner(start(EVENTS))
    await inner(body(b"data: abc\n\n"))
    assert outer.seen[0] is middle.seen[0]
    assert [event.data for event in outer.seen] == [b"ABC"]


async def test_untouched_events_pass_as_the_very_message() -> None:
    out = Out()
    tap = Watch(exchange_of(), out)
    first, second = body(b": hi\r\n\r\ndata:1\r\n\r\n", more=True), body(b"data: [DONE]\n\n")
    await tap(start(EVENTS))
    await tap(first)
    await tap(second)
    assert out.messages[1] is first
    assert out.messages[2] is second
    assert tap.lasts == [False, True]


CUT = [b"data: one\n\nda", b"ta: tw", b"o\n", b"\ndata: three\n\ndata: four"]


async def test_a_change_to_later_events_does_not_tear_half_an_event() -> None:
    """An inner tap changes only the last event; the halves of the one before must come out whole, once."""

    class Last(Tap):
        async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
            return [Event(b"FOUR") if event.data == b"four" else event for event in events] if last else events

    out = Out()
    outer = Watch(exchange_of(), out)
    tap = Last(outer.exchange, outer)
    await tap(start(EVENTS))
    for at, chunk in enumerate(CUT):
        await tap(body(chunk, more=at < 3))
    assert [event.data for event in Decoder().feed(out.body)] == [b"one", b"two", b"three", b"FOUR"]
    assert [event.data for event in outer.seen] == [b"one", b"two", b"three", b"FOUR"]


async def test_messages_that_are_equal_are_not_the_same() -> None:
    """One byte a message: many are equal, and each must be read."""
    out = Out()
    tap = Shout(exchange_of(), Watch(exchange_of(), out))
    await tap(start(EVENTS))
    stream = b"data: aa\n\ndata: aa\n\n"
    for at in range(len(stream)):
        await tap(body(stream[at : at + 1], more=at < len(stream) - 1))
    assert out.body == stream.replace(b"aa", b"AA")


@given(st.lists(st.integers(0, 60)), st.integers(0, 15))
def test_however_chunks_fall_and_whoever_changes_the_events_come_out_whole(cuts: list[int], who: int) -> None:
    """Four taps, any of them changing, one foreign middleware that makes its messages anew."""
    import asyncio

    stream = b"data: a\n\n: ping\n\ndata: b\ndata: c\n\ndata: d\r\n\r\ndata: [DONE]\n\n"
    borders = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})

    async def run() -> list[bytes | None]:
        exchange, out = exchange_of(), Out()
        send: Send = out

        def anew(send: Send) -> Send:
            async def passing(message: Message) -> None:
                await send(dict(message))

            return passing

        for bit in range(4):
            send = anew(send) if bit == 2 else send
            send = (Shout if who >> bit & 1 else Watch)(exchange, send)
        await send(start(EVENTS))
        for a, b in pairwise(borders):
            await send(body(stream[a:b], more=b < len(stream)))
        decoder = Decoder()
        return [event.data for event in decoder.feed(out.body) + decoder.flush() if event.data]

    letters = [b"a", b"b\nc", b"d", b"[DONE]"]
    assert asyncio.run(run()) == ([letter.upper() for letter in letters] if who else letters)


async def test_an_empty_change_sends_nothing_until_the_end() -> None:
    """Text that is held back makes no empty messages; the end always comes."""

    class Hold(Tap):
        async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
            return []

    out = Out()
    tap = Hold(exchange_of(), out)
    await tap(start(EVENTS))
    await tap(body(b"data: 1\n\n", more=True))
    await tap(body(b"data: 2\n\n"))
    assert out.messages[1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]


async def test_an_unfinished_last_event_is_passed_on() -> None:
    out = Out()
    tap = Watch(exchange_of(), out)
    await tap(start(EVENTS))
    await tap(body(b"data: [DO", more=True))
    await tap(body(b"NE]"))
    assert tap.seen == [DONE]
    assert out.body == b"data: [DONE]"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")],
        [(b"content-encoding", b"br"), (b"content-type", b"text/event-stream")],
        [(b"content-type", b"audio/mpeg")],
        [],
    ],
)
async def test_what_cannot_be_read_passes_untouched(headers: HeaderList) -> None:
    out = Out()
    tap = Shout(exchange_of(), out)
    messages = [start(headers), body(gzip.compress(b"x"), more=True), body(b"rest")]
    for message in messages:
        await tap(message)
    assert out.messages == messages
    assert tap.complete


async def test_an_answer_that_is_not_json_reaches_the_tap_as_none() -> None:
    out = Out()
    tap = Watch(exchange_of(), out)
    await tap(start(JSON, 502))
    await tap(body(b"<html>"))
    assert (tap.seen, tap.status, out.body) == ([None], 502, b"<html>")


async def test_events_put_in_get_sequence_numbers() -> None:
    """Where the dialect numbers its events, the numbers rise however many a tap puts in or takes out."""

    class Insert(Tap):
        async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
            assert self.exchange.dialect is not None
            made: list[Event] = []
            for event in events:
                payload = event.json()
                if payload["sequence_number"] == 2:
                    again = self.exchange.dialect.delta(payload, ("output_text", 0, 0), "more")
                    made.append(Event.of(again, event.name))
                if payload["sequence_number"] != 4:
                    made.append(event)
            return made

    out = Out()
    tap = Insert(exchange_of("/v1/responses"), Watch(exchange_of("/v1/responses"), out))
    await tap(start(EVENTS))
    for number in range(6):
        event = Event.of({"type": "response.output_text.delta", "delta": "x", "sequence_number": number}, "e")
        await tap(body(event.raw, more=number < 5))
    found = [event.json() for event in Decoder().feed(out.body)]
    assert [payload["sequence_number"] for payload in found] == [0, 1, 2, 3, 4, 5]
    assert [payload["delta"] for payload in found] == ["x", "x", "more", "x", "x", "x"]
