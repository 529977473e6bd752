"""Exact search by cosine among the vectors of one scope, in this process."""

from __future__ import annotations

from math import hypot, isfinite

import numpy as np
from numpy.typing import NDArray

from helix.kernel.types import Vector

__all__ = ["Matrix"]


class Matrix:
    """Vectors of `dim` floats by name, compared with one product of a matrix and a vector.

    What has no direction (zeros, NaN, infinities) is near to nothing: it is not kept, and finds nothing.
    """

    def __init__(self, dim: int) -> None:
        self._rows: NDArray[np.float32] = np.empty((1, dim), np.float32)
        self._names: list[str] = []
        self._at: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str, vector: Vector) -> bool:
        """Keep a vector, in place of an earlier one of this name; whether it has a direction and was kept."""
        direction = _direction(vector)
        if direction is None:
            self.remove(name)
            return False
        row = self._at.setdefault(name, len(self._names))
        if row == len(self._names):
            self._names.append(name)
            if row == len(self._rows):
                self._rows = np.concatenate((self._rows, np.empty_like(self._rows)))
        self._rows[row] = direction
        return True

    def remove(self, name: str) -> None:
        """Forget a vector, if there is one of this name. The last takes its row, so that there are no gaps."""
        row = self._at.pop(name, None)
        if row is None:
            return
        last = self._names.pop()
        if last != name:
            self._names[row], self._at[last] = last, row
            self._rows[row] = self._rows[len(self._names)]
        if len(self._rows) >= 4 * max(1, len(self._names)):
            self._rows = self._rows[: len(self._rows) // 2].copy()

    def near(self, vector: Vector, count: int) -> list[tuple[str, float]]:
        """Up to `count` names with their cosine similarity, best first."""
        direction = _direction(vector)
        if direction is None or not self._names:
            return []
        similarities = self._rows[: len(self._names)] @ direction
        best = np.argpartition(-similarities, count - 1)[:count] if count < len(similarities) else np.arange(len(self))
        best = best[np.argsort(-similarities[best], kind="stable")]
        return [(self._names[row], min(float(similarities[row]), 1.0)) for row in best]


def _direction(vector: Vector) -> NDArray[np.float32] | None:
    """The vector at unit length; None where it has no direction."""
    length = hypot(*vector)
    if not (isfinite(length) and length > 0):
        return None
    return (np.asarray(vector, np.float64) / length).astype(np.float32)
