"""Surrogates: of the same kind and form, the same every time, never something that the request says."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix.redact.surrogates import Surrogates, check_digit
from helix.redact.vault import Vault, Wording


@pytest.fixture(name="surrogates", scope="module")
def _surrogates() -> Surrogates:
    surrogates = Surrogates(b"a secret")
    surrogates.open()
    return surrogates


def made(surrogates: Surrogates, kind: str, value: str) -> str:
    found = surrogates.of(kind, value, Vault())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        ("EMAIL_ADDRESS", "jane.doe7@acme.io", r"[a-z]+\.[a-z]+[0-9]@example\.(com|org|net)"),
        ("EMAIL_ADDRESS", "jdoe@acme.io", r"[a-z]+@example\.(com|org|net)"),
        ("PHONE_NUMBER", "+44 (0)20 7946-0958", r"\+44 \(\d\)\d\d \d{4}-\d{4}"),
        ("PHONE_NUMBER", "030 123456", r"0\d\d \d{6}"),
        ("US_SSN", "536-22-8721", r"[1-8]\d\d-\d\d-\d{4}"),
        ("DATE_TIME", "2024-01-31", r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|1[0-2])"),
        ("DATE_TIME", "Friday, March 3rd 1999", r"[A-Z][a-z]+day, [A-Z][a-z]+ [1-9]rd (199|200)\d"),
        ("MAC_ADDRESS", "3C:5A:B4:11:22:33", r"02(:[0-9A-F]{2}){5}"),
        ("URL", "https://intra.acme.io/jane", r"https://[a-z]+\.example\.(com|org|net)"),
        ("US_PASSPORT", "A12345678", r"[A-Z][1-9]\d{7}"),
        ("PERSON", "Jane Doe", r"[A-Z][a-z]+ [A-Z][a-z]+"),
        ("PERSON", "JANE DOE", r"[A-Z]+ [A-Z]+"),
        ("PERSON", "jane doe", r"[a-z]+ [a-z]+"),
        ("PERSON", "J. van der Berg", r"[A-Z]\. van der [A-Z][a-z]+"),
        ("LOCATION", "Berlin", r"[A-Z][A-Za-z ]+"),
        ("LOCATION", "12 Main Street", r"\d+ .+"),
        ("NRP", "French", r"[A-Z][a-z]+"),
        ("ORGANIZATION", "Siemens AG", r".+"),
        ("EMPLOYEE_ID", "AB-1234", r"[A-Z]{2}-[1-9]\d{3}"),
    ],
)
def test_the_form_is_kept(surrogates: Surrogates, kind: str, value: str, form: str) -> None:
    """Whoever reads the answer, people or programs, sees a value of the kind that it was."""
    other = made(surrogates, kind, value)
    assert re.fullmatch(form, other), other
    assert other != value


@given(st.integers(12, 19), st.integers(0, 10**18))
@settings(max_examples=50)
def test_cards_keep_their_check_digit(surrogates: Surrogates, length: int, number: int) -> None:
    """And scheme, length and spacing."""
    digits = f"4{number:018d}"[: length - 1]
    value = digits[:4] + " " + digits[4:] + check_digit(digits)
    other = made(surrogates, "CREDIT_CARD", value)
    plain = other.replace(" ", "")
    assert (other[0], other[4], len(other)) == ("4", " ", len(value))
    assert check_digit(plain[:-1]) == plain[-1]


def test_accounts_keep_their_check_digits(surrogates: Surrogates) -> None:
    """An IBAN of the same country that is valid."""
    other = made(surrogates, "IBAN_CODE", "DE89 3704 0044 0532 0130 00")
    assert re.fullmatch(r"DE\d\d( \d{4}){4} \d\d", other)
    plain = other.replace(" ", "")
    assert int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


@pytest.mark.parametrize("value", ["93.184.216.34", "2a00:1450:4001:81b::200e"])
def test_addresses_are_of_documentation(surrogates: Surrogates, value: str) -> None:
    """Nobody's host is made up."""
    found = ipaddress.ip_address(made(surrogates, "IP_ADDRESS", value))
    networks = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
    assert any(found in ipaddress.ip_network(network) for network in networks)


def test_the_same_value_has_the_same_surrogate() -> None:
    """With the same secret, in every process; with another, another."""
    first, second, third = Surrogates(b"a secret"), Surrogates(b"a secret"), Surrogates(b"another")
    for kind, value in (("PERSON", "Jane Doe"), ("EMAIL_ADDRESS", "jane@acme.io"), ("LOCATION", "Berlin")):
        assert made(first, kind, value) == made(second, kind, value) != made(third, kind, value)


def test_parts_of_a_name_are_parts_of_its_surrogate(surrogates: Surrogates) -> None:
    """So that an answer that greets by the given name greets by the right one."""
    vault = Vault()
    whole = surrogates.of("PERSON", "Jane Doe", vault)
    assert whole is not None
    given_name, family = whole.split()
    assert surrogates.of("PERSON", "Jane", vault) == given_name
    assert surrogates.of("PERSON", "DOE", vault) == family
    assert vault.values == {whole: "Jane Doe", given_name: "Jane", family: "Doe"}


def test_nothing_that_the_request_says(surrogates: Surrogates) -> None:
    """A name that stands in the request, in whatever case, is passed over for the next."""
    first = made(surrogates, "PERSON", "Jane Doe").split()[0]
    vault = Vault(wording=Wording([f"ask {first.upper()} too"]))
    other = surrogates.of("PERSON", "Jane Doe", vault)
    assert other is not None
    assert first not in other
    mail = made(surrogates, "EMAIL_ADDRESS", "jane@acme.io")
    assert surrogates.of("EMAIL_ADDRESS", "jane@acme.io", Vault(wording=Wording([mail]))) != mail


def test_what_has_no_surrogate_is_none(surrogates: Surrogates) -> None:
    """A date in words alone has no part to change."""
    assert surrogates.of("DATE_TIME", "next week", Vault()) is None


@given(st.text(min_size=1, max_size=40), st.sampled_from(["PERSON", "EMAIL_ADDRESS", "CREDIT_CARD", "DATE_TIME", "X"]))
@settings(max_examples=300)
def test_whatever_was_found_has_one_or_none(surrogates: Surrogates, value: str, kind: str) -> None:
    """A detector may call anything anything: no surrogate is the value, and none fails."""
    other = surrogates.of(kind, value, Vault())
    assert other is None or other != value
