from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.kernel import exact

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_dumps_then_loads_is_the_identity(value: object) -> None:
    """Integers of any length, floats to the last digit, text of any script."""
    assert exact.loads(exact.dumps(value)) == value


@given(st.integers(), st.text(max_size=40), st.integers(0, 40))
def test_a_long_integer_is_found_wherever_it_stands(number: int, text: str, spaces: int) -> None:
    """The search looks at every sixth byte first; no place may escape it."""
    big = number * 10**25 + 7
    data = json.dumps({text: [1.5, " " * spaces, big]}).encode()
    assert exact.loads(data)[text][2] == big


@pytest.mark.parametrize("number", [2**63, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**30])
def test_integers_round_the_borders_of_64_bits_survive(number: int) -> None:
    assert exact.loads(exact.dumps(exact.loads(b"%d" % number))) == number


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"\xff",
        b'"\\ud800"',
        b"NaN",
        b"[NaN, 123456789012345678901234]",
        b"[1e999, 123456789012345678901234]",
        b'["\\ud800", 123456789012345678901234]',
        b"[123456789012345678901234",
        b'{"a": 1, "a": 2}, 3',
    ],
)
def test_what_is_not_json_is_refused_on_either_way(data: bytes) -> None:
    """The slow way, taken for long integers, refuses what the fast one refuses."""
    with pytest.raises(ValueError, match="not valid JSON"):
        exact.loads(data)


def test_deep_values_are_refused_and_less_deep_ones_can_be_written() -> None:
    """Whatever is read can be walked by recursion and written again."""
    deepest = b'{"a":[' * (exact.MAX_DEPTH // 2) + b"]}" * (exact.MAX_DEPTH // 2)
    assert exact.dumps(exact.loads(deepest)) == deepest
    with pytest.raises(ValueError, match="deep"):
        exact.loads(b"[" + deepest + b"]")
    with pytest.raises(ValueError, match=r"deep|valid"):
        exact.loads(b"[" * 100_000 + b"1234567890123456789012" + b"]" * 100_000)


def test_many_shallow_brackets_are_not_deep() -> None:
    data = b"[" + b",".join([b"{}"] * 5000) + b"]"
    assert len(exact.loads(data)) == 5000


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ('{"a": 1, "b": {"a": 2}}', False),
        ('{"a": "x\\": \\\\", "b\\\\" : ["\\"y\\":", {"c\\"": ":"}], "": null}', False),
        ('["a", "b:", ": ", 1]', False),
        ('{"a": 1, "a": 2}', True),
        ('{"a": 1, "\\u0061"\n:\t2}', True),
        ('{"x": [{"b\\\\": 1, "b\\u005c": "\\":"}]}', True),
        ('{"a": {"b": 1, "c": 2}, "a": {}}', True),
    ],
)
def test_a_key_that_is_said_twice_is_seen(text: str, repeats: bool) -> None:
    """However it is spelled, and whatever strings look like."""
    data = text.encode()
    assert exact.repeats_a_key(data, exact.loads(data)) is repeats


@given(values)
def test_what_is_written_here_repeats_no_key(value: Any) -> None:
    data = exact.dumps(value)
    assert not exact.repeats_a_key(data, exact.loads(data))
