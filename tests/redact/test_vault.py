"""Placeholders: stable, shared by the same value, never mistaken for what somebody typed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helix.redact.vault import PLACEHOLDER, Vault, literals_in


def test_numbers_run_by_kind_in_order_of_appearance() -> None:
    """The first address is 1, whatever came before of other kinds."""
    vault = Vault()
    given_out = [vault.placeholder("A", "x"), vault.placeholder("B", "y"), vault.placeholder("A", "z")]
    assert given_out == ["<A_1>", "<B_1>", "<A_2>"]


def test_the_same_value_keeps_its_placeholder() -> None:
    """Also with other capitals and spaces, and when another recognizer calls it something else."""
    vault = Vault()
    first = vault.placeholder("EMAIL_ADDRESS", "Jane@Example.com")
    assert vault.placeholder("EMAIL_ADDRESS", " jane@example.COM ") == first
    assert vault.placeholder("URL", "jane@example.com") == first
    assert vault.values == {first: "Jane@Example.com"}


def test_numbers_that_the_caller_wrote_are_passed_over() -> None:
    """A literal placeholder stays what it is: text."""
    vault = Vault(literals_in(["say <A_1>", '{"x": "\\u003cA_3\\u003e"}']))
    assert [vault.placeholder("A", value) for value in "xyz"] == ["<A_2>", "<A_4>", "<A_5>"]


def test_what_was_typed_comes_back_letter_by_letter() -> None:
    """Of two spellings of what looks like a placeholder each has its own, and neither is a value's."""
    vault = Vault()
    first, second = vault.typed("A", "< A_1 >"), vault.typed("A", "< a_1 >")
    assert (first, second, vault.typed("A", "< A_1 >")) == ("<A_1>", "<A_2>", "<A_1>")
    assert vault.placeholder("A", "< a_1 >") == "<A_3>"
    assert vault.values == {"<A_1>": "< A_1 >", "<A_2>": "< a_1 >", "<A_3>": "< a_1 >"}


def test_the_repr_tells_no_value() -> None:
    """A vault in a traceback gives nothing away."""
    vault = Vault()
    vault.placeholder("A", "secret")
    assert "secret" not in repr(vault)


@given(st.lists(st.tuples(st.text(), st.text(min_size=1))))
def test_every_placeholder_has_the_form(pairs: list[tuple[str, str]]) -> None:
    """Whatever a detector calls a kind, its placeholder is one, short, and leads back to one value."""
    vault = Vault()
    for kind, value in pairs:
        placeholder = vault.placeholder(kind, value)
        assert PLACEHOLDER.fullmatch(placeholder)
        assert len(placeholder) <= 60
    assert len(set(vault.values)) == len({" ".join(value.split()).casefold() for _, value in pairs})


@given(st.lists(st.sampled_from(["a", "b", "c", "d"])), st.lists(st.sampled_from(["a", "b", "c", "d", "e"])))
def test_a_longer_history_keeps_earlier_placeholders(history: list[str], more: list[str]) -> None:
    """What was said before gets the same placeholders when it is sent again with another turn."""
    first, second = Vault(), Vault()
    before = [first.placeholder("A", value) for value in history]
    after = [second.placeholder("A", value) for value in history + more]
    assert after[: len(before)] == before
