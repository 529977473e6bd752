"""Helix's own recognizers over a text, without what Presidio's engine costs a call. Imports Presidio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from helix.kernel.types import Span
from helix.redact.context import RAISED_AT_LEAST_TO, RAISED_BY, ContextWords
from helix.redact.reading import Reading
from helix.redact.recognizers.base import WEAK, Native
from helix.redact.technical import is_plain, is_technical

__all__ = ["Scanner"]


class Scanner:
    """Runs recognizers over texts; what scores under `threshold` (0 to 1), context counted, is not told."""

    def __init__(self, recognizers: Iterable[Native], threshold: float) -> None:
        # By what they need, so that a text without it passes all of them at once.
        self._by_need: dict[str, list[tuple[Native, ContextWords, str, bool]]] = {}
        for recognizer in recognizers:
            _ = recognizer.rules  # patterns compile at their first use: let it be now
            is_weak = recognizer.is_weak and threshold > WEAK
            of = recognizer, recognizer.words, recognizer.supported_entities[0], is_weak
            self._by_need.setdefault(recognizer.needs, []).append(of)
        self._threshold = threshold
        list(self.spans("call +1 202-555-0173, 030 901820 or a@b.com"))

    def spans(self, text: str, going_on: Callable[[], None] = lambda: None) -> Iterator[Span]:
        """What they find, in no order; spans may overlap. `going_on` is called often, and may raise."""
        reading = Reading(text)
        for need, recognizers in self._by_need.items():
            if reading.holds(need):
                yield from self._found(reading, recognizers, going_on)

    def _found(
        self,
        reading: Reading,
        recognizers: Sequence[tuple[Native, ContextWords, str, bool]],
        going_on: Callable[[], None],
    ) -> Iterator[Span]:
        text, threshold = reading.text, self._threshold
        for recognizer, words, kind, is_weak in recognizers:
            stems = None
            for start, end in recognizer.windows(reading):
                going_on()
                if stems is None:
                    stems = words.stems_in(reading) if words else ()
                    if is_weak and not stems:
                        break
                near = stems and words.near(reading, stems, start, end)
                if is_weak and not near:
                    continue
                for found in recognizer.found(reading, start, end, 0.0 if near else threshold):
                    first, after, score, why = found
                    word = None
                    if near and score < 1 and (word := words.beside(reading, first, after)) is not None:
                        score = min(max(score + RAISED_BY, RAISED_AT_LEAST_TO), 1.0)
                        why = f"{why}, beside {word!r}"
                    if score < threshold:
                        continue
                    if (
                        recognizer.is_certain
                        or is_plain(text[first:after], in_context=word is not None)
                        or not is_technical(text, first, after)
                    ):
                        yield Span(first, after, kind, score, recognizer.name, why)
