"""One request's values and what stands for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Literal

__all__ = ["PLACEHOLDER", "Endings", "Vault", "Wording", "folded", "literals_in", "name_of"]

PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]*)_([0-9]{1,9})>")
"""The form of a placeholder: its kind and its number."""

# JSON that somebody wrote into a text may spell the angles as escapes.
_LITERAL = re.compile(r"(?:<|\\u003[cC])([A-Z][A-Z0-9_]*_[0-9]{1,9})(?:>|\\u003[eE])")
_NOT_IN_A_KIND = re.compile(r"[^A-Z0-9]+")
_ESCAPED = re.compile(r"\\+(?:u[0-9a-fA-F]{4}|.)")
_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"[0-9]{4,}")


def folded(value: str) -> str:
    """What values have in common that differ in case or spacing alone."""
    return " ".join(value.split()).casefold()


class Wording:
    """What a request says, as far as what stands for its values must differ from it; looked at only when asked."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = tuple(texts)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Every run of digits that is long enough to be taken for somebody's."""
        return frozenset(run for text in self._texts for run in _DIGITS.findall(text))

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word, folded."""
        return frozenset(
            word.casefold()
            for text in self._texts
            for word in _WORD.findall(_ESCAPED.sub(" ", text) if "\\" in text else text)
        )

    @cached_property
    def _folded(self) -> tuple[str, ...]:
        return tuple(text.casefold() for text in self._texts)

    def says(self, text: str) -> bool:
        """Whether this stands somewhere, in whatever case."""
        text = text.casefold()
        return any(text in known for known in self._folded)


class Vault:
    """Gives a placeholder to each value, `<KIND_N>`, numbered by kind in order of first appearance.

    The same value gets the same placeholder, also when its letters' case or its spacing differs. A history that is sent
    again gets the same placeholders, since the order is the same. `literals` are placeholders that the caller wrote
    out: their numbers are not given away, so that nothing of the caller's is taken for one of ours. `wording` is what
    numbers and surrogates must differ from.
    """

    __slots__ = ("_given", "_known", "_literals", "_numbers", "_reserved", "values", "wording")

    def __init__(self, literals: Iterable[str] = (), wording: Wording | None = None) -> None:
        self._literals = frozenset(literals)
        self._reserved = {_ending(*_parts(literal)) for literal in self._literals}
        self._given: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._known: dict[tuple[str, str], str] = {}
        self.wording = Wording() if wording is None else wording
        self.values: dict[str, str] = {}
        """What stands in for a value (`<KIND_N>`, a number, a surrogate) → the value as it first appeared."""

    def __repr__(self) -> str:
        return f"Vault(<{len(self.values)} values>)"

    @property
    def literals(self) -> frozenset[str]:
        """The placeholders that the caller wrote out."""
        return self._literals

    def note(self, literals: Iterable[str]) -> None:
        """Take note of what the caller wrote out, which is then nobody's invention; `reserve` keeps it from others."""
        self._literals |= frozenset(literals)

    def reserve(self, endings: Iterable[str]) -> None:
        """Give no placeholder away that ends so (`ADDRESS_1`): somebody wrote it, or what may be taken for it."""
        self._reserved.update(endings)

    def gave(self, endings: Iterable[str]) -> bool:
        """Whether a placeholder that ends so was given away."""
        return not self._given.isdisjoint(endings)

    def stand_in(self, kind: str, value: str, form: Literal["text", "number"] = "text") -> str:
        """What stands for a value: a placeholder, or where only a number may stand, a number of as many digits."""
        return self.placeholder(kind, value) if form == "text" else self.number(value)

    def placeholder(self, kind: str, value: str) -> str:
        """The placeholder of a value; `kind` is what the detector called it when it first appeared."""
        known = self._known.get(("", folded(value)))
        return self.keep("", value, self._next(kind)) if known is None else known

    def typed(self, kind: str, value: str) -> str:
        """The placeholder of what somebody typed that would be taken for one: it comes back letter by letter."""
        known = self._known.get(("typed", value))
        if known is None:
            known = self._known["typed", value] = self._next(kind)
            self.values[known] = value
        return known

    def _next(self, kind: str) -> str:
        """The next placeholder of a kind."""
        name = name_of(kind)
        number = self._numbers.get(name, 0) + 1
        while (ending := _ending(name, number)) in self._reserved:
            number += 1
        self._numbers[name] = number
        self._given.add(ending)
        return f"<{name}_{number}>"

    def number(self, digits: str) -> str:
        """A number that stands for another: as many digits, a 9, zeros and a count, nowhere in the request.

        Raises ValueError for what is no number of four digits or more.
        """
        known = self._known.get(("number", digits))
        if known is not None:
            return known
        if len(digits) < 4 or not (digits.isascii() and digits.isdigit()):
            raise ValueError("only a number of four digits or more can be stood for by another")
        name = f"number {len(digits)}"
        for number in range(self._numbers.get(name, 0) + 1, 10 ** (len(digits) - 1)):
            found = f"9{number:0{len(digits) - 1}}"
            if found not in self.values and found not in self.wording.numbers:
                self._numbers[name] = number
                return self.keep("number", digits, found)
        raise ValueError("there is no number left that the request does not hold")

    def known(self, form: str, value: str) -> str | None:
        """What stands in this form for a value; None where nothing does yet."""
        return self._known.get((form, folded(value)))

    def keep(self, form: str, value: str, stand_in: str) -> str:
        """Note what stands for a value, and return it. Raises ValueError where it stands for another already."""
        if stand_in in self.values:
            raise ValueError("one stand-in cannot stand for two values")
        self.values[stand_in] = value
        self._known[form, folded(value)] = stand_in
        return stand_in

    def seal(self) -> None:
        """Forget what the request says: no more is made up from here on."""
        self.wording = Wording()


def name_of(kind: str) -> str:
    """A kind as placeholders spell it, whatever a detector calls it."""
    return _NOT_IN_A_KIND.sub("_", kind.upper()).strip("_0123456789")[:40].strip("_") or "PRIVATE"


def literals_in(texts: Iterable[str]) -> frozenset[str]:
    """What looks like a placeholder in some texts."""
    return frozenset(
        f"<{name}>" for text in texts if "<" in text or "\\u003" in text for name in _LITERAL.findall(text)
    )


class Endings:
    """Finds what may be meant for a placeholder of some kinds, however written: `<Person_1>`, person 1, PERSON-01.

    It is told by its kind's last word and its number, `PERSON_1`.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        words = sorted({name_of(kind).rpartition("_")[2] for kind in kinds})
        # Between word and number: blanks, dashes, stars of bold type, backslashes, half an escape (\\u005f).
        self._pattern = re.compile(
            rf"({'|'.join(words)})(?:[\s_*\\-]|u005[fF]){{0,8}}0{{0,9}}([0-9]{{1,9}})", re.IGNORECASE | re.ASCII
        )

    @staticmethod
    @lru_cache(maxsize=256)
    def of_kinds(kinds: frozenset[str]) -> Endings:
        """The same, made once for the same kinds."""
        return Endings(kinds)

    def of(self, text: str) -> set[str]:
        """The endings that stand in a text."""
        return {f"{word.upper()}_{number}" for word, number in self._pattern.findall(text)}


def _ending(name: str, number: int | str) -> str:
    return f"{name.rpartition('_')[2]}_{int(number)}"


def _parts(placeholder: str) -> tuple[str, str]:
    name, _, number = placeholder.strip("<>").rpartition("_")
    return name, number
