"""A BERT sentence encoder without transformers: its tokenizer, batches of like length, and whatever computes the rest.

The sentence-transformers package gives the same vectors (to 2e-7, in torch), but importing it brings transformers,
scikit-learn, SciPy and pandas along: 250 MB more, and a third more time a text.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from helix.embed.folder import Shape
from helix.embed.vectors import unit_vectors

__all__ = ["Bert", "Compute"]

Compute = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Token ids and a mask of ones for the real ones, both (texts, tokens), to the pooled states, (texts, dim)."""

# A word is one token at least, and a tokenizer makes "unknown" of one of more than 100 characters.
_CHARS_PER_TOKEN = 100


class Bert:
    """A Model of a plain BERT, run by `compute`, with at most `tokens_at_once` in a batch, padding included.

    `dim` keeps the first so many floats of a vector only (Matryoshka, Kusupati et al. 2022). For one thread at a time.
    """

    def __init__(self, shape: Shape, compute: Compute, *, tokens_at_once: int, dim: int | None = None) -> None:
        self.dim = min(dim or shape.dim, shape.dim)
        self.max_tokens = shape.max_tokens
        self._compute = compute
        self._tokens_at_once = tokens_at_once
        self._tokenizer = Tokenizer.from_file(str(shape.tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def fits(self, text: str) -> bool:
        """Whether a text is inside the window, or gets an empty vector for its length."""
        return self._may_fit(text) and len(self._tokenizer.encode(text).ids) <= self.max_tokens

    def encode(self, texts: Sequence[str]) -> list[array[float]]:
        """One float32 unit vector a text; an empty one for a text beyond `max_tokens`."""
        vectors = [array("f") for _ in texts]
        short = [at for at, text in enumerate(texts) if self._may_fit(text)]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch([texts[at] for at in short])]
        fitting = [(at, ids) for at, ids in zip(short, tokens, strict=True) if len(ids) <= self.max_tokens]
        for batch in self._batches(fitting):
            rows = self._compute(*_padded([ids for _, ids in batch]))
            for (at, _), vector in zip(batch, unit_vectors(rows, self.dim), strict=True):
                vectors[at] = vector
        return vectors

    def _may_fit(self, text: str) -> bool:
        return len(text) <= self.max_tokens * _CHARS_PER_TOKEN

    def _batches(self, items: list[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
        """Texts of like length together, so that little of a batch is padding."""
        batch: list[tuple[int, list[int]]] = []
        for item in sorted(items, key=lambda item: len(item[1])):
            if batch and (len(batch) + 1) * len(item[1]) > self._tokens_at_once:
                yield batch
                batch = []
            batch.append(item)
        if batch:
            yield batch


def _padded(tokens: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
    mask = np.zeros_like(ids)
    for row, found in enumerate(tokens):
        ids[row, : len(found)] = found
        mask[row, : len(found)] = 1
    return ids, mask
