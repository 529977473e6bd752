"""Texts as segments: JSON stays valid, and what is not touched keeps its characters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix.kernel.wire import Text
from helix.redact.segments import rewritten, segments


def _json(text: str) -> Text:
    return Text(("messages", 0, "tool_calls", 0, "function", "arguments"), text, "assistant", "json")


def test_a_plain_text_is_one_segment() -> None:
    """It stands for itself."""
    [segment] = segments([Text(("messages", 0, "content"), "hello")])
    assert (segment.value, segment.hint, segment.shown) == ("hello", "", "hello")


def test_json_has_a_segment_a_string_and_long_number() -> None:
    """Keys too; short numbers, floats and literals are nobody's."""
    found = segments([_json('{"a\\u00e9": "x\\n\\"y\\"", "n": [12, 4111111111111111, 1.5, true, null], "": ""}')])
    assert [(s.value, s.spelling) for s in found] == [
        ("aé", "string"),
        ('x\n"y"', "string"),
        ("n", "string"),
        ("4111111111111111", "number"),
    ]


def test_json_in_strings_in_json_is_taken_apart() -> None:
    """Each string at the bottom is a segment of its own; written back, every level is quoted as it was."""
    inner = json.dumps({"to": "Ann", "n": 4111111111111111})
    text = json.dumps({"a": json.dumps([1, {"b": inner, "c": "Bob"}]), "d": "x"})
    found = segments([_json(text)])
    assert [s.value for s in found] == ["a", "b", "to", "Ann", "n", "4111111111111111", "c", "Bob", "d", "x"]
    new = {"Ann": '<"1">', "4111111111111111": "9000", "Bob": "<B>", "d": "D"}
    changed = json.loads(rewritten(text, [(s, new[s.value]) for s in found if s.value in new]))
    assert changed["D"] == "x"
    [one, middle] = json.loads(changed["a"])
    assert (one, middle["c"], json.loads(middle["b"])) == (1, "<B>", {"to": '<"1">', "n": 9000})


def test_json_deeper_than_anybody_nests_it_is_a_text() -> None:
    """Depth is bounded; what lies deeper is still looked through."""
    text = '["Ann"]'
    for _ in range(12):
        text = json.dumps([text])
    [segment] = segments([_json(text)])
    assert "Ann" in segment.value


def test_a_text_that_is_json_is_read_as_json() -> None:
    """Many a tool gives its result so; keys tell what the values are, and the result stays JSON."""
    text = Text(("messages", 1, "content"), ' {"ssn": "1", "n": -1234567, "f": 1234567.5}', "tool")
    found = segments([text])
    assert {s.value: (s.hint, s.spelling) for s in found}["1"] == ("ssn: ", "string")
    numbers = [(s, "9") for s in found if s.spelling == "negative"]
    assert rewritten(text.value, numbers) == ' {"ssn": "1", "n": -9, "f": 1234567.5}'


def test_urls_and_names_have_no_angles() -> None:
    """A URL is looked through without its escapes, and written with them."""
    url = Text(("image_url", "url"), "https://x.org/a%20b?m=a%40x.com", "label", "url")
    [segment] = segments([url])
    assert segment.value == "https://x.org/a b?m=a@x.com"
    assert rewritten(url.value, [(segment, "https://x.org/a b?m=<M_1>")]) == "https://x.org/a%20b?m=M_1"
    [name] = segments([Text(("filename",), "of Ann.pdf", "label", "name")])
    assert rewritten(name.value, [(name, "of <P_1>.pdf")]) == "of P_1.pdf"
    [author] = segments([Text(("name",), "Ann", "name", "name")])
    assert rewritten(author.value, [(author, "Eve Roe")]) == "Eve_Roe"


def test_signed_thoughts_are_shown_to_nobody() -> None:
    """Only what is known from elsewhere goes, by which they become again what the provider signed."""
    [segment] = segments([Text(("thinking",), "of Ann", "assistant", "signed")])
    assert (segment.shown, segment.value) == ("", "of Ann")


def test_the_key_is_the_hint() -> None:
    """A field's name says what stands in it, in words."""
    found = segments([_json('{"customerSSN": "1", "bank_account": ["2", {"x-y": "3"}]}')])
    assert {s.value: s.hint for s in found if s.hint} == {"1": "customer SSN: ", "2": "bank account: ", "3": "x y: "}


def test_the_field_of_an_object_is_the_hint() -> None:
    """Tool inputs that come as objects have names as well; the wire's own fields say nothing."""
    path = ("messages", 1, "content", 0, "input", "phone_number")
    assert segments([Text(path, "5")])[0].hint == "phone number: "


@pytest.mark.parametrize("broken", ['{"a": "x', "not json", "", '{"a": 1}}', "[" * 100_000])
def test_what_is_no_json_is_plain(broken: str) -> None:
    """Half of an object, or none, is looked through as it stands."""
    assert [segment.spelling for segment in segments([_json(broken)])] == ["plain"]


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(_values, st.booleans(), st.sampled_from([None, 2]))
def test_rewriting_nothing_changes_nothing(value: Any, ascii_only: bool, indent: int | None) -> None:
    """Segments written back as they are give the text, but for how strings spell their characters."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    strings = [(s, s.value) for s in segments([_json(text)]) if s.spelling == "string"]
    assert json.loads(rewritten(text, strings)) == value
    assert rewritten(text, []) == text


@settings(deadline=None)
@given(_values, st.text())
def test_rewritten_json_is_json(value: Any, new: str) -> None:
    """Any string in the place of any segment leaves valid JSON."""
    text = json.dumps(value)
    json.loads(rewritten(text, [(segment, new) for segment in segments([_json(text)])]))
