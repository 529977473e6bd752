"""A plain BERT in torch: on a GPU, or where nothing may be lost to another way of computing."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch.nn import functional as F

from helix.embed.folder import Shape

__all__ = ["TorchBert"]


class TorchBert:
    """The encoder (Devlin et al. 2018) with its pooling on a torch device. For one thread at a time."""

    def __init__(self, shape: Shape, device: str) -> None:
        self._shape = shape
        with safe_open(str(shape.weights), framework="pt") as file:
            weights = {key.removeprefix("bert."): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no dict)
        self._device = torch.device(device)
        self._weights = {
            key: (value.float() if value.is_floating_point() else value).to(self._device)
            for key, value in weights.items()
        }

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """The pooled states of a batch."""
        weights = self._weights
        real = torch.from_numpy(mask).to(self._device, torch.bool)
        attended = None if mask.all() else real[:, None, None, :]
        hidden = (
            weights["embeddings.word_embeddings.weight"][torch.from_numpy(ids).to(self._device)]
            + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for layer in range(self._shape.layers):
            at = f"encoder.layer.{layer}"
            query, key, value = (
                self._linear(hidden, f"{at}.attention.self.{name}")
                .unflatten(-1, (self._shape.heads, -1))
                .transpose(1, 2)
                for name in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attended).transpose(1, 2).flatten(-2)
            hidden = self._norm(
                hidden + self._linear(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm"
            )
            inner = F.gelu(self._linear(hidden, f"{at}.intermediate.dense"))
            hidden = self._norm(hidden + self._linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        if self._shape.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            counted = real[:, :, None].to(hidden.dtype)
            pooled = (hidden * counted).sum(1) / counted.sum(1)
        found: NDArray[np.float32] = pooled.cpu().numpy()
        return found

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight = self._weights[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, self._weights[f"{name}.bias"], self._shape.epsilon)
