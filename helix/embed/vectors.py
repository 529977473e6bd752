"""From a model's raw output to the vectors that leave the embedder."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

__all__ = ["unit_vectors"]


def unit_vectors(rows: NDArray[np.float32], dim: int) -> list[array[float]]:
    """The first `dim` floats of each row, brought to unit length; empty for a row that has no direction."""
    kept = np.asarray(rows[:, :dim], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(kept, axis=1)
    vectors = [array("f") for _ in kept]
    for vector, row, length in zip(vectors, kept, lengths, strict=True):
        if np.isfinite(length) and length > 0:
            vector.frombytes((row / length).tobytes())
    return vectors
