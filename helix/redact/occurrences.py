"""Finding many known values in a text at the price of one pass over its words, however many values there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["Occurrences", "stands_in"]

_WORD = re.compile(r"\w+")


class Occurrences:
    """Finds some values wherever they stand by themselves, not as part of a longer word or number."""

    __slots__ = ("_beginnings", "_shapes", "_values", "longest")

    def __init__(self, values: Iterable[str]) -> None:
        # By a value's first word: how much stands before that word, and how long the value is. Many values begin with
        # one word, the addresses of a network say, but few shapes do. Longest first, so that of two values where one
        # begins the other the whole is found.
        self._shapes: dict[str, dict[tuple[int, int], None]] = {}
        self._values: set[str] = set()
        self._beginnings: frozenset[str] | None = None
        self.longest = 0
        """Length of the longest value, in characters."""
        for value in sorted(values, key=len, reverse=True):
            word = _WORD.search(value)
            if word is not None:
                self._shapes.setdefault(word.group(), {})[word.start(), len(value)] = None
                self._values.add(value)
                self.longest = max(self.longest, len(value))

    def between(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where values stand in [start, end) of a text, in order, none overlapping another."""
        for word in _WORD.finditer(text, start, end):
            for lead, length in self._shapes.get(word.group(), ()):
                first = word.start() - lead
                last = first + length
                if first >= start and last <= end and text[first:last] in self._values and _is_whole(text, first, last):
                    yield first, last
                    start = last
                    break

    def begun(self, text: str, at: int) -> int | None:
        """Where the end of a text begins that may yet become a value, or is one if a word ends there."""
        if self._beginnings is None:
            # Of a value that a sign ends, nothing that follows could take it back.
            self._beginnings = frozenset(
                value[:end] for value in self._values for end in range(1, len(value) + _is_word(value[-1]))
            )
        for first in range(max(at, len(text) - self.longest), len(text)):
            if text[first:] in self._beginnings and not _is_inside_word(text, first):
                return first
        return None


def stands_in(value: str, text: str) -> bool:
    """Whether a value stands somewhere in a text by itself; a value that has no word in it never does."""
    if _WORD.search(value) is None:
        return False
    at = text.find(value)
    while at >= 0 and not _is_whole(text, at, at + len(value)):
        at = text.find(value, at + 1)
    return at >= 0


def _is_whole(text: str, first: int, last: int) -> bool:
    return not (_is_inside_word(text, first) or _is_inside_word(text, last))


def _is_inside_word(text: str, at: int) -> bool:
    """Whether the places before and behind `at` belong to one word: a sign that a value begins with ends a word."""
    return _is_word(text[at - 1 : at]) and _is_word(text[at : at + 1])


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
