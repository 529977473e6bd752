"""The replay sends what it says, and counts from the answers."""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path

import phonenumbers
import pytest

from perf.personal import KINDS, found_in, insert
from perf.questions import MAKERS
from perf.replay import UNKNOWN_MODEL, Ask, Outcome, _count, _faults, plan, questions_of


def _luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number.replace(" ", ""))]
    return sum(sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(digits)) % 10 == 0


def test_made_up_values_are_valid_and_found_again() -> None:
    """Cards pass Luhn's check, phone numbers are possible ones, and every value is recognised in a text."""
    rng = random.Random(1)
    for _ in range(200):
        text, values = insert("Where is my card?", tuple(KINDS), rng)
        assert found_in(text) == set(values.values())
        assert _luhn(values["CREDIT_CARD"])
        assert phonenumbers.is_possible_number(phonenumbers.parse(values["PHONE_NUMBER"], "US"))


def test_the_plan_is_the_same_for_the_same_seed() -> None:
    """Half of the plan is streamed, a third carries personal data, one in a hundred asks for an unknown model."""
    questions = [f"question {number}?" for number in range(1000)]
    asks = plan(questions, 1000, model="demo/echo", seed=3)
    assert asks == plan(questions, 1000, model="demo/echo", seed=3)
    assert sum(ask.stream for ask in asks) == 500
    assert sum(ask.model == UNKNOWN_MODEL for ask in asks) == 10
    assert 250 < sum(bool(ask.values) for ask in asks) < 400
    assert len({ask.text for ask in asks if not ask.values}) < sum(not ask.values for ask in asks)


@pytest.mark.parametrize("rows", [[{"q": "one?"}, {"q": "two?"}], [{"a": "one?", "b": "two?", "same": 0}]])
def test_both_forms_of_files_are_read(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    """A file has the field q, or a and b."""
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(questions_of(file)) == ["one?", "two?"]


def test_what_came_back_is_counted_from_the_answers() -> None:
    """A value that is missing, another's value and a placeholder in an answer are faults, whatever headers say."""
    mine = {"EMAIL_ADDRESS": "ada.000001@example.com"}
    good = Outcome(Ask("q", mine), "You said ada.000001@example.com", "miss")
    lost = Outcome(Ask("q", mine), "You said <EMAIL_ADDRESS_1>", "exact")
    foreign = Outcome(Ask("q", mine), "ada.000001@example.com and bruno.000002@example.com", "miss")
    report = _count([good, lost, foreign]) | {"rows": 3}
    assert report["inserted"] == {"EMAIL_ADDRESS": 3}
    assert report["restored"] == {"EMAIL_ADDRESS": 2}
    assert report["lost"] == {"EMAIL_ADDRESS": 1}
    assert (report["values_of_others"], report["placeholders_left"]) == (1, 1)
    assert len(_faults(report)) == 3


def test_books_that_do_not_balance_are_a_fault() -> None:
    """Answered and refused must be sent; rows must be their sum."""
    answered, refused, broken = (
        Outcome(Ask("q"), "a", "miss"),
        Outcome(Ask("q"), error="404", refused=True),
        Outcome(Ask("q"), error="connection"),
    )
    assert _faults(_count([answered, refused]) | {"rows": 2}) == []
    assert len(_faults(_count([answered, refused]) | {"rows": 1})) == 1
    assert len(_faults(_count([answered, refused, broken]) | {"rows": 2})) == 1


def test_questions_are_new_where_they_should_be() -> None:
    """Fresh questions and paraphrases never repeat, and differ from round to round."""
    for name in ("fresh", "paraphrased"):
        rounds = [[question.text for question in islice(MAKERS[name](seed), 1000)] for seed in (0, 1)]
        assert len({*rounds[0], *rounds[1]}) == 2 * len(rounds[0])
