"""Pairs of questions, and whether the answer to one may be given to the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from perf.process import Unavailable
from perf.semcache.perturb import perturbed

__all__ = ["Pair", "read_pairs"]


class Pair(NamedTuple):
    """Two questions, whether they have the same answer, and what was done to the first to make the second."""

    one: str
    other: str
    same: bool
    kind: str


def read_pairs(folder: Path) -> Mapping[str, list[Pair]]:
    """The pairs of each file, and those made here from all their questions. Raises Unavailable where there are none."""
    folder = folder / "semcache" if (folder / "semcache").is_dir() else folder
    sets: dict[str, list[Pair]] = {}
    questions: dict[str, None] = {}  # in the files' order, each once
    for file in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        pairs = [Pair(row["a"], row["b"], bool(row["same"]), row["kind"]) for row in rows if "a" in row]
        if pairs:
            sets[file.stem] = pairs
        questions.update(dict.fromkeys(row["q"] if "q" in row else row["a"] for row in rows))
    if not questions:
        raise Unavailable(f"no *.jsonl with a, b, same and kind, or with q, in {folder}")
    made = [Pair(one, other, same, kind) for kind, same, one, other in perturbed(list(questions))]
    return sets | {"made here": made}
