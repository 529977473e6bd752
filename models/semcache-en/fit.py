"""Fits the calibration that comes with Helix: python models/semcache-en/fit.py [--check]

Reads questions.txt beside it, makes harmless variants of each question (contractions written out, fillers, slips of the
keyboard), embeds all with the embedder that runs by default, lets each look for its nearest neighbours as a request
would, and fits the pairs that the guards let pass. Deterministic. `--check` writes nothing and prints the fit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helix.cache.guards import compare
from helix.cache.promise.fit import LabelledPair, LabelledVote, fit
from helix.cache.promise.learning import COMPARED
from helix.cache.promise.learning import NEIGHBOURS as VOTERS
from helix.embed import SentenceTransformerEmbedder

HERE = Path(__file__).parent
TARGET = HERE.parent.parent / "helix" / "cache" / "promise" / "calibrations" / "all-MiniLM-L6-v2-onnx-int8.json"
NEIGHBOURS = 8
_EXPANSIONS = (
    ("I'm", "I am"),
    ("I'd", "I would"),
    ("I've", "I have"),
    ("What's", "What is"),
    ("can't", "cannot"),
    ("don't", "do not"),
    ("doesn't", "does not"),
    ("isn't", "is not"),
    ("won't", "will not"),
    ("didn't", "did not"),
)
_CONTRACTIONS = (("What is", "What's"), ("I am", "I'm"), ("How is", "How's"), ("Where is", "Where's"))
_FILLERS = (
    "Hi, {}",
    "Please tell me: {}",
    "{} Thanks!",
    "Hello! {}",
    "Um, {}",
    "{} Please help.",
    "Just wondering, {}",
)


@dataclass(frozen=True)
class Question:
    """A question, the group of those with its answer, and the written question that it is a variant of."""

    text: str
    group: str
    base: str


def questions(path: Path) -> list[Question]:
    """The questions as they are written; a trap is a group of its own."""
    found: list[Question] = []
    group = 0
    for line in path.read_text().splitlines():
        text = line.strip()
        if text.startswith("#"):
            continue
        if not text or text.startswith("=="):
            group += 1
        elif text.startswith("!"):
            found.append(Question(text[1:].strip(), f"trap:{text[1:].strip()}", text[1:].strip()))
        else:
            found.append(Question(text, str(group), text))
    return found


def variants(question: Question, rng: random.Random) -> list[Question]:
    """Other spellings of a question, which ask the same."""
    text = question.text
    made = []
    for old, new in (*_EXPANSIONS, *_CONTRACTIONS):
        if re.search(rf"\b{old}\b", text):
            made.append(re.sub(rf"\b{old}\b", new, text))
            break
    made.append(rng.choice(_FILLERS).format(text))
    slipped = slip(text, rng)
    if slipped != text:
        made.append(slipped)
    return [Question(one, question.group, question.base) for one in made]


def slip(text: str, rng: random.Random) -> str:
    """One slip of the keyboard in one longer word: letters swapped, one left out, or one doubled."""
    words = [match for match in re.finditer(r"[A-Za-z]{5,}", text)]
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :] if kind == 1 else text[:at] + text[at] + text[at:]


def votes(written: list[Question], near: np.ndarray) -> list[LabelledVote]:
    """Each question but the traps, once among all others, and once where nobody asked the same before."""
    asked = [at for at, question in enumerate(written) if not question.group.startswith("trap:")]
    made = []
    for at in asked:
        order = sorted((other for other in asked if other != at), key=lambda other: -near[at, other])
        for right in (written[at].group, None):
            chosen = [other for other in order if right is not None or written[other].group != written[at].group]
            voters = tuple((float(near[at, other]), written[other].group) for other in chosen[:VOTERS])
            made.append(LabelledVote(voters, right))
    return made


def trials(written: list[Question], again: list[Question], near: np.ndarray) -> tuple[int, int]:
    """Requests, and how many of them a neighbour of overlap 1 would answer wrongly.

    Each question is asked twice: for the first time, when only other questions were asked before, and again in another
    spelling, when it was. Its nearest neighbour without a veto and with overlap 1 answers it.
    """
    requests = wrong = 0
    stored = len(written)
    for question, row, own in (
        *((one, near[at], at) for at, one in enumerate(written)),
        *((one, near[stored + at], -1) for at, one in enumerate(again)),
    ):
        requests += 1
        order = sorted((other for other in range(stored) if other != own), key=lambda other: -row[other])
        for other in order[:COMPARED]:
            found = compare(question.text, written[other].text)
            if found.veto is None and found.overlap >= 1.0:
                wrong += question.group != written[other].group
                break
    return requests, wrong


async def labelled() -> tuple[str, list[LabelledPair], list[LabelledVote], tuple[int, int], int]:
    """The embedder's name, the pairs that the guards let pass, votes, trials, and how many pairs they did not."""
    rng = random.Random(0)
    written = questions(HERE / "questions.txt")
    spelt = [variants(question, rng) for question in written]
    again = [rng.choice(made) for made in spelt]
    asked = [*written, *again, *(variant for made in spelt for variant in made)]
    embedder = SentenceTransformerEmbedder()
    await embedder.open()
    vectors = np.array([(await embedder.embed([one.text]))[0] for one in asked], dtype=np.float32)
    await embedder.close()
    pairs, vetoed = [], 0
    stored = len(written)
    near = vectors @ vectors[:stored].T
    for at, question in enumerate(asked):
        if stored <= at < stored + len(again):
            continue  # among the variants too
        order = [int(i) for i in np.argsort(-near[at]) if int(i) != at][:NEIGHBOURS]
        for other in order:
            found = compare(question.text, written[other].text)
            if found.veto is not None:
                vetoed += 1
                continue
            same = question.group == written[other].group
            pairs.append(LabelledPair(float(near[at, other]), found.overlap, same, question.base))
    return embedder.name, pairs, votes(written, near), trials(written, again, near), vetoed


def main() -> None:
    """Fit, print, and write unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    name, pairs, voted, tried, vetoed = asyncio.run(labelled())
    made = fit(pairs, name, voted, tried)
    print(
        f"{len(pairs)} pairs, {sum(pair.same for pair in pairs)} same, {vetoed} vetoed; "
        f"requests and wrong answers by overlap 1: {made.trials}; vote: {made.vote}"
    )
    for similarity, overlap in (
        (0.95, 1.0),
        (0.85, 1.0),
        (0.7, 1.0),
        (0.6, 1.0),
        (0.95, 0.8),
        (0.85, 0.8),
        (0.85, 0.4),
        (0.7, 0.4),
    ):
        found = made.interval(similarity, overlap, 0.95)
        print(f"similarity {similarity} overlap {overlap}: {found.low:.4f} {found.middle:.4f} {found.high:.4f}")
    for similarity in (0.95, 0.9, 0.85, 0.8, 0.7, 0.6):
        found = made.interval(similarity, None, 0.95)
        print(f"similarity {similarity}: {found.low:.4f} {found.middle:.4f} {found.high:.4f}")
    if not options.check:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(json.dumps(made.to_json(), indent=1) + "\n")


if __name__ == "__main__":
    main()
