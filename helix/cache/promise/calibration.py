"""From how near two questions are to how probable it is that they have the same answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

__all__ = ["Calibration", "Interval", "features", "probability"]

_FORMAT = 1
_PACKAGED = files("helix.cache.promise") / "calibrations"


def probability(log_odds: float) -> float:
    """The probability of log-odds, the logistic function."""
    if log_odds >= 0:
        return 1.0 / (1.0 + exp(-log_odds))
    grown = exp(log_odds)
    return grown / (1.0 + grown)


def features(similarity: float, overlap: float | None) -> tuple[float, ...]:
    """What a calibration is linear in; without an overlap, the similarity alone."""
    if overlap is None:
        return (1.0, similarity)
    return (1.0, similarity, overlap, float(overlap >= 1.0))


@dataclass(frozen=True, slots=True)
class Interval:
    """A share with its confidence interval."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic regressions fitted on labelled pairs of questions that the guards let pass (fit.py).

    `near` is the one by similarity alone, `compared` the one by similarity and overlap; each has its coefficients and
    their covariance, row by row. `embedder` is the name under which vectors were made: another model, or the same one
    run otherwise, has other similarities. `trials` counts requests, and those of them to which a pair of overlap 1
    would give a wrong answer.
    `vote` is the line, in similarity, of the mass by which a neighbour speaks for its group (vote.py); it is fitted to
    the outcome of the vote instead of to pairs, and so is steeper than `near`.
    """

    embedder: str
    near: tuple[float, ...]
    near_covariance: tuple[tuple[float, ...], ...]
    compared: tuple[float, ...]
    compared_covariance: tuple[tuple[float, ...], ...]
    vote: tuple[float, float]
    trials: tuple[int, int] = (0, 0)
    pairs: int = 0

    def mass(self, similarity: float) -> float:
        """The logarithm of a neighbour's mass in a vote; 0 is that of "none of them"."""
        return self.vote[0] + self.vote[1] * similarity

    def interval(self, similarity: float, overlap: float | None, confidence: float) -> Interval:
        """The probability with its Wald interval on the log-odds scale, each side at the confidence."""
        coefficients, covariance = (
            (self.near, self.near_covariance) if overlap is None else (self.compared, self.compared_covariance)
        )
        row = features(similarity, overlap)
        middle = _dot(coefficients, row)
        width = NormalDist().inv_cdf(confidence) * sqrt(max(0.0, _dot(row, [_dot(line, row) for line in covariance])))
        return Interval(probability(middle - width), probability(middle), probability(middle + width))

    def to_json(self) -> dict[str, Any]:
        """What `of_json` reads."""
        return {
            "format": _FORMAT,
            "embedder": self.embedder,
            "near": self.near,
            "near_covariance": self.near_covariance,
            "compared": self.compared,
            "compared_covariance": self.compared_covariance,
            "vote": self.vote,
            "trials": self.trials,
            "pairs": self.pairs,
        }

    @classmethod
    def of_json(cls, found: Any) -> Calibration:
        """Read what `to_json` wrote. Raises ValueError."""
        try:
            if found["format"] != _FORMAT:
                raise ValueError(f"a calibration must be of format {_FORMAT}, not {found['format']!r}")
            made = cls(
                embedder=str(found["embedder"]),
                near=_floats(found["near"]),
                near_covariance=tuple(_floats(row) for row in found["near_covariance"]),
                compared=_floats(found["compared"]),
                compared_covariance=tuple(_floats(row) for row in found["compared_covariance"]),
                vote=(float(found["vote"][0]), float(found["vote"][1])),
                trials=(int(found["trials"][0]), int(found["trials"][1])),
                pairs=int(found["pairs"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"this is no calibration ({type(error).__name__})") from None
        for coefficients, covariance, size in (
            (made.near, made.near_covariance, 2),
            (made.compared, made.compared_covariance, 4),
        ):
            if len(coefficients) != size or [len(row) for row in covariance] != [size] * size:
                raise ValueError(f"a calibration's coefficients must be {size}, with a square covariance")
        return made

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read a file. Raises ValueError, OSError."""
        return cls.of_json(json.loads(path.read_text()))

    @classmethod
    def packaged(cls, embedder: str) -> Calibration | None:
        """The one that comes with Helix for an embedder's name; None where there is none."""
        return _packaged().get(embedder)


@cache
def _packaged() -> dict[str, Calibration]:
    found = (
        Calibration.of_json(json.loads(file.read_text())) for file in _PACKAGED.iterdir() if file.name.endswith(".json")
    )
    return {calibration.embedder: calibration for calibration in found}


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
