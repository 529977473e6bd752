"""Restoring: the same under any chunking, nothing held back that need not be, nothing but our own replaced."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix.redact.restore import Form, Restorer, RunningText
from helix.redact.vault import Vault


def _vault(*values: str, literals: Sequence[str] = ()) -> Vault:
    vault = Vault(literals)
    for value in values:
        vault.placeholder("EMAIL_ADDRESS" if "@" in value else "PHONE", value)
    return vault


VAULT = _vault("jane@example.com", "+1 202", "joe@x.org", 'quote " and \\ @ é')
PLACEHOLDERS = list(VAULT.values)


def test_values_come_back() -> None:
    """Every placeholder that was given out is replaced; the rest stays."""
    restorer = Restorer(VAULT)
    assert restorer.whole("<EMAIL_ADDRESS_1>, <PHONE_1>!") == "jane@example.com, +1 202!"
    assert (restorer.restored, restorer.unknown) == (2, 0)


def test_unknown_ones_stay_and_are_counted() -> None:
    """A number that was never given out is left; what is of no kind of ours is not even counted."""
    restorer = Restorer(VAULT)
    text = "<EMAIL_ADDRESS_9> <EMAIL_ADDRESS_01> <STEP_1> <b> <EMAIL_ADDRESS_> <<PHONE_1"
    assert restorer.whole(text) == text
    assert (restorer.restored, restorer.unknown) == (0, 1)


def test_what_the_caller_wrote_is_not_unknown() -> None:
    """A literal placeholder comes back as the literal."""
    restorer = Restorer(_vault("a@b.c", literals=["<EMAIL_ADDRESS_1>"]))
    assert restorer.whole("<EMAIL_ADDRESS_1> <EMAIL_ADDRESS_2>") == "<EMAIL_ADDRESS_1> a@b.c"
    assert restorer.unknown == 0


def test_json_is_escaped() -> None:
    """In JSON, a value's quotes and backslashes are escaped, so that the text stays JSON."""
    restorer = Restorer(VAULT)
    text = restorer.whole('{"v": "<EMAIL_ADDRESS_3>"}', "json")
    assert json.loads(text) == {"v": 'quote " and \\ @ é'}


def test_json_may_spell_the_angles_as_escapes() -> None:
    """Go's encoder writes \\u003c; an escaped backslash before it makes it text."""
    restorer = Restorer(VAULT)
    assert restorer.whole(r'"\u003cPHONE_1\u003E"', "json") == '"+1 202"'
    assert restorer.whole(r'"\\u003cPHONE_1\u003e"', "json") == r'"\\u003cPHONE_1>"'


@pytest.mark.parametrize(
    ("form", "restored"),
    [
        ("<phone_1>", "+1 202"),
        ("<Phone_1>", "+1 202"),
        ("< PHONE_1 >", "+1 202"),
        ("<PHONE 1>", "+1 202"),
        ("<PHONE-1>", "+1 202"),
        ("<PHONE\u20111>", "+1 202"),
        ("<PHONE_ 1>", "+1 202"),
        ("<**PHONE_1**>", "+1 202"),
        ("<PHONE\\_1>", "+1 202"),
        ("\\<PHONE\\_1\\>", "+1 202"),
        ("C:\\<PHONE_1>\\x", "C:\\+1 202\\x"),
        ("&lt;PHONE_1&gt;", "+1 202"),
        ("&#60;PHONE_1&#62;", "+1 202"),
        ("＜PHONE_1＞", "+1 202"),
        ("〈PHONE_1〉", "+1 202"),
        ("PHONE_1", "+1 202"),
        ("PHONE\\_1", "+1 202"),
        ("**PHONE_1**", "**+1 202**"),
        ("_PHONE_1_", "_PHONE_1_"),
        ("*<PHONE_1>*", "*+1 202*"),
        ("`PHONE_1`", "`+1 202`"),
        ("[PHONE_1](tel:PHONE_1)", "[+1 202](tel:+1 202)"),
        ("<PHONE_1>'s", "+1 202's"),
        ("PHONE_1's", "+1 202's"),
        ("<PHONE_1>s", "+1 202s"),
        ("<email address 1>", "jane@example.com"),
        ("<EmailAddress_1>", "jane@example.com"),
        ("EMAIL\\_ADDRESS\\_1", "jane@example.com"),
    ],
)
def test_slightly_altered_placeholders_are_known(form: str, restored: str) -> None:
    """Case, blanks, dashes, Markdown, HTML, other angles or none; at the end of a text too, and letter by letter."""
    assert Restorer(VAULT).whole(form) == restored
    assert Restorer(VAULT).whole(f"so {form}, then {form}") == f"so {restored}, then {restored}"
    running = RunningText(Restorer(VAULT))
    assert "".join(map(running.feed, f"x {form}")) + running.flush() == f"x {restored}"


@pytest.mark.parametrize(
    "text",
    [
        *("phone_1", "Phone 1", "PHONE 1", "PHONE-1", "MY_PHONE_1", "PHONE_12", "PHONE_1x", "PHONE_01", "xPHONE_1"),
        *("<PHONE_1", "PHONE_1>", "<PHONE1>", "<PHONE", "<MY_PHONE_1>", "<PHONE_1_2>", "<PHONE     1>", "&lt;PHONE_1"),
    ],
)
def test_what_may_mean_something_else_is_left(text: str) -> None:
    """Prose, programs, longer names, half a pair of angles."""
    restorer = Restorer(VAULT)
    if text.startswith("&lt;"):
        assert restorer.whole(text) == "&lt;+1 202"  # the name alone, behind a character that means nothing
    else:
        assert restorer.whole(f"so {text} is") == f"so {text} is"


def test_of_kinds_that_look_alike_only_the_exact_form_is_known() -> None:
    """Nobody can tell whose an altered form would be."""
    vault = Vault()
    vault.placeholder("ORDER_ID", "a")
    vault.placeholder("ORDERID", "b")
    assert Restorer(vault).whole("<ORDER_ID_1> <ORDERID_1> <order id 1>") == "a b <order id 1>"


def test_other_stand_ins_are_whole_words() -> None:
    """A made-up name or number is told wherever it stands by itself."""
    restorer = Restorer(SURROGATES)
    assert (
        restorer.whole("Maria Roe, Maria's 900001; Mariana 9000010 x900001")
        == "Ann, Bea's 123456; Mariana 9000010 x900001"
    )
    assert (
        restorer.whole('{"n": 900001, "m": "Jos\\u00e9", "a": "12 Elm\\nSt"}', "json")
        == '{"n": 123456, "m": "X", "a": "W"}'
    )


def test_stand_ins_of_both_forms_come_back_in_whatever_order() -> None:
    """What is found first is put back first, also where one form stands inside the other."""
    vault = Vault()
    for form, value, stand_in in (("", "Jane", "<PERSON_1>"), ("s", "Bob", "Ada"), ("s", "Eve", "PERSON_1 Lee")):
        vault.keep(form, value, stand_in)
    restorer = Restorer(vault)
    assert restorer.whole("Ada <PERSON_1> Ada Ada PERSON_1 <PERSON_1>") == "Bob Jane Bob Bob Jane Jane"
    assert restorer.whole("Ada, PERSON_1 Lee, Ada") == "Bob, Jane Lee, Bob"
    assert restorer.whole("<PERSON_1>, Ada PERSON_1") == "Jane, Bob Jane"


def test_a_stand_in_waits_no_longer_than_it_must() -> None:
    """A word that goes on otherwise is let go at once."""
    running = RunningText(Restorer(SURROGATES))
    pieces = ("I know M", "ar", "k and Maria", " R", "ob and Maria R", "oe", "!")
    assert [running.feed(piece) for piece in pieces] == ["I know ", "", "Mark and ", "", "Bea Rob and ", "", "Ann!"]


def test_signed_thoughts_are_restored_by_the_exact_form_alone() -> None:
    """What an altered form becomes would not become that form again when the thought is sent back."""
    restorer = Restorer(VAULT)
    assert restorer.whole("<PHONE_1> PHONE_1 <phone_1>", "signed") == "+1 202 PHONE_1 <phone_1>"


def test_an_html_text_stays_html() -> None:
    """A value in the place of `&lt;…&gt;` is escaped as that was."""
    vault = _vault("a<b>&c@x.org")
    assert Restorer(vault).whole("&lt;EMAIL_ADDRESS_1&gt; <EMAIL_ADDRESS_1>") == "a&lt;b&gt;&amp;c@x.org a<b>&c@x.org"


@pytest.mark.parametrize("cuts", [[], [9], list(range(90))])
def test_json_in_strings_in_json_is_quoted_as_deep_as_it_stands(cuts: list[int]) -> None:
    """A value with quotes leaves every level valid; a text that only looks like JSON is not quoted."""
    value = 'quote " and \\ @ é'
    inner = json.dumps({"b": "<EMAIL_ADDRESS_3>", "c": [1, "x <EMAIL_ADDRESS_3>"]})
    text = json.dumps({"a": inner, "d": 'say "<EMAIL_ADDRESS_3>"'})
    running = RunningText(Restorer(VAULT), "json")
    got = json.loads("".join(map(running.feed, _cut(text, cuts))) + running.flush())
    assert json.loads(got["a"]) == {"b": value, "c": [1, f"x {value}"]}
    assert got["d"] == f'say "{value}"'
    assert Restorer(VAULT).whole('I say "<EMAIL_ADDRESS_3>"') == f'I say "{value}"'
    assert json.loads(Restorer(VAULT).whole('{"a": "<EMAIL_ADDRESS_3>"}')) == {"a": value}


def test_a_repetition_is_not_counted() -> None:
    """A snapshot at a stream's end restores what was counted when it was streamed."""
    restorer = Restorer(VAULT)
    assert restorer.whole("<PHONE_1> <PHONE_7>", counts=False) == "+1 202 <PHONE_7>"
    assert (restorer.restored, restorer.unknown) == (0, 0)


def test_only_what_may_become_a_placeholder_waits() -> None:
    """An angle that begins nothing of ours passes with its chunk."""
    running = RunningText(Restorer(VAULT))
    assert [running.feed(piece) for piece in ("if a <", " b and <PH", "ILE> <PHONE_", "1", ">.")] == [
        "if a ",
        "< b and ",
        "<PHILE> ",
        "",
        "+1 202.",
    ]
    assert running.flush() == ""


def test_what_waits_at_the_end_comes_out() -> None:
    """Half a placeholder at a text's end is text."""
    running = RunningText(Restorer(VAULT))
    assert running.feed("so <PHONE_1") == "so "
    assert running.flush() == "<PHONE_1"


_text_parts = st.one_of(
    st.sampled_from(
        [
            *(*PLACEHOLDERS, "<EMAIL_ADDRESS_77>", "<EMAIL_ADDRESS_", "<", "<<", "_1>", ">", "<PHONE_12345678901>"),
            *("< phone 1 >", "<Phone-1>", "PHONE_1", "PHONE\\_1", "\\<PHONE\\_1\\>", "&lt;PHONE_1&gt;", "＜PHONE_1＞"),
            *(
                "**PHONE_1**",
                "MY_",
                "s",
                "P",
                "PHO",
                "EMAIL_ADDRESS",
                "email address 2 >",
                "`",
                "*",
                "&l",
                " ",
                "\\",
                "_",
            ),
            *("Maria Roe", "Maria", "Mar", "900001", "9000010", "1", "O'Neil", "12 Elm\nSt"),
        ]
    ),
    st.text(st.characters(codec="utf-8"), max_size=8),
)
_json_parts = st.one_of(
    _text_parts,
    st.sampled_from(
        [
            *(
                "\\\\",
                '\\"',
                "\\u003c",
                "\\u003e",
                "\\u003cPHONE_1\\u003e",
                "\\n",
                "\\u00e9",
                "\\u003C",
                '{"',
                '"}',
                "[",
            ),
            *("\\u0026lt;PHONE_1&gt;", "12 Elm\\nSt", "Jos\\u00e9", "José", '"'),
        ]
    ),
)


def _cut(text: str, borders: list[int]) -> list[str]:
    at = [0, *sorted(border % (len(text) + 1) for border in borders), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(at)]


SURROGATES = _vault("jane@example.com", "+1 202", "joe@x.org", 'quote " and \\ @ é')
SURROGATES.values |= {
    "Maria Roe": "Ann",
    "Maria": "Bea",
    "900001": "123456",
    "O'Neil": "Q",
    "12 Elm\nSt": "W",
    "José": "X",
}


@settings(deadline=None)
@given(
    st.sampled_from(["text", "json", "signed"]).flatmap(
        lambda form: st.tuples(st.just(form), st.lists(_json_parts if form == "json" else _text_parts))
    ),
    st.lists(st.integers(0, 10_000)),
    st.sampled_from([VAULT, SURROGATES]),
)
def test_chunks_do_not_matter(formed: tuple[Form, list[str]], borders: list[int], vault: Vault) -> None:
    """However a text is cut, its pieces restored are the text restored, with the same counts and bounds."""
    form, parts = formed
    text = "".join(parts)
    one, many = Restorer(vault), Restorer(vault)
    whole = one.whole(text, form)
    running = RunningText(many, form)
    said = ""
    for piece in _cut(text, borders):
        waiting = running.is_holding
        now = running.feed(piece)
        said += now
        assert whole.startswith(said)
        if form == "text" and not waiting and not re.search(r"[<&＜〈\\\w+-]", piece):
            assert now == piece
        assert len(running._held) <= many.longest
        assert len(running._escape) <= 5
    assert said + running.flush() == whole
    assert (many.restored, many.unknown) == (one.restored, one.unknown)
