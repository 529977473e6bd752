"""The scripts against a model in Python, with time moved by hand."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from helix.budget.redis import RedisLedger
from helix.kernel.errors import BudgetExceeded
from helix.kernel.types import Limit, Money, Reservation

LEASE_MS = 60_000
WEEK_MS = 604_800_000
LIMITS = (
    Limit("key:k1", "day", Money(100)),
    Limit("key:k1", "month", Money(250)),
    Limit("key:k2", "day", Money(60)),
    Limit("team:t1", "month", Money(300)),
    Limit("org:o1", "total", Money(900)),
)


@dataclass
class Held:
    reservation: Reservation
    amount: int
    counters: list[tuple[str, str, str]]
    deadline: int
    settled: bool = False


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, settle, settle again and let time pass, in any order."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.now = round(datetime(2026, 1, 30, 23, 58, tzinfo=UTC).timestamp() * 1000)
        self.loop = asyncio.new_event_loop()
        self.ledger = RedisLedger(
            self.url, prefix=f"model:{secrets.token_hex(6)}:", lease_seconds=LEASE_MS / 1000, clock=lambda: self.now
        )
        self.held: list[Held] = []
        self.settled: dict[tuple[str, str, str], int] = {}
        self.late: dict[tuple[str, str, str], int] = {}
        self.number = 0

    def teardown(self) -> None:
        self.loop.run_until_complete(self.ledger.close())
        self.loop.close()

    def counter(self, limit: Limit) -> tuple[str, str, str]:
        at = datetime.fromtimestamp(self.now / 1000, UTC)
        form = {"day": "%Y-%m-%d", "month": "%Y-%m", "total": "total"}[limit.window]
        return (limit.scope, limit.window, at.strftime(form))

    def reserved(self, counter: tuple[str, str, str]) -> int:
        return sum(h.amount for h in self.held if not h.settled and h.deadline > self.now and counter in h.counters)

    @rule(chosen=st.sets(st.sampled_from(LIMITS), min_size=1), amount=st.integers(0, 120))
    def reserve(self, chosen: set[Limit], amount: int) -> None:
        limits = sorted(chosen, key=LIMITS.index)
        self.number += 1
        refusing = [
            limit
            for limit in limits
            if self.settled.get(self.counter(limit), 0) + self.reserved(self.counter(limit)) + amount
            > limit.limit.nano_usd
        ]
        reserving = self.ledger.reserve(f"r{self.number}", limits, Money(amount))
        if refusing:
            with pytest.raises(BudgetExceeded) as refusal:
                self.loop.run_until_complete(reserving)
            assert refusal.value.param == refusing[0].scope
            return
        reservation = self.loop.run_until_complete(reserving)
        counters = [self.counter(limit) for limit in limits]
        self.held.append(Held(reservation, amount, counters, self.now + LEASE_MS))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.held))
        cost = data.draw(st.integers(0, held.amount))
        if not held.settled and self.now >= held.deadline + WEEK_MS:
            return  # forgotten, or not yet: nobody settles after a week
        self.loop.run_until_complete(self.ledger.settle(held.reservation, Money(cost)))
        if held.settled:
            return
        held.settled = True
        for counter in held.counters:
            self.settled[counter] = self.settled.get(counter, 0) + cost
            if self.now >= held.deadline:
                self.late[counter] = self.late.get(counter, 0) + cost

    @rule(ms=st.sampled_from((1, 20_000, LEASE_MS, 3_600_000, 86_400_000, 5 * 86_400_000)))
    def wait(self, ms: int) -> None:
        self.now += ms

    @invariant()
    def the_counters_are_the_models_and_no_limit_is_passed(self) -> None:
        spent = self.loop.run_until_complete(self.ledger.spent(LIMITS))
        for limit, (settled, reserved) in zip(LIMITS, spent, strict=True):
            counter = self.counter(limit)
            assert settled.nano_usd == self.settled.get(counter, 0)
            assert reserved.nano_usd == self.reserved(counter)
            # Only a settlement after its lease, whose room was given away meanwhile, can pass a limit.
            assert settled.nano_usd + reserved.nano_usd <= limit.limit.nano_usd + self.late.get(counter, 0)


def test_the_ledger_agrees_with_its_model(redis_url: str) -> None:
    """Whatever is done in whatever order: counters equal the model's, nothing negative, no limit passed."""
    LedgerMachine.url = redis_url
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
