from __future__ import annotations

import json
from pathlib import Path

import pytest

from perf.process import Unavailable
from perf.semcache.perturb import perturbed
from perf.semcache.sets import Pair, read_pairs
from perf.semcache.systems import Outcome, Remembered, helix, least_cosines

QUESTIONS = [
    "How do I change the address of my parcel?",
    "Why is not my payment of 250 euros there yet?",
    "What is the fee for sending 3 parcels to a friend?",
    "Where can somebody collect what did not arrive?",
]


def test_every_kind_is_made_and_always_the_same() -> None:
    """Each kind changes something, and a second run makes the same pairs."""
    made = list(perturbed(QUESTIONS))
    assert made == list(perturbed(QUESTIONS))
    assert all(one != other for _, _, one, other in made)
    assert {kind for kind, same, _, _ in made if same} >= {"typo", "contraction", "paraphrase"}
    assert {kind for kind, same, _, _ in made if not same} >= {"number", "name", "place", "product code", "date"}


def test_pairs_and_questions_are_read(tmp_path: Path) -> None:
    """Files of pairs are sets of their own; questions, from both kinds of file, are what pairs are made from."""
    row = {"a": QUESTIONS[0], "b": QUESTIONS[1], "same": 0, "kind": "trap"}
    (tmp_path / "traps.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "stream.jsonl").write_text("".join(json.dumps({"q": text}) + "\n" for text in QUESTIONS[1:]))
    sets = read_pairs(tmp_path)
    assert sets["traps"] == [Pair(QUESTIONS[0], QUESTIONS[1], False, "trap")]
    assert list(sets) == ["traps", "made here"]


def test_a_folder_without_questions_is_refused(tmp_path: Path) -> None:
    """The message says what was looked for."""
    with pytest.raises(Unavailable, match="jsonl"):
        read_pairs(tmp_path)


def test_the_others_rules() -> None:
    """redisvl's default is read from the package that is installed."""
    assert least_cosines()["redisvl 0.90"] == pytest.approx(0.9)


async def test_helix_serves_through_its_middleware() -> None:
    """A reworded question is served from the first one's answer, a trap is vetoed, a request for action kept out."""
    embedder = Remembered()
    await embedder.open()
    pairs = [
        Pair(QUESTIONS[0], QUESTIONS[0].lower(), True, "case"),
        Pair("What does it cost to ship 5 parcels?", "What does it cost to ship 6 parcels?", False, "number"),
        Pair(QUESTIONS[0], "Book a table for today", False, "an action"),
    ]
    try:
        assert await helix(pairs, embedder) == [
            Outcome(is_served=True, is_ineligible=False, veto=""),
            Outcome(is_served=False, is_ineligible=False, veto="numbers"),
            Outcome(is_served=False, is_ineligible=True, veto=""),
        ]
    finally:
        await embedder.close()
