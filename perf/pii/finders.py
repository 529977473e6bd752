"""What is measured: stock Presidio, and Helix's detector, each as something that finds spans in texts in one thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

from helix.kernel.types import Detector, Span
from helix.redact import KNOWN_ENTITIES, PresidioDetector
from helix.redact.entities import BY_NAMES_MODEL, default_entities
from helix.redact.languages import NATIONAL
from perf.process import Unavailable

__all__ = [
    "DEFAULTS",
    "LIKE_STOCK",
    "NAMES",
    "PATTERNS",
    "STOCK",
    "THRESHOLD",
    "Finder",
    "Helix",
    "Stock",
    "helix_detectors",
]

STOCK, PATTERNS, NAMES = "presidio", "helix patterns", "helix names"
DEFAULTS, LIKE_STOCK = ", default kinds", ", Presidio's kinds"

THRESHOLD = 0.4
"""The least score that counts: Presidio's evaluations, and Helix, use this one."""


class Finder(Protocol):
    """Finds personal data in texts, in the thread that asks."""

    kinds: frozenset[str]
    """What it looks for."""

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of each text."""
        ...

    def cpu_seconds(self, texts: Iterable[str]) -> list[float]:
        """The CPU time that each text takes this thread, asked about by itself."""
        ...


class Stock:
    """Presidio's AnalyzerEngine as it comes, English, with spaCy's tokenizer and no model.

    A tokenizer alone gives no lemmas, without which no context word ever matches: here a word's lemma is the word in
    lower case. The public suffix list is the packaged one, since nothing may be fetched.
    """

    def __init__(self) -> None:
        try:
            import spacy
            import tldextract.tldextract
            from presidio_analyzer import AnalyzerEngine
            from presidio_analyzer.nlp_engine import NlpArtifacts, NoOpNlpEngine
        except ImportError as error:
            raise Unavailable(f"{error.name} is not installed: pip install 'helix-gateway[redact,dev]'") from None
        tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
        tokenizer = spacy.blank("en")

        class Blank(NoOpNlpEngine):  # type: ignore[misc]
            """Tokens and no more."""

            def process_text(self, text: str, language: str) -> Any:
                """The tokens of a text."""
                tokens = tokenizer(text)
                return NlpArtifacts(
                    entities=[],
                    tokens=tokens,
                    tokens_indices=[token.idx for token in tokens],
                    lemmas=[token.lower_ for token in tokens],
                    nlp_engine=self,
                    language=language,
                    scores=[],
                )

            def is_stopword(self, word: str, language: str) -> bool:
                """Whether a word says nothing."""
                return bool(tokenizer.vocab[word].is_stop)

            def is_punct(self, word: str, language: str) -> bool:
                """Whether it is none."""
                return bool(tokenizer.vocab[word].is_punct)

        engine = Blank([{"lang_code": "en", "model_name": ""}])
        engine.load()
        self.engine = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
        self.kinds = frozenset(self.engine.get_supported_entities("en"))

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of each text."""
        return [
            [
                Span(r.start, r.end, r.entity_type, r.score, r.recognition_metadata[r.RECOGNIZER_NAME_KEY])
                for r in self._analyze(text)
            ]
            for text in texts
        ]

    def cpu_seconds(self, texts: Iterable[str]) -> list[float]:
        """The CPU time of each analysis."""
        taken = []
        for text in texts:
            before = time.thread_time()
            self._analyze(text)
            taken.append(time.thread_time() - before)
        return taken

    def _analyze(self, text: str) -> list[Any]:
        return list(self.engine.analyze(text, "en", score_threshold=THRESHOLD))


class _InlineLoop(asyncio.SelectorEventLoop):
    """An event loop that does at once, in its own thread, what it is to do in another, so that it can be timed."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Carry it out now."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class Helix:
    """A Helix detector on an event loop of its own, with all of its work in the thread that asks."""

    def __init__(self, detector: Detector, kinds: Iterable[str]) -> None:
        self.kinds = frozenset(kinds)
        self._detector = detector
        self._runner = asyncio.Runner(loop_factory=_InlineLoop)

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of each text."""
        return [list(spans) for spans in self._runner.run(self._detect(texts))]

    def cpu_seconds(self, texts: Iterable[str]) -> list[float]:
        """The CPU time of each `detect`."""
        return self._runner.run(self._timed(texts))

    def close(self) -> None:
        """Let the loop go."""
        self._runner.close()

    async def _detect(self, texts: Sequence[str]) -> Sequence[Sequence[Span]]:
        return await self._detector.detect(texts)

    async def _timed(self, texts: Iterable[str]) -> list[float]:
        taken = []
        for text in texts:
            before = time.thread_time()
            await self._detector.detect([text])
            taken.append(time.thread_time() - before)
        return taken


def helix_detectors(stock: Iterable[str]) -> dict[str, tuple[PresidioDetector, Iterable[str]]]:
    """Helix with patterns alone and with names: for every kind of English texts, and for what is on by default.

    Patterns also for the kinds of stock Presidio (`stock`), to be timed beside it. Each with the kinds it looks for.
    """
    elsewhere = {kind for language, kinds in NATIONAL.items() if language != "en" for kind in kinds}
    every, default = {*KNOWN_ENTITIES} - elsewhere, {*default_entities(["en"], names=True)}
    kinds = {
        PATTERNS: every - BY_NAMES_MODEL,
        NAMES: every,
        PATTERNS + DEFAULTS: default - BY_NAMES_MODEL,
        NAMES + DEFAULTS: default,
        PATTERNS + LIKE_STOCK: every.intersection(stock),
    }
    return {
        name: (
            PresidioDetector(entities=sorted(of))
            if name.startswith(NAMES)
            else PresidioDetector(entities=sorted(of), names=None),
            of,
        )
        for name, of in kinds.items()
    }
