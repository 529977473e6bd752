"""The measurement of the embedder counts what it says it counts."""

from __future__ import annotations

import pytest

from perf.embed import auc


@pytest.mark.parametrize(
    ("scores", "same", "expected"),
    [
        ([0.9, 0.8, 0.2, 0.1], [True, True, False, False], 1.0),
        ([0.9, 0.8, 0.2, 0.1], [False, False, True, True], 0.0),
        ([0.9, 0.5, 0.7, 0.1], [True, True, False, False], 0.75),
        ([0.5, 0.5, 0.5], [True, False, False], 0.5),
        ([0.5, 0.5, 0.1], [True, False, False], 0.75),
    ],
)
def test_auc(scores: list[float], same: list[bool], expected: float) -> None:
    """The share of (same, not same) pairs that are scored in that order, ties counted half."""
    assert auc(scores, same) == pytest.approx(expected)
