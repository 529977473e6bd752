"""What a sentence-transformers folder says of its model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

__all__ = ["Shape", "shape_of"]

_NORMALIZE = "Normalize"
_READABLE = {"F16", "F32", "F64"}  # by numpy; there are bfloat16 ones too


@dataclass(frozen=True, slots=True)
class Shape:
    """A plain BERT encoder (Devlin et al. 2018) with mean or first-token pooling, and where its weights lie."""

    folder: Path
    layers: int
    heads: int
    dim: int
    epsilon: float
    max_tokens: int
    pooling: Literal["mean", "cls"]

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.folder / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        """The file of the tokenizers package."""
        return self.folder / "tokenizer.json"


def shape_of(folder: Path) -> Shape | None:
    """The shape of the model in a folder; None where it is no plain BERT, which the package itself has to run."""
    config = _read(folder / "config.json")
    sentence = _read(folder / "sentence_bert_config.json")
    modules = [str(module.get("type", "")).rpartition(".")[2] for module in _read(folder / "modules.json", [])]
    pooling = _pooling(folder)
    is_plain = (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder")
        and [module for module in modules if module != _NORMALIZE] == ["Transformer", "Pooling"]
        and not sentence.get("do_lower_case")
        and not _read(folder / "config_sentence_transformers.json").get("default_prompt_name")
        and (folder / "tokenizer.json").is_file()
        and _is_readable(folder / "model.safetensors")
    )
    if not is_plain or pooling is None:
        return None
    window = int(config["max_position_embeddings"])
    said = sentence.get("max_seq_length")
    return Shape(
        folder=folder,
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        dim=int(config["hidden_size"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        max_tokens=min(int(said), window) if said else window,
        pooling=pooling,
    )


def _is_readable(weights: Path) -> bool:
    if not weights.is_file():
        return False
    try:
        with safe_open(str(weights), framework="numpy") as file:
            names = list(file.keys())
            return all(file.get_slice(name).get_dtype() in _READABLE for name in names if name.endswith("weight"))
    except SafetensorError:
        return False


def _pooling(folder: Path) -> Literal["mean", "cls"] | None:
    """The pooling, where there is one alone and it is one of these."""
    path = next(
        (module.get("path") for module in _read(folder / "modules.json", []) if "Pooling" in module["type"]), ""
    )
    config = _read(folder / str(path) / "config.json")
    modes = {key for key, value in config.items() if key.startswith("pooling_mode") and value}
    if config.get("pooling_mode") == "mean" or modes == {"pooling_mode_mean_tokens"}:
        return "mean"
    return "cls" if config.get("pooling_mode") == "cls" or modes == {"pooling_mode_cls_token"} else None


def _read(path: Path, default: Any = None) -> Any:
    if not path.is_file():
        return {} if default is None else default
    return json.loads(path.read_bytes())
