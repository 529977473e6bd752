"""Words beside a finding that make it likelier.

Presidio's own check wants lemmas, which a pipeline without a model does not give (its words then never match), and
looks for a context word inside other words, which finds "lic" in "public". This one reads the text itself and wants
whole words, singular or plural: five before the finding or three after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from helix.redact.reading import Reading

__all__ = ["RAISED_AT_LEAST_TO", "RAISED_BY", "ContextWords"]

RAISED_BY, RAISED_AT_LEAST_TO = 0.35, 0.4
"""By how much a context word raises a score, and to what at least: Presidio's defaults."""

_WORD = re.compile(r"[^\W_]+")
_BEFORE_CHARS, _AFTER_CHARS = 80, 40
_BEFORE_WORDS, _AFTER_WORDS = 5, 3
_LONGEST_TAIL = 24


class ContextWords:
    """The context words, and phrases, of one recognizer."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases: dict[str, str] = {}
        for phrase in phrases:
            self._phrases.setdefault(f" {_folded(phrase)} ", phrase)
        # A text without any of these has none of the phrases in any form.
        self._stems = tuple({folded.split()[0] for folded in self._phrases if folded.strip()})

    def __bool__(self) -> bool:
        return bool(self._stems)

    def stems_in(self, reading: Reading) -> list[str]:
        """The beginnings of context words that occur somewhere in a text, perhaps inside other words."""
        lowered = reading.lowered
        return [stem for stem in self._stems if stem in lowered]

    @staticmethod
    def near(reading: Reading, stems: Iterable[str], start: int, end: int) -> bool:
        """Whether one of these may stand near something that begins in this window."""
        lowered = reading.lowered[max(0, start - _BEFORE_CHARS) : end + _AFTER_CHARS + _LONGEST_TAIL]
        return any([stem in lowered for stem in stems])

    def beside(self, reading: Reading, start: int, end: int) -> str | None:
        """The one that stands beside these characters, if any does."""
        lowered = reading.lowered
        before = _WORD.findall(lowered[max(0, start - _BEFORE_CHARS) : start])[-_BEFORE_WORDS:]
        after = _WORD.findall(lowered[end : end + _AFTER_CHARS])[:_AFTER_WORDS]
        # Two blanks part what stands before from what stands after, so that no phrase reaches across.
        words = f" {_joined(before)}  {_joined(after)} "
        return next((phrase for folded, phrase in self._phrases.items() if folded in words), None)


def _folded(phrase: str) -> str:
    return _joined(_WORD.findall(phrase.lower()))


def _joined(words: Iterable[str]) -> str:
    return " ".join([word.rstrip("s") or word for word in words])
