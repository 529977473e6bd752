"""From what checks have shown to the least score that may be served: pure mathematics.

The promise: of the requests that come, at most a share `max_rate` gets an answer from near that is wrong. For a
threshold t the risk is R(t) = P(the score is at least t, and the answer is wrong); it can only grow as t falls.

- Scores are counted in bins. In a bin every request is counted, and of some, chosen at random with a probability that
  the bin alone decides, the answer is checked. So the checks of a bin are a fair sample of it, and the risk is
  estimated by post-stratification: the sum over bins of (requests of the bin) x (wrong among its checks).
- A sum of strata is as good as a simple sample of a smaller, effective, size: (sum of weights)^2 / (sum of squared
  weights) (Kish 1965; Korn and Graubard 1998 use it for exact binomial intervals).
- Whether that sample refutes "the risk is `max_rate` or more" is tested by an e-value: the wealth of a gambler who bets
  on smaller risks. By Ville's inequality it reaches 1/(1 - confidence) at any time at all with a probability of at most
  1 - confidence where the promise would be broken, so it may be looked at after every request (Robbins 1970;
  Waudby-Smith and Ramdas 2024).
- Thresholds are tried from the strictest down to the first that fails. Since risks are ordered, this fixed sequence
  needs no correction for trying many (Learn then Test: Angelopoulos et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf, log, log1p, sqrt

__all__ = ["BINS", "SUREST", "Permit", "Tally", "bin_of", "check_share", "evidence_against", "least_score", "permitted"]

LOWEST, WIDTH, BINS = -4.0, 0.25, 64
"""Scores below LOWEST are in the first bin, those of LOWEST + WIDTH x BINS and more in the last."""
SUREST = BINS
"""Beside the bins: hits in which nothing of substance differs, given on the calibration's word."""
_STRATUM_CHECKS = 30
_ABOUT = 2
_BETS = (0.0, 0.3, 0.6)
"""Risks that the gambler bets on, as shares of the promised one, each with an equal stake.

A stake on a risk that is not the true one is lost, so they are few, and where the test decides: the largest risk that n
trials can refute is the q at which n times its Kullback-Leibler divergence from the promised one is what is needed. Of
a promise of 1 % at a confidence of 0.9 that is next to nothing at 240 trials, 0.3 at 700, and 0.6 at 2,500.
"""


def bin_of(score: float) -> int:
    """The bin of a score."""
    return max(0, min(BINS - 1, int((score - LOWEST) / WIDTH)))


def least_score(bin: int) -> float:
    """The least score of a bin."""
    return -inf if bin <= 0 else LOWEST + WIDTH * bin


@dataclass(slots=True)
class Tally:
    """What is known of a scope: requests, and by bin how many were asked, were checked, and were found wrong."""

    requests: float
    asked: list[float]
    checked: list[float]
    wrong: list[float]

    @classmethod
    def of(cls, counters: Mapping[str, float]) -> Tally:
        """A tally of counters (`n`; `a3`, `c3`, `w3` for bin 3, and so on)."""
        rows = [[max(0.0, counters.get(f"{kind}{bin}", 0.0)) for bin in range(BINS + 1)] for kind in "acw"]
        return cls(max(counters.get("n", 0.0), sum(rows[0][:BINS])), *rows)


def evidence_against(trials: float, wrong: float, max_rate: float) -> float:
    """The logarithm of the e-value against a risk of `max_rate` or more, of so many trials and wrong ones among them.

    Both may be fractions. The wealth of a mixture of bets is the mean of their likelihood ratios.
    """
    wealth = []
    for share in _BETS:
        if share > 0 or wrong <= 0:
            lost = wrong * log(share) if share > 0 else 0.0
            wealth.append(lost + (trials - wrong) * (log1p(-share * max_rate) - log1p(-max_rate)))
    most = max(wealth)
    return most + log(sum(exp(one - most) for one in wealth) / len(_BETS))


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be served: scores in bins from `lowest` on, if any, and pairs in which nothing of substance differs."""

    lowest: int | None = None
    surest: bool = False


def permitted(tally: Tally, *, max_rate: float, confidence: float, trials: tuple[int, int] = (0, 0)) -> Permit:
    """What may be served by what was checked here, and by what the calibration knows beforehand.

    `trials` (requests, wrong answers) are the calibration's, on the pairs of SUREST. They count for those alone, and no
    more of them than bear one wrong check: what was learned here is soon worth more. Where those pairs are served they
    add to the risk of whatever scores are.
    """
    needed = -log(1.0 - confidence)
    known, known_wrong = _in_proportion(trials, needed, max_rate)
    checked, wrong = tally.checked[SUREST], tally.wrong[SUREST]
    surest = evidence_against(known + checked, known_wrong + wrong, max_rate) >= needed
    return Permit(_lowest(tally, max_rate, needed, with_surest=surest), surest)


def _lowest(tally: Tally, max_rate: float, needed: float, *, with_surest: bool) -> int | None:
    """The lowest bin down to which the risk is refuted.

    Bins with few checks make a stratum with those below, which can only overrate their errors.
    """
    found: int | None = None
    closed = _Strata()
    if with_surest and tally.asked[SUREST] > 0:
        closed = closed.with_one(tally.asked[SUREST], tally.checked[SUREST], tally.wrong[SUREST])
    asked = checked = wrong = 0.0
    for bin in range(BINS - 1, -1, -1):
        if tally.asked[bin] <= 0:
            continue
        asked, checked = asked + tally.asked[bin], checked + tally.checked[bin]
        wrong += tally.wrong[bin]
        if checked <= 0:
            continue
        strata = closed.with_one(asked, checked, wrong)
        size, rate = strata.sample(tally.requests)
        if evidence_against(size, size * rate, max_rate) < needed:
            break
        found = bin
        if checked >= _STRATUM_CHECKS:
            closed, asked, checked, wrong = strata, 0.0, 0.0, 0.0
    return found


@dataclass(frozen=True, slots=True)
class _Strata:
    """Sums over strata: requests, their squares over checks, and estimated wrong ones."""

    asked: float = 0.0
    squares: float = 0.0
    wrong: float = 0.0

    def with_one(self, asked: float, checked: float, wrong: float) -> _Strata:
        """With one more; what was never checked is as good as half a check, half of it wrong."""
        if checked <= 0:
            checked, wrong = 0.5, 0.25
        return _Strata(self.asked + asked, self.squares + asked * asked / checked, self.wrong + asked * wrong / checked)

    def sample(self, requests: float) -> tuple[float, float]:
        """The size of a simple sample that is as good, and the share of wrong answers in it."""
        return requests**2 / (self.squares + max(0.0, requests - self.asked)), self.wrong / requests


def check_share(tally: Tally, bin: int, *, share: float, max_rate: float) -> float:
    """With which probability a hit in a bin is checked: more often where errors are likely or nothing is known.

    A fixed number of checks tells most about a sum of strata when each is sampled in proportion to its standard
    deviation (Neyman 1934), here that of a share of errors. It is `share` where that share is about `max_rate`.
    """
    about = range(SUREST, SUREST + 1) if bin == SUREST else range(max(0, bin - _ABOUT), min(BINS, bin + _ABOUT + 1))
    errors = (sum(tally.wrong[one] for one in about) + 1.0) / (sum(tally.checked[one] for one in about) + 1.0)
    return min(0.5, share * max(0.5, sqrt(errors / max_rate))) if share > 0 else 0.0


def _in_proportion(trials: tuple[int, int], needed: float, max_rate: float) -> tuple[float, float]:
    """As many of the trials, in proportion, as bear one wrong check; none where all of them do not suffice."""
    count, wrong = trials
    if count <= 0 or evidence_against(count, wrong, max_rate) < needed:
        return 0.0, 0.0
    if evidence_against(count + 1, wrong + 1, max_rate) < needed:
        return float(count), float(wrong)
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        enough = evidence_against(count * middle + 1, wrong * middle + 1, max_rate) >= needed
        low, high = (low, middle) if enough else (middle, high)
    return count * high, wrong * high
