"""Restoring: the same under any chunking, nothing held back that need not be, nothing but our own replaced."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from hypothesis import given
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
        [*PLACEHOLDERS, "<EMAIL_ADDRESS_77>", "<EMAIL_ADDRESS_", "<", "<<", "_1>", ">", "<PHONE_12345678901>"]
    ),
    st.text(st.characters(exclude_characters="\\", codec="utf-8"), max_size=8),
)
_json_parts = st.one_of(
    _text_parts,
    st.sampled_from(["\\\\", '\\"', "\\u003c", "\\u003e", "\\u003cPHONE_1\\u003e", "\\n", "\\u00e9", "\\u003C"]),
)


def _cut(text: str, borders: list[int]) -> list[str]:
    at = [0, *sorted(border % (len(text) + 1) for border in borders), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(at)]


@given(
    st.sampled_from(["text", "json"]).flatmap(
        lambda form: st.tuples(st.just(form), st.lists(_json_parts if form == "json" else _text_parts))
    ),
    st.lists(st.integers(0, 10_000)),
)
def test_chunks_do_not_matter(formed: tuple[Form, list[str]], borders: list[int]) -> None:
    """However a text is cut, its pieces restored are the text restored, with the same counts and bounds."""
    form, parts = formed
    text = "".join(parts)
    one, many = Restorer(VAULT), Restorer(VAULT)
    running = RunningText(many, form)
    said = ""
    for piece in _cut(text, borders):
        waiting = running.is_holding
        now = running.feed(piece)
        said += now
        if form == "text" and not waiting and "<" not in piece:
            assert now == piece
        assert len(running._held) < many.longest
        assert len(running._escape) <= 5
    assert said + running.flush() == one.whole(text, form)
    assert (many.restored, many.unknown) == (one.restored, one.unknown)
