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

__all__ = ["BINS", "SUREST", "Tally", "bin_of", "check_share", "evidence_against", "least_score", "permitted"]

LOWEST, WIDTH, BINS = -4.0, 0.25, 64
"""Scores below LOWEST are in the first bin, those of LOWEST + WIDTH x BINS and more in the last."""
SUREST = BINS
"""The bin above all: pairs in which nothing of substance differs, which the calibration vouches for beforehand."""
_BETS = (0.0, 0.125, 0.25, 0.5, 0.75)
"""Risks that the gambler bets on, as shares of the promised one, each with an equal stake."""


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
        return cls(max(counters.get("n", 0.0), sum(rows[0])), *rows)


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


def permitted(tally: Tally, *, max_rate: float, confidence: float, trials: tuple[int, int] = (0, 0)) -> int | None:
    """The lowest bin that may be served; None where none may.

    `trials` (requests, wrong answers) is what the calibration knows about SUREST beforehand. It counts for that bin
    alone, and for no more than permits it with one wrong check to spare: what was learned here is soon worth more.
    """
    needed = -log(1.0 - confidence)
    found: int | None = None
    known, known_wrong = _in_proportion(trials, needed, max_rate)
    asked, squares, wrong = 0.0, 0.0, 0.0
    for bin in range(BINS, -1, -1):
        more, checked, bad = tally.asked[bin], tally.checked[bin], tally.wrong[bin]
        vouched = bin == SUREST and evidence_against(known + checked, known_wrong + bad, max_rate) >= needed
        if vouched:
            found = SUREST
        if more <= 0:
            continue
        if checked <= 0:  # asked, and never checked: as good as half a check, half of it wrong
            checked, bad = 0.5, 0.25
        asked, squares, wrong = asked + more, squares + more * more / checked, wrong + more * bad / checked
        size = tally.requests**2 / (squares + tally.requests - asked)
        if evidence_against(size, size * wrong / tally.requests, max_rate) >= needed:
            found = bin
        elif not vouched:
            break
    return found


def check_share(tally: Tally, bin: int, *, share: float, max_rate: float) -> float:
    """With which probability a hit in a bin is checked: more often where errors are likely or nothing is known.

    A fixed number of checks tells most about a sum of strata when each is sampled in proportion to its standard
    deviation (Neyman 1934), here that of a share of errors. It is `share` where that share is about `max_rate`.
    """
    errors = (tally.wrong[bin] + 0.25) / (tally.checked[bin] + 1.0)
    return min(0.5, share * max(0.25, sqrt(errors / max_rate))) if share > 0 else 0.0


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
