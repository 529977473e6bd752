"""Anybody's Presidio recognizers, registries and NLP engines plug in unchanged."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.predefined_recognizers import EsNifRecognizer
from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

from helix.kernel.types import Span
from helix.redact import PresidioDetector


async def found(text: str, language: str = "en", **options: Any) -> list[Span]:
    detector = PresidioDetector(**options)
    try:
        return list((await detector.detect([text], language=language))[0])
    finally:
        await detector.close()


def values(text: str, spans: Sequence[Span]) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in spans]


async def test_a_pattern_recognizer() -> None:
    """Its kind is found beside the default ones, and its context words count as in Presidio: as parts of words."""
    ticket = PatternRecognizer(
        "TICKET", patterns=[Pattern("ticket", r"\bT-\d{4}\b", 0.2)], context=["ticket"], name="Tickets"
    )
    text = "see supportticket T-1234 by a@b.com, not the lone one far away from any such word: T-9876"
    spans = await found(text, recognizers=[ticket])
    assert values(text, spans) == [("TICKET", "T-1234"), ("EMAIL_ADDRESS", "a@b.com")]
    assert (spans[0].recognizer, spans[0].reason) == ("Tickets", "pattern 'ticket', beside 'ticket'")
    assert spans[0].score == pytest.approx(0.55)


async def test_a_deny_list() -> None:
    """A PatternRecognizer of words."""
    text = "about Project Heron, or heron"
    spans = await found(text, recognizers=[PatternRecognizer("PROJECT", deny_list=["Project Heron"])])
    assert values(text, spans) == [("PROJECT", "Project Heron")]


class Capitals(EntityRecognizer):  # type: ignore[misc]
    """Wants tokens and lemmas, as recognizers over an NLP engine do."""

    def load(self) -> None:
        pass

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any) -> list[RecognizerResult]:
        pairs = zip(nlp_artifacts.tokens, nlp_artifacts.tokens_indices, nlp_artifacts.lemmas, strict=True)
        return [
            RecognizerResult("CAPITALS", at, at + len(token.text), 0.9)
            for token, at, lemma in pairs
            if token.text.isupper() and lemma == token.text.lower()
        ]


async def test_a_recognizer_that_needs_tokens() -> None:
    """It gets them, without any NLP engine configured."""
    spans = await found("from NASA, with love", recognizers=[Capitals(["CAPITALS"], name="Capitals")])
    assert [(span.start, span.end, span.kind, span.recognizer) for span in spans] == [(5, 9, "CAPITALS", "Capitals")]


REGISTRY = """
supported_languages: [en]
global_regex_flags: 26
recognizers:
  - name: Zip
    type: custom
    supported_entity: ZIP
    supported_languages: [{language: en, context: [zip, postal]}]
    patterns: [{name: zip, regex: '\\b\\d{5}\\b', score: 0.1}]
  - name: UkPostcodeRecognizer
    type: predefined
"""


async def test_a_registry_in_yaml(tmp_path: Path) -> None:
    """What Presidio makes of its own file is passed on as it is."""
    file = tmp_path / "registry.yaml"
    file.write_text(REGISTRY)
    registry = RecognizerRegistryProvider(conf_file=str(file)).create_recognizer_registry()
    text = "zip code 90210, postcode SW1A 1AA, number 12345 of the rest of the things"
    spans = await found(text, recognizers=registry.recognizers)
    assert values(text, spans) == [("ZIP", "90210"), ("UK_POSTCODE", "SW1A 1AA")]


async def test_a_recognizer_of_another_language() -> None:
    """Recognizers serve the language that they say."""
    nif = EsNifRecognizer(supported_language="es")
    text = "mi NIF 55555555K"
    options = {"recognizers": [nif], "languages": ("en", "es")}
    assert values(text, await found(text, "es", **options)) == [("ES_NIF", "55555555K")]
    assert values(text, await found(text, "en", **options)) == []


def make(languages: Sequence[str]) -> list[EntityRecognizer]:
    return [PatternRecognizer("WORD", deny_list=["sesame"], supported_language=language) for language in languages]


async def test_recognizers_made_at_opening() -> None:
    """A function that makes them pickles, so that a detector's arguments can be sent to another process."""
    made = pickle.loads(pickle.dumps(make))
    assert values("open sesame", await found("open sesame", recognizers=made)) == [("WORD", "sesame")]


async def test_an_unknown_entity_is_named() -> None:
    """With the kinds of given recognizers among the known; where a function makes them, at opening."""
    given = [PatternRecognizer("WORD", deny_list=["sesame"])]
    assert PresidioDetector(entities=["WORD"], recognizers=given).entities == ("WORD",)
    with pytest.raises(ValueError, match=r"unknown entity 'WORT'; known are .*WORD"):
        PresidioDetector(entities=["WORT"], recognizers=given)
    with pytest.raises(ValueError, match=r"unknown entity 'WORT'; known are .*WORD"):
        await PresidioDetector(entities=["WORT"], recognizers=make).open()


def spacy_model(folder: Path) -> Path:
    """A spaCy pipeline that knows one name."""
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Ada"}])
    nlp.to_disk(folder)
    return folder


async def test_a_configured_nlp_engine(tmp_path: Path) -> None:
    """Presidio's own settings; what its model finds is added."""
    settings = {
        "nlp_engine_name": "spacy",
        "models": [{"lang_code": "en", "model_name": str(spacy_model(tmp_path / "model"))}],
    }
    text = "Ada wrote from ada@example.com"
    spans = await found(text, nlp_engine=settings)
    assert values(text, spans) == [("PERSON", "Ada"), ("EMAIL_ADDRESS", "ada@example.com")]
    assert values(text, await found(text, nlp_engine=settings, entities=["PERSON"])) == [("PERSON", "Ada")]
