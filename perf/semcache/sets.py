"""Pairs of questions, and whether the answer to one may be given to the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from perf.process import Unavailable
from perf.semcache.perturb import perturbed

__all__ = ["Pair", "read_pairs", "read_streams"]


class Pair(NamedTuple):
    """Two questions, whether they have the same answer, and what was done to the first to make the second."""

    one: str
    other: str
    same: bool
    kind: str


def read_pairs(folder: Path) -> Mapping[str, list[Pair]]:
    """The pairs of each file, and those made here from all their questions. Raises Unavailable where there are none."""
    sets: dict[str, list[Pair]] = {}
    questions: dict[str, None] = {}  # in the files' order, each once
    for file in _files(folder):
        rows = _rows(file)
        pairs = [Pair(row["a"], row["b"], bool(row["same"]), row["kind"]) for row in rows if "a" in row]
        if pairs:
            sets[file.stem] = pairs
        questions.update(dict.fromkeys(row["q"] if "q" in row else row["a"] for row in rows))
    if not questions:
        raise Unavailable(f"no *.jsonl with a, b, same and kind, or with q, in {folder}")
    made = [Pair(one, other, same, kind) for kind, same, one, other in perturbed(list(questions))]
    return sets | {"made here": made}


def read_streams(folder: Path) -> Mapping[str, list[dict[str, str]]]:
    """The rows of each file that holds questions with their intents, in the file's order."""
    found = {file.stem: _rows(file) for file in _files(folder)}
    return {name: rows for name, rows in found.items() if all("q" in row and "intent" in row for row in rows)}


def _files(folder: Path) -> list[Path]:
    folder = folder / "semcache" if (folder / "semcache").is_dir() else folder
    return sorted(folder.glob("*.jsonl"))


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
