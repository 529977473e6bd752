"""Numbers in a text, as digits or words, with their units."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from helix.cache.guards.grammar import FUNCTION, PREPOSITIONS
from helix.cache.guards.lexicon import bases

__all__ = ["Number", "find_numbers"]

VALUES = {
    word: float(number)
    for line in (
        "zero 0 two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9 ten 10 eleven 11 twelve 12 thirteen 13",
        "fourteen 14 fifteen 15 sixteen 16 seventeen 17 eighteen 18 nineteen 19 twenty 20 thirty 30 forty 40 fifty 50",
        "sixty 60 seventy 70 eighty 80 ninety 90 dozen 12 twice 2 thrice 3 first 1 third 3 fourth 4 fifth 5",
        "sixth 6 seventh 7 eighth 8 ninth 9 tenth 10",
    )
    for word, number in zip(line.split()[::2], line.split()[1::2], strict=True)
}
_ROMAN = {
    f"{tens}{ones}": float(10 * at + number)
    for at, tens in enumerate(("", "x", "xx", "xxx"))
    for number, ones in enumerate(("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"))
    if len(f"{tens}{ones}") > 1 and f"{tens}{ones}" not in ("vi", "xi")  # an editor and a name; a letter is a name too
}
_SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
    "lakh": 1e5,
    "lakhs": 1e5,
    "crore": 1e7,
    "crores": 1e7,
}
_BEFORE_SECOND = frozenset("the my your his her our their its every".split())  # elsewhere it is a time
_LETTERS = {"k": 1e3, "mn": 1e6, "bn": 1e9, "b": 1e9}  # written against the digits: 15k
_UNITS = {
    form: forms.split()[0]
    for forms in (
        "kg kgs kilo kilos kilogram kilograms kilogramme",
        "g gram grams gramme grams",
        "mg milligram milligrams",
        "lb lbs",
        "oz ounce ounces",
        "ton tons tonne tonnes",
        "km kms kilometer kilometers kilometre kilometres",
        "m meter meters metre metres",
        "cm centimeter centimeters centimetre centimetres",
        "mm millimeter millimeters millimetre millimetres",
        "mile miles",
        "ft foot feet",
        "inch inches",
        "yard yards",
        "l liter liters litre litres",
        "ml milliliter milliliters millilitre millilitres",
        "gallon gallons",
        "gb gigabyte gigabytes",
        "mb megabyte megabytes",
        "kb kilobyte kilobytes",
        "tb terabyte terabytes",
        "mbps",
        "gbps",
        "ghz gigahertz",
        "mhz megahertz",
        "w watt watts",
        "kw kilowatt kilowatts",
        "v volt volts",
        "mph",
        "kmh kph",
        "celsius",
        "fahrenheit",
        "usd $ dollar dollars bucks",
        "eur \u20ac euro euros",
        "gbp \u00a3 pound pounds quid",
        "inr \u20b9 rupee rupees rs",
        "jpy \u00a5 yen",
        "% percent per cent pct percentage",
        "bp bps",
        "second seconds sec secs",
        "minute minutes min mins",
        "hour hours hr hrs",
        "day days",
        "week weeks",
        "fortnight fortnights",
        "month months",
        "year years yr yrs",
        "decade decades",
        "am",
        "pm",
    )
    for form in forms.split()
}
_BEFORE = frozenset(("usd", "eur", "gbp", "inr", "jpy"))  # units that may stand before the number, too


_ANY = frozenset((*VALUES, *_ROMAN, *_SCALES, "second"))


class Number(NamedTuple):
    """A value, the unit beside it ("" for none), and the words around it that say which of several it is."""

    value: float | str
    unit: str
    preposition: str
    noun: str


def find_numbers(words: Sequence[tuple[str, str]]) -> tuple[tuple[Number, ...], frozenset[int]]:
    """The numbers in a text's (kind, lower-case word) pairs, and the places that they and their units take."""
    if not any(kind == "number" or word in _ANY or not word.isascii() for kind, word in words):
        return (), frozenset()
    found: list[Number] = []
    taken: set[int] = set()
    at = 0
    while at < len(words):
        value, after = _value(words, at)
        if value is None:
            at += 1
            continue
        taken.update(range(at, after))
        unit = _UNITS.get(words[after][1], "") if after < len(words) else ""
        if unit:
            taken.add(after)
        elif at and _UNITS.get(words[at - 1][1]) in _BEFORE:
            unit = _UNITS[words[at - 1][1]]
            taken.add(at - 1)
        noun = _noun(words[after : after + 3])
        before = words[at - 1][1] if at else ""
        found.append(Number(value, unit, before if before in PREPOSITIONS else "", min(bases(noun), default=noun)))
        at = after
    return tuple(found), frozenset(taken)


def _noun(words: Sequence[tuple[str, str]]) -> str:
    for kind, word in words:
        if kind == "number" or word in PREPOSITIONS or word == "and":
            return ""
        if kind == "word" and word not in FUNCTION:
            return word
    return ""


def _value(words: Sequence[tuple[str, str]], at: int) -> tuple[float | str | None, int]:
    """The number that begins at a token, and the place after it."""
    kind, word = words[at]
    value: float | str
    if kind == "number":
        on_the_hour = word.endswith(":00") and words[at + 1 : at + 2] and words[at + 1][1] in ("am", "pm")
        value = _digits(word.removesuffix(":00") if on_the_hour else word)
    elif word in VALUES:
        value = VALUES[word]
    elif word in _ROMAN:
        return _ROMAN[word], at + 1
    elif word == "second" and at and words[at - 1][1] in _BEFORE_SECOND:
        value = 2.0
    elif word in _SCALES:
        value = 1.0
        at -= 1
    elif len(word) == 1 and not word.isascii() and word.isnumeric():
        return unicodedata.numeric(word), at + 1
    else:
        return None, at
    at += 1
    if kind == "number" and at < len(words) and words[at][1] in ("st", "nd", "rd", "th"):
        return value, at + 1
    while isinstance(value, float) and at < len(words):
        word = words[at][1]
        if word in _SCALES or (word in _LETTERS and words[at - 1][0] == "number"):
            value *= _SCALES.get(word) or _LETTERS[word]
        elif word in VALUES and value >= 20 and VALUES[word] < min(value, 100):
            value += VALUES[word]
        elif not (word == "and" and value >= 100 and at + 1 < len(words) and words[at + 1][1] in VALUES):
            break
        at += 1
    return value, at


def _digits(text: str) -> float | str:
    """A number's value; text that is more than a number (12:30, 1.2.3) stands for itself."""
    plain = text.replace("\u2212", "-").replace("\u2013", "-").replace("\u202f", "").replace("'", "")
    whole, *groups = plain.split(",")
    if groups and (all(len(group.partition(".")[0]) == 3 for group in groups) or len(groups) > 1):
        plain = whole + "".join(groups)
    elif groups:
        plain = f"{whole}.{groups[0]}"
    try:
        return float(plain)
    except ValueError:
        return plain
