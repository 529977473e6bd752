from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.kernel.errors import UpstreamGarbled
from helix.kernel.sse import DONE, Decoder, Event, encode

line_ends = st.sampled_from(["\n", "\r\n", "\r"])
words = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12)
fields = st.one_of(
    st.builds(lambda text: f"data: {text}", words),
    st.builds(lambda text: f"data:{text}", words),
    st.builds(lambda text: f": {text}", words),
    st.builds(lambda text: f"event: {text}", words),
    st.builds(lambda text: f"id: {text}", words),
    st.sampled_from(["data", "retry: 300", "retry: soon", "unknown: field", 'data: {"a": "é😀"}']),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Streams as a provider may write them: any line ends, comments, several data lines, perhaps a byte order mark."""
    text = draw(st.sampled_from(["", "\ufeff"]))
    for block in draw(st.lists(st.lists(fields, max_size=4), max_size=5)):
        for line in block:
            text += line + draw(line_ends)
        text += draw(line_ends) * draw(st.integers(1, 2))
    return (text + draw(st.sampled_from(["", "data: unfinished", "\r"]))).encode()


def decoded(chunks: list[bytes]) -> list[Event]:
    decoder = Decoder()
    found = [event for chunk in chunks for event in decoder.feed(chunk)]
    return found + decoder.flush()


@given(streams(), st.lists(st.integers(0, 400), max_size=12))
def test_events_do_not_depend_on_where_chunks_end(stream: bytes, cuts: list[int]) -> None:
    """Borders may fall inside a UTF-8 sequence, between CR and LF, inside a byte order mark."""
    borders = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    chunks = [stream[a:b] for a, b in pairwise(borders)]
    assert decoded(chunks) == decoded([stream])
    assert decoded([stream[i : i + 1] for i in range(len(stream))]) == decoded([stream])


@given(streams())
def test_decoded_events_hold_every_byte_that_matters(stream: bytes) -> None:
    """What is left out of the events' bytes is a byte order mark and empty lines between them, nothing else."""
    raw = encode(decoded([stream]))
    assert raw.replace(b"\r", b"").replace(b"\n", b"") == stream.removeprefix(b"\xef\xbb\xbf").replace(
        b"\r", b""
    ).replace(b"\n", b"")


@given(
    st.lists(
        st.builds(
            Event,
            st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])).map(str.encode),
            st.none() | words,
            st.none() | words,
            st.none() | st.integers(0, 10**6),
        )
    )
)
def test_encode_then_decode_is_the_identity(events: list[Event]) -> None:
    """Events come back with the same data (several lines too), name, id and retry."""
    assert decoded([encode(events)]) == events


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda j: st.lists(j) | st.dictionaries(st.text(), j)
    )
)
def test_json_survives_an_event(value: object) -> None:
    """An event made of a JSON value gives that value when it is read, integers of any length too."""
    (event,) = decoded([Event.of(value).raw])
    assert event.json() == value


def test_a_decoded_event_keeps_its_bytes() -> None:
    """Passing an event on changes nothing, not even spaces that a new encoding would not have."""
    raw = b': hello\r\nevent:x\r\ndata:  {"a" :1}\r\n\r\n'
    assert encode(Decoder().feed(raw)) == raw


def test_several_data_lines_join_with_newlines() -> None:
    (event,) = Decoder().feed(b"data: a\ndata:\ndata:  b\n\n")
    assert event.data == b"a\n\n b"


def test_a_comment_is_an_event_without_data() -> None:
    """It is passed on like any other, since it keeps connections alive."""
    (event,) = Decoder().feed(b": ping\n\n")
    assert event.data is None
    assert event.json() is None


def test_an_event_ends_with_its_lone_cr_at_once() -> None:
    """Nothing waits for a line feed that may never come; when it does come it is dropped."""
    decoder = Decoder()
    assert [event.data for event in decoder.feed(b"data: a\r\n\r")] == [b"a"]
    assert [event.data for event in decoder.feed(b"\ndata: b\r\n\r\n")] == [b"b"]


def test_a_byte_order_mark_may_come_in_pieces() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\xef") == decoder.feed(b"\xbb") == []
    assert [event.data for event in decoder.feed(b"\xbfdata: a\n\n")] == [b"a"]


def test_flush_returns_an_event_without_its_empty_line() -> None:
    """Some providers forget the last one."""
    decoder = Decoder()
    assert decoder.feed(b"data: [DONE]\n") == []
    assert decoder.flush() == [DONE]
    assert decoder.flush() == []


def test_an_endless_event_is_garbled() -> None:
    """One event is capped, so that a provider that never ends one cannot fill the memory."""
    decoder = Decoder(limit_bytes=100)
    decoder.feed(b"data: " + b"x" * 90)
    with pytest.raises(UpstreamGarbled, match="more than 100 bytes"):
        decoder.feed(b"x" * 90)


@pytest.mark.parametrize("data", [b"{", b"nonsense", b'{"a": NaN}', b"[" * 500 + b"]" * 500])
def test_what_is_not_json_is_garbled_without_a_word_of_it(data: bytes) -> None:
    with pytest.raises(UpstreamGarbled) as caught:
        Event(data).json()
    assert "nonsense" not in str(caught.value)


def test_a_repr_shows_no_data() -> None:
    assert "secret" not in repr(Event(b"secret"))
