"""What is kept of answers and questions, in the clear and encrypted."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix.cache.cipher import Cipher
from helix.cache.value import Codec
from helix.kernel.types import Entry, Usage

ENTRY = Entry(
    id="n:0123",
    dialect="chat",
    model="openai/gpt-4o",
    body=b'{"a":\n"\xc3\xa9", "content": "%s"}' % (b"An answer that is long enough to be worth its compression. " * 4),
    stored_at=1700000000.25,
    headers=(("x-y", "z"),),
    namespace="n",
    usage=Usage(1, 2, 3, 4, 5),
)
OLD, NEW, OTHER = "an-old-secret-" * 3, "a-new-secret-" * 3, "somebody-else's-secret-" * 3
QUESTION = "How do I reset my password?"


def codec(*secrets: str) -> Codec:
    return Codec(Cipher(secrets) if secrets else None)


@pytest.mark.parametrize("secrets", [(), (NEW,)])
@settings(deadline=None)  # the first to encrypt loads OpenSSL
@given(
    body=st.binary(max_size=300),
    model=st.text(st.characters(codec="utf-8")),
    headers=st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))),
    usage=st.none() | st.builds(Usage, st.integers(0, 2**40), st.integers(0, 2**40)),
)
def test_an_answer_comes_back(
    secrets: tuple[str, ...], body: bytes, model: str, headers: list[tuple[str, str]], usage: Usage | None
) -> None:
    """What was packed is unpacked, whatever it is."""
    entry = replace(ENTRY, body=body, model=model, headers=tuple(headers), usage=usage)
    both = codec(*secrets)
    assert both.unpack(entry.id, both.pack(entry)) == entry
    assert not both.unreadable


@pytest.mark.parametrize("secrets", [(), (NEW,)])
@settings(deadline=None)
@given(text=st.text(st.characters(codec="utf-8")))
def test_a_question_comes_back(secrets: tuple[str, ...], text: str) -> None:
    """What was packed is unpacked, whatever it is."""
    both = codec(*secrets)
    assert both.unpack_text("id", "scope", both.pack_text("id", "scope", text)) == text


@pytest.mark.parametrize("body_bytes", [0, 1, 1 << 20])
def test_answers_of_every_size(body_bytes: int) -> None:
    """Nothing at all and a megabyte of noise come back too."""
    entry = replace(ENTRY, body=random.randbytes(body_bytes))
    assert codec(NEW).unpack(entry.id, codec(NEW).pack(entry)) == entry


def test_short_answers_are_compressed() -> None:
    """What answers have in common takes no room: a bare chat answer of 300 bytes fits in 120."""
    body = (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-2024-08-06","choices":'
        b'[{"index":0,"message":{"role":"assistant","content":"Yes.","refusal":null,"annotations":[]},"logprobs":null,'
        b'"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}'
    )
    assert len(body) > 300
    assert len(codec().pack(replace(ENTRY, body=body, headers=()))) < 120


@pytest.mark.parametrize("secrets", [(), (NEW,)])
@settings(deadline=None)
@given(value=st.binary(max_size=60))
def test_garbage_is_a_miss(secrets: tuple[str, ...], value: bytes) -> None:
    """Bytes of another version, or of no version at all, are no entry; neither are any behind our own first bytes."""
    for front in (b"", b"\x01", b"\x02", b"\x02\x00", b"\x02\x01", b"\x02\x02", b"\x02\x03"):
        reader = codec(*secrets)
        assert reader.unpack("k", front + value) is None
        assert reader.unreadable.total() == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("secrets", [(), (NEW,)])
def test_every_changed_byte_is_a_miss(secrets: tuple[str, ...]) -> None:
    """No byte of what is kept can be changed, left out or added without notice."""
    both = codec(*secrets)
    value = both.pack(ENTRY)
    for at in range(len(value)):
        changed = value[:at] + bytes([value[at] ^ 1 << random.randrange(8)]) + value[at + 1 :]
        assert both.unpack(ENTRY.id, changed) is None
        assert both.unpack(ENTRY.id, value[:at]) is None
    assert both.unpack(ENTRY.id, value + b"\0") is None


def test_an_older_version_is_a_miss() -> None:
    """What an earlier Helix kept is not read, and counted as such."""
    reader = codec()
    assert reader.unpack("k", b'\x01{"dialect":"chat","model":"m"}\n{}') is None
    assert reader.unreadable == {"version": 1}


@pytest.mark.parametrize("secrets", [(), (NEW,)])
def test_bound_to_its_entry(secrets: tuple[str, ...]) -> None:
    """An answer is not read under another id, a question neither under another id nor in another scope."""
    both = codec(*secrets)
    assert both.unpack("n:0124", both.pack(ENTRY)) is None
    question = both.pack_text("id", "scope", QUESTION)
    assert both.unpack_text("id2", "scope", question) is None
    assert both.unpack_text("id", "scope2", question) is None
    assert both.unpack("id", question) is None
    assert both.unreadable == {"damaged": 4}


def test_nothing_of_the_text_can_be_read() -> None:
    """Encrypted, neither answer nor question shows in the bytes; and no two encryptions are the same."""
    sealed = codec(NEW)
    short = replace(ENTRY, body=b"SECRET")
    assert b"SECRET" in codec().pack(short)
    assert b"SECRET" not in sealed.pack(short)
    assert b"password" not in sealed.pack_text("id", "s", QUESTION)
    assert sealed.pack(ENTRY) != sealed.pack(ENTRY)


def test_keys_are_rotated() -> None:
    """The first key writes, all of them read; without the old one, what it wrote is a counted miss."""
    old, both, new = codec(OLD), codec(NEW, OLD), codec(NEW)
    written = old.pack(ENTRY)
    assert both.unpack(ENTRY.id, written) == ENTRY
    assert new.unpack(ENTRY.id, both.pack(ENTRY)) == ENTRY
    assert old.unpack(ENTRY.id, both.pack(ENTRY)) is None
    assert new.unpack(ENTRY.id, written) is None
    assert (old.unreadable, new.unreadable) == ({"key": 1}, {"key": 1})


def test_without_a_key_and_without_encryption() -> None:
    """What is encrypted is a miss without a key; with one, so is what anybody could have written."""
    reader, sealed = codec(), codec(NEW)
    assert reader.unpack(ENTRY.id, sealed.pack(ENTRY)) is None
    assert sealed.unpack(ENTRY.id, reader.pack(ENTRY)) is None
    assert (reader.unreadable, sealed.unreadable) == ({"key": 1}, {"clear": 1})


def test_secrets_are_checked_and_not_shown() -> None:
    """A secret that is short or doubled is refused; none is in a message or a repr."""
    for secrets in ((), ("short",), (NEW, OLD, NEW)):
        with pytest.raises(ValueError, match="encryption") as raised:
            Cipher(secrets)
        assert NEW not in str(raised.value)
    assert "secret" not in repr(Cipher((NEW, OTHER)))
