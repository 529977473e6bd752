"""A calibration from labelled pairs of texts, by an embedder and the guards."""

from __future__ import annotations

from collections.abc import Iterable

from helix.cache.guards import compare
from helix.cache.promise.calibration import Calibration
from helix.cache.promise.fit import LabelledPair, fit

__all__ = ["calibrated", "calibrated_by"]


def calibrated_by(outcomes: Iterable[tuple[float, float, bool, float, str]], embedder: str) -> Calibration:
    """Fit what traffic has shown (promise/outcomes.py). Raises ValueError for too few outcomes."""
    rows = (LabelledPair(near, overlap, same, entry, weight) for near, overlap, same, weight, entry in outcomes)
    return fit(rows, embedder)


async def calibrated(rows: Iterable[tuple[str, str, bool]], model: str | None = None) -> Calibration:
    """Fit pairs of questions, each with whether they have the same answer; None is the model that comes with Helix.

    Raises ValueError for too few pairs that no guard keeps apart, BackendUnavailable.
    """
    from helix.embed import SentenceTransformerEmbedder

    embedder = SentenceTransformerEmbedder(model)
    await embedder.open()
    found = []
    try:
        for a, b, same in rows:
            compared = compare(a, b)
            if compared.veto is None:
                (one,), (other,) = await embedder.embed([a]), await embedder.embed([b])
                if one and other:
                    similarity = sum(x * y for x, y in zip(one, other, strict=True))
                    found.append(LabelledPair(similarity, compared.overlap, same, a))
        return fit(found, embedder.name)
    finally:
        await embedder.close()
