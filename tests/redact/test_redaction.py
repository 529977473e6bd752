"""What becomes of findings: placeholders, masks, refusals; and that an echo comes back as it went."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Span
from helix.kernel.wire import Path, Text
from helix.redact.allowed import AllowList
from helix.redact.entities import check_known
from helix.redact.redaction import AGAIN, FINDINGS, Policy, Redaction, place, redact
from helix.redact.restore import Restorer
from helix.redact.segments import segments
from helix.redact.strategies import masked
from helix.redact.vault import Vault, literals_in

from .apps import FixedDetector

EVERYTHING = Policy({}, "placeholder")


def _redact(texts: Sequence[Text], detector: FixedDetector, policy: Policy = EVERYTHING) -> tuple[Redaction, Vault]:
    parts = segments(texts)
    vault = Vault()
    vault.note(literals_in(text.value for text in texts))
    return redact(texts, parts, [detector._found(part.shown) for part in parts], policy, vault), vault


def _texts(*values: str) -> list[Text]:
    return [Text(("messages", index, "content"), value) for index, value in enumerate(values)]


def test_a_strategy_a_kind() -> None:
    """Placeholders, masks and kept values side by side; counted by kind as often as they stand there."""
    detector = FixedDetector(EMAIL=["a@b.c"], CARD=["4111 1111 1111 1111"], DATE=["today"])
    policy = Policy({"EMAIL": "placeholder", "CARD": "mask", "DATE": "keep"})
    redaction, vault = _redact(_texts("today a@b.c", "4111 1111 1111 1111 for a@b.c"), detector, policy)
    assert list(redaction.edits.values()) == ["today <EMAIL_1>", "**** **** **** 1111 for <EMAIL_1>"]
    assert redaction.counts == {"EMAIL": 2, "CARD": 1}
    assert vault.values == {"<EMAIL_1>": "a@b.c"}


def test_what_may_not_pass_is_named_by_kind_and_place() -> None:
    """Never by its value."""
    detector = FixedDetector(SSN=["536-22-8721"])
    redaction, _ = _redact(_texts("fine", "it is 536-22-8721"), detector, Policy({"SSN": "block"}))
    assert redaction.blocked == ("SSN", "messages[1].content")
    assert redaction.edits == {}


def test_unsure_findings_are_left() -> None:
    """Under the threshold nothing is done."""
    texts = _texts("abc")
    found = [[Span(0, 3, "X", 0.39)]]
    policy = Policy({"X": "placeholder"}, score_threshold=0.4)
    assert redact(texts, segments(texts), found, policy, Vault()).edits == {}


def test_a_value_found_once_is_taken_out_everywhere() -> None:
    """Where its surroundings do not give it away, the value itself does; parts of words do not."""
    texts = _texts("account 12345678", "12345678 and 123456789, x12345678")
    found = [[Span(8, 16, "BANK", 1.0)], []]
    redaction = redact(texts, segments(texts), found, EVERYTHING, Vault())
    assert list(redaction.edits.values()) == ["account <BANK_1>", "<BANK_1> and 123456789, x12345678"]


def test_numbers_follow_what_was_found() -> None:
    """A value that is only recognised later does not renumber those before it."""
    texts = _texts("22222222 then b@x.org", "account 22222222 of c@x.org")
    found = [[Span(14, 21, "P", 1.0)], [Span(8, 16, "P", 1.0), Span(20, 27, "P", 1.0)]]
    redaction = redact(texts, segments(texts), found, EVERYTHING, Vault())
    assert list(redaction.edits.values()) == ["<P_2> then <P_1>", "account <P_2> of <P_3>"]


def test_json_stays_json() -> None:
    """Strings, keys and long numbers are redacted in their place; a number stays a number."""
    detector = FixedDetector(EMAIL=["a@b.c"], CARD=["4111111111111111"])
    text = Text(("arguments",), '{"a@b.c": ["to a@b.c", 4111111111111111,  1.50]}', "assistant", "json")
    redaction, _ = _redact([text], detector)
    assert redaction.edits[("arguments",)] == '{"<EMAIL_1>": ["to <EMAIL_1>", 9000000000000001,  1.50]}'


def test_a_hint_is_not_the_callers() -> None:
    """What a detector finds in the name of a field is not cut out of the value."""
    texts = [Text(("a", "phone"), "5551234")]
    [part] = segments(texts)
    assert part.shown == "phone: 5551234"
    redaction = redact(texts, [part], [[Span(0, 14, "PHONE", 1.0)]], EVERYTHING, Vault())
    assert redaction.edits == {("a", "phone"): "<PHONE_1>"}
    assert redact(texts, [part], [[Span(0, 5, "PHONE", 1.0)]], EVERYTHING, Vault()).edits == {}


@pytest.mark.parametrize("spans", [[Span(0, 9, "X", 1.0)], [Span(2, 1, "X", 1.0)], [Span(0, 2, "X", 1.0)] * 2])
def test_spans_that_do_not_fit_are_an_outage(spans: list[Span]) -> None:
    """A detector that is out of step must not make us cut at the wrong place."""
    texts = _texts("abc")
    with pytest.raises(BackendUnavailable):
        redact(texts, segments(texts), [spans], EVERYTHING, Vault())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("input",), "input"),
        (("messages", 2, "content", 0, "text"), "messages[2].content[0].text"),
        (("input", 1), "input[1]"),
        (("messages", 0, "content", 1, "input", "Ann Smith"), "messages[0].content[1].input.*"),
    ],
)
def test_places_read_well(path: Path, name: str) -> None:
    """As in the provider's own error messages."""
    assert place(path) == name


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("4111-1111-1111-1234", "****-****-****-1234"),
        ("12345678", "********"),
        ("123456789", "*****6789"),
        ("é@x", "*@*"),
    ],
)
def test_masks_cannot_be_undone(value: str, seen: str) -> None:
    """At most four characters stay, and none of a short value."""
    assert masked(value) == seen


def test_wrong_entities_are_named() -> None:
    """An unknown kind or strategy is a ValueError that lists what is allowed."""
    with pytest.raises(ValueError, match="'EMIAL'; known are EMAIL"):
        check_known({"EMIAL": "mask"}, {"EMAIL": ""})
    with pytest.raises(ValueError, match="'hide' for EMAIL; allowed are placeholder, mask, hash"):
        Policy({"EMAIL": "hide"})


_VALUES = ["a@b.c", "+1 (202) 555", "4111111111111111", 'he said "x\\y"', "Ünï", "<PHONE>", "a@b"]
_words = st.lists(
    st.one_of(
        st.sampled_from(_VALUES), st.sampled_from(["<X_1>", "<X_2>", "<", " ", "\n", "word"]), st.text(max_size=5)
    )
)


@given(st.lists(_words.map("".join), min_size=1, max_size=4))
def test_an_echo_comes_back(values: list[str]) -> None:
    """Redacted, said back and restored, every text is what it was, and no value went out."""
    texts = _texts(*values)
    redaction, vault = _redact(texts, FixedDetector(X=_VALUES))
    restorer = Restorer(vault)
    for text in texts:
        sent = redaction.edits.get(text.path, text.value)
        assert restorer.whole(sent) == text.value
        assert all(value not in sent for value in vault.values.values() if len(value) > 4 and value[0].isalnum())


@given(
    st.dictionaries(st.text(max_size=5), st.one_of(st.sampled_from(_VALUES), st.text(max_size=6), st.integers(0, 99)))
)
def test_an_echo_in_json_comes_back(value: dict[str, object]) -> None:
    """The same inside tool-call arguments."""
    text = Text(("arguments",), json.dumps(value), "assistant", "json")
    redaction, vault = _redact([text], FixedDetector(X=_VALUES))
    sent = redaction.edits.get(text.path, text.value)
    assert json.loads(Restorer(vault).whole(sent, "json")) == value


def _sent(detector: FixedDetector, *values: str) -> list[str]:
    """What goes out for some turns, whose echo must come back as they were."""
    texts = _texts(*values)
    redaction, vault = _redact(texts, detector)
    sent = [redaction.edits.get(text.path, text.value) for text in texts]
    restorer = Restorer(vault)
    assert [restorer.whole(text) for text in sent] == list(values)
    return sent


def test_what_is_written_later_renumbers_nothing() -> None:
    """A placeholder that somebody types out after it was given away gets one of its own, and reads no value."""
    detector = FixedDetector(PERSON=["Jane", "Bob"])
    turns = ["I am Jane", "who is <PERSON_1>? and <PERSON_2>?", "Bob"]
    assert _sent(detector, *turns) == ["I am <PERSON_1>", "who is <PERSON_3>? and <PERSON_2>?", "<PERSON_4>"]
    assert _sent(detector, *turns[:2]) == ["I am <PERSON_1>", "who is <PERSON_3>? and <PERSON_2>?"]
    assert _sent(detector, *turns[:1]) == ["I am <PERSON_1>"]


@pytest.mark.parametrize("typed", ["<PERSON_1>", "person_1", "<Person 1>", "PERSON-1", "**person** 01", "<person\\_1>"])
def test_what_may_be_taken_for_a_placeholder_is_not_given_away(typed: str) -> None:
    """However it is written, where it is written first."""
    assert _sent(FixedDetector(PERSON=["Jane"]), f"{typed} is not Jane") == [f"{typed} is not <PERSON_2>"]


@given(st.lists(_words.map("".join), min_size=2, max_size=5))
def test_a_longer_conversation_begins_as_it_did(values: list[str]) -> None:
    """What was sent for the turns so far is sent for them again when another follows, whatever anybody types."""
    detector = FixedDetector(X=["a@b.c", "4111111111111111", "Ünï"])
    texts = _texts(*values)
    [shorter, longer] = [_redact(texts[:count], detector)[0].edits for count in (len(texts) - 1, len(texts))]
    assert {path: longer.get(path) for path in shorter} == shorter


def test_findings_tell_where_and_how_but_not_what() -> None:
    """Kind, place, offsets, score, recognizer and strategy; a repetition says that it is one."""
    texts = [
        Text(("messages", 0, "content"), "account 12345678"),
        Text(("messages", 1, "x", "arguments"), '{"a": "12345678", "b": "é\\u00e9 12345678"}', "assistant", "json"),
    ]
    found = [[Span(8, 16, "BANK", 0.7, "Account")], [], [], [], []]
    redaction = redact(texts, segments(texts), found, EVERYTHING, Vault())
    rows = [tuple(finding) for finding in redaction.findings]
    assert rows == [
        ("BANK", "messages[0].content", 8, 16, 0.7, "Account", "placeholder"),
        ("BANK", "messages[1].*.arguments", 7, 15, 0.7, AGAIN, "placeholder"),
        ("BANK", "messages[1].*.arguments", 23, 41, 0.7, AGAIN, "placeholder"),
    ]


def test_a_thousand_findings_are_counted() -> None:
    """The first hundred are told one by one."""
    redaction, _ = _redact(_texts("Jane " * 1000), FixedDetector(PERSON=["Jane"]))
    assert (len(redaction.findings), redaction.more, redaction.counts) == (FINDINGS, 900, {"PERSON": 1000})


def test_what_is_allowed_stays() -> None:
    """By the policy for everybody, by the request for its caller; everywhere in the request."""
    detector = FixedDetector(PERSON=["Jane", "Acme", "Bob"])
    texts = _texts("Jane of ACME and Acme", "Bob")
    parts = segments(texts)
    found = [detector._found(part.shown) for part in parts]
    policy = Policy({}, "placeholder", allow_list=["acme"])
    assert list(redact(texts, parts, found, policy, Vault(), AllowList(["bob"])).edits.values()) == [
        "<PERSON_1> of ACME and Acme"
    ]


def test_a_number_is_put_back_as_a_number() -> None:
    """And the same value in text as text."""
    detector = FixedDetector(CARD=["4111111111111111"])
    text = Text(("arguments",), '{"n": -4111111111111111, "s": "4111111111111111"}', "assistant", "json")
    redaction, vault = _redact([text], detector)
    sent = redaction.edits[("arguments",)]
    assert sent == '{"n": -9000000000000001, "s": "<CARD_1>"}'
    assert Restorer(vault).whole(sent, "json") == text.value
    assert Restorer(vault).whole("19000000000000001") == "19000000000000001"
