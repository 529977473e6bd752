"""What Presidio calls an NLP engine: tokens and lemmas for the recognizers that want them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import spacy
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine, NlpEngineProvider
from spacy.language import Language

__all__ = ["BlankNlpEngine", "SharedNlpEngine", "open_nlp_engine", "zone"]


class BlankNlpEngine(NlpEngine):  # type: ignore[misc]
    """Splits a text by spaCy's rules, without any model, when somebody first asks for its tokens.

    A lemma is its token in lower case. (Without a lemmatizer spaCy gives none, and then no context word ever matches.)
    """

    engine_name = "helix_blank"
    is_available = True

    def __init__(self, languages: Sequence[str]) -> None:
        self._languages = list(languages)
        # A pipeline may not be shared by threads while a memory zone is open.
        self._own = threading.local()

    def load(self) -> None:
        """Make this thread's pipelines."""
        for language in self._languages:
            self.pipeline(language)

    def is_loaded(self) -> bool:
        """Whether it can be used: always."""
        return True

    def pipeline(self, language: str) -> Language:
        """This thread's tokenizer for a language; the multilingual one where spaCy does not know the language."""
        pipelines: dict[str, Language] = self._own.__dict__.setdefault("pipelines", {})
        if language not in pipelines:
            try:
                pipelines[language] = spacy.blank(language)
            except ImportError:
                pipelines[language] = spacy.blank("xx")
        return pipelines[language]

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """Artifacts that are made when they are first looked at."""
        return _LazyArtifacts(text, self, language)

    def process_batch(
        self, texts: Iterable[str], language: str, batch_size: int = 1, n_process: int = 1, **_options: Any
    ) -> Iterator[tuple[str, NlpArtifacts]]:
        """The artifacts of each text."""
        for text in texts:
            yield text, self.process_text(text, language)

    def is_stopword(self, word: str, language: str) -> bool:
        """Whether the language's list of stop words has it."""
        return bool(self.pipeline(language).vocab[word].is_stop)

    def is_punct(self, word: str, language: str) -> bool:
        """Whether it is a punctuation mark."""
        return bool(self.pipeline(language).vocab[word].is_punct)

    def get_supported_entities(self) -> list[str]:
        """None: it has no model."""
        return []

    def get_supported_languages(self) -> list[str]:
        """The languages it was made for."""
        return self._languages


class _LazyArtifacts(NlpArtifacts):  # type: ignore[misc]
    """The artifacts of a text, made when the first of them is asked for."""

    def __init__(self, text: str, engine: BlankNlpEngine, language: str) -> None:
        self._unmade: tuple[str, BlankNlpEngine, str] | None = text, engine, language

    def __getattr__(self, name: str) -> Any:
        unmade = self.__dict__.pop("_unmade", None)
        if unmade is None:
            raise AttributeError(name)
        text, engine, language = unmade
        tokens = engine.pipeline(language)(text)
        super().__init__(
            entities=[],
            tokens=tokens,
            tokens_indices=[token.idx for token in tokens],
            lemmas=[token.lower_ for token in tokens],
            nlp_engine=engine,
            language=language,
        )
        return getattr(self, name)

    def to_json(self) -> str:
        """Presidio's own form, which copies what is there."""
        _ = self.tokens
        return str(super().to_json())


def open_nlp_engine(configuration: Mapping[str, Any]) -> NlpEngine:
    """The NLP engine that Presidio makes of its configuration, loaded. Raises ValueError."""
    engine = NlpEngineProvider(nlp_configuration=dict(configuration)).create_engine()
    if not engine.is_loaded():
        engine.load()
    for pipeline in engine.nlp.values():
        pipeline.add_pipe("helix_lemmas", last=True)
    return engine


class SharedNlpEngine(NlpEngine):  # type: ignore[misc]
    """A configured engine for the languages that it has models for, and a blank one for the others."""

    engine_name = "helix_shared"
    is_available = True

    def __init__(self, engine: NlpEngine, languages: Sequence[str]) -> None:
        others = [language for language in languages if language not in engine.get_supported_languages()]
        blank = BlankNlpEngine(others)
        self.by_language = {language: blank if language in others else engine for language in languages}

    def load(self) -> None:
        """Nothing: both are loaded."""

    def is_loaded(self) -> bool:
        """Whether it can be used: always."""
        return True

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """The artifacts of a text."""
        return self.by_language[language].process_text(text, language)

    def process_batch(self, texts: Iterable[str], language: str, **options: Any) -> Iterator[tuple[str, NlpArtifacts]]:
        """The artifacts of each text."""
        yield from self.by_language[language].process_batch(texts, language, **options)

    def is_stopword(self, word: str, language: str) -> bool:
        """Whether the language's list of stop words has it."""
        return bool(self.by_language[language].is_stopword(word, language))

    def is_punct(self, word: str, language: str) -> bool:
        """Whether it is a punctuation mark."""
        return bool(self.by_language[language].is_punct(word, language))

    def get_supported_entities(self) -> list[str]:
        """What the models find."""
        return sorted({kind for engine in self.by_language.values() for kind in engine.get_supported_entities()})

    def get_supported_languages(self) -> list[str]:
        """The languages it was made for."""
        return list(self.by_language)


@Language.component("helix_lemmas")  # type: ignore[untyped-decorator]
def _lemmas(tokens: Any) -> Any:
    """Lemmas where a pipeline gives none; without them no context word ever matches."""
    for token in tokens:
        if not token.lemma_:
            token.lemma_ = token.lower_
    return tokens


def zone(engine: NlpEngine, language: str) -> AbstractContextManager[Any]:
    """While it is open, words may be learnt; when it closes they are forgotten, where they would pile up for ever."""
    if isinstance(engine, SharedNlpEngine):
        engine = engine.by_language[language]
    return engine.pipeline(language).memory_zone() if isinstance(engine, BlankNlpEngine) else nullcontext()
