"""Personal data found by Presidio's recognizers in this process: patterns and check digits, names by a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Event
from typing import TYPE_CHECKING, Any, TypeAlias

from helix.kernel.errors import BackendUnavailable
from helix.kernel.lifecycle import Resource
from helix.kernel.types import Span
from helix.redact.entities import BY_NAMES_MODEL, KNOWN_ENTITIES, check_known
from helix.redact.lean import without

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer

    from helix.redact.engine import Engine
    from helix.redact.names import NameRecognizer

__all__ = ["PresidioDetector", "Recognizers"]

Recognizers: TypeAlias = "Sequence[EntityRecognizer] | Callable[[Sequence[str]], Iterable[EntityRecognizer]]"
"""Presidio recognizers, or what makes them, given the languages, when a detector opens (and so pickles)."""

PACKAGED = "pii-en"
"""The model for names and places that comes with Helix."""

_INLINE_CHARS = 1000
"""Up to so many characters of new texts, patterns take less than handing them to a thread and back."""


class PresidioDetector:
    """A Detector over Presidio's recognizers, run in threads of its own.

    `entities` are the kinds to find: of KNOWN_ENTITIES, or of what `recognizers` and `nlp_engine` add; None is the
    default kinds and all that those recognizers add, which `with_added` looks for beside named ones too. Findings
    under `score_threshold` (0 to 1) are dropped. `recognizers` are anybody's Presidio recognizers. `names` is the model
    for names and places: the packaged one, the folder of another, or None for patterns alone. It is loaded where a kind
    that only it finds is looked for, and asked about English texts; `providers` are ONNX Runtime's for it, in order of
    preference. `nlp_engine` is Presidio's own configuration of an NLP engine, whose findings are added and whose lemmas
    then serve the given recognizers' context words. More than `max_waiting` calls at once are refused. Opens at first
    use where nobody opened it. Raises ValueError, also when it opens, where a recognizer decides.
    """

    def __init__(
        self,
        *,
        entities: Iterable[str] | None = None,
        with_added: bool = False,
        score_threshold: float = 0.4,
        languages: Sequence[str] = ("en",),
        recognizers: Recognizers = (),
        names: str | None = PACKAGED,
        nlp_engine: Mapping[str, Any] | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        workers: int = 2,
        max_waiting: int = 256,
    ) -> None:
        self.entities = None if entities is None else tuple(entities)
        if callable(recognizers) or nlp_engine is not None:
            pass  # what they add is known when they are opened
        else:
            added = [kind for recognizer in recognizers for kind in recognizer.supported_entities]
            check_known(self.entities or (), {*KNOWN_ENTITIES, *added})
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold must be from 0 to 1, not {score_threshold}")
        if not languages or workers < 1 or max_waiting < 1:
            raise ValueError("languages, workers and max_waiting must not be empty or less than 1")
        self.score_threshold = score_threshold
        self.languages = tuple(languages)
        self._with_added = with_added
        self._recognizers = recognizers
        self._names = names
        self._nlp_engine = nlp_engine
        self._providers = tuple(providers)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._workers = workers
        self._threads = Resource(self._start, self._stop)
        self._engine: Engine | None = None

    @property
    def version(self) -> str:
        """What finds, in short, for records of what was found: code, recognizers, model; empty until it is open."""
        return "" if self._engine is None else self._engine.version

    async def open(self) -> None:
        """Load Presidio and compile its patterns. Raises BackendUnavailable where Presidio is not installed."""
        await self._threads.open()

    async def close(self) -> None:
        """Let the threads go."""
        await self._threads.close()

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        """The spans of each text, in one of its languages or in all of them at once.

        Raises BackendUnavailable for a language without recognizers, or when too busy.
        """
        if language is not None and language not in self.languages:
            raise BackendUnavailable(f"the detector of personal data knows {', '.join(self.languages)} alone")
        if self.entities == () and not self._with_added:
            return [() for _ in texts]
        if self._waiting >= self._max_waiting:
            raise BackendUnavailable("the detector of personal data is too busy")
        self._waiting += 1
        abandoned = Event()
        try:
            threads = self._threads.value or await self._threads.open()
            if self._engine is not None and self._engine.is_quick and sum(map(len, texts)) <= _INLINE_CHARS:
                return self._detect_all(texts, language, abandoned)
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
        self._engine = None
        threads.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> Engine:
        try:
            # Presidio and spaCy load these where they are installed: 310 MB that patterns do not need.
            is_light = self._nlp_engine is None and getattr(self._recognizers, "is_light", True)
            with without("torch", "transformers") if is_light else nullcontext():
                from helix.redact.engine import Engine
        except ImportError:
            raise BackendUnavailable("Presidio is not installed: pip install 'helix-gateway[redact]'") from None
        given = self._recognizers(self.languages) if callable(self._recognizers) else self._recognizers
        return Engine(
            entities=self.entities,
            with_added=self._with_added,
            score_threshold=self.score_threshold,
            languages=self.languages,
            recognizers=given,
            declared=getattr(self._recognizers, "kinds", ()),
            names=self._load_names,
            nlp_engine=self._nlp_engine,
        )

    def _load_names(self, entities: Sequence[str]) -> NameRecognizer | None:
        if self._names is None or BY_NAMES_MODEL.isdisjoint(entities):
            return None
        from helix.redact.names import NameRecognizer

        folder = None if self._names == PACKAGED else self._names
        return NameRecognizer(folder, providers=self._providers, threshold=self.score_threshold)

    def _detect_all(self, texts: Sequence[str], language: str | None, abandoned: Event) -> list[tuple[Span, ...]]:
        engine = self._engine
        if engine is None:
            raise BackendUnavailable("the detector of personal data is closed")
        return engine.find(texts, language, abandoned)
