"""The scripts against a model in Python, with time moved by hand."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from helix.budget.redis import RedisLedger
from helix.kernel.errors import BudgetExceeded
from helix.kernel.types import Limit, Money, Raise, Reservation, Standing, Usage

LEASE_MS = 60_000
WEEK_MS = 604_800_000
BERLIN = "Europe/Berlin"
LIMITS = (
    Limit("key:k1", "day", Money(100)),
    Limit("key:k1", "month", Money(250)),
    Limit("key:k1", "24h", Money(150)),
    Limit("key:k1", "minute", 3, unit="requests"),
    Limit("key:k2", "day", Money(60)),
    Limit("key:k2", "60m", 70, unit="tokens"),
    Limit("user:u1", "1m", 40, unit="output_tokens"),
    Limit("user:u1", "hour", 90, unit="input_tokens", time_zone="Asia/Kolkata"),
    Limit("end_user:e1", "7d", 9, unit="requests"),
    Limit("team:t1", "day", Money(150), time_zone=BERLIN),
    Limit("team:t1", "day", Money(80), time_zone=BERLIN, soft=True),
    Limit("team:t1", "month", Money(300)),
    Limit("tag:a", "week", Money(320), time_zone=BERLIN),
    Limit("model:m1", "quarter", 400, unit="tokens"),
    Limit("provider:p1", "year", 700, unit="tokens", time_zone="America/New_York"),
    Limit("org:o1", "total", Money(900)),
    Limit("org:o1", "total", 25, unit="requests"),
)
SPANS = {"24h": 86_400_000, "60m": 3_600_000, "1m": 60_000, "7d": WEEK_MS}
OWN = {10: 9}
"""A soft limit's place → that of the hard one that looks at the same sum."""
TAKES: dict[str, Callable[[int, Usage], int]] = {
    "usd": lambda cost, usage: cost,
    "tokens": lambda cost, usage: usage.input_tokens + usage.output_tokens,
    "input_tokens": lambda cost, usage: usage.input_tokens,
    "output_tokens": lambda cost, usage: usage.output_tokens,
    "requests": lambda cost, usage: 1,
}


@dataclass
class Held:
    """A reservation, as the model remembers it: `held` and `booked` by the limit's place in LIMITS."""

    ledger: RedisLedger
    reservation: Reservation
    began: int
    deadline: int
    held: dict[int, int]
    booked: dict[int, int] = field(default_factory=dict)
    settled: bool = False


def period(limit: Limit, ms: int) -> Any:
    """What tells one period of a limit's window from another, told by the calendar's own words."""
    at = datetime.fromtimestamp(ms / 1000, ZoneInfo(limit.time_zone))
    words = {
        "minute": (at.astimezone(UTC).replace(second=0, microsecond=0),),
        "hour": (at.date(), at.hour, at.utcoffset()),
        "day": (at.date(),),
        "week": ((at - timedelta(days=at.weekday())).date(),),
        "month": (at.year, at.month),
        "quarter": (at.year, (at.month - 1) // 3),
        "year": (at.year,),
        "total": (),
    }
    return words[limit.window]


def counts(limit: Limit, began: int, now: int) -> bool:
    """Whether what began then counts now: in the same period, or within the length and a 60th of it."""
    if limit.window in SPANS:
        step = SPANS[limit.window] // 60
        return now // step - began // step <= 60
    return bool(period(limit, began) == period(limit, now))


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, settle, settle again, raise, renew, crash and let time pass, in any order."""

    url: str
    abandoned: Any = "release"

    def __init__(self) -> None:
        super().__init__()
        self.now = round(datetime(2026, 3, 28, 22, 58, tzinfo=UTC).timestamp() * 1000)
        self.loop = asyncio.new_event_loop()
        self.prefix = f"model:{secrets.token_hex(6)}:"
        self.ledgers: list[RedisLedger] = []
        self.start()
        self.held: list[Held] = []
        self.raised: dict[int, tuple[int, int]] = {}
        self.ever_raised: set[int] = set()
        self.over: dict[int, int] = {}
        self.number = 0

    def start(self) -> None:
        self.ledger = RedisLedger(
            self.url,
            prefix=self.prefix,
            lease_seconds=LEASE_MS / 1000,
            abandoned=self.abandoned,
            clock=lambda: self.now,
        )
        self.ledgers.append(self.ledger)

    def teardown(self) -> None:
        for ledger in self.ledgers:
            self.loop.run_until_complete(ledger.close())
        self.loop.close()

    def sums(self, index: int) -> tuple[int, int]:
        """What is settled and what is reserved."""
        index = OWN.get(index, index)
        settled = reserved = 0
        for held in self.held:
            if index in held.held and counts(LIMITS[index], held.began, self.now):
                settled += held.booked.get(index, 0)
                reserved += 0 if held.settled or held.deadline <= self.now else held.held[index]
        return settled, reserved

    def most(self, index: int) -> int:
        raised, until = self.raised.get(index, (0, 0))
        return max(LIMITS[index].most, raised) if self.now < until else LIMITS[index].most

    def lapse(self) -> None:
        """Those whose lease has ended are charged, where that is how it is."""
        for held in self.held:
            if not held.settled and held.deadline <= self.now and not held.booked and self.abandoned == "charge":
                held.booked = dict(held.held)

    @rule(
        chosen=st.sets(st.integers(0, len(LIMITS) - 1), min_size=1, max_size=5),
        cost=st.integers(0, 120),
        tokens=st.tuples(st.integers(0, 40), st.integers(0, 30)),
        lowered=st.none() | st.integers(0, 10),
    )
    def reserve(self, chosen: set[int], cost: int, tokens: tuple[int, int], lowered: int | None) -> None:
        order = sorted({*chosen, *(OWN[index] for index in chosen if index in OWN)})
        self.number += 1

        def refusing(cost: int, usage: Usage) -> list[int]:
            return [
                index
                for index in order
                if not LIMITS[index].soft
                and sum(self.sums(index)) + TAKES[LIMITS[index].unit](cost, usage) > self.most(index)
            ]

        asked: list[int] = []

        async def lower(standings: Sequence[Standing]) -> tuple[Money, Usage] | None:
            asked.append(1)
            for index, standing in zip(order, standings, strict=True):
                assert (standing.limit, standing.most) == (LIMITS[index], self.most(index))
                assert (standing.settled, standing.reserved) == self.sums(index)
            return None if lowered is None or len(asked) > 1 else (Money(lowered), Usage(lowered, lowered))

        usage = Usage(*tokens)
        limits = [LIMITS[index] for index in order]
        reserving = self.ledger.reserve(f"r{self.number}", limits, Money(cost), usage, lower=lower)
        no = refusing(cost, usage)
        if no and lowered is not None:
            cost, usage = lowered, Usage(lowered, lowered)
            no = refusing(cost, usage)
        if no:
            with pytest.raises(BudgetExceeded) as refusal:
                self.loop.run_until_complete(reserving)
            assert refusal.value.param == LIMITS[no[0]].scope
            return
        reservation = self.loop.run_until_complete(reserving)
        assert (reservation.amount, reservation.usage) == (Money(cost), usage)
        soft = [index for index in order if LIMITS[index].soft and self.sums(index)[0] >= LIMITS[index].most]
        assert [one.limit for one in reservation.warnings] == [LIMITS[index] for index in soft]
        held = {OWN.get(index, index): TAKES[LIMITS[index].unit](cost, usage) for index in order}
        self.held.append(Held(self.ledger, reservation, self.now, self.now + LEASE_MS, held))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), more=st.sampled_from((0, 0, 0, 5)), spared=st.booleans())
    def settle(self, data: st.DataObject, more: int, spared: bool) -> None:
        held = data.draw(st.sampled_from(self.held))
        reservation = held.reservation
        cost = data.draw(st.integers(0, reservation.amount.nano_usd + more))
        usage = Usage(
            data.draw(st.integers(0, reservation.usage.input_tokens + more)),
            data.draw(st.integers(0, reservation.usage.output_tokens + more)),
        )
        if held.ledger not in self.ledgers or (not held.settled and self.now >= held.deadline + WEEK_MS):
            return  # its gateway is dead; or it is forgotten, or not yet: nobody settles after a week
        without = ("provider:p1",) if spared else ()
        self.loop.run_until_complete(held.ledger.settle(reservation, Money(cost), usage, spared=without))
        if held.settled:
            return
        held.settled = True
        held.booked = {
            index: 0 if LIMITS[index].scope in without else TAKES[LIMITS[index].unit](cost, usage)
            for index in held.held
        }
        for index, booked in held.booked.items():
            late = self.now >= held.deadline and self.abandoned == "release"
            self.over[index] = self.over.get(index, 0) + (booked if late else max(0, booked - held.held[index]))

    @rule(
        index=st.integers(0, len(LIMITS) - 1), more=st.integers(1, 60), ms=st.sampled_from((0, 1, 3_600_000, WEEK_MS))
    )
    def raise_limit(self, index: int, more: int, ms: int) -> None:
        limit = LIMITS[index]
        if limit.soft:
            return
        most: Money | int = Money(limit.most + more) if limit.unit == "usd" else limit.most + more
        raised = Raise(most, self.now + ms, "they asked for it", "k_admin")
        self.loop.run_until_complete(self.ledger.raise_limit(limit, raised))
        self.raised[index] = (limit.most + more, self.now + ms)
        self.ever_raised.add(index)

    @rule()
    def renew(self) -> None:
        self.loop.run_until_complete(self.ledger.renew())
        for held in self.held:
            if held.ledger is self.ledger and not held.settled and held.deadline > self.now:
                held.deadline = self.now + LEASE_MS

    @rule()
    def crash(self) -> None:
        """Nothing of what this gateway holds is ever renewed or settled; another takes its place."""
        self.loop.run_until_complete(self.ledgers.pop().close())
        self.start()

    @rule(ms=st.sampled_from((1, 1_000, 20_000, LEASE_MS, 3_600_000, 86_400_000, 5 * 86_400_000)))
    def wait(self, ms: int) -> None:
        self.now += ms
        self.lapse()

    @invariant()
    def the_counters_are_the_models_and_no_limit_is_passed(self) -> None:
        for index, standing in enumerate(self.loop.run_until_complete(self.ledger.standing(LIMITS))):
            assert (standing.settled, standing.reserved) == self.sums(index), standing
            assert standing.most == self.most(index)
            # Only a settlement over its reservation, or after a lease whose room was given away, can pass a limit.
            if not standing.limit.soft and index not in self.ever_raised:
                assert standing.settled + standing.reserved <= standing.most + self.over.get(index, 0)


def _run(machine: type[LedgerMachine], url: str, examples: int) -> None:
    machine.url = url
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_ledger_agrees_with_its_model(redis_url: str) -> None:
    """Whatever is done in whatever order: counters equal the model's, nothing negative, no limit passed."""
    _run(LedgerMachine, redis_url, 150)


class ChargingMachine(LedgerMachine):
    abandoned = "charge"


def test_the_ledger_that_charges_what_is_abandoned_agrees_too(redis_url: str) -> None:
    """Then only a cost over its reservation can pass a limit, however late it comes."""
    _run(ChargingMachine, redis_url, 75)
