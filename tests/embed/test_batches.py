from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from helix.embed.bert import Bert
from helix.embed.folder import Shape, shape_of
from helix.embed.vectors import unit_vectors
from tests.embed.conftest import installed


class Summing:
    """Computes two floats from the real tokens of a text, and notes the batches."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        self.sizes.append(ids.shape)
        assert not ids[mask == 0].any()
        return np.stack([(ids * mask).sum(1), mask.sum(1)], axis=1).astype(np.float32)


def shape() -> Shape:
    found = shape_of(installed())
    assert found is not None
    return found


def test_batches_are_bounded_and_of_like_length() -> None:
    """Texts are batched by length inside the bound, padding counted, and come back in the order they were given in."""
    texts = [f"{'word ' * words}." for words in (30, 1, 2, 60, 3, 30, 1, 2, 200)]
    compute = Summing()
    together = Bert(shape(), compute, tokens_at_once=64, dim=2).encode(texts)
    assert compute.sizes == [(5, 6), (1, 33), (1, 33), (1, 63), (1, 203)]
    alone = Bert(shape(), Summing(), tokens_at_once=64, dim=2)
    assert together == [alone.encode([text])[0] for text in texts]


def test_a_row_without_direction_is_no_vector() -> None:
    """What is not finite, or zero, in the floats that are kept gives an empty vector, the others get theirs."""
    rows = [[3.0, 4.0, 0.0], [np.nan, 1.0, 0.0], [np.inf, 1.0, 0.0], [0.0, 0.0, 7.0], [3e38, 3e38, 0.0]]
    vectors = unit_vectors(np.array(rows, np.float32), 2)
    assert [list(vector) for vector in vectors] == [[np.float32(0.6), np.float32(0.8)], [], [], [], []]
