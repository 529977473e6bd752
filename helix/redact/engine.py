"""What a detector runs in its threads. Imports Presidio: import this module where a detector is opened."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Event
from typing import Any

from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, RecognizerResult

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Span
from helix.redact.entities import DEFAULT_ENTITIES, KNOWN_ENTITIES, check_known
from helix.redact.nlp import open_nlp_engine, zone
from helix.redact.recognizers import recognizers as natives
from helix.redact.scanner import Scanner
from helix.redact.spans import resolve, windows

__all__ = ["Engine"]


class Engine:
    """Finds personal data in texts, by Helix's recognizers and by anybody's. Raises ValueError for unknown entities."""

    def __init__(
        self,
        *,
        entities: Sequence[str] | None,
        score_threshold: float,
        languages: Sequence[str],
        recognizers: Iterable[EntityRecognizer],
        nlp_engine: Mapping[str, Any] | None,
    ) -> None:
        # Presidio logs pieces of the texts it looks at, one of them as an error.
        logging.getLogger("presidio-analyzer").addFilter(_drop)
        self._foreign = _Foreign(recognizers, nlp_engine, languages, score_threshold)
        added = {kind for kinds in self._foreign.kinds.values() for kind in kinds}
        self.entities = tuple({**DEFAULT_ENTITIES, **dict.fromkeys(added)} if entities is None else entities)
        check_known(self.entities, {*KNOWN_ENTITIES, *added})
        self._scanners = {
            language: Scanner(natives(self.entities, language), score_threshold) for language in languages
        }
        self._foreign.narrow(self.entities)

    def find(self, texts: Sequence[str], language: str, abandoned: Event) -> list[tuple[Span, ...]]:
        """The spans of each text. Raises BackendUnavailable once `abandoned` is set."""
        return [resolve(self._find(text, language, abandoned)) for text in texts]

    def _find(self, text: str, language: str, abandoned: Event) -> Iterator[Span]:
        yield from self._scanners[language].spans(text, abandoned)
        for offset, window in windows(text):
            if abandoned.is_set():
                raise BackendUnavailable("detection was given up")
            yield from self._foreign.spans(window, language, offset)


class _Foreign:
    """Anybody's recognizers, run by Presidio's AnalyzerEngine as they would be there."""

    def __init__(
        self,
        recognizers: Iterable[EntityRecognizer],
        nlp_engine: Mapping[str, Any] | None,
        languages: Sequence[str],
        score_threshold: float,
    ) -> None:
        self._nlp = open_nlp_engine(nlp_engine, languages)
        registry = RecognizerRegistry(list(recognizers), supported_languages=list(languages))
        if nlp_engine is not None:
            registry.add_nlp_recognizer(self._nlp)
        self.kinds = {
            language: [
                kind
                for recognizer in registry.recognizers
                if recognizer.supported_language == language
                for kind in recognizer.supported_entities
            ]
            for language in languages
        }
        # Presidio would take an empty registry for one to fill with its own recognizers.
        self._analyzer = registry.recognizers and AnalyzerEngine(
            registry=registry,
            nlp_engine=self._nlp,
            supported_languages=list(languages),
            default_score_threshold=score_threshold,
        )

    def narrow(self, entities: Sequence[str]) -> None:
        """Look for these kinds alone."""
        self.kinds = {language: sorted({*kinds} & {*entities}) for language, kinds in self.kinds.items()}

    def spans(self, window: str, language: str, offset: int) -> Iterator[Span]:
        """What they find in a window of a text."""
        kinds = self.kinds[language]
        if not kinds:
            return
        with zone(self._nlp, language):
            for result in self._analyzer.analyze(window, language, entities=kinds, return_decision_process=True):
                # An NLP engine's recognizer gives all of its kinds, asked or not.
                if result.entity_type in kinds:
                    yield _span(result, offset)


def _span(result: RecognizerResult, offset: int) -> Span:
    return Span(
        offset + result.start,
        offset + result.end,
        result.entity_type,
        result.score,
        (result.recognition_metadata or {}).get(RecognizerResult.RECOGNIZER_NAME_KEY, ""),
        _reason(result),
    )


def _reason(result: RecognizerResult) -> str:
    """Why, in the recognizer's words. Free text of its own is left out: it may quote what was found."""
    why = result.analysis_explanation
    if why is None:
        return ""
    told = [f"pattern {why.pattern_name!r}"] if why.pattern_name else []
    if why.validation_result:
        told.append("checked")
    if why.supportive_context_word:
        told.append(f"beside {why.supportive_context_word!r}")
    return ", ".join(told)


def _drop(_record: logging.LogRecord) -> bool:
    return False
