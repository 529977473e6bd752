"""The recipe of the names model: texts are marked where values stand, and training goes on where it stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "models" / "pii-en"


def run(script: str, *arguments: object) -> str:
    """What a script of the recipe prints."""
    command = [sys.executable, str(RECIPE / script), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "made.jsonl"
    run("generate.py", "--texts", 150, "--technical", 0, "--seed", 7, "--out", path)
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_marks_stand_where_the_values_are(made: Path) -> None:
    """Sorted, apart, inside the text, without blanks at their ends."""
    marked = [(row["text"], row["spans"]) for row in rows(made)]
    assert sum(len(spans) for _, spans in marked) > 200
    for text, spans in marked:
        end = 0
        for span in spans:
            assert end <= span["start"] < span["end"] <= len(text)
            value = text[span["start"] : span["end"]]
            assert value == value.strip()
            end = span["end"]


def test_every_kind_is_made(made: Path) -> None:
    """And no slot of a template is left unfilled."""
    kinds = {span["type"] for row in rows(made) for span in row["spans"]}
    assert kinds >= {"PERSON", "LOCATION", "ORGANIZATION", "NRP", "DATE_TIME", "AGE", "TITLE", "PHONE_NUMBER"}
    assert not any("{person}" in row["text"] or "{place}" in row["text"] for row in rows(made))


def test_equal_seeds_make_equal_texts(made: Path, tmp_path: Path) -> None:
    """And other seeds make others."""
    run("generate.py", "--texts", 150, "--technical", 0, "--seed", 7, "--out", tmp_path / "same.jsonl")
    run("generate.py", "--texts", 150, "--technical", 0, "--seed", 8, "--out", tmp_path / "other.jsonl")
    assert (tmp_path / "same.jsonl").read_text() == made.read_text()
    assert (tmp_path / "other.jsonl").read_text() != made.read_text()


def test_training_goes_on_where_it_stopped_and_its_result_opens(made: Path, tmp_path: Path) -> None:
    """Two steps and two more are the four of one go, and the exported folder is one that the recognizer takes."""
    sets = tmp_path / "sets"
    sets.mkdir()
    row = {"text": "@anna saw Paris with Bob", "spans": [{"start": 10, "end": 15, "type": "LOCATION"}]}
    (sets / "some_train.jsonl").write_text(json.dumps(row) + "\n")
    settings = ("--made", made, "--data", sets, "--pieces", 256, "--layers", 1, "--device", "cpu")
    run("train.py", *settings, "--out", tmp_path / "halves", "--steps", 4, "--stop", 2)
    assert "step 4/4" in run("train.py", *settings, "--out", tmp_path / "halves", "--steps", 4)
    run("train.py", *settings, "--out", tmp_path / "whole", "--steps", 4)
    for name in ("halves", "whole"):
        run("export.py", "--run", tmp_path / name, "--out", tmp_path / name / "artifact")
    sums = [(tmp_path / name / "artifact" / "SHA256SUMS").read_text() for name in ("halves", "whole")]
    assert sums[0] == sums[1]

    from helix.redact.names import NameRecognizer

    assert NameRecognizer(tmp_path / "whole" / "artifact").analyze("Bob saw Paris", ["PERSON"]) is not None
