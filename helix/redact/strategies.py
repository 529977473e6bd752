"""What may be done with a piece of personal data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["STRATEGIES", "Given", "Strategy", "masked"]

STRATEGIES: Mapping[str, str] = {
    "placeholder": "replaced by a placeholder, put back into the answer",
    "mask": "letters and digits replaced by *, but for the last four, for good; options: first, last, character",
    "hash": "replaced by a keyed digest that is the same in every request, for good",
    "encrypt": "replaced by its ciphertext, which whoever holds the key can read",
    "surrogate": "replaced by a made-up value of the same kind, put back into the answer",
    "keep": "left as it is",
    "block": "the request is refused",
}
"""What may be done with a kind of personal data."""

Given: TypeAlias = str | Mapping[str, Any]
"""A strategy as somebody configures it: its name, or `{"strategy": "mask", "last": 4}`."""

_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy's name, and the options of a mask: how many letters and digits stay at either end, and what hides."""

    name: str
    first: int = 0
    last: int = 4
    character: str = "*"

    @classmethod
    def of(cls, given: Given | Strategy, kind: str) -> Strategy:
        """The strategy for a kind as it was configured. Raises ValueError that says what is allowed."""
        if isinstance(given, Strategy):
            return given
        name = given if isinstance(given, str) else str(given.get("strategy"))
        options = {} if isinstance(given, str) else {key: value for key, value in given.items() if key != "strategy"}
        if name not in STRATEGIES:
            raise ValueError(f"unknown strategy {name!r} for {kind}; allowed are {', '.join(STRATEGIES)}")
        if not options:
            return _PLAIN[name]
        if name != "mask" or not options.keys() <= {"first", "last", "character"}:
            raise ValueError(f"unknown option for {kind}: first, last and character are allowed, and for mask alone")
        for end in ("first", "last"):
            if type(options.get(end, 0)) is not int or options.get(end, 0) < 0:
                raise ValueError(f"{end} of the mask for {kind} must be a whole number from 0 on")
        hides = options.get("character", "*")
        if not isinstance(hides, str) or len(hides) != 1 or not hides.isprintable() or hides.isspace():
            raise ValueError(f"character of the mask for {kind} must be one visible character")
        return cls(name, options.get("first", 0), options.get("last", 4), hides)


_PLAIN = {name: Strategy(name) for name in STRATEGIES}


def masked(value: str, first: int = 0, last: int = 4, character: str = "*") -> str:
    """The value with its letters and digits hidden but for the first and last few.

    Where what stays would be half of them or more, none stays.
    """
    places = [match.start() for match in _LETTER_OR_DIGIT.finditer(value)]
    if len(places) > 2 * (first + last):
        places = places[first : len(places) - last]
    hidden = list(value)
    for at in places:
        hidden[at] = character
    return "".join(hidden)
