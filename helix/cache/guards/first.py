"""Placeholders, numbers and negation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["GUARDS", "Guard", "same_negation", "same_numbers", "same_placeholders"]

Guard: TypeAlias = Callable[[str, str], bool]

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*_\d+>", re.ASCII)

# A sign counts where it cannot be a dash between words.
_NUMBER = re.compile(r"(?:(?<!\w)[-\u2212\u2013](?=\d))?\d+")
# "one" is a pronoun as often as a number.
_NUMBER_WORDS = {
    word: number
    for line in (
        "zero 0 two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9 ten 10 eleven 11 twelve 12 thirteen 13",
        "fourteen 14 fifteen 15 sixteen 16 seventeen 17 eighteen 18 nineteen 19 twenty 20 thirty 30 forty 40 fifty 50",
        "sixty 60 seventy 70 eighty 80 ninety 90 hundred 100 thousand 1000 million 1000000 billion 1000000000",
    )
    for word, number in zip(line.split()[::2], line.split()[1::2], strict=True)
}
_WORD = re.compile(r"[a-z]+(?:['\u2019][a-z]+)?", re.ASCII | re.IGNORECASE)

_NEGATIONS = frozenset(
    word
    for line in (
        "no not none nobody nothing nowhere never neither nor cannot without",
        "aint arent cant couldnt didnt doesnt dont hadnt hasnt havent isnt mustnt neednt shant shouldnt wasnt werent",
        "wont wouldnt",
    )
    for word in line.split()
)


def same_placeholders(asked: str, answered: str) -> bool:
    """The same personal data in the same order: the answer speaks of `<PERSON_1>`, which must be the same role's."""
    return _PLACEHOLDER.findall(asked) == _PLACEHOLDER.findall(answered)


def same_numbers(asked: str, answered: str) -> bool:
    """The same numbers in the same order, as digits or as English words."""
    return _numbers(asked) == _numbers(answered)


def same_negation(asked: str, answered: str) -> bool:
    """An even number of English negations in both, or an odd number in both."""
    return _negations(asked) % 2 == _negations(answered) % 2


GUARDS: tuple[tuple[str, Guard], ...] = (
    ("placeholders", same_placeholders),
    ("numbers", same_numbers),
    ("negation", same_negation),
)
"""Every guard by the name that `x-helix-cache-veto` says."""


def _numbers(text: str) -> list[str]:
    text = _PLACEHOLDER.sub(" ", text)
    found = [
        (match.start(), match.group().replace("\u2212", "-").replace("\u2013", "-")) for match in _NUMBER.finditer(text)
    ]
    if not text.isascii():  # ½, ², 三: numeric, but not digits to a regular expression
        found += [(at, char) for at, char in enumerate(text) if char.isnumeric() and not char.isdecimal()]
    for match in _WORD.finditer(text):
        number = _NUMBER_WORDS.get(match.group().lower())
        if number is not None:
            found.append((match.start(), number))
    found.sort()
    return [number for _, number in found]


def _negations(text: str) -> int:
    words = [word.lower() for word in _WORD.findall(_PLACEHOLDER.sub(" ", text))]
    return sum(word in _NEGATIONS or word.endswith(("n't", "n\u2019t")) for word in words)
