"""A text as recognizers read it: what several of them ask of it is found out once."""

from __future__ import annotations

import re

import regex  # type: ignore[import-untyped]

__all__ = ["DIGIT", "DIGITS", "LONG_WORD", "Reading", "Window"]

DIGIT, DIGITS, LONG_WORD = "a digit", "digits close together", "sixteen characters without a blank"
"""What a text may have to hold, where it is not some characters themselves."""

Window = tuple[int, int]
"""Characters [start, end) of a text."""

# Six digits or more with little between them. No number that somebody goes by has more than four signs in a row.
_CLUSTER = regex.compile(r"(?:\d[ \u00a0\u2009\u202f.()/+~\u2010-\u2015-]{0,4}){5,}\d")
_DIGIT = re.compile(r"\d")
_LONG_WORD = re.compile(r"\S{16}")

# Scripts whose words are not parted, or whose particles cling to numbers.
_UNPARTED = r"[\p{Han}\p{Hiragana}\p{Katakana}\u30fc\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_CLINGING = regex.compile(rf"{_UNPARTED}(?=[0-9])|(?<=[0-9]){_UNPARTED}")


class Reading:
    """A text with what is known of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lowered: str | None = None
        self._parted: str | None = None
        self._clusters: list[tuple[int, int, int]] | None = None

    def holds(self, what: str) -> bool:
        """Whether these characters occur, or a digit, digits close together, a long word."""
        if what is DIGITS:
            return bool(self.clusters)
        if what is LONG_WORD:
            return _LONG_WORD.search(self.text) is not None
        if what is DIGIT:
            return _DIGIT.search(self.text) is not None
        return what in self.text

    # Not cached_property, which takes a lock in Python 3.11.
    @property
    def lowered(self) -> str:
        """The text in lower case, character for character."""
        if self._lowered is None:
            lowered = self.text.lower()
            # One character becomes two: then each for itself, so that places stay the same.
            same = len(lowered) == len(self.text)
            self._lowered = lowered if same else "".join(c.lower()[0] for c in self.text)
        return self._lowered

    @property
    def parted(self) -> str:
        """The text with a sign for each letter that clings to a digit though it is another word's."""
        if self._parted is None:
            self._parted = self.text if self.text.isascii() else str(_CLINGING.sub("|", self.text))
        return self._parted

    @property
    def clusters(self) -> list[tuple[int, int, int]]:
        """Where digits stand close together, [start, end) from the first to the last, and how many they are."""
        if self._clusters is None:
            matches = _CLUSTER.finditer(self.text)
            self._clusters = [(*match.span(), sum(map(str.isdigit, match.group()))) for match in matches]
        return self._clusters
