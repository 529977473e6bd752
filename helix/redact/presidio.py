"""Personal data found by Presidio's analyzer in this process: patterns and check digits, no model, nothing fetched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

from helix.kernel.errors import BackendUnavailable
from helix.kernel.lifecycle import Resource
from helix.kernel.types import Span
from helix.redact.entities import DEFAULT_ENTITIES, KNOWN_ENTITIES
from helix.redact.lean import without
from helix.redact.spans import resolve, windows
from helix.redact.technical import IN_CONTEXT, is_plain, is_technical, technical_spans

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

__all__ = ["PresidioDetector"]


class PresidioDetector:
    """A Detector over Presidio's AnalyzerEngine with pattern recognizers, run in threads of its own.

    `entities` are kinds out of KNOWN_ENTITIES; findings under `score_threshold` (0 to 1) are dropped. More than
    `max_waiting` calls at once are refused. Opens at first use where nobody opened it. Raises ValueError.
    """

    def __init__(
        self,
        *,
        entities: Iterable[str] | None = None,
        score_threshold: float = 0.4,
        languages: Sequence[str] = ("en",),
        workers: int = 2,
        max_waiting: int = 256,
    ) -> None:
        self.entities = tuple(DEFAULT_ENTITIES if entities is None else entities)
        for kind in self.entities:
            if kind not in KNOWN_ENTITIES:
                raise ValueError(f"unknown entity {kind!r}; known are {', '.join(sorted(KNOWN_ENTITIES))}")
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold must be from 0 to 1, not {score_threshold}")
        if not languages or workers < 1 or max_waiting < 1:
            raise ValueError("languages, workers and max_waiting must not be empty or less than 1")
        self.score_threshold = score_threshold
        self.languages = tuple(languages)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._workers = workers
        self._threads = Resource(self._start, self._stop)
        self._engine: AnalyzerEngine | None = None

    async def open(self) -> None:
        """Load Presidio and compile its patterns. Raises BackendUnavailable where Presidio is not installed."""
        await self._threads.open()

    async def close(self) -> None:
        """Let the threads go."""
        await self._threads.close()

    async def detect(self, texts: Sequence[str], *, language: str = "en") -> Sequence[Sequence[Span]]:
        """The spans of each text. Raises BackendUnavailable for a language without recognizers, or when too busy."""
        if language not in self.languages:
            raise BackendUnavailable(f"the detector of personal data knows {', '.join(self.languages)} alone")
        if not self.entities:
            return [() for _ in texts]
        if self._waiting >= self._max_waiting:
            raise BackendUnavailable("the detector of personal data is too busy")
        self._waiting += 1
        abandoned = Event()
        try:
            threads = self._threads.value or await self._threads.open()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(threads, self._detect_all, texts, language, abandoned)
        finally:
            # A thread cannot be cancelled; it stops by itself before the next window.
            abandoned.set()
            self._waiting -= 1

    async def _start(self) -> ThreadPoolExecutor:
        threads = ThreadPoolExecutor(self._workers, thread_name_prefix="helix-redact")
        try:
            self._engine = await asyncio.get_running_loop().run_in_executor(threads, self._load)
        except BaseException:
            threads.shutdown(wait=False)
            raise
        return threads

    async def _stop(self, threads: ThreadPoolExecutor) -> None:
        threads.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> AnalyzerEngine:
        # Presidio logs pieces of the texts it looks at, one of them as an error.
        logging.getLogger("presidio-analyzer").addFilter(_drop)
        try:
            # Presidio and spaCy load these where they are installed: 310 MB that patterns do not need.
            with without("torch", "transformers"):
                from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
                from presidio_analyzer.nlp_engine import NoOpNlpEngine

                from helix.redact.recognizers import WordContext, recognizers
        except ImportError:
            raise BackendUnavailable("Presidio is not installed: pip install 'helix-gateway[redact]'") from None
        found = [recognizer for language in self.languages for recognizer in recognizers(self.entities, language)]
        engine = AnalyzerEngine(
            registry=RecognizerRegistry(found, supported_languages=list(self.languages)),
            nlp_engine=NoOpNlpEngine([{"lang_code": code, "model_name": ""} for code in self.languages]),
            supported_languages=list(self.languages),
            context_aware_enhancer=WordContext(found),
        )
        # Patterns compile at their first use: let it be now.
        sample = " ".join(word for recognizer in found for word in recognizer.context or ()) + " a@b 0 12 3456789"
        for language in self.languages:
            engine.analyze(sample, language, entities=list(self.entities))
        return engine

    def _detect_all(self, texts: Sequence[str], language: str, abandoned: Event) -> list[tuple[Span, ...]]:
        return [self._detect(text, language, abandoned) for text in texts]

    def _detect(self, text: str, language: str, abandoned: Event) -> tuple[Span, ...]:
        if self._engine is None:
            raise BackendUnavailable("the detector of personal data is closed")
        found: list[Span] = []
        for offset, window in windows(text):
            if abandoned.is_set():
                raise BackendUnavailable("detection was given up")
            results = self._engine.analyze(
                window, language, entities=list(self.entities), score_threshold=self.score_threshold
            )
            if not results:
                continue
            technical = technical_spans(window)
            for result in results:
                span = Span(
                    offset + result.start,
                    offset + result.end,
                    result.entity_type,
                    result.score,
                    result.recognition_metadata[result.RECOGNIZER_NAME_KEY],
                )
                plain = is_plain(
                    window[result.start : result.end], in_context=IN_CONTEXT in result.recognition_metadata
                )
                if plain or not is_technical(span.kind, result.start, result.end, technical):
                    found.append(span)
        return resolve(found)


def _drop(_record: logging.LogRecord) -> bool:
    return False
