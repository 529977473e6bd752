"""The measurement of redaction counts what it says it counts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from helix.kernel.types import Span
from helix.redact import DEFAULT_ENTITIES, PresidioDetector
from perf.pii.accuracy import accuracy
from perf.pii.finders import Helix, Stock
from perf.pii.sets import corpora, of_length
from perf.pii.speed import repeated, speed
from perf.pii.technical import technical
from perf.process import Unavailable


class Words:
    """Finds given words wherever they stand."""

    def __init__(self, **words: str) -> None:
        self.kinds = frozenset(words.values())
        self._words = words

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        return [
            [
                Span(text.find(word), text.find(word) + len(word), kind, 1.0, "Words")
                for word, kind in self._words.items()
                if word in text
            ]
            for text in texts
        ]

    def cpu_seconds(self, texts: Iterable[str]) -> list[float]:
        return [0.001 for _ in texts]


def _write(file: Path, *rows: tuple[str, dict[str, str]]) -> None:
    with file.open("w") as out:
        for text, marked in rows:
            spans = [
                {"start": text.find(value), "end": text.find(value) + len(value), "type": kind}
                for value, kind in marked.items()
            ]
            out.write(json.dumps({"text": text, "spans": spans}) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _write(
        tmp_path / "some_dev.jsonl",
        ("Ann met Bob near Bern", {"Ann": "PERSON", "Bob": "PERSON", "Bern": "GPE"}),
        ("ssn 536-22-8721 belongs to Ann", {"536-22-8721": "US_SSN", "Ann": "PERSON"}),
    )
    _write(tmp_path / "names_dev.jsonl", ("Ann has 536-22-8721", {"Ann": "PERSON"}))
    _write(tmp_path / "plain_dev.jsonl", ("def Ann(): pass", {}), ("x = 1", {}), ("see 10.0.0.7", {}), ("", {}))
    _write(tmp_path / "some_train.jsonl", ("Ann", {"Ann": "PERSON"}))
    (tmp_path / "questions.jsonl").write_text('{"q": "none of ours"}\n')
    return tmp_path


def test_sets_to_train_on_and_other_files_are_left_out(folder: Path) -> None:
    """Every other file with annotated texts is a set, and a data set's names for a kind become ours."""
    assert [(one.name, len(one.rows), sorted(one.kinds)) for one in corpora(folder)] == [
        ("names_dev", 1, ["PERSON"]),
        ("plain_dev", 3, []),
        ("some_dev", 2, ["LOCATION", "PERSON", "US_SSN"]),
    ]
    with pytest.raises(Unavailable):
        corpora(folder / "nothing")


def test_accuracy(folder: Path) -> None:
    """Found over marked and right over found, for every kind and for those that are looked for."""
    some = corpora(folder)[2]
    found = accuracy(some, Words(Ann="PERSON", Bern="PERSON", near="PERSON", **{"536-22-8721": "US_SSN"}))
    assert found["not_looked_for"] == {"LOCATION": 1}
    assert found["kinds"]["US_SSN"] == {"marked": 1, "found": 1, "precision": 1.0, "recall": 1.0, "f2": 1.0}
    assert found["kinds"]["LOCATION"]["recall"] == 0.0
    assert found["certain"] == {"US_SSN": {"marked": 1, "exact": 1.0, "masked": 1.0}}
    assert found["characters"] == {"masked": round(21 / 24, 4), "rightly": round(21 / 25, 4)}
    # What touches is one span: "near Bern" is found, of which "Bern" is less than three quarters.
    assert found["all"] == {"marked": 5, "precision": 0.75, "recall": 0.6, "f2": 0.625}
    assert found["looked_for"]["marked"] == 4


def test_a_corpus_of_names_marks_nothing_else(folder: Path) -> None:
    """A number found there is no mistake, since nobody looked whether there is one."""
    names = corpora(folder)[0]
    assert accuracy(names, Words(Ann="PERSON", **{"536-22-8721": "US_SSN"}))["all"]["precision"] == 1.0


def test_technical(folder: Path) -> None:
    """Shares are of texts; addresses count apart; what was found is told by recognizer and kind alone."""
    found = technical(corpora(folder)[1], Words(Ann="PERSON", x="US_SSN", **{"10.0.0.7": "IP_ADDRESS"}))
    assert (found["texts"], found["any"], found["names"]) == (3, round(2 / 3, 4), round(1 / 3, 4))
    assert found["apart"] == {"IP_ADDRESS": round(1 / 3, 4)}
    assert {(one["recognizer"], one["kind"], one["findings"]) for one in found["worst"]} == {
        ("Words", "PERSON", 1),
        ("Words", "US_SSN", 1),
    }


def test_texts_of_a_length() -> None:
    """They have it, and are not all the same."""
    texts = list(of_length(["Ann met Bob", "nobody came to see them"], 50, 20, random.Random(1)))
    assert {len(text) for text in texts} <= set(range(25, 51))
    assert len(set(texts)) > 10


def test_a_detector_works_in_the_thread_that_asks() -> None:
    """So that its time can be taken there; and what it remembers costs nothing to speak of."""
    detector = PresidioDetector()
    finder = Helix(detector, DEFAULT_ENTITIES)
    [spans] = finder.find(["mail ann@example.com"])
    assert [span.kind for span in spans] == ["EMAIL_ADDRESS"]
    assert all(seconds > 0 for seconds in finder.cpu_seconds(["mail ann@example.com"]))
    finder.close()


def test_stock_presidio_reads_context_words() -> None:
    """With a tokenizer alone a context word is matched as it stands: a licence beside its word, and not without."""
    stock = Stock()
    with_word, without = stock.find(["my driver license is A56319335", "the part is A56319335"])
    assert "US_DRIVER_LICENSE" in {span.kind for span in with_word}
    assert "US_DRIVER_LICENSE" not in {span.kind for span in without}


def test_speed_is_a_ratio_within_a_round() -> None:
    """Every finder is timed with the same texts; the ratio is that of the medians."""

    class Slow(Words):
        def cpu_seconds(self, texts: Iterable[str]) -> list[float]:
            return [0.002 for _ in texts]

    found: Any = speed({"mixed": ["Ann met Bob"]}, {"stock": Slow(), "ours": Words()}, stock="stock")
    assert found["times"]["mixed 50"]["ours"] == {"p50_ms": 1.0, "p95_ms": 1.0, "times_stock": 2.0}
    assert repeated(["Ann met Bob"], Words(), turns=3)["again_p50_ms"] == 1.0
