"""What goes out for a value under each strategy, and who can read it afterwards."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presidio_anonymizer import DeanonymizeEngine
from presidio_anonymizer.entities import OperatorConfig, OperatorResult

from helix.kernel.types import Span
from helix.redact import RedactMiddleware
from helix.redact.allowed import AllowList
from helix.redact.policy import Policy
from helix.redact.vault import Vault, Wording

from .apps import Provider

KEY = "0123456789abcdef"
SECRET = "a secret of this deployment"


def instead(policy: Policy, value: str, kind: str = "CREDIT_CARD", *, numeric: bool = False) -> str:
    """What a policy puts in a value's place in a request of its own."""
    strategy = policy.of(Span(0, len(value), kind, 1.0))
    return policy.instead(strategy, kind, value, Vault(), numeric=numeric)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, "**** **** **** 1111"),
        ({"last": 0}, "**** **** **** ****"),
        ({"first": 2, "last": 2}, "41** **** **** **11"),
        ({"character": "X"}, "XXXX XXXX XXXX 1111"),
        ({"first": 4, "last": 4}, "**** **** **** ****"),
    ],
)
def test_a_mask_shows_what_it_is_told_to(options: dict[str, object], seen: str) -> None:
    """And nothing at all where that would be half of the value or more."""
    policy = Policy({"CREDIT_CARD": {"strategy": "mask", **options}})
    assert instead(policy, "4111 1111 1111 1111") == seen


def test_a_hash_is_the_same_wherever_its_secret_is() -> None:
    """In every process and request, for other capitals too; not with another secret; told by its kind."""
    first, second = (Policy({}, "hash", secret=SECRET) for _ in range(2))
    hashed = instead(first, "Jane@x.com", "EMAIL_ADDRESS")
    assert re.fullmatch(r"<EMAIL_ADDRESS_h[0-9a-f]{12}>", hashed)
    assert instead(second, "jane@X.com", "EMAIL_ADDRESS") == hashed
    assert instead(Policy({}, "hash", secret="another"), "Jane@x.com", "EMAIL_ADDRESS") != hashed
    assert instead(Policy({}, "hash"), "Jane@x.com") != instead(Policy({}, "hash"), "Jane@x.com")


@given(st.text(min_size=1))
def test_presidio_decrypts_what_was_encrypted(value: str) -> None:
    """Its own engine, with the key; the same value has the same ciphertext, so that a history stays the same text."""
    policy = Policy({}, "encrypt", encryption_key=KEY)
    sent = instead(policy, value)
    assert sent == instead(policy, value)
    assert sent.startswith("<CREDIT_CARD:")
    entities = [OperatorResult(len("<CREDIT_CARD:"), len(sent) - 1, "CREDIT_CARD")]
    result = DeanonymizeEngine().deanonymize(sent, entities, {"DEFAULT": OperatorConfig("decrypt", {"key": KEY})})
    assert result.text == f"<CREDIT_CARD:{value}>"


def test_another_key_gives_another_ciphertext() -> None:
    """And a beginning that two values share does not show."""
    one = instead(Policy({}, "encrypt", encryption_key=KEY), "4111 1111 1111 1111")
    other = instead(Policy({}, "encrypt", encryption_key=KEY[::-1]), "4111 1111 1111 1111")
    near = instead(Policy({}, "encrypt", encryption_key=KEY), "4111 1111 1111 1112")
    start = len("<CREDIT_CARD:")
    assert len({text[start : start + 8] for text in (one, other, near)}) == 3


@pytest.mark.parametrize("strategy", ["placeholder", "mask", "hash", "surrogate"])
@pytest.mark.parametrize("digits", ["4111111111111111", "5551234", "1000000"])
def test_a_number_stays_a_number_of_as_many_digits(strategy: str, digits: str) -> None:
    """Whatever the strategy, so that tool arguments keep their types."""
    sent = instead(Policy({}, strategy, secret=SECRET), digits, numeric=True)
    assert re.fullmatch(rf"[1-9][0-9]{{{len(digits) - 1}}}", sent)
    assert sent != digits


def test_scores_by_kind() -> None:
    """A kind's own threshold before the one for all; the detector must give what any of them asks for."""
    policy = Policy({}, "placeholder", {"default": 0.4, "PERSON": 0.6, "US_SSN": 0.1})
    asked = [("PERSON", 0.5), ("PERSON", 0.6), ("US_SSN", 0.1), ("EMAIL_ADDRESS", 0.3)]
    assert [policy.of(Span(0, 1, kind, score)).name for kind, score in asked] == [
        "keep",
        "placeholder",
        "placeholder",
        "keep",
    ]
    assert policy.least_score == 0.1


def test_a_policy_tells_no_secret() -> None:
    """Not where it is printed."""
    policy = Policy({}, "encrypt", encryption_key=KEY, secret=SECRET)
    assert KEY not in repr(policy)
    assert SECRET not in repr(policy)


def test_what_is_allowed_is_allowed_in_any_case() -> None:
    """Values by their folded text; patterns match the whole value or nothing."""
    allowed = AllowList(["Acme  Corp", {"pattern": "ticket-[0-9]{1,9}"}])
    assert "ACME corp" in allowed
    assert "TICKET-12" in allowed
    assert "ticket-12 of Jane" not in allowed
    assert "Acme" not in allowed
    assert "Acme" not in repr(allowed)


def test_a_pattern_that_backtracks_allows_nothing() -> None:
    """It is given up in its time, not waited for."""
    assert "a" * 400 + "!" not in AllowList([{"pattern": "(a+)+$"}])


@pytest.mark.parametrize(
    ("entry", "says"), [({"regex": "a"}, "value or"), ("", "value or"), ({"pattern": "(a"}, "not a regular expression")]
)
def test_wrong_entries_are_named(entry: object, says: str) -> None:
    """An allow-list says what may stand on it."""
    with pytest.raises(ValueError, match=says):
        AllowList([entry])  # type: ignore[list-item]


def test_two_lists_are_one() -> None:
    """The policy's and the caller's."""
    both = AllowList(["a"]) | AllowList([{"pattern": "b+"}])
    assert ("A" in both, "bb" in both, "c" in both) == (True, True, False)


def test_numbers_differ_from_all_that_the_request_holds() -> None:
    """So that what is put back is ours."""
    vault = Vault(wording=Wording(['{"n": 9000001, "m": "call 9000002"}']))
    assert [vault.number("5551234"), vault.number("5551235"), vault.number("5551234")] == [
        "9000003",
        "9000004",
        "9000003",
    ]


def test_a_kind_without_a_score_of_its_own_has_the_usual_one() -> None:
    """A map without `default` does not let every guess through."""
    policy = Policy({"EMAIL_ADDRESS": "mask", "PERSON": "mask"}, score_threshold={"PERSON": 0.9})
    assert policy.least_score == 0.4
    assert policy.is_unsure(Span(0, 1, "EMAIL_ADDRESS", 0.39))
    assert not policy.is_unsure(Span(0, 1, "EMAIL_ADDRESS", 0.4))


def test_a_score_for_an_unknown_kind_is_refused() -> None:
    """A misspelt kind would be a score that nothing has."""
    with pytest.raises(ValueError, match="unknown entity 'E_MAIL'; known are"):
        RedactMiddleware(Provider(lambda _: {}), score_threshold={"default": 0.4, "E_MAIL": 0.9})
