"""What each scope has taught, as all processes know it, and the decisions that follow from it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Protocol

from helix.cache.promise.bound import SUREST, Permit, Tally, bin_of, check_share, permitted
from helix.cache.promise.calibration import Calibration
from helix.cache.promise.vote import Neighbour, Proposal, correction, propose, weighed
from helix.kernel.types import CacheStore, Candidate, Evidence

__all__ = ["EVERYWHERE", "NEIGHBOURS", "Comparison", "Decision", "Learning", "Promise", "Verdict"]

NEIGHBOURS = 12
"""How many near questions are looked at; they vote on which answer is right. For more than 12 RediSearch would compare
with every vector of the scope (helix/cache/search/redis.py)."""
COMPARED = 5
"""How many of them are compared word by word: as many may be vetoed before it is a miss."""
EVERYWHERE = "promise:everywhere"
"""The name of the counters of all scopes together."""
_MOST_SCOPES = 4096
_FLUSH_REQUESTS, _FLUSH_SECONDS = 32, 5.0


class Comparison(Protocol):
    """What the guards say about two texts."""

    @property
    def veto(self) -> str | None:
        """The guard that forbids the hit."""
        ...

    @property
    def overlap(self) -> float:
        """The share of content that is accounted for."""
        ...


class Counted(Protocol):
    """What counts somewhere: a Decision, or one that was remembered."""

    @property
    def scope(self) -> str:
        """In which scope."""
        ...

    @property
    def bin(self) -> int:
        """In which bin of its tally."""
        ...


class Verdict(Enum):
    """Whether an answer is the same as what the upstream says now."""

    SAME = "same"
    OTHER = "other"
    UNSURE = "unsure"
    """Counts against the promise, and neither for nor against the entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What the operator sets. Raises ValueError.

    - `max_false_hit_rate`: the most of the requests that may get a wrong answer from near.
    - `confidence`: with which probability that is to hold.
    - `check_share`: how many of the hits are checked where errors are as frequent as promised; 0 for none.
    - `least_similarity`: below it nothing is served, whatever was learned.
    - `window_days`: what was learned longer ago than two windows is forgotten.
    """

    max_false_hit_rate: float = 0.01
    confidence: float = 0.9
    check_share: float = 0.05
    least_similarity: float = 0.6
    window_days: float = 30.0

    def __post_init__(self) -> None:
        for name, value, most in (
            ("max_false_hit_rate", self.max_false_hit_rate, 0.5),
            ("confidence", self.confidence, 0.999),
            ("least_similarity", self.least_similarity, 1.0),
        ):
            if not 0.0 < value <= most:
                raise ValueError(f"{name} must be more than 0 and at most {most:g}, not {value!r}")
        if not 0.0 <= self.check_share <= 1.0:
            raise ValueError(f"check_share must be from 0 to 1, not {self.check_share!r}")
        if self.window_days <= 0:
            raise ValueError(f"window_days must be more than 0, not {self.window_days!r}")


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one question: `serves` are the neighbours that may be given, best first; none is a miss.

    `bin` is that of the tally in which it counts. `checks` says whether the hit is to be compared with what the
    upstream says, which had the chance `share`.
    """

    scope: str
    neighbours: tuple[Neighbour, ...]
    proposal: Proposal | None
    bin: int
    serves: tuple[Neighbour, ...]
    checks: bool
    share: float = 0.0

    @property
    def score(self) -> float | None:
        """How much speaks for the proposal, in log-odds."""
        return None if self.proposal is None else self.proposal.score


@dataclass(slots=True)
class _Scope:
    pending: dict[str, float] = field(default_factory=dict)
    before: tuple[int, Mapping[str, float]] | None = None
    """The window before the present one, and its counters, which no longer change."""
    permit: Permit = field(default_factory=Permit)
    flushed_at: float = 0.0
    tally: Tally = field(default_factory=lambda: Tally.of({}))

    @property
    def is_bare(self) -> bool:
        """Whether requests were all that ever came: no near question, as in most conversations, so nothing to tell."""
        return self.pending.keys() <= {"n"} and not any(self.tally.asked)

    def add(self, counter: str, amount: float = 1.0) -> None:
        self.pending[counter] = self.pending.get(counter, 0.0) + amount


class Learning:
    """Decides by what was learned, and learns; the store carries it to the other processes.

    `calibration` is the embedder's; without one nothing is served before a scope's own checks permit it.
    """

    def __init__(
        self,
        promise: Promise,
        calibration: Calibration | None,
        compare: Callable[[str, str], Comparison],
        *,
        random: Random | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.promise = promise
        self._calibration = calibration or _UNKNOWN
        self._compare = compare
        self._random = random or Random()
        self._clock = clock
        self._scopes: OrderedDict[str, _Scope] = OrderedDict()
        self._everywhere = _Scope()

    def knows(self, scope: str) -> bool:
        """Whether what was learned in a scope is at hand."""
        return scope in self._scopes

    async def recall(self, scope: str, store: CacheStore) -> None:
        """Fetch what was learned in a scope. Raises BackendUnavailable."""
        state = _Scope()
        await self._exchange(_name(scope), state, store)
        self._scopes.setdefault(scope, state)  # two may ask at once, and the first has begun to count
        if len(self._scopes) > _MOST_SCOPES:
            self._scopes.popitem(last=False)

    def decide(
        self, scope: str, text: str, candidates: Sequence[Candidate], *, least_similarity: float = 0.0
    ) -> Decision:
        """What to do about a question whose near neighbours, best first, are these. The scope must be at hand."""
        state = self._scopes[scope]
        self._scopes.move_to_end(scope)
        state.add("n")
        self._everywhere.add("n")
        neighbours = tuple(
            self._weighed(text, candidate) if at < COMPARED else weighed(candidate, None, None, self._calibration)
            for at, candidate in enumerate(candidates)
        )
        proposal = propose(neighbours)
        if proposal is None:
            return Decision(scope, neighbours, None, 0, (), False)
        least = max(least_similarity, self.promise.least_similarity)
        servable = tuple(one for one in self._servable(text, proposal) if one.candidate.similarity >= least)
        bin, serves = bin_of(proposal.score), servable
        if state.permit.lowest is None or bin < state.permit.lowest:
            serves = ()
            if state.permit.surest and proposal.score >= 0:
                serves = tuple(one for one in servable if _is_sure(one))
                bin = SUREST if serves else bin
        state.add(f"a{bin}")
        share = check_share(state.tally, bin, share=self.promise.check_share, max_rate=self.promise.max_false_hit_rate)
        checks = bool(serves) and self._random.random() < share
        return Decision(scope, neighbours, proposal, bin, serves, checks, share)

    def served(self, decision: Decision) -> None:
        """Take note that a decision's answer was given."""
        self._everywhere.add(f"a{decision.bin}")

    def checked(self, decision: Counted, verdict: Verdict, *, was_served: bool) -> None:
        """Take note of how the proposal of a decision compares with what the upstream, or somebody, said."""
        state = self._scopes.get(decision.scope)
        for one in (state, self._everywhere if was_served else None):
            if one is not None:
                one.add(f"c{decision.bin}")
                if verdict is not Verdict.SAME:
                    one.add(f"w{decision.bin}")

    def is_due(self, scope: str) -> bool:
        """Whether it is time to tell the other processes what happened in a scope."""
        state = self._scopes.get(scope)
        if state is None or not state.pending:
            return False
        return state.pending.get("n", 0) >= _FLUSH_REQUESTS or self._clock() - state.flushed_at >= _FLUSH_SECONDS

    async def flush(self, store: CacheStore, scope: str | None = None) -> None:
        """Tell the other processes what happened, in one scope or in all, and learn what happened there.

        Raises BackendUnavailable; what could not be told is kept for the next time.
        """
        for name in [scope] if scope is not None else [key for key, state in self._scopes.items() if state.pending]:
            state = self._scopes.get(name)
            if state is not None and not state.is_bare:
                await self._exchange(_name(name), state, store)
        if self._everywhere.pending:
            await self._exchange(EVERYWHERE, self._everywhere, store)

    @property
    def known(self) -> Tally:
        """What `everywhere` was when this process last told the others."""
        return self._everywhere.tally

    async def everywhere(self, store: CacheStore) -> Tally:
        """The hits of all scopes: how many were given, checked and wrong, by bin. Raises BackendUnavailable."""
        await self._exchange(EVERYWHERE, self._everywhere, store)
        return self._everywhere.tally

    async def _exchange(self, name: str, state: _Scope, store: CacheStore) -> None:
        told, state.pending = state.pending, {}
        seconds = self.promise.window_days * 86_400.0
        window = int(self._clock() / seconds)
        try:
            now = await store.tally(f"{name}:{window}", told, ttl_seconds=2 * seconds)
            if state.before is None or state.before[0] != window - 1:
                state.before = (window - 1, await store.tally(f"{name}:{window - 1}", {}, ttl_seconds=seconds))
        except BaseException:
            for counter, amount in told.items():
                state.add(counter, amount)
            raise
        state.flushed_at = self._clock()
        state.tally = Tally.of(_sum(now, state.before[1]))
        state.permit = permitted(
            state.tally,
            max_rate=self.promise.max_false_hit_rate,
            confidence=self.promise.confidence,
            trials=self._calibration.trials,
        )

    def _weighed(self, text: str, candidate: Candidate) -> Neighbour:
        compared = self._compare(text, candidate.text)
        return weighed(candidate, compared.overlap, compared.veto, self._calibration)

    def _servable(self, text: str, proposal: Proposal) -> list[Neighbour]:
        """The members of a proposal that the guards let pass; those that were not compared yet are, a few of them."""
        found = [one for one in proposal.members if one.overlap is not None]
        if found:
            return found
        late = [self._weighed(text, one.candidate) for one in proposal.members[:COMPARED]]
        return [one for one in late if one.veto is None]


def _is_sure(neighbour: Neighbour) -> bool:
    """Whether nothing of substance differs, and nothing that was learned of the entry speaks against it."""
    return (neighbour.overlap or 0.0) >= 1.0 and correction(neighbour.candidate.evidence) >= 0.0


_UNKNOWN = Calibration(
    embedder="",
    near=(0.0, 0.0),
    near_covariance=((0.0, 0.0), (0.0, 0.0)),
    compared=(0.0, 0.0, 0.0, 0.0),
    compared_covariance=((0.0,) * 4,) * 4,
    vote=(-15.0, 25.0),
)
"""For an embedder that nobody calibrated: nothing is certain, and scores have an order, which checks then judge."""


def _name(scope: str) -> str:
    return f"promise:{scope}"


def _sum(left: Mapping[str, float], right: Mapping[str, float]) -> dict[str, float]:
    return {key: left.get(key, 0.0) + right.get(key, 0.0) for key in left.keys() | right.keys()}


def evidence_of(neighbour: Neighbour, verdict: Verdict) -> Evidence | None:
    """What a verdict on a neighbour's answer teaches about its entry; None where it teaches nothing."""
    if verdict is Verdict.UNSURE:
        return None
    right = verdict is Verdict.SAME
    p = neighbour.expected
    return Evidence(float(right), float(not right), float(right) - p, p * (1.0 - p))
