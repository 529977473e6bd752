"""What a detector does around its recognizers: names, versions, threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from presidio_analyzer import EntityRecognizer, PatternRecognizer, RecognizerResult

from helix.redact import PresidioDetector
from helix.redact.names import NameRecognizer


async def test_names_are_asked_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """All texts of a call go to the model together, and what it finds stands beside what patterns find."""
    asked: list[list[str]] = []
    batch = NameRecognizer.analyze_batch

    def count(self: NameRecognizer, texts: Sequence[str], *args: Any, **options: Any) -> list[list[RecognizerResult]]:
        asked.append(list(texts))
        return batch(self, texts, *args, **options)

    monkeypatch.setattr(NameRecognizer, "analyze_batch", count)
    detector = PresidioDetector(entities=["PERSON", "EMAIL_ADDRESS"])
    texts = ["My name is Maria Gonzalez, maria@example.com", "nothing here", "Ask John Miller about it"]
    found = await detector.detect(texts)
    await detector.close()
    assert asked == [texts]
    values = [[(s.kind, t[s.start : s.end]) for s in spans] for t, spans in zip(texts, found, strict=True)]
    assert values == [
        [("PERSON", "Maria Gonzalez"), ("EMAIL_ADDRESS", "maria@example.com")],
        [],
        [("PERSON", "John Miller")],
    ]
    assert found[2][0].reason == "the names model"


async def test_a_disguised_name_is_found() -> None:
    """The model reads the shadow of a text; the span is on the original."""
    detector = PresidioDetector(entities=["PERSON"])
    text = "My name is Ma\u200bria Gon\u00adzalez and I live here"
    [[span]] = await detector.detect([text])
    await detector.close()
    assert text[span.start : span.end] == "Ma\u200bria Gon\u00adzalez"


@pytest.mark.parametrize(
    "options",
    [{"entities": ["EMAIL_ADDRESS", "PHONE_NUMBER"]}, {"entities": ["PERSON"], "names": None}],
    ids=["no such kind", "patterns alone"],
)
async def test_the_model_is_not_loaded_for_nothing(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    """Where no kind is looked for that only it finds, or where it is switched off."""
    monkeypatch.setattr(NameRecognizer, "__init__", lambda *_args, **_options: pytest.fail("loaded"))
    detector = PresidioDetector(**options)
    await detector.open()
    await detector.close()


async def version(**options: Any) -> str:
    detector = PresidioDetector(**options)
    assert detector.version == ""
    await detector.open()
    try:
        return detector.version
    finally:
        await detector.close()


async def test_the_version_tells_recognizers_and_model_apart() -> None:
    """The same settings have the same version, others another; it names the model's hash."""
    plain = await version(entities=["EMAIL_ADDRESS"])
    assert plain == await version(entities=["EMAIL_ADDRESS"])
    others = [
        await version(entities=["EMAIL_ADDRESS", "US_SSN"]),
        await version(entities=["EMAIL_ADDRESS"], score_threshold=0.7),
        await version(entities=["EMAIL_ADDRESS"], recognizers=[PatternRecognizer("X", deny_list=["a"])]),
        await version(entities=["EMAIL_ADDRESS"], recognizers=[PatternRecognizer("X", deny_list=["b"])]),
    ]
    assert len({plain, *others}) == 5
    assert "+m" not in plain
    assert "+m" in await version(entities=["PERSON"])


class Where(EntityRecognizer):  # type: ignore[misc]
    """Notes the threads it runs in."""

    threads: list[int]

    def load(self) -> None:
        self.threads = []

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any) -> list[RecognizerResult]:
        self.threads.append(threading.get_ident())
        return []


async def test_foreign_recognizers_run_in_threads() -> None:
    """However short the text: nobody knows how long they take."""
    where = Where(["WHERE"])
    detector = PresidioDetector(recognizers=[where])
    await detector.detect(["short"])
    await detector.close()
    assert where.threads
    assert threading.get_ident() not in where.threads


async def test_a_long_text_does_not_hold_up_the_loop(presidio: PresidioDetector) -> None:
    """Other tasks go on while it is looked through."""
    looking = asyncio.ensure_future(presidio.detect(["a1 b22 c333 " * 20_000]))
    turns = 0
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
    await looking
    assert turns > 10


async def test_a_finding_says_why(presidio: PresidioDetector) -> None:
    """The pattern, the check and the context word, in the recognizer's words."""
    text = "ssn 536-22-8721, card 4111 1111 1111 1111, call (202) 555-0173, a@b.com"
    [spans] = await presidio.detect([text])
    assert [(span.recognizer, span.reason) for span in spans] == [
        ("Ssn", "pattern 'dashes', beside 'ssn'"),
        ("Card", "pattern 'fours', checked"),
        ("Phone", "a number of phonenumbers', beside 'call'"),
        ("Email", "pattern 'address', checked"),
    ]


async def test_a_closed_detector_opens_again(presidio: PresidioDetector) -> None:
    """By use, as one that was never open."""
    detector = PresidioDetector()
    await detector.open()
    await detector.close()
    assert detector.version == ""
    assert len((await detector.detect(["a@b.com"]))[0]) == 1
    await detector.close()
