"""`pii`: how much personal data is found, how much is taken for it, and what looking costs, beside stock Presidio."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from helix.redact.memory import RememberingDetector
from perf.measure import target
from perf.pii.accuracy import BETA, IOU, accuracy
from perf.pii.finders import (
    DEFAULTS,
    LIKE_STOCK,
    NAMES,
    PATTERNS,
    STOCK,
    THRESHOLD,
    Finder,
    Helix,
    Stock,
    helix_detectors,
)
from perf.pii.sets import SAME_KIND, Corpus, corpora
from perf.pii.speed import repeated, speed
from perf.pii.technical import technical

__all__ = ["measure"]

_P50_MS = {
    PATTERNS + DEFAULTS: {50: 0.02, 500: 0.5, 5000: 5.0},
    NAMES + DEFAULTS: {50: 3.0, 500: 15.0, 5000: 150.0},
}
# Threads that a library starts would do work that nobody sees in one thread's time.
_ONE_THREAD = 1.1


def measure(folder: Path) -> dict[str, Any]:
    """Measure with every set of a folder. Raises Unavailable where there is none, or something is not installed."""
    # Before anything that makes threads by the number of CPUs.
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    sets = corpora(folder)
    stock = Stock()
    detectors = helix_detectors(stock.kinds)
    every: dict[str, Finder] = {STOCK: stock}
    every |= {name: Helix(detector, kinds) for name, (detector, kinds) in detectors.items()}
    finders = {name: finder for name, finder in every.items() if not name.endswith(LIKE_STOCK)}
    annotated = [corpus for corpus in sets if corpus.kinds]
    plain = [corpus for corpus in sets if not corpus.kinds]
    result: dict[str, Any] = {
        "method": {"evaluator": "presidio-evaluator SpanEvaluator", "iou": IOU, "beta": BETA, "threshold": THRESHOLD},
        "same_kind": dict(SAME_KIND),
        "looks_for": {name: sorted(finder.kinds) for name, finder in finders.items()},
        "accuracy": {
            corpus.name: {name: accuracy(corpus, finder) for name, finder in finders.items()} for corpus in annotated
        },
        "technical": {
            corpus.name: {name: technical(corpus, finder) for name, finder in finders.items()} for corpus in plain
        },
        "speed": {},
        "faults": [],
    }
    # What is on by default, and beside stock Presidio also its own kinds: every kind there is, nobody looks for.
    timed = {name: finder for name, finder in every.items() if name not in (PATTERNS, NAMES)}
    texts = _texts(annotated, plain)
    result["speed"] = speed(texts, timed, stock=STOCK)
    if result["speed"]["process_over_thread"] > _ONE_THREAD:
        result["faults"].append("a detector worked in threads of its own, which its times leave out")
    detector, kinds = detectors[NAMES + DEFAULTS]
    remembering = Helix(RememberingDetector(detector, entries=10_000), kinds)
    result["speed"]["repeated"] = {NAMES + DEFAULTS: repeated(texts["mixed"], remembering)}
    result["targets"] = _targets(result)
    return result


def _texts(annotated: list[Corpus], plain: list[Corpus]) -> dict[str, list[str]]:
    # The set with the most kinds in it; a corpus of names is no personal text.
    richest = max(annotated, key=lambda corpus: len(corpus.kinds), default=None)
    personal = [row.text for row in richest.rows] if richest else []
    technical_ = [row.text for corpus in plain for row in corpus.rows]
    mixed = personal + technical_ * max(1, len(personal) // max(1, len(technical_)))
    return {
        name: texts for name, texts in {"personal": personal, "mixed": mixed, "technical": technical_}.items() if texts
    }


def _targets(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What issue 3 wants, by set."""
    found: list[dict[str, Any]] = []
    for name, by_finder in result["accuracy"].items():
        one = by_finder[NAMES]
        if name.startswith("generated"):
            found.append(target(f"{name}: F2, binary, every kind", one["all"]["f2"], at_least=0.9))
            found.append(target(f"{name}: personal characters masked", one["characters"]["masked"], at_least=0.96))
        found += [
            target(f"{name}: recall of {kind}, exact", shares["exact"], at_least=1.0)
            for kind, shares in one["certain"].items()
        ]
    for name, by_finder in result["technical"].items():
        for finder in (PATTERNS, NAMES):
            for kinds in (DEFAULTS, ""):
                one, label = by_finder[finder + kinds], f"{name}: {finder}{kinds or ', every kind'}"
                found.append(target(f"{label}: any finding", one["any"], at_most=0.03))
                found.append(target(f"{label}: a person, place or nationality", one["names"], at_most=0.01))
    for finder, wanted in _P50_MS.items():
        for length, milliseconds in wanted.items():
            for texts in ("personal", "mixed", "technical"):
                one = result["speed"]["times"].get(f"{texts} {length}", {}).get(finder)
                if one is not None:
                    found.append(
                        target(f"{finder}, {texts}, {length} characters: p50 ms", one["p50_ms"], at_most=milliseconds)
                    )
    return found
