"""What a detector runs in its threads. Imports Presidio: import this module where a detector is opened."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.nlp_engine import NlpEngine

import helix
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Span
from helix.redact.entities import KNOWN_ENTITIES, check_known, default_entities
from helix.redact.languages import check_spoken
from helix.redact.nlp import BlankNlpEngine, SharedNlpEngine, open_nlp_engine, zone
from helix.redact.patterns import bound
from helix.redact.recognizers import Native
from helix.redact.recognizers import recognizers as natives
from helix.redact.scanner import Scanner
from helix.redact.shadow import shadow_of, whole
from helix.redact.spans import resolve, windows

if TYPE_CHECKING:
    from helix.redact.names import NameRecognizer

__all__ = ["Engine"]


class Engine:
    """Finds personal data in texts, by Helix's recognizers and by anybody's.

    `declared` are kinds that may be asked for though no recognizer for these languages finds them. `names` makes the
    recognizer of names for some kinds, or None; it is asked about English texts. Raises ValueError for unknown kinds.
    """

    def __init__(
        self,
        *,
        entities: Sequence[str] | None,
        with_added: bool,
        score_threshold: float,
        languages: Sequence[str],
        recognizers: Iterable[EntityRecognizer],
        declared: Iterable[str],
        names: Callable[[Sequence[str]], NameRecognizer | None],
        nlp_engine: Mapping[str, Any] | None,
    ) -> None:
        # Presidio logs pieces of the texts it looks at, one of them as an error.
        logging.getLogger("presidio-analyzer").addFilter(_drop)
        given = list(recognizers)
        mine = [recognizer for recognizer in given if isinstance(recognizer, Native)]
        self._foreign = _Foreign(
            [r for r in given if not isinstance(r, Native)], nlp_engine, languages, score_threshold
        )
        bound(self._foreign.recognizers)
        asked = {kind for recognizer in given for kind in recognizer.supported_entities}
        added = asked | {kind for recognizer in self._foreign.recognizers for kind in recognizer.supported_entities}
        wanted = default_entities(languages, names=False) if entities is None else entities
        if entities is None or with_added:
            # Of what a model finds, not what is known and off by default: dates, say, stay as they are.
            off = KNOWN_ENTITIES.keys() - default_entities(languages, names=True).keys()
            wanted = [*wanted, *sorted(asked | (added - off))]
        self.entities = tuple(dict.fromkeys(wanted))
        check_spoken({*self.entities} - added, languages)
        check_known(self.entities, {*KNOWN_ENTITIES, *added, *declared})
        self._foreign.narrow(self.entities)
        mine = [recognizer for recognizer in mine if recognizer.supported_entities[0] in self.entities]
        # One language each, and all of them at once.
        together = {(language,): None for language in languages} | {tuple(languages): None}
        spoken = {
            some: [*natives(self.entities, *some), *(r for r in mine if r.supported_language in some)]
            for some in together
        }
        self._languages = tuple(languages)
        self._scanners = {some: Scanner(found, score_threshold) for some, found in spoken.items()}
        self._names = names(self.entities) if "en" in languages else None
        self._score_threshold = score_threshold
        every = [*(r for found in spoken.values() for r in found), *self._foreign.recognizers]
        told = (*map(_told, every), self.entities, score_threshold, None if nlp_engine is None else dict(nlp_engine))
        digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
        model = "" if self._names is None else f"+m{self._names.version[:12]}"
        self.version = f"{helix.__version__}+r{digest[:12]}{model}"
        """The package's version, a digest of all recognizers and settings, and the model's hash where there is one."""

    def find(self, texts: Sequence[str], language: str | None, abandoned: Event) -> list[tuple[Span, ...]]:
        """The spans of each text, in one language or in all. Raises BackendUnavailable once `abandoned` is set."""
        languages = self._languages if language is None else (language,)
        foreign = [spoken for spoken in languages if self._foreign.kinds[spoken]]

        def going_on() -> None:
            if abandoned.is_set():
                raise BackendUnavailable("detection was given up")

        shadows = [shadow_of(text) for text in texts]
        seen = [text if shadow is None else shadow.text for text, shadow in zip(texts, shadows, strict=True)]
        named: Sequence[Sequence[RecognizerResult]] = [()] * len(texts)
        if self._names is not None and "en" in languages:
            named = self._names.analyze_batch(seen, self.entities, going_on=going_on)
        found: list[tuple[Span, ...]] = []
        for text, shadow, read, results in zip(texts, shadows, seen, named, strict=True):
            spans = [*self._scanners[languages].spans(read, going_on)]
            spans += [
                Span(r.start, r.end, r.entity_type, r.score, "NameRecognizer", "the names model")
                for r in results
                if r.score >= self._score_threshold
            ]
            for spoken in foreign:
                spans += self._foreign.spans(read, spoken, going_on)
            if shadow is not None:
                spans = [shadow.original(span) for span in spans]
                for spoken in foreign:
                    # They may be after what a shadow has not.
                    spans += self._foreign.spans(text, spoken, going_on)
            found.append(resolve(spans if text.isascii() else whole(text, spans)))
        return found

    @property
    def is_quick(self) -> bool:
        """Whether it runs Helix's patterns alone, whose time for a text is known."""
        return self._names is None and not any(self._foreign.kinds.values())


class _Foreign:
    """Anybody's recognizers, run by Presidio's AnalyzerEngine as they would be there."""

    def __init__(
        self,
        recognizers: Sequence[EntityRecognizer],
        nlp_engine: Mapping[str, Any] | None,
        languages: Sequence[str],
        score_threshold: float,
    ) -> None:
        registry = RecognizerRegistry(list(recognizers), supported_languages=list(languages))
        self._nlp: NlpEngine = BlankNlpEngine(languages)
        if nlp_engine is not None:
            configured = open_nlp_engine(nlp_engine)
            registry.add_nlp_recognizer(configured)
            self._nlp = SharedNlpEngine(configured, languages)
        self.recognizers: Sequence[EntityRecognizer] = registry.recognizers
        self.kinds = {
            language: sorted(
                {kind for r in self.recognizers if r.supported_language == language for kind in r.supported_entities}
            )
            for language in languages
        }
        # Presidio would take an empty registry for one to fill with its own recognizers.
        self._analyzer = self.recognizers and AnalyzerEngine(
            registry=registry,
            nlp_engine=self._nlp,
            supported_languages=list(languages),
            default_score_threshold=score_threshold,
        )

    def narrow(self, entities: Sequence[str]) -> None:
        """Look for these kinds alone."""
        self.kinds = {language: sorted({*kinds} & {*entities}) for language, kinds in self.kinds.items()}

    def spans(self, text: str, language: str, going_on: Callable[[], None]) -> Iterator[Span]:
        """What they find in a text, window by window."""
        kinds = self.kinds[language]
        for offset, window in windows(text):
            going_on()
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


def _told(recognizer: EntityRecognizer) -> tuple[Any, ...]:
    """What a recognizer is, as far as it can be told from outside."""
    patterns = [(pattern.name, pattern.regex, pattern.score) for pattern in getattr(recognizer, "patterns", ())]
    about = recognizer.name, recognizer.version, recognizer.supported_language, recognizer.supported_entities
    return type(recognizer).__qualname__, *about, patterns, recognizer.context


def _drop(_record: logging.LogRecord) -> bool:
    return False
