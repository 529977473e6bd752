"""A BERT sentence encoder read straight from its folder: tokenizers, safetensors and torch, nothing else.

The sentence-transformers package gives the same vectors (to 2e-7), but importing it brings transformers, scikit-learn,
SciPy and pandas along: 250 MB more, and a third more time a text.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch.nn import functional as F

__all__ = ["Bert", "fits"]

_BATCH = 32
_NORMALIZE = "Normalize"
# A word is one token at least, and a tokenizer makes "unknown" of one of more than 100 characters.
_CHARS_PER_TOKEN = 100


def fits(folder: Path) -> bool:
    """Whether the model in a folder is a plain BERT with mean or first-token pooling, which is what is run here."""
    config = _read(folder / "config.json")
    modules = [str(module.get("type", "")).rpartition(".")[2] for module in _read(folder / "modules.json", [])]
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder")
        and [module for module in modules if module != _NORMALIZE] == ["Transformer", "Pooling"]
        and _pooling(folder) is not None
        and not _read(folder / "sentence_bert_config.json").get("do_lower_case")
        and not _read(folder / "config_sentence_transformers.json").get("default_prompt_name")
        and (folder / "model.safetensors").is_file()
        and (folder / "tokenizer.json").is_file()
    )


class Bert:
    """The encoder (Devlin et al. 2018) with its pooling, on a torch device; vectors are of unit length.

    For one thread at a time.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        config = _read(folder / "config.json")
        self._layers = int(config["num_hidden_layers"])
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._first_token = _pooling(folder) == "cls"
        self.dim = int(config["hidden_size"])
        window = int(config["max_position_embeddings"])
        said = _read(folder / "sentence_bert_config.json").get("max_seq_length")
        self.max_tokens = min(int(said), window) if said else window
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        with safe_open(str(folder / "model.safetensors"), framework="pt") as file:
            weights = {key.removeprefix("bert."): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no dict)
        self._device = torch.device(device)
        self._weights = {
            key: (value.float() if value.is_floating_point() else value).to(self._device)
            for key, value in weights.items()
        }

    def encode(self, texts: Sequence[str]) -> list[array[float]]:
        """One float32 unit vector a text; an empty one for a text beyond `max_tokens`."""
        vectors = [array("f") for _ in texts]
        short = [at for at, text in enumerate(texts) if len(text) <= self.max_tokens * _CHARS_PER_TOKEN]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch([texts[at] for at in short])]
        # Texts of like length together, so that little of a batch is padding.
        order = sorted(
            ((len(ids), at, ids) for at, ids in zip(short, tokens, strict=True) if len(ids) <= self.max_tokens),
            key=lambda item: item[:2],
        )
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            rows = self._forward([ids for _, _, ids in batch]).cpu()
            usable = rows.isfinite().all(dim=1).tolist()
            for (_, at, _), row, is_usable in zip(batch, rows.numpy(), usable, strict=True):
                if is_usable:
                    vectors[at].frombytes(row.tobytes())
        return vectors

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _forward(self, tokens: list[list[int]]) -> torch.Tensor:
        length = max(map(len, tokens))
        is_padded = any(len(row) < length for row in tokens)
        ids = torch.tensor([row + [0] * (length - len(row)) for row in tokens], device=self._device)
        real = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in tokens], device=self._device)
        mask = real[:, None, None, :] if is_padded else None
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][:length]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for layer in range(self._layers):
            at = f"encoder.layer.{layer}"
            query, key, value = (
                self._linear(hidden, f"{at}.attention.self.{name}").unflatten(-1, (self._heads, -1)).transpose(1, 2)
                for name in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(-2)
            hidden = self._norm(
                hidden + self._linear(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm"
            )
            inner = F.gelu(self._linear(hidden, f"{at}.intermediate.dense"))
            hidden = self._norm(hidden + self._linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        if self._first_token:
            pooled = hidden[:, 0]
        else:
            counted = real[:, :, None].to(hidden.dtype)
            pooled = (hidden * counted).sum(1) / counted.sum(1)
        return F.normalize(pooled, dim=-1)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight = self._weights[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, self._weights[f"{name}.bias"], self._epsilon)


def _pooling(folder: Path) -> str | None:
    """ "mean" or "cls" where that is all the pooling there is."""
    path = next(
        (module.get("path") for module in _read(folder / "modules.json", []) if "Pooling" in module["type"]), ""
    )
    config = _read(folder / str(path) / "config.json")
    modes = {key for key, value in config.items() if key.startswith("pooling_mode") and value}
    if config.get("pooling_mode") in ("mean", "cls"):
        return str(config["pooling_mode"])
    if modes == {"pooling_mode_mean_tokens"}:
        return "mean"
    return "cls" if modes == {"pooling_mode_cls_token"} else None


def _read(path: Path, default: Any = None) -> Any:
    if not path.is_file():
        return {} if default is None else default
    return json.loads(path.read_bytes())
