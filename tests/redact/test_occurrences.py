"""Known values are found wherever they stand by themselves."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from helix.redact.occurrences import Occurrences, stands_in


def _found(values: list[str], text: str) -> list[str]:
    return [text[start:end] for start, end in Occurrences(values).between(text, 0, len(text))]


def test_whole_words_alone() -> None:
    """Not inside a longer word or number, and the longest of two."""
    assert _found(["12345", "12345-6"], "12345, x12345 123456 12345-6 12345-67 _12345") == ["12345", "12345-6", "12345"]


def test_values_may_begin_and_end_with_signs() -> None:
    """A plus or a bracket belongs to the value, and ends the word before it."""
    text = "call +1 202, a+1 202 or (a)(a)b --"
    assert _found(["+1 202", "(a)", "--"], text) == ["+1 202", "+1 202", "(a)", "(a)"]


def test_many_values_may_begin_with_one_word() -> None:
    """The longest of those that stand there is found, and of shapes that others have nothing else."""
    values = [f"10.0.{third}.{fourth}" for third in range(1, 30) for fourth in range(1, 30)]
    assert _found([*values, "10.0.1.2 (gw)"], "10.0.1.2 (gw) 10.0.1.2 10.0.29.29 10.0.99.1 10.0.1.290") == [
        "10.0.1.2 (gw)",
        "10.0.1.2",
        "10.0.29.29",
    ]


def test_one_value_in_a_text() -> None:
    """By itself, or not at all."""
    assert stands_in("ann", "joann, ann")
    assert not stands_in("ann", "joann, anna")
    assert not stands_in("--", "a -- b")


def test_only_between() -> None:
    """What reaches over either border is not found."""
    assert list(Occurrences(["ab"]).between("ab ab ab", 1, 7)) == [(3, 5)]


_texts = st.text(st.sampled_from("ab1 -(_"), max_size=30)


@given(st.lists(st.text(st.sampled_from("ab1 -(_"), min_size=1, max_size=5), max_size=4), _texts)
def test_nothing_that_stands_alone_is_missed(values: list[str], text: str) -> None:
    """Where a value's letters are found, no occurrence is left between those that were found."""
    values = [value for value in values if re.search(r"\w", value)]
    left = list(text)
    for start, end in Occurrences(values).between(text, 0, len(text)):
        assert text[start:end] in values
        left[start:end] = "\0" * (end - start)
    for value in values:
        # Signs before the first word may be shared by two occurrences: those between words are what counts.
        core = value.lstrip("-( ")
        if core == value:
            behind = r"(?!\w)" if re.search(r"\w\Z", value) else ""
            assert not re.search(rf"(?<![\w\0]){re.escape(value)}{behind}", "".join(left))
