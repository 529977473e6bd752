"""`pii`: how much personal data is found, how much is taken for it, and what looking costs, beside stock Presidio."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from helix.redact.memory import RememberingDetector
from perf.measure import target
from perf.pii.accuracy import BETA, IOU, accuracy
from perf.pii.finders import THRESHOLD, Finder, Helix, Stock, helix_detectors
from perf.pii.sets import SAME_KIND, Corpus, corpora
from perf.pii.speed import repeated, speed
from perf.pii.technical import technical

__all__ = ["measure"]

STOCK = "presidio"
PATTERNS, NAMES = "helix patterns", "helix names"
DEFAULTS = ", default kinds"
_P50_MS = {PATTERNS: {50: 0.02, 500: 0.5, 5000: 5.0}, NAMES: {50: 3.0, 500: 15.0, 5000: 150.0}}
# Threads that a library starts would do work that nobody sees in one thread's time.
_ONE_THREAD = 1.1


def measure(folder: Path) -> dict[str, Any]:
    """Measure with every set of a folder. Raises Unavailable where there is none, or something is not installed."""
    # Before anything that makes threads by the number of CPUs.
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    sets = corpora(folder)
    detectors = helix_detectors()
    finders: dict[str, Finder] = {STOCK: Stock()}
    finders |= {name: Helix(detector, kinds) for name, (detector, kinds) in detectors.items()}
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
    timed = {name: finder for name, finder in finders.items() if not name.endswith(DEFAULTS)}
    texts = _texts(annotated, plain)
    result["speed"] = speed(texts, timed, stock=STOCK)
    if result["speed"]["process_over_thread"] > _ONE_THREAD:
        result["faults"].append("a detector worked in threads of its own, which its times leave out")
    name = NAMES if NAMES in detectors else PATTERNS
    detector, kinds = detectors[name]
    remembering = Helix(RememberingDetector(detector, entries=10_000), kinds)
    result["speed"]["repeated"] = {name: repeated(texts["mixed"], remembering)}
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
        one = by_finder.get(NAMES) or by_finder[PATTERNS]
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
                if one := by_finder.get(finder + kinds):
                    label = f"{name}: {finder}{kinds or ', every kind'}"
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
