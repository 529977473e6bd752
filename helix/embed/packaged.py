"""Any embedding model that the sentence-transformers package can run."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

__all__ = ["Packaged"]

_BATCH = 32


class Packaged:
    """A SentenceTransformer from a folder, on the device given. For one thread at a time."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._model = SentenceTransformer(str(folder), device=device)
        (probe,) = self._model.encode(["dimension"], show_progress_bar=False)
        self.dim = len(probe)
        # Models of relative positions have no window: a bound keeps the time of one text in bounds.
        self.max_tokens = int(self._model.max_seq_length or 512)

    def encode(self, texts: Sequence[str]) -> list[array[float]]:
        """One float32 unit vector a text; an empty one for a text beyond `max_tokens`."""
        vectors = [array("f") for _ in texts]
        tokens = self._model.tokenizer(list(texts), truncation=False, add_special_tokens=True)["input_ids"]
        fitting = [at for at, ids in enumerate(tokens) if len(ids) <= self.max_tokens]
        if not fitting:
            return vectors
        with torch.inference_mode():
            rows = self._model.encode(
                [texts[at] for at in fitting],
                batch_size=_BATCH,
                normalize_embeddings=True,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        rows = rows.float().cpu()
        usable = rows.isfinite().all(dim=1).tolist()
        for at, row, is_usable in zip(fitting, rows.numpy(), usable, strict=True):
            if is_usable:
                vectors[at].frombytes(row.tobytes())
        return vectors
