"""How a model is run: what decides over speed, memory and the last digits of its vectors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

__all__ = ["CPU", "Backend", "Running"]

Backend: TypeAlias = Literal["auto", "onnx-int8", "onnx", "torch"]

CPU = ("CPUExecutionProvider",)
_CORES_PER_THREAD = 8
_MOST_THREADS = 4


@dataclass(frozen=True, slots=True)
class Running:
    """The arguments of SentenceTransformerEmbedder that say how, checked; they are described there."""

    backend: Backend = "auto"
    dim: int | None = None
    providers: tuple[str, ...] | None = None
    device: str | None = None
    threads: int | None = None
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise ValueError(f"backend must be one of {', '.join(get_args(Backend))}, not {self.backend!r}")
        for name, value in (("dim", self.dim), ("threads", self.threads)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value!r}")
        if self.providers is not None and not self.providers:
            raise ValueError("providers must name one, or be None")
        if self.device is not None and self.backend not in ("auto", "torch"):
            raise ValueError(f"device is torch's; the backend {self.backend} takes providers")
        if self.providers is not None and (self.backend == "torch" or self.device is not None):
            raise ValueError("providers are ONNX Runtime's; the backend torch takes a device")
        if self.backend == "onnx-int8" and self.providers not in (None, CPU):
            raise ValueError(f"providers other than {CPU[0]} are for the backend onnx: onnx-int8 is for the CPU")

    def chosen(self, *, is_plain: bool) -> Backend:
        """The backend for a model that is a plain BERT, or is not. Of them all, onnx-int8 costs least on a CPU."""
        if self.backend != "auto":
            return self.backend
        if not is_plain or self.device is not None:
            return "torch"
        return "onnx-int8" if self.providers in (None, CPU) else "onnx"

    @property
    def threads_or_default(self) -> int:
        """One where cores are few: short texts gain nothing, and what else runs there loses."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or max(1, min(_MOST_THREADS, cores // _CORES_PER_THREAD))

    @property
    def folder(self) -> Path | None:
        """Where graphs are kept: the user's cache folder (XDG's convention) unless told; None where there is none."""
        if self.cache_dir is not None:
            return self.cache_dir
        try:
            return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "helix" / "embed"
        except RuntimeError:  # a user without a home
            return None
