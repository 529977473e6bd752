"""Check digits: each scheme takes published numbers, and none that differs from them in a digit."""

from __future__ import annotations

import pytest

from helix.redact.checksums import CHECKSUMS

# Numbers that the schemes' own documents, or their users, give as examples.
PUBLISHED = [
    ("luhn", "4111 1111 1111 1111"),
    ("gs1", "4006381333931"),
    ("gs1", "978-0-306-40615-7"),
    ("mod11", "943 476 5919"),
    ("mod11", "0-8044-2957-X"),
    ("verhoeff", "2363"),
    ("damm", "5724"),
    ("mod97", "5493001KJTIIGC8Y1R12"),
    ("iban", "GB82 WEST 1234 5698 7654 32"),
    ("iso7064_mod11_2", "0000-0002-1694-233X"),
    ("iso7064_mod37_2", "G123498654321H"),
    ("iso7064_mod11_10", "86095742719"),
    ("iso7064_mod37_36", "A1-2425G-ABC1234002-M"),
]


def test_every_scheme_has_a_published_number() -> None:
    """No scheme is without an example."""
    assert {name for name, _ in PUBLISHED} == set(CHECKSUMS)


@pytest.mark.parametrize(("name", "number"), PUBLISHED)
def test_published_numbers_pass(name: str, number: str) -> None:
    """A scheme takes a published number, whatever parts its digits and in either case."""
    assert CHECKSUMS[name](number)
    assert CHECKSUMS[name](number.lower().replace(" ", "-"))


@pytest.mark.parametrize(("name", "number"), PUBLISHED)
def test_a_wrong_digit_is_noticed(name: str, number: str) -> None:
    """Every change of a single digit is noticed: all these schemes promise that."""
    for at, digit in enumerate(number):
        if digit.isdigit():
            for other in set("0123456789") - {digit}:
                assert not CHECKSUMS[name](number[:at] + other + number[at + 1 :])


@pytest.mark.parametrize("name", sorted(CHECKSUMS))
@pytest.mark.parametrize("value", ["", "7", "- -", "x y", "１２３４", "٣٤٥", "*", "X" * 5000, "²²", "1" * 65])
def test_what_is_no_number_does_not_pass(name: str, value: str) -> None:
    """Too short, too long, letters where there may be none, digits of other scripts: refused, not an error."""
    assert not CHECKSUMS[name](value)
