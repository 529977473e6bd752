"""Importing without heavy packages, for one thread alone."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helix.redact.lean import without


def test_only_this_thread_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread imports the package meanwhile; afterwards so does this one."""
    for name in ("helix_lean_a", "helix_lean_b"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    with ThreadPoolExecutor(1) as thread, without("helix_lean_a", "helix_lean_b"):
        with pytest.raises(ImportError):
            importlib.import_module("helix_lean_a")
        assert thread.submit(importlib.import_module, "helix_lean_b").result()
        importlib.import_module("helix_lean_b")
    assert importlib.import_module("helix_lean_a")
    assert sys.meta_path == before
