"""A text as recognizers read it: what several of them ask of it is found out once."""

from __future__ import annotations

from functools import cached_property

import regex  # type: ignore[import-untyped]

__all__ = ["Reading", "Window"]

Window = tuple[int, int]
"""Characters [start, end) of a text."""

# Six digits or more with little between them. No number that somebody goes by has more than four signs in a row.
_CLUSTER = regex.compile(r"(?:\d[ \u00a0\u2009\u202f.()/+~\u2010-\u2015-]{0,4}){5,}\d")
# Scripts whose words are not parted, or whose particles cling to numbers.
_UNPARTED = r"[\p{Han}\p{Hiragana}\p{Katakana}\u30fc\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_CLINGING = regex.compile(rf"{_UNPARTED}(?=[0-9])|(?<=[0-9]){_UNPARTED}")


class Reading:
    """A text with what is known of it."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lowered(self) -> str:
        """The text in lower case, character for character."""
        lowered = self.text.lower()
        # One character becomes two: then each for itself, so that places stay the same.
        return lowered if len(lowered) == len(self.text) else "".join(c.lower()[0] for c in self.text)

    @cached_property
    def parted(self) -> str:
        """The text with a sign for each letter that clings to a digit though it is another word's."""
        return self.text if self.text.isascii() else str(_CLINGING.sub("|", self.text))

    @cached_property
    def clusters(self) -> list[tuple[int, int, int]]:
        """Where digits stand close together, [start, end) from the first to the last, and how many they are."""
        matches = list(_CLUSTER.finditer(self.text))
        return [(*match.span(), sum(map(str.isdigit, match.group()))) for match in matches]
