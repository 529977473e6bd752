"""A plain BERT in ONNX Runtime: its graph is written once from the model's own files and kept in a folder."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from helix.embed.folder import Shape
from helix.kernel.errors import BackendUnavailable

__all__ = ["OnnxBert", "opened"]

log = logging.getLogger("helix.embed")

_ERROR = 3
# Full float32 products, as on a CPU, where CUDA would round the factors to 10 bits.
_OPTIONS: dict[str, dict[str, str]] = {"CUDAExecutionProvider": {"use_tf32": "0"}}


class OnnxBert:
    """The encoder with its pooling, from a graph's file.

    Raises BackendUnavailable for a provider that is not to be had, ONNX Runtime's own errors for what is no graph.
    """

    def __init__(self, graph: Path, *, providers: Sequence[str], threads: int) -> None:
        missing = [name for name in providers if name not in onnxruntime.get_available_providers()]
        if missing:
            raise BackendUnavailable(f"this onnxruntime has no {missing[0]}: install the build that has it")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERROR
        # Threads that wait for work in a loop take the CPU from everybody else.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        asked = [(name, _OPTIONS.get(name, {})) for name in providers]
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=asked)
        if self._session.get_providers()[0] != providers[0]:  # it goes on without what fails, at another speed
            raise BackendUnavailable(f"onnxruntime's {providers[0]} does not work here")
        self._inputs = [given.name for given in self._session.get_inputs()]

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """The pooled states of a batch."""
        (pooled,) = self._session.run(None, dict(zip(self._inputs, (ids, mask), strict=True)))
        found: NDArray[np.float32] = pooled
        return found


def opened(shape: Shape, folder: Path | None, name: str, *, int8: bool, **settings: Any) -> OnnxBert:
    """The model's graph from `folder`, where it is called `name`; written there first where it is missing or broken.

    Processes that start at once may each write it: it is moved into place whole, and is the same whoever wrote it.
    Where there is no folder that can be written, the graph is made for this process alone.
    """
    path = None if folder is None else folder / name
    if path is not None and path.is_file():
        try:
            return OnnxBert(path, **settings)
        except BackendUnavailable:
            raise
        except Exception as error:  # ONNX Runtime's errors share no base class
            log.warning("the graph %s cannot be read (%s) and is written anew", path, type(error).__name__)
    from helix.embed.graph import write  # here, so that onnx is only loaded where there is something to write

    with ExitStack() as stack:
        draft = _draft(folder)
        if draft is None:
            path = None
            draft = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="helix-embed-"))) / name
        stack.callback(draft.unlink, missing_ok=True)
        write(shape, draft, int8=int8)
        compute = OnnxBert(draft, **settings)
        if path is not None:  # only what could be run
            draft.replace(path)
        return compute


def _draft(folder: Path | None) -> Path | None:
    """A new file in the folder; None where that cannot be."""
    if folder is None:
        log.warning("there is no folder to keep the model's graph in: it is made at every start")
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(suffix=".part", dir=folder)
    except OSError as error:
        log.warning("%s cannot be written (%s): the model's graph is made at every start", folder, error.strerror)
        return None
    os.close(descriptor)
    return Path(path)
