from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helix.embed import SentenceTransformerEmbedder
from helix.embed.model import load
from helix.embed.running import Running
from helix.kernel.errors import BackendUnavailable
from tests.embed.conftest import installed

ROOT = Path(__file__).parent.parent.parent
TEXT = "Where is my card?"

# Loads when told to, and tells the vector and what was imported for it.
PROGRAM = f"""
import json, sys
from helix.embed.model import load
from helix.embed.running import Running
from pathlib import Path
print("ready", flush=True)
sys.stdin.readline()
model = load(None, Running(cache_dir=Path(sys.argv[1])))[1]
heavy = sorted({{"onnx", "torch", "transformers", "sentence_transformers"}} & set(sys.modules))
print(json.dumps([heavy, list(model.encode([{TEXT!r}])[0])]))
"""


def started(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def loaded(process: subprocess.Popen[str]) -> tuple[list[str], list[float]]:
    out, _ = process.communicate("\n", timeout=120)
    heavy, vector = json.loads(out)
    return heavy, vector


def test_neither_torch_nor_transformers(tmp_path: Path) -> None:
    """The installed model is run without torch; what writes its graph is loaded at the first start only."""
    first, vector = loaded(started(tmp_path))
    assert first == ["onnx"]
    assert loaded(started(tmp_path)) == ([], vector)


def test_two_processes_that_start_at_once(tmp_path: Path) -> None:
    """Both find or write the whole graph, give the same vectors, and leave one file behind."""
    processes = [started(tmp_path / "new") for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    one, other = (loaded(process)[1] for process in processes)
    assert one == other
    (graph,) = (tmp_path / "new").iterdir()
    assert graph.suffix == ".onnx"


def test_a_graph_is_written_once(tmp_path: Path) -> None:
    """A second start takes the file as it is; changed content has a file of its own, and so has each backend."""
    load(None, Running(cache_dir=tmp_path))
    (graph,) = tmp_path.iterdir()
    before = graph.stat().st_ino, graph.stat().st_mtime_ns
    load(None, Running(cache_dir=tmp_path))
    assert (graph.stat().st_ino, graph.stat().st_mtime_ns) == before
    load(None, Running(backend="onnx", cache_dir=tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"no graph", None], ids=["empty", "garbage", "cut off"])
def test_a_broken_graph_is_written_anew(
    content: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a full disk or a lost machine left of a graph costs a warning and half a second."""
    (expected,) = load(None, Running(cache_dir=tmp_path))[1].encode([TEXT])
    (graph,) = tmp_path.iterdir()
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with caplog.at_level(logging.WARNING):
        (vector,) = load(None, Running(cache_dir=tmp_path))[1].encode([TEXT])
    assert vector == expected
    assert "written anew" in caplog.text
    assert graph.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [graph]


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the graph cannot be kept it is made for this process, which says so."""
    (tmp_path / "file").touch()
    (vector,) = load(None, Running(cache_dir=tmp_path / "file" / "below"))[1].encode([TEXT])
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    assert "made at every start" in caplog.text


def test_weights_that_do_not_fit_leave_nothing_behind(folder: Path, tmp_path: Path) -> None:
    """A model whose weights are not those of its configuration is an outage, and half a graph is removed."""
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 7}))
    with pytest.raises(BackendUnavailable, match=r"my-model.*KeyError"):
        load(folder, Running(cache_dir=tmp_path / "graphs"))
    assert list((tmp_path / "graphs").iterdir()) == []


async def test_the_users_cache_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless told, the graph lies where the XDG convention has a user's caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    embedder = SentenceTransformerEmbedder(installed())
    await embedder.open()
    await embedder.close()
    assert len(list((tmp_path / "helix" / "embed").glob("*-onnx-int8.*.onnx"))) == 1
