from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import LEAN, Up


@pytest.fixture(scope="session")
def lean(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A configuration file of what starts fast."""
    file = tmp_path_factory.mktemp("lean") / "helix.yaml"
    file.write_text(LEAN)
    return str(file)


@pytest.fixture(scope="module")
def gateway(lean: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A lean gateway that the tests of a module share."""
    with Up(tmp_path_factory.mktemp("gateway") / "data", "--no-ray", "-c", lean) as up:
        yield up.wait()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"
