"""Fitting a calibration to labelled pairs of questions. Pure; no library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, exp, floor, log1p

from helix.cache.promise.calibration import Calibration, features, probability
from helix.cache.promise.vote import Neighbour, propose
from helix.kernel.types import Candidate

__all__ = ["LabelledPair", "LabelledVote", "fit", "fit_vote"]

MIN_PAIRS = 50
"""Of each kind: with fewer, the intervals that the fit gives would not hold."""
_RIDGE = 1e-3
"""Precision of a prior around 0 that keeps coefficients finite where pairs can be told apart without an error."""
_STEPS = 50

Matrix = list[list[float]]


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two questions that no guard keeps apart: how near they are, and whether they have the same answer.

    Pairs of one `cluster` are not independent (they share a question), which intervals take into account. A pair stands
    for `weight` pairs, those that were as likely to be left out as it was.
    """

    similarity: float
    overlap: float
    same: bool
    cluster: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class LabelledVote:
    """A question's neighbours, best first, as (similarity, group), and the group that has its answer, if one does."""

    neighbours: tuple[tuple[float, str], ...]
    right: str | None


def fit(
    pairs: Iterable[LabelledPair],
    embedder: str,
    votes: Sequence[LabelledVote] = (),
    trials: tuple[int, int] | None = None,
) -> Calibration:
    """A calibration of these pairs, and of votes. Raises ValueError for too few pairs.

    Without votes a neighbour's mass is the odds of its pair. `trials` are requests, and how many of them a pair of
    overlap 1 would answer wrongly; without them every pair is a request.
    """
    rows = list(pairs)
    same = sum(pair.same for pair in rows)
    if min(same, len(rows) - same) < MIN_PAIRS:
        raise ValueError(
            f"a calibration needs at least {MIN_PAIRS} pairs of each kind that no guard keeps apart: "
            f"found {same} with the same answer and {len(rows) - same} without"
        )
    labels, weights = [pair.same for pair in rows], [pair.weight for pair in rows]
    clusters = [pair.cluster or str(at) for at, pair in enumerate(rows)]
    near, near_covariance = _regress([features(pair.similarity, None) for pair in rows], labels, clusters, weights)
    compared, covariance = _regress(
        [features(pair.similarity, pair.overlap) for pair in rows], labels, clusters, weights
    )
    return Calibration(
        embedder=embedder,
        near=tuple(near),
        near_covariance=tuple(tuple(row) for row in near_covariance),
        compared=tuple(compared),
        compared_covariance=tuple(tuple(row) for row in covariance),
        vote=fit_vote(votes) if votes else (near[0], near[1]),
        trials=trials or _trials(rows),
        pairs=len(rows),
    )


def _trials(rows: Sequence[LabelledPair]) -> tuple[int, int]:
    """Pairs as so many trials, and how many of them overlap 1 fails: the size that their weights leave (Kish 1965)."""
    total = sum(pair.weight for pair in rows)
    size = total**2 / sum(pair.weight**2 for pair in rows)
    wrong = sum(pair.weight for pair in rows if pair.overlap >= 1.0 and not pair.same)
    return floor(size + 1e-9), ceil(wrong / total * size - 1e-9)


def fit_vote(votes: Sequence[LabelledVote]) -> tuple[float, float]:
    """The line of masses under which the outcomes of votes are most likely, from a grid of slopes and zeros."""
    grid = [
        (slope, zero / 20) for slope in (6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 31.0, 40.0) for zero in range(4, 20)
    ]
    slope, zero = max(grid, key=lambda line: _likelihood(votes, -line[0] * line[1], line[0]))
    return -slope * zero, slope


def _likelihood(votes: Sequence[LabelledVote], start: float, slope: float) -> float:
    total = 0.0
    for vote in votes:
        found = propose(
            [
                Neighbour(Candidate(str(at), "", near, group=group), None, None, max(-30.0, start + slope * near), 0.0)
                for at, (near, group) in enumerate(vote.neighbours)
            ]
        )
        if found is not None:
            score = found.score if found.group == vote.right else -found.score
            total += -log1p(exp(-score)) if score > -30 else score
    return total


def _regress(
    rows: Sequence[tuple[float, ...]], labels: Sequence[bool], clusters: Sequence[str], weights: Sequence[float]
) -> tuple[list[float], Matrix]:
    """Logistic regression by Newton's method, and the covariance that clusters leave (Liang and Zeger 1986)."""
    size = len(rows[0])
    at = [0.0] * size
    for _ in range(_STEPS):
        gradient, hessian = [-_RIDGE * value for value in at], _diagonal(size, _RIDGE)
        for row, label, weight in zip(rows, labels, weights, strict=True):
            p = probability(sum(a * b for a, b in zip(at, row, strict=True)))
            for i in range(size):
                gradient[i] += weight * (label - p) * row[i]
                for j in range(size):
                    hessian[i][j] += weight * p * (1.0 - p) * row[i] * row[j]
        inverse = _inverse(hessian)
        step = [sum(a * b for a, b in zip(line, gradient, strict=True)) for line in inverse]
        at = [value + change for value, change in zip(at, step, strict=True)]
        if max(abs(change) for change in step) < 1e-9:
            break
    sums: dict[str, list[float]] = {}
    for row, label, cluster, weight in zip(rows, labels, clusters, weights, strict=True):
        residual = weight * (label - probability(sum(a * b for a, b in zip(at, row, strict=True))))
        total = sums.setdefault(cluster, [0.0] * size)
        for i in range(size):
            total[i] += residual * row[i]
    middle = [[sum(total[i] * total[j] for total in sums.values()) for j in range(size)] for i in range(size)]
    return at, _product(_product(inverse, middle), inverse)


def _diagonal(size: int, value: float) -> Matrix:
    return [[value if i == j else 0.0 for j in range(size)] for i in range(size)]


def _product(left: Matrix, right: Matrix) -> Matrix:
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*right, strict=True)] for row in left
    ]


def _inverse(matrix: Matrix) -> Matrix:
    """By Gauss and Jordan, with pivots."""
    size = len(matrix)
    rows = [[*row, *unit] for row, unit in zip(matrix, _diagonal(size, 1.0), strict=True)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(rows[row][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        rows[at] = [value / rows[at][at] for value in rows[at]]
        for other in range(size):
            if other != at and rows[other][at]:
                factor = rows[other][at]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[at], strict=True)]
    return [row[size:] for row in rows]
