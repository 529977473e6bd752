from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from helix.cache.promise.bound import (
    BINS,
    SUREST,
    Permit,
    Tally,
    bin_of,
    check_share,
    evidence_against,
    least_score,
    permitted,
)

RATE, CONFIDENCE = 0.01, 0.9


def counted(requests: float, **rows: tuple[float, float, float]) -> Tally:
    """A tally of requests, with (asked, checked, wrong) by bin: `b40=(100, 100, 0)`."""
    counters = {"n": requests}
    for name, row in rows.items():
        counters |= {f"{kind}{name[1:]}": value for kind, value in zip("acw", row, strict=True)}
    return Tally.of(counters)


def test_bins_cover_all_scores() -> None:
    """Every score has a bin, and a bin's least score is in it."""
    assert (bin_of(-100.0), bin_of(100.0)) == (0, BINS - 1)
    for bin in range(1, BINS):
        assert bin_of(least_score(bin) + 1e-9) == bin
    assert least_score(0) == -math.inf


def test_the_wealth_of_one_who_never_loses() -> None:
    """Without a wrong one, the evidence is that of the bet on no risk at all, as far as the stakes allow."""
    stakes = [300 * (math.log1p(-share * RATE) - math.log1p(-RATE)) for share in (0.0, 0.3, 0.6)]
    assert evidence_against(300, 0, RATE) == pytest.approx(math.log(sum(map(math.exp, stakes)) / 3))
    assert evidence_against(300, 0, RATE) > evidence_against(300, 1, RATE) > evidence_against(300, 5, RATE)


@pytest.mark.parametrize("risk", [0.01, 0.02])
def test_a_broken_promise_is_seldom_believed_at_any_time(risk: float) -> None:
    """Where the risk is as promised or more, the evidence ever reaches its bound in at most 1 - confidence of runs."""
    rng = random.Random(7)
    believed = 0
    for _ in range(300):
        wrong = 0
        for trials in range(1, 2001):
            wrong += rng.random() < risk
            if trials % 10 == 0 and evidence_against(trials, wrong, RATE) >= -math.log(1 - CONFIDENCE):
                believed += 1
                break
    assert believed / 300 <= 1 - CONFIDENCE


def test_nothing_is_permitted_before_anything_is_known() -> None:
    """Without trials or checks, and with too few of them, there is no hit."""
    assert permitted(Tally.of({}), max_rate=RATE, confidence=CONFIDENCE) == Permit()
    few = counted(100, b40=(100, 100, 0))
    assert permitted(few, max_rate=RATE, confidence=CONFIDENCE) == Permit()


def test_the_lowest_threshold_that_keeps_the_promise() -> None:
    """Bins are permitted down to the one that brings too many wrong answers."""
    tally = counted(2000, b50=(600, 600, 0), b40=(600, 600, 1), b20=(400, 400, 60))
    assert permitted(tally, max_rate=RATE, confidence=CONFIDENCE) == Permit(40)


def test_fewer_checks_are_less_evidence() -> None:
    """What was found in a tenth of the requests does not permit what the same share in all of them does."""
    assert permitted(counted(1000, b40=(900, 900, 2)), max_rate=RATE, confidence=CONFIDENCE).lowest == 40
    assert permitted(counted(1000, b40=(900, 90, 0.2)), max_rate=RATE, confidence=CONFIDENCE).lowest is None


def test_the_calibration_vouches_until_checks_speak_against_it() -> None:
    """Pairs in which nothing differs are served at once; after two wrong checks they are not."""
    trials = (1354, 4)
    assert permitted(Tally.of({}), max_rate=RATE, confidence=CONFIDENCE, trials=trials).surest
    wrong = counted(20, **{f"b{SUREST}": (10, 5, 2)})
    assert not permitted(wrong, max_rate=RATE, confidence=CONFIDENCE, trials=trials).surest


def test_a_stricter_promise_needs_more_than_the_calibration() -> None:
    """Trials with four wrong answers of 1,354 vouch for one percent, not for one in a thousand."""
    assert not permitted(Tally.of({}), max_rate=0.001, confidence=CONFIDENCE, trials=(1354, 4)).surest


def test_trials_do_not_lend_themselves_to_scores() -> None:
    """What the calibration knows of sure pairs permits no score, however many its trials."""
    tally = counted(50, b40=(50, 50, 0))
    assert permitted(tally, max_rate=RATE, confidence=CONFIDENCE, trials=(100_000, 0)) == Permit(None, True)


def test_checks_go_where_errors_are() -> None:
    """A bin with errors is checked more often than one without, and one that nobody knows the most."""
    tally = counted(3000, b50=(1000, 1000, 0), b30=(1000, 1000, 60))
    shares = [check_share(tally, bin, share=0.05, max_rate=RATE) for bin in (50, 30, 10)]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0.025)
    assert shares[2] == pytest.approx(0.5)
    assert check_share(tally, 30, share=0.0, max_rate=RATE) == 0.0


def steady(risk: float) -> Callable[[int, random.Random], bool]:
    """Scores that say nothing: each answer is wrong with the same probability."""
    return lambda bin, rng: rng.random() < risk


def informed(bin: int, rng: random.Random) -> bool:
    """Scores that are log-odds, as they should be."""
    return rng.random() < 1.0 / (1.0 + math.exp(least_score(bin) + 0.125))


@pytest.mark.parametrize(
    ("is_wrong", "least", "most"),
    [(steady(0.5), 0.0, 0.02), (steady(0.05), 0.0, 0.2), (steady(0.012), 0.0, 1.0), (informed, 0.2, 1.0)],
    ids=["coin", "bad", "worse", "informed"],
)
def test_the_promise_holds(is_wrong: Callable[[int, random.Random], bool], least: float, most: float) -> None:
    """Over whole streams, with sampled checks, more wrong answers than promised come in at most 1 - confidence of runs.

    The scores of a bad embedder know nothing; the policy must then serve next to nothing.
    """
    broken = served = 0
    runs, requests = 40, 2500
    for run in range(runs):
        rng = random.Random(run)
        tally, permit, wrong = Tally.of({}), Permit(), 0
        for at in range(requests):
            bin = bin_of(rng.gauss(3.0, 2.0))
            tally.requests += 1
            tally.asked[bin] += 1
            bad = is_wrong(bin, rng)
            serves = permit.lowest is not None and bin >= permit.lowest
            served += serves
            wrong += serves and bad
            if not serves or rng.random() < check_share(tally, bin, share=0.05, max_rate=RATE):
                tally.checked[bin] += 1
                tally.wrong[bin] += bad
            if at % 20 == 0:
                permit = permitted(tally, max_rate=RATE, confidence=CONFIDENCE)
        broken += wrong / requests > RATE
    assert broken / runs <= 1 - CONFIDENCE
    assert least <= served / runs / requests <= most
