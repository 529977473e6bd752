"""How much is found where nothing personal stands: technical prose, code, logs, configuration."""

from __future__ import annotations

from collections import Counter
from typing import Any

from perf.pii.finders import Finder
from perf.pii.sets import Corpus

__all__ = ["technical"]

_NAMES = frozenset({"PERSON", "LOCATION", "NRP"})
# Such a text does hold addresses and dates; they are nobody's, but not mistakes.
_APART = ("URL", "IP_ADDRESS", "DATE_TIME")
_WORST = 8


def technical(corpus: Corpus, finder: Finder) -> dict[str, Any]:
    """The share of texts with any finding, and with a name's; what found the most, by recognizer."""
    texts = len(corpus.rows)
    found = finder.find([row.text for row in corpus.rows])
    kinds = [{span.kind for span in spans} for spans in found]
    worst = Counter((span.recognizer, span.kind) for spans in found for span in spans if span.kind not in _APART)
    return {
        "texts": texts,
        "any": _share(sum(bool(one - set(_APART)) for one in kinds), texts),
        "names": _share(sum(bool(one & _NAMES) for one in kinds), texts),
        "apart": {kind: _share(sum(kind in one for one in kinds), texts) for kind in _APART if kind in finder.kinds},
        "worst": [
            {"recognizer": recognizer, "kind": kind, "findings": count}
            for (recognizer, kind), count in worst.most_common(_WORST)
        ],
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4)
