"""How much of the personal data in annotated texts is found, by the span evaluator of presidio-evaluator and exactly.

The evaluator compares tokens (spaCy's tokenizer, no model), leaves out its own skip words, and counts a marked span as
found where intersection over union is .75 or more: the settings of Presidio's own published evaluation.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from helix.kernel.types import Span
from perf.pii.finders import Finder
from perf.pii.sets import CERTAIN, Annotated, Corpus, kind_of
from perf.process import Unavailable

__all__ = ["BETA", "IOU", "accuracy"]

IOU, BETA = 0.75, 2.0
_NOTHING = "O"
Row = tuple[int, int, str]


def accuracy(corpus: Corpus, finder: Finder) -> dict[str, Any]:
    """The figures of one set: binary and by kind, the share of personal characters that is masked, certain kinds."""
    found = [
        [span for span in spans if not corpus.names_only or kind_of(span.kind) in corpus.kinds]
        for spans in finder.find([row.text for row in corpus.rows])
    ]
    kinds = frozenset(map(kind_of, finder.kinds))
    of_its_kinds = [Annotated(row.text, tuple(s for s in row.spans if s[2] in kinds)) for row in corpus.rows]
    evaluated = _evaluated(corpus.rows, found)
    return {
        "texts": len(corpus.rows),
        "not_looked_for": {kind: _marked(corpus.rows)[kind] for kind in sorted(corpus.kinds - kinds)},
        "all": evaluated["binary"],
        "looked_for": _evaluated(of_its_kinds, found)["binary"],
        "kinds": evaluated["kinds"],
        "characters": _characters(corpus.rows, found),
        "characters_looked_for": _characters(of_its_kinds, found),
        "certain": {kind: _certain(corpus.rows, found, kind) for kind in CERTAIN if kind in corpus.kinds},
    }


def _marked(rows: Sequence[Annotated]) -> Counter[str]:
    return Counter(kind for row in rows for _, _, kind in row.spans)


def _evaluated(rows: Sequence[Annotated], found: Sequence[Sequence[Span]]) -> dict[str, Any]:
    """Precision, recall and F2 as presidio-evaluator counts them."""
    try:
        import pandas
        import spacy

        # It says by a warning that it uses its default skip words, which is what its published figures use.
        logging.getLogger("presidio_evaluator.evaluation.base_evaluator").setLevel(logging.ERROR)
        from presidio_evaluator.evaluation import SpanEvaluator
        from presidio_evaluator.span_to_tag import span_to_tag
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed: pip install 'helix-gateway[redact,dev]'") from None
    tokenizer = spacy.blank("en")
    tokens: list[tuple[int, str, int, str, str]] = []
    for number, (row, spans) in enumerate(zip(rows, found, strict=True)):
        document = tokenizer(row.text)
        marked = [*zip(*row.spans, strict=True)] or [(), (), ()]
        tags = [
            span_to_tag("IO", row.text, list(starts), list(ends), list(kinds), list(scores), document)
            for starts, ends, kinds, scores in (
                (*marked, [1.0] * len(row.spans)),
                (
                    [span.start for span in spans],
                    [span.end for span in spans],
                    [kind_of(span.kind) for span in spans],
                    [span.score for span in spans],
                ),
            )
        ]
        tokens += (
            (number, token.text, token.idx, *tag) for token, *tag in zip(document, tags[0], tags[1], strict=True)
        )
    table = pandas.DataFrame(tokens, columns=["sentence_id", "token", "start_indices", "annotation", "prediction"])
    result = SpanEvaluator(iou_threshold=IOU).calculate_score_on_df(table, beta=BETA)
    return {
        "binary": _figures(result.pii_precision, result.pii_recall, result.pii_f, result.pii_annotated),
        "kinds": {
            kind: _figures(one.precision, one.recall, one.f_beta, one.num_annotated) | {"found": one.num_predicted}
            for kind, one in sorted(result.per_type.items(), key=lambda item: -item[1].num_annotated)
        },
    }


def _figures(precision: float, recall: float, f: float, marked: int) -> dict[str, Any]:
    # Not a number, as the evaluator gives it where there is nothing to divide by, is no JSON.
    shares = {"precision": precision, "recall": recall, "f2": f}
    return {"marked": marked} | {
        name: None if share is None or share != share else round(float(share), 4) for name, share in shares.items()
    }


def _characters(rows: Sequence[Annotated], found: Sequence[Sequence[Span]]) -> dict[str, float | None]:
    """The share of personal characters that is masked, and the share of masked characters that is personal."""
    personal = masked = both = 0
    for row, spans in zip(rows, found, strict=True):
        # Blanks inside say nothing of anybody.
        marked = _places(((start, end) for start, end, _ in row.spans), row.text)
        hidden = _places(((span.start, span.end) for span in spans), row.text)
        personal, masked, both = personal + len(marked), masked + len(hidden), both + len(marked & hidden)
    return {
        "masked": round(both / personal, 4) if personal else None,
        "rightly": round(both / masked, 4) if masked else None,
    }


def _places(spans: Any, text: str) -> set[int]:
    return {at for start, end in spans for at in range(start, end) if not text[at].isspace()}


def _certain(rows: Sequence[Annotated], found: Sequence[Sequence[Span]], kind: str) -> dict[str, Any]:
    """How many values of a kind were found with exactly their borders and kind, and how many are masked whole."""
    marked = exact = covered = 0
    for row, spans in zip(rows, found, strict=True):
        places = {(span.start, span.end) for span in spans if span.kind == kind}
        hidden = _places(((span.start, span.end) for span in spans), row.text)
        for start, end, what in row.spans:
            if what == kind:
                marked += 1
                exact += (start, end) in places
                covered += _places([(start, end)], row.text) <= hidden
    return {"marked": marked, "exact": round(exact / marked, 4), "masked": round(covered / marked, 4)}
