"""How well names and places are found, and at what price, beside Helix's patterns or alone.

    python evaluate.py --model artifact --data DIR

DIR holds sets with marks (JSON Lines of `text`, `spans`) that the model was not trained on. The figures are those of
`python -m perf pii`: presidio-evaluator's SpanEvaluator (IoU .75, all kinds as one), characters masked, technical texts
with a finding; and CPU milliseconds of the names pass alone, p50, for texts of 50, 500 and 5,000 characters.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from helix.kernel.types import Span
from helix.redact import KNOWN_ENTITIES, PresidioDetector
from helix.redact.names import NAME_KINDS, NameRecognizer
from helix.redact.spans import resolve
from perf.pii.accuracy import accuracy
from perf.pii.finders import THRESHOLD, Helix
from perf.pii.sets import Corpus, corpora, of_length
from perf.pii.technical import technical

__all__ = ["Both", "speed"]


class Both:
    """Finds by patterns and by the names model; what overlaps is resolved as the detector does."""

    def __init__(self, names: NameRecognizer, patterns: Sequence[str]) -> None:
        self._names = names
        self._patterns = Helix(PresidioDetector(entities=patterns), patterns) if patterns else None
        self.kinds = frozenset([*names.supported_entities, *patterns])

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of each text."""
        by_name = self._names.analyze_batch(texts)
        by_pattern = self._patterns.find(texts) if self._patterns else [[] for _ in texts]
        return [
            list(
                resolve(
                    [*(Span(r.start, r.end, r.entity_type, r.score) for r in names if r.score >= THRESHOLD), *spans]
                )
            )
            for names, spans in zip(by_name, by_pattern, strict=True)
        ]

    def cpu_seconds(self, texts: Iterable[str]) -> list[float]:
        """The CPU time that the names of each text take."""
        taken = []
        for text in texts:
            before = time.thread_time()
            self._names.analyze_batch([text])
            taken.append(time.thread_time() - before)
        return taken


def speed(both: Both, sets: Sequence[Corpus], seed: int = 1) -> dict[int, float]:
    """CPU milliseconds, p50, of texts of 50, 500 and 5,000 characters out of marked texts."""
    texts = [row.text for corpus in sets if corpus.kinds for row in corpus.rows]
    both.cpu_seconds(texts[:5])
    rng = random.Random(seed)
    return {
        length: round(1000 * statistics.median(both.cpu_seconds(of_length(texts, length, count, rng))), 2)
        for length, count in ((50, 200), (500, 60), (5000, 12))
    }


def errors(both: Both, corpus: Corpus, count: int) -> dict[str, Counter[str]]:
    """How many spans of each kind are missed whole, found in part, or found where nothing is marked."""
    missed, partly, wrong = Counter[str](), Counter[str](), Counter[str]()
    rows = corpus.rows[:count]
    for row, spans in zip(rows, both.find([row.text for row in rows]), strict=True):
        for start, end, kind in row.spans:
            hidden = sum(max(0, min(end, span.end) - max(start, span.start)) for span in spans)
            missed[kind] += hidden == 0
            partly[kind] += 0 < hidden < 0.75 * (end - start)
        for span in spans:
            wrong[span.kind] += not any(start < span.end and span.start < end for start, end, _ in row.spans)
    return {"missed": missed, "in part": partly, "nothing marked": wrong}


def main() -> None:
    """Print the figures as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", type=Path, required=True)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--names-only", action="store_true", help="without Helix's patterns")
    arguments.add_argument("--without", nargs="*", default=[], help="kinds not to look for")
    arguments.add_argument("--threshold", type=float, default=THRESHOLD)
    options = arguments.parse_args()
    kinds = [kind for kind in NAME_KINDS if kind not in options.without]
    names = NameRecognizer(options.model, entities=kinds, threshold=options.threshold)
    both = Both(names, [] if options.names_only else list(KNOWN_ENTITIES))
    sets = corpora(options.data)
    for corpus in sets:
        if not corpus.kinds:
            print(json.dumps({corpus.name: technical(corpus, both)}, indent=1))
            continue
        figures = accuracy(corpus, both)
        chosen = {key: figures[key] for key in ("all", "kinds", "characters", "not_looked_for")}
        print(json.dumps({corpus.name: chosen, "errors": errors(both, corpus, len(corpus.rows))}))
    print(json.dumps({"names, CPU ms": speed(both, sets)}))


if __name__ == "__main__":
    main()
