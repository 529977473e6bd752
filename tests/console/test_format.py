"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.console.format import count, duration, percent, short_count, usd


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (12_345, "12\u2009345"),
        (1_234_567, "1\u2009234\u2009567"),
    ],
)
def test_counts_have_thin_spaces_between_thousands(value: int, text: str) -> None:
    """Every three digits, from four on."""
    assert count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (99_999, "99\u2009999"),
        (734_523, "735\u2009k"),
        (999_499, "999\u2009k"),
        (999_500, "1\u2009M"),
        (12_345_678, "12.3\u2009M"),
        (1_500_000_000, "1.5\u2009G"),
    ],
)
def test_large_counts_are_short(value: int, text: str) -> None:
    """Three digits and a unit, which steps up where rounding would make four digits."""
    assert short_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "$0"),
        (1234.5, "$1\u2009234.50"),
        (12.3456, "$12.35"),
        (0.0123, "$0.01"),
        (0.001234, "$0.00123"),
        (0.00000042, "$0.00000042"),
        (0.000000001, "$0.000000001"),
        (0.0000000001, "<$0.000000001"),
    ],
)
def test_small_amounts_keep_three_digits(value: float, text: str) -> None:
    """Cents from a cent on; below, what one answer costs must not read as nothing."""
    assert usd(value) == text


@given(st.floats(1e-9, 1e6))
def test_an_amount_reads_back_within_its_precision(value: float) -> None:
    """Rounding for people is off by half a cent, or by half of the third digit, at the most."""
    shown = float(usd(value).replace("\u2009", "").removeprefix("$"))
    # Half of it in binary fractions: 0.125 and 0.12 are 0.0050000000000000044 apart.
    assert abs(shown - value) <= max(0.005 if value >= 0.0099 else 0.0, value * 0.0051, 5e-10) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0\u2009ms"),
        (0.004, "<0.01\u2009ms"),
        (0.42, "0.42\u2009ms"),
        (9.996, "10\u2009ms"),
        (312.4, "312\u2009ms"),
        (999.6, "1\u2009s"),
        (1240, "1.24\u2009s"),
        (125_000, "2\u2009min 5\u2009s"),
    ],
)
def test_durations_have_a_unit_that_fits(value: float | None, text: str) -> None:
    """Milliseconds, seconds, minutes; a dash where nothing was measured."""
    assert duration(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0, "0\u2009%"), (1, "100\u2009%"), (0.4887, "48.9\u2009%")])
def test_percentages(value: float | None, text: str) -> None:
    """One decimal, except where there is nothing to round."""
    assert percent(value) == text
