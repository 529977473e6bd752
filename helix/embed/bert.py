"""A BERT sentence encoder without transformers: its tokenizer, batches of like length, and whatever computes the rest.

The sentence-transformers package gives the same vectors (to 2e-7, in torch), but importing it brings transformers,
scikit-learn, SciPy and pandas along: 250 MB more, and a third more time a text.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

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
        self._unknown = self._tokenizer.token_to_id(getattr(self._tokenizer.model, "unk_token", None) or "")

    def fits(self, text: str) -> bool:
        """Whether a text can be read: inside the window, and in letters that the model knows."""
        return self._may_fit(text) and self._reads(text, self._tokenizer.encode(text))

    def encode(self, texts: Sequence[str]) -> list[array[float]]:
        """One float32 unit vector a text; an empty one for a text that does not fit."""
        vectors = [array("f") for _ in texts]
        short = [at for at, text in enumerate(texts) if self._may_fit(text)]
        tokens = zip(short, self._tokenizer.encode_batch([texts[at] for at in short]), strict=True)
        fitting = [(at, encoding.ids) for at, encoding in tokens if self._reads(texts[at], encoding)]
        for batch in self._batches(fitting):
            rows = self._compute(*_padded([ids for _, ids in batch]))
            for (at, _), vector in zip(batch, unit_vectors(rows, self.dim), strict=True):
                vectors[at] = vector
        return vectors

    def _reads(self, text: str, encoding: Encoding) -> bool:
        """Whether no word is unknown: all unknown words are one to the model, and so are texts made of such.

        Signs may be (an emoji), for they can be compared by eye.
        """
        ids = encoding.ids
        if len(ids) > self.max_tokens:
            return False
        if self._unknown not in ids:
            return True
        unknown = (place for id, place in zip(ids, encoding.offsets, strict=True) if id == self._unknown)
        return not any(char.isalnum() for start, end in unknown for char in text[start:end])

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
