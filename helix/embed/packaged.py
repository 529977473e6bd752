"""Any embedding model that the sentence-transformers package can run."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from helix.embed.vectors import unit_vectors

__all__ = ["Packaged"]

_BATCH = 32


class Packaged:
    """A Model: a SentenceTransformer from a folder, on the device given. For one thread at a time.

    `dim` keeps the first so many floats of a vector only.
    """

    def __init__(self, folder: Path, device: str = "cpu", *, dim: int | None = None) -> None:
        self._model = SentenceTransformer(str(folder), device=device)
        (probe,) = self._model.encode(["dimension"], show_progress_bar=False)
        self.dim = min(dim or len(probe), len(probe))
        # Models of relative positions have no window: a bound keeps the time of one text in bounds.
        self.max_tokens = int(self._model.max_seq_length or 512)

    def encode(self, texts: Sequence[str]) -> list[array[float]]:
        """One float32 unit vector a text; an empty one for a text beyond `max_tokens`."""
        vectors = [array("f") for _ in texts]
        fitting = [at for at, length in enumerate(self._lengths(texts)) if length <= self.max_tokens]
        if not fitting:
            return vectors
        with torch.inference_mode():
            rows = self._model.encode(
                [texts[at] for at in fitting],
                batch_size=_BATCH,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        for at, vector in zip(fitting, unit_vectors(rows.float().cpu().numpy(), self.dim), strict=True):
            vectors[at] = vector
        return vectors

    def fits(self, text: str) -> bool:
        """Whether a text is inside the window, or gets an empty vector for its length."""
        return self._lengths([text])[0] <= self.max_tokens

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        tokens = self._model.tokenizer(list(texts), truncation=False, add_special_tokens=True)["input_ids"]
        return [len(ids) for ids in tokens]
