from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from helix.cache.promise.calibration import Calibration
from helix.cli.cache import cache

TOPICS = (
    "password",
    "invoice",
    "parcel",
    "contract",
    "licence",
    "holiday",
    "laptop",
    "insurance",
    "passport",
    "ticket",
)


def rows() -> list[dict[str, object]]:
    """Pairs with the same answer, and pairs about other things."""
    same = [
        {"a": f"How do I renew my {one} number {n}?", "b": f"How can I renew my {one} number {n}?", "same": 1}
        for one in TOPICS
        for n in range(2, 8)
    ]
    other = [
        {"a": f"How do I renew my {one}?", "b": f"What does it cost to lose a {two} abroad?", "same": 0}
        for one in TOPICS
        for two in TOPICS
    ]
    return [*same, *other]


def test_pairs_become_a_calibration(tmp_path: Path) -> None:
    """A file of pairs gives a calibration that the cache can read, for the embedder that was used."""
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "made.json"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    ran = CliRunner().invoke(cache, ["calibrate", "--pairs", str(pairs), "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    made = Calibration.read(out)
    assert made.embedder.startswith("all-MiniLM-L6-v2@")
    assert made.interval(0.95, 1.0, 0.9).middle > made.interval(0.5, 0.2, 0.9).middle


def test_a_line_that_is_no_pair(tmp_path: Path) -> None:
    """The error names the line and the file, and repeats nothing of it."""
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"a": "x", "b": "y", "same": 1}\n{"a": "secret words"}\n')
    ran = CliRunner().invoke(cache, ["calibrate", "--pairs", str(pairs), "--out", str(tmp_path / "made.json")])
    assert ran.exit_code == 2
    assert "line 2" in ran.output
    assert "secret" not in ran.output
