"""What Helix's own recognizers have in common: they look where something may be, and say why they found it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import regex  # type: ignore[import-untyped]
from presidio_analyzer import AnalysisExplanation, Pattern, PatternRecognizer, RecognizerResult

from helix.redact.context import ContextWords
from helix.redact.reading import DIGITS, Reading, Window

__all__ = ["WEAK", "Anchored", "Clustered", "Found", "Native"]

WEAK = 0.1
"""A score under any sensible threshold: found only when a context word raises it."""

_LOOKAHEAD = 2
"""How many characters behind its end a pattern may look at."""


class Found(NamedTuple):
    """Characters [start, end) of a text, how sure (0 to 1), and why: never in words of the text."""

    start: int
    end: int
    score: float
    why: str


class Native(PatternRecognizer):  # type: ignore[misc]
    """A recognizer whose patterns take linear time, and which are tried in windows of a text alone.

    What it finds in its windows is what it would find in the whole text. Stands before one of Presidio's recognizers,
    and may be used in anybody's AnalyzerEngine like it.
    """

    needs: ClassVar[str] = ""
    """What a text holds in which it finds anything: some characters, DIGIT or DIGITS."""

    tail: ClassVar[int] = 0
    """How many characters behind a window's end something may reach that begins in the window."""

    proves: ClassVar[bool] = False
    """Whether a check makes sure of what a weak pattern found."""

    is_certain: ClassVar[bool] = False
    """Whether what it finds has its own proof, so that it may stand in what looks technical."""

    def read(self, reading: Reading) -> str:
        """The text, as its patterns want it."""
        return reading.text

    def windows(self, reading: Reading) -> Iterable[Window]:
        """Where to look."""
        return ((0, len(reading.text)),)

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """What begins in a window, by patterns that score `floor` at least, or are proved."""
        text = self.read(reading)
        last = min(end + self.tail + _LOOKAHEAD, len(text))
        for rule in self.rules:
            if rule.score < floor and not self.proves:
                continue
            for match in rule.pattern.finditer(text, start, last):
                first, after = match.span()
                if first == after or first >= end:
                    continue
                value = text[first:after]
                valid = self.validate_result(value)
                if valid is False or self.invalidate_result(value):
                    continue
                if valid:
                    yield Found(first, after, 1.0, rule.why_proved)
                elif rule.score >= floor:
                    yield Found(first, after, rule.score, rule.why)

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: Any = None, regex_flags: int | None = None
    ) -> list[RecognizerResult]:
        """The same for Presidio's engine, which looks at context by itself."""
        reading = Reading(text)
        return [
            RecognizerResult(
                self.supported_entities[0],
                found.start,
                found.end,
                found.score,
                AnalysisExplanation(self.name, found.score, textual_explanation=found.why),
                {RecognizerResult.RECOGNIZER_NAME_KEY: self.name, RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id},
            )
            for window in self.windows(reading)
            for found in self.found(reading, *window, 0.0)
        ]

    @cached_property
    def rules(self) -> tuple[_Rule, ...]:
        """The patterns, compiled."""
        return tuple(
            _Rule(
                self.compiled(pattern),
                pattern.score,
                f"pattern {pattern.name!r}",
                f"pattern {pattern.name!r}, checked",
            )
            for pattern in self.patterns
        )

    def compiled(self, pattern: Pattern) -> Any:
        """A pattern as what has a `finditer(text, start, end)`."""
        return regex.compile(pattern.regex, self.global_regex_flags)

    @cached_property
    def words(self) -> ContextWords:
        """The context words."""
        return ContextWords(self.context or ())

    @property
    def is_weak(self) -> bool:
        """Whether it finds nothing at all without a context word."""
        return not self.proves and all(pattern.score <= WEAK for pattern in self.patterns)


class _Rule(NamedTuple):
    pattern: Any
    score: float
    why: str
    why_proved: str


class Clustered(Native):
    """Finds what holds at least so many digits with little between them."""

    needs = DIGITS
    digits: ClassVar[int]
    # Letters may stand before the first digit, and after the last an extension.
    lead: ClassVar[int] = 4
    tail = 16

    def read(self, reading: Reading) -> str:
        """The text, its digits parted from letters of other scripts."""
        return reading.parted

    def windows(self, reading: Reading) -> Iterable[Window]:
        """Where digits stand close together."""
        return [(max(0, start - self.lead), end) for start, end, digits in reading.clusters if digits >= self.digits]


class Anchored(Native):
    """Finds what holds an anchor, and round it nothing but characters of one class."""

    anchor: ClassVar[str]
    """A regular expression, quick to look for."""
    around: ClassVar[str]
    """Its characters, as they stand between brackets in a regular expression."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "anchor" in cls.__dict__:
            cls._anchor = re.compile(cls.anchor)
            cls._before = regex.compile(f"(?r)[{cls.around}]*+")
            cls._after = re.compile(f"[{cls.around}]*+")

    _anchor: ClassVar[re.Pattern[str]]
    _before: ClassVar[Any]
    _after: ClassVar[re.Pattern[str]]

    def windows(self, reading: Reading) -> Iterable[Window]:
        """The runs of these characters that hold an anchor."""
        text = reading.text
        end = 0
        while (match := self._anchor.search(text, end)) is not None:
            start = self._before.match(text, end, match.start()).start()
            end = self._after.match(text, match.end()).end()  # type: ignore[union-attr]
            yield start, end
