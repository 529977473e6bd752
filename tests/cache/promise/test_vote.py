from __future__ import annotations

import pytest

from helix.cache.promise.calibration import Calibration, probability
from helix.cache.promise.vote import correction, propose, weighed
from helix.kernel.types import Candidate, Evidence

LINE = Calibration("e", (0.0, 0.0), ((0.0,) * 2,) * 2, (0.0,) * 4, ((0.0,) * 4,) * 4, vote=(-15.0, 25.0))


def near(id: str, similarity: float, group: str = "", evidence: Evidence | None = None) -> Candidate:
    return Candidate(id, f"text {id}", similarity, group=group, evidence=evidence or Evidence())


def score(*candidates: Candidate) -> tuple[str, float]:
    found = propose([weighed(one, None, None, LINE) for one in candidates])
    assert found is not None
    return found.group, found.score


def test_one_neighbour_speaks_by_its_mass() -> None:
    """With one neighbour the score is the logarithm of its mass."""
    group, odds = score(near("a", 0.8))
    assert group == "a"
    assert odds == pytest.approx(LINE.mass(0.8))


def test_neighbours_that_agree_speak_louder() -> None:
    """A second neighbour of the same group adds; a third does not, or a crowd would outvote a nearer stranger."""
    one = score(near("a", 0.8, "g"))[1]
    two = score(near("a", 0.8, "g"), near("b", 0.8, "g"))[1]
    three = score(near("a", 0.8, "g"), near("b", 0.8, "g"), near("c", 0.8, "g"))[1]
    assert one < two == three


def test_a_rival_takes_from_it() -> None:
    """A near neighbour with another answer makes the proposal less sure."""
    assert score(near("a", 0.9, "g"), near("b", 0.85, "h"))[1] < score(near("a", 0.9, "g"))[1]


def test_a_group_may_outvote_the_nearest() -> None:
    """Two that agree and are almost as near win over one."""
    assert score(near("a", 0.86, "g"), near("b", 0.85, "h"), near("c", 0.85, "h"))[0] == "h"


def test_what_is_vetoed_has_a_voice_and_is_never_given() -> None:
    """A neighbour that a guard vetoed counts for its group, and is no member that may be served."""
    vetoed = weighed(near("a", 0.9, "g"), 0.5, "negation", LINE)
    plain = weighed(near("b", 0.8, "g"), 0.5, None, LINE)
    found = propose([vetoed, plain])
    alone = propose([plain])
    assert found is not None
    assert alone is not None
    assert found.members == (plain,)
    assert found.score > alone.score
    only = propose([vetoed])
    assert only is not None
    assert only.members == ()


def test_a_bad_apple_is_shut_off() -> None:
    """An entry that was wrong where it was expected to be right loses more with each time; a good one gains little."""
    p = probability(LINE.mass(0.95))
    wrong = Evidence(wrong=3.0, surplus=-3 * p, information=3 * p * (1 - p))
    right = Evidence(right=3.0, surplus=3 * (1 - p), information=3 * p * (1 - p))
    assert correction(wrong) < -2.9
    assert 0 < correction(right) < 0.01
    assert score(near("a", 0.95, evidence=wrong))[1] < score(near("a", 0.95))[1] - 2.9


def test_nothing_near_is_no_proposal() -> None:
    """Without neighbours there is nothing to propose."""
    assert propose([]) is None
