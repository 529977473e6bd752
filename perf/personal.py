"""Made-up personal data, put into questions and looked for in answers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

__all__ = ["KINDS", "LEFTOVER", "found_in", "insert"]

LEFTOVER = re.compile(r"<[A-Z][A-Z_]*_\d+>")
"""A placeholder that was not put back."""

_NAMES = ("ada", "bruno", "chiara", "dmitri", "elif", "farid", "greta", "hugo", "ines", "jonas", "kaya", "lena", "milo")
_AREAS = (202, 212, 303, 312, 404, 415, 503, 617, 702, 713, 808, 916)


def _email(rng: random.Random) -> str:
    return f"{rng.choice(_NAMES)}.{rng.randrange(10**6):06d}@example.com"


def _card(rng: random.Random) -> str:
    digits = [4, *(rng.randrange(10) for _ in range(14))]
    # ISO/IEC 7812-1, annex B: from the right, every second digit counts double.
    doubled = (sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits))
    digits.append(-sum(doubled) % 10)
    text = "".join(map(str, digits))
    return " ".join(text[place : place + 4] for place in range(0, 16, 4))


def _phone(rng: random.Random) -> str:
    return f"({rng.choice(_AREAS)}) 555-01{rng.randrange(100):02d}"


KINDS: Mapping[str, tuple[str, Callable[[random.Random], str]]] = {
    "EMAIL_ADDRESS": (" My e-mail address is {}.", _email),
    "CREDIT_CARD": (" My credit card number is {}.", _card),
    "PHONE_NUMBER": (" My phone number is {}.", _phone),
}
_FORMS = re.compile(r"[a-z]+\.\d{6}@example\.com|4\d{3}(?: \d{4}){3}|\(\d{3}\) 555-01\d{2}")


def insert(text: str, kinds: tuple[str, ...], rng: random.Random) -> tuple[str, dict[str, str]]:
    """A text with one made-up value of each kind after it, and those values by kind."""
    values = {kind: KINDS[kind][1](rng) for kind in kinds}
    return text + "".join(KINDS[kind][0].format(value) for kind, value in values.items()), values


def found_in(text: str) -> set[str]:
    """Every made-up value that a text holds."""
    return set(_FORMS.findall(text))
