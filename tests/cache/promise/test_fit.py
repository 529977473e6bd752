from __future__ import annotations

import random

import pytest

from helix.cache.promise.calibration import Calibration, probability
from helix.cache.promise.fit import LabelledPair, LabelledVote, fit, fit_vote


def pairs(count: int, seed: int) -> list[LabelledPair]:
    """Pairs whose odds follow a line in similarity and overlap."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        similarity, overlap = rng.uniform(0.5, 1.0), rng.uniform(0.0, 0.99)
        made.append(LabelledPair(similarity, overlap, rng.random() < probability(-9 + 8 * similarity + 5 * overlap)))
    return made


def test_the_truth_lies_in_the_interval() -> None:
    """Of many fits, the interval of a probability holds the truth about as often as its confidence says."""
    truth = probability(-9 + 8 * 0.8 + 5 * 0.6)
    held = 0
    for seed in range(60):
        found = fit(pairs(400, seed), "e").interval(0.8, 0.6, 0.9)
        held += found.low <= truth <= found.high
    assert 0.7 <= held / 60 <= 0.93  # each side at 0.9, so 0.8 in all


def test_pairs_of_one_question_count_less() -> None:
    """Pairs that share a question are repeated, not new: ten copies of each leave the interval as wide as it was."""
    once = [LabelledPair(p.similarity, p.overlap, p.same, str(at)) for at, p in enumerate(pairs(400, 1))]
    narrow = fit([LabelledPair(p.similarity, p.overlap, p.same) for p in once * 10], "e").interval(0.8, 0.6, 0.9)
    copies, single = (fit(rows, "e").interval(0.8, 0.6, 0.9) for rows in (once * 10, once))
    assert copies.high - copies.low == pytest.approx(single.high - single.low, rel=0.05)
    assert narrow.high - narrow.low < 0.5 * (single.high - single.low)


def test_weights_make_up_for_what_was_left_out() -> None:
    """Right pairs of which one in five is seen tell as much as all of them, each standing for five."""
    rng = random.Random(5)
    truth = fit(pairs(6000, 4), "e").interval(0.8, 0.6, 0.9).middle
    thinned = [p for p in pairs(6000, 4) if not p.same or rng.random() < 0.2]
    weighted = [LabelledPair(p.similarity, p.overlap, p.same, weight=5.0 if p.same else 1.0) for p in thinned]
    assert fit(weighted, "e").interval(0.8, 0.6, 0.9).middle == pytest.approx(truth, abs=0.03)
    assert fit(thinned, "e").interval(0.8, 0.6, 0.9).middle < truth - 0.1
    assert fit(weighted, "e").trials[0] < len(weighted)
    assert fit(thinned, "e").trials[0] == len(thinned)


def test_too_few_pairs() -> None:
    """A calibration of a handful of pairs is refused, and the error says how many there were."""
    with pytest.raises(ValueError, match="at least 50 pairs of each kind"):
        fit(pairs(40, 0), "e")


def test_a_vote_is_fitted_to_its_outcome() -> None:
    """Where neighbours above 0.8 are right and others are not, the line crosses zero there."""
    rng = random.Random(3)
    votes = []
    for _ in range(400):
        near = rng.uniform(0.6, 1.0)
        votes.append(LabelledVote(((near, "g"),), "g" if near > 0.8 + rng.gauss(0, 0.03) else None))
    start, slope = fit_vote(votes)
    assert -start / slope == pytest.approx(0.8, abs=0.051)
    assert slope >= 20


def test_what_is_written_is_read() -> None:
    """A calibration comes back from its JSON as it was."""
    made = fit(pairs(400, 2), "e")
    assert Calibration.of_json(made.to_json()) == made


@pytest.mark.parametrize("found", [{}, {"format": 2}, [], None, {"format": 1, "embedder": "e"}])
def test_what_is_no_calibration(found: object) -> None:
    """Other files are refused with a ValueError."""
    with pytest.raises(ValueError, match="calibration"):
        Calibration.of_json(found)


async def test_the_packaged_one_is_that_of_the_default_embedder() -> None:
    """The embedder that runs by default has a calibration, and it vouches for pairs in which nothing differs."""
    from helix.embed import SentenceTransformerEmbedder

    embedder = SentenceTransformerEmbedder()
    await embedder.open()
    found = Calibration.packaged(embedder.name)
    await embedder.close()
    assert found is not None
    assert found.trials[1] / found.trials[0] < 0.01
