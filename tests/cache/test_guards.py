from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.cache.guards import GUARDS, compare, same_negation, same_numbers, same_placeholders, veto


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Mail <EMAIL_ADDRESS_1>", "Mail <EMAIL_ADDRESS_2>"),
        ("Is <PERSON_1> here?", "Is she here?"),
        ("Did <PERSON_1> pay <PERSON_2>?", "Did <PERSON_2> pay <PERSON_1>?"),
        ("Call <PERSON_1>", "Call <PERSON_1> and <PERSON_1>"),
        ("Card <CREDIT_CARD_1>", "Card <IBAN_CODE_1>"),
    ],
)
def test_placeholders_that_differ(one: str, other: str) -> None:
    """Another placeholder, one more, or another order forbids the hit."""
    assert not same_placeholders(one, other)
    assert veto(one, other) == "placeholders"


def test_placeholders_that_agree() -> None:
    """The same ones in the same order allow it."""
    assert same_placeholders("Where is <PERSON_1>'s <ORDER_ID_1>?", "<PERSON_1> wants to know where <ORDER_ID_1> is")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Convert 5 miles", "Convert 6 miles"),
        ("Is it -5 degrees?", "Is it 5 degrees?"),
        ("Pay 1.50", "Pay 150"),
        ("In 2 days", "In two weeks and three days"),
        ("From 1 to 9", "From 9 to 1"),
        ("My iPhone 12", "My iPhone"),
        ("½ a cup of milk", "a cup of milk"),
        ("有三个苹果", "有四个苹果"),
        ("the year 1999", "the year ١٩٩٩ or 2000"),
    ],
)
def test_numbers_that_differ(one: str, other: str) -> None:
    """Another number, sign, order, or none forbids the hit."""
    assert not same_numbers(one, other)
    assert veto(one, other) == "numbers"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Give me 3 tips", "Give me three tips"),
        ("Twenty ideas, please", "20 ideas please"),
        ("<PERSON_1> has 2 cats", "Two cats has <PERSON_1>"),
        ("the one I like", "which I like"),
        ("a well-known fact", "a well known fact"),
        ("covid-19 rules", "rules on covid-19"),
    ],
)
def test_numbers_that_agree(one: str, other: str) -> None:
    """The same numbers, as digits or words, allow it; placeholders' own numbers are none."""
    assert same_numbers(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I do this?", "Can't I do this?"),
        ("Can I do this?", "Can\u2019t I do this?"),
        ("It works", "It does not work"),
        ("Pay with a card", "Pay without a card"),
        ("He isn't late", "He isn't never late"),
        ("It DOESNT work", "It works"),
    ],
)
def test_negation_that_differs(one: str, other: str) -> None:
    """One negation more or less forbids the hit."""
    assert not same_negation(one, other)
    assert veto(one, other) == "negation"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It isn't open", "It is not open"),
        ("Isn't it not open?", "It is open"),
        ("Know your notes", "Notes you know"),
    ],
)
def test_negation_that_agrees(one: str, other: str) -> None:
    """Contractions are negations, two cancel out, and letters inside a word are none."""
    assert same_negation(one, other)


@given(st.text(), st.text())
def test_guards_are_symmetric_and_allow_the_same_text(one: str, other: str) -> None:
    """No guard forbids a text its own answer, and none minds who asked first."""
    assert veto(one, one) is None
    for _, guard in GUARDS:
        assert guard(one, other) == guard(other, one)


@given(st.text(), st.text())
def test_overlap_is_symmetric_and_whole_for_the_same_text(one: str, other: str) -> None:
    """A share, whoever asked first, and all of it for equal texts."""
    assert compare(one, one).overlap == 1.0
    assert compare(one, other) == compare(other, one)
    assert 0.0 <= compare(one, other).overlap <= 1.0


def test_overlap_sees_through_spelling_and_inflection() -> None:
    """A typo, a contraction, a filler or an ending leaves the content accounted for; another word does not."""
    assert compare("How do I cancel my order?", "How do I actually cancel my oredr?").overlap == 1.0
    assert compare("How do I cancel my order?", "How do I cancel my subscription?").overlap < 0.8
