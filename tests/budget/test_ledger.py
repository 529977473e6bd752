from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from helix.budget.redis import RedisLedger
from helix.budget.settlement import Settlements
from helix.kernel.errors import BackendUnavailable, BudgetExceeded
from helix.kernel.types import Limit, Money

LEASE_MS = 60_000


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, at: str) -> None:
        self.ms = round(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000)

    def __call__(self) -> int:
        return self.ms


def limit(amount: int, window: str = "day", scope: str = "key:k1", name: str = "") -> Limit:
    return Limit(scope, window, Money(amount), name)


Make = Callable[..., RedisLedger]


@pytest_asyncio.fixture
async def make(redis_url: str, redis_prefix: str) -> AsyncIterator[Make]:
    """Ledgers that share this test's keys."""
    made: list[RedisLedger] = []

    def ledger(clock: Clock | None = None, **options: float) -> RedisLedger:
        made.append(RedisLedger(redis_url, prefix=redis_prefix, clock=clock, **options))
        return made[-1]

    yield ledger
    for one in made:
        await one.close()


async def test_a_settled_cost_takes_the_place_of_the_reservation(make: Make) -> None:
    """Reserved before, settled after, and what was held too much is free again."""
    ledger, day = make(), limit(100)
    held = await ledger.reserve("r1", [day], Money(60))
    assert held.remaining == Money(40)
    assert await ledger.spent([day]) == [(Money(0), Money(60))]
    await ledger.settle(held, Money(25))
    assert await ledger.spent([day]) == [(Money(25), Money(0))]


async def test_settling_twice_books_once(make: Make) -> None:
    """A retry after a lost reply changes nothing."""
    ledger, day = make(), limit(100)
    held = await ledger.reserve("r1", [day], Money(60))
    for _ in range(3):
        await ledger.settle(held, Money(25))
    assert await ledger.spent([day]) == [(Money(25), Money(0))]


async def test_settling_from_another_gateway_books_once(make: Make) -> None:
    """Exactly once is a matter of the ledger, not of one process."""
    one, other, day = make(), make(), limit(100)
    held = await one.reserve("r1", [day], Money(60))
    await asyncio.gather(*(ledger.settle(held, Money(25)) for ledger in (one, other) for _ in range(10)))
    assert await one.spent([day]) == [(Money(25), Money(0))]


async def test_a_refusal_holds_nothing_in_any_limit(make: Make) -> None:
    """All or nothing over several limits, and the message names the one that decides."""
    ledger = make(Clock("2026-11-22T18:30:00"))
    key, team = limit(100), limit(50, "month", "team:t1", "research")
    await ledger.settle(await ledger.reserve("r0", [key, team], Money(30)), Money(20))
    held = await ledger.reserve("r1", [key, team], Money(10))
    with pytest.raises(BudgetExceeded) as refusal:
        await ledger.reserve("r2", [key, team], Money(21))
    assert refusal.value.param == "research"
    assert "'research' of 0.00000005 USD a month" in refusal.value.message
    assert "0.00000002 USD used, 0.00000001 USD reserved" in refusal.value.message
    assert "resets at 2026-12-01T00:00:00Z" in refusal.value.message
    assert await ledger.spent([key, team]) == [(Money(20), Money(10))] * 2
    await ledger.settle(held, Money(0))


async def test_a_limit_can_be_used_up_to_the_last_nano_usd(make: Make) -> None:
    """settled + reserved = limit is allowed, one more is not; at the largest limit too, where doubles end."""
    ledger = make()
    for index, size in enumerate((1, 100, 2**53 - 1)):
        whole = limit(size, "total", f"key:{index}")
        held = await ledger.reserve(f"a{index}", [whole], Money(size - 1))
        await ledger.reserve(f"b{index}", [whole], Money(1))
        with pytest.raises(BudgetExceeded):
            await ledger.reserve(f"c{index}", [whole], Money(1))
        await ledger.settle(held, Money(size - 1))
        assert await ledger.spent([whole]) == [(Money(size - 1), Money(1))]


async def test_an_amount_beyond_every_limit_is_refused(make: Make) -> None:
    """Numbers that a double cannot hold do not wrap round."""
    with pytest.raises(BudgetExceeded):
        await make().reserve("r1", [limit(2**53 - 1)], Money(2**80))


@pytest.mark.parametrize(
    "wrong",
    [limit(-1), limit(2**53), limit(1, "week"), limit(1, scope=""), limit(1, scope="a\nb")],
)
async def test_an_impossible_limit_is_an_error(make: Make, wrong: Limit) -> None:
    """Negative, absurd and unknown limits do not reach Redis."""
    with pytest.raises(ValueError, match="budget's"):
        await make().reserve("r1", [wrong], Money(1))


async def test_negative_amounts_and_costs_are_errors(make: Make) -> None:
    """Nobody can pay money into a budget through a request."""
    ledger = make()
    with pytest.raises(ValueError, match="negative"):
        await ledger.reserve("r1", [limit(1)], Money(-1))
    held = await ledger.reserve("r2", [limit(1)], Money(1))
    with pytest.raises(ValueError, match="negative"):
        await ledger.settle(held, Money(-1))


async def test_an_id_in_use_cannot_hold_twice(make: Make) -> None:
    """Two requests can never share one reservation, whoever chose their ids."""
    ledger, day = make(), limit(100)
    await ledger.reserve("r1", [day], Money(10))
    with pytest.raises(ValueError, match="in use"):
        await ledger.reserve("r1", [day], Money(10))
    assert await ledger.spent([day]) == [(Money(0), Money(10))]


async def test_of_two_limits_over_the_same_window_the_smaller_holds(make: Make) -> None:
    """Overlapping limits count a request once."""
    ledger, wide, narrow = make(), limit(100), limit(50)
    await ledger.reserve("r1", [wide, narrow], Money(30))
    assert await ledger.spent([wide]) == [(Money(0), Money(30))]
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("r2", [wide, narrow], Money(30))


@pytest.mark.parametrize(
    ("window", "before", "after", "resets"),
    [
        ("day", "2026-11-22T23:59:59.999", "2026-11-23T00:00:00", "2026-11-23T00:00:00Z"),
        ("month", "2026-01-31T23:59:59.999", "2026-02-01T00:00:00", "2026-02-01T00:00:00Z"),
        ("month", "2028-02-29T12:00:00", "2028-03-01T00:00:00", "2028-03-01T00:00:00Z"),
        ("month", "2026-12-31T23:59:59.999", "2027-01-01T00:00:00", "2027-01-01T00:00:00Z"),
        ("day", "2100-02-28T12:00:00", "2100-03-01T00:00:00", "2100-03-01T00:00:00Z"),
    ],
)
async def test_a_window_begins_anew_at_its_border(
    make: Make, window: str, before: str, after: str, resets: str
) -> None:
    """Days and months of the UTC calendar, leap years included; what is settled late belongs to its own period."""
    clock = Clock(before)
    ledger, one = make(clock), limit(10, window)
    held = await ledger.reserve("r1", [one], Money(10))
    with pytest.raises(BudgetExceeded, match=resets):
        await ledger.reserve("r2", [one], Money(1))
    clock.ms = Clock(after).ms
    assert await ledger.spent([one]) == [(Money(0), Money(0))]
    await ledger.reserve("r3", [one], Money(10))
    await ledger.settle(held, Money(7))
    assert await ledger.spent([one]) == [(Money(0), Money(10))]
    clock.ms = Clock(before).ms
    assert await ledger.spent([one]) == [(Money(7), Money(0))]


async def test_a_dead_gateways_reservation_is_freed_by_whoever_reserves_next(make: Make) -> None:
    """Killed between reserve and settle: the lease ends, nothing leaks."""
    clock = Clock("2026-11-22T10:00:00")
    dead, alive, day = make(clock), make(clock), limit(10)
    await dead.reserve("r1", [day], Money(10))
    clock.ms += LEASE_MS - 1
    with pytest.raises(BudgetExceeded):
        await alive.reserve("r2", [day], Money(10))
    clock.ms += 1
    await alive.reserve("r3", [day], Money(10))
    assert await alive.spent([day]) == [(Money(0), Money(10))]


async def test_more_dead_reservations_than_one_sweep_cannot_refuse_anybody(make: Make) -> None:
    """No phantom refusals: before it refuses, the script frees all that is due."""
    clock = Clock("2026-11-22T10:00:00")
    ledger, day = make(clock), limit(1000)
    await asyncio.gather(*(ledger.reserve(f"r{i}", [day], Money(1)) for i in range(1000)))
    clock.ms += LEASE_MS
    assert (await ledger.reserve("next", [day], Money(1000))).remaining == Money(0)


async def test_a_settlement_after_the_lease_is_booked_once_and_in_its_own_period(make: Make) -> None:
    """A gateway that hung over midnight still says what it spent."""
    clock = Clock("2026-11-22T23:59:00")
    ledger, day = make(clock), limit(10)
    held = await ledger.reserve("r1", [day], Money(10))
    clock.ms += 2 * LEASE_MS
    await ledger.reserve("r2", [day], Money(10))
    await ledger.settle(held, Money(4))
    await ledger.settle(held, Money(4))
    assert await ledger.spent([day]) == [(Money(0), Money(10))]
    clock.ms -= 2 * LEASE_MS
    assert await ledger.spent([day]) == [(Money(4), Money(0))]


async def test_a_cost_over_its_reservation_is_booked_whole(make: Make) -> None:
    """Money that was spent is never left out; the next request is refused."""
    ledger, day = make(), limit(10)
    await ledger.settle(await ledger.reserve("r1", [day], Money(5)), Money(12))
    assert await ledger.spent([day]) == [(Money(12), Money(0))]
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("r2", [day], Money(0))


async def test_leases_are_renewed_while_a_request_is_in_flight(make: Make) -> None:
    """A stream longer than the lease keeps what it holds."""
    ledger, other, day = make(lease_seconds=0.15), make(lease_seconds=0.15), limit(10)
    held = await ledger.reserve("long", [day], Money(10))
    lost = await other.reserve("gone", [limit(10, scope="key:k2")], Money(10))
    await other.close()  # stands for a gateway that died: nobody renews
    # The lease ends inside Redis: there is no event to wait for.
    while (await ledger.spent(lost.limits))[0][1] != Money(0):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert await ledger.spent([day]) == [(Money(0), Money(10))]
    await ledger.settle(held, Money(1))


async def test_a_race_on_a_budget_admits_exactly_what_it_pays_for(make: Make) -> None:
    """200 at once, from four gateways, on a budget for 37."""
    ledgers, day, team = [make() for _ in range(4)], limit(37 * 10 + 9), limit(10_000, "month", "team:t1")

    async def attempt(index: int) -> bool:
        try:
            held = await ledgers[index % 4].reserve(f"r{index}", [day, team], Money(10))
        except BudgetExceeded:
            return False
        await ledgers[index % 4].settle(held, Money(10))
        return True

    admitted = await asyncio.gather(*(attempt(index) for index in range(200)))
    assert sum(admitted) == 37
    assert await ledgers[0].spent([day, team]) == [(Money(370), Money(0))] * 2


async def test_nothing_is_left_behind_by_settled_requests_or_past_periods(
    make: Make, redis_url: str, redis_prefix: str
) -> None:
    """Records go when they are settled, counters a week after their period; none has a time to live."""
    clock = Clock("2026-11-22T10:00:00")
    ledger = make(clock)
    day, total = limit(100), limit(100, "total")
    for index in range(5):
        await ledger.settle(await ledger.reserve(f"r{index}", [day, total], Money(1)), Money(1))
        clock.ms += 86_400_000
    client = Redis.from_url(redis_url)
    keys = [key async for key in client.scan_iter(f"{redis_prefix}*")]
    assert len([key for key in keys if b"}:c:" in key]) == 6
    assert not [key for key in keys if b"}:r:" in key]
    assert {await client.ttl(key) for key in keys} == {-1}
    clock.ms += 14 * 86_400_000
    await ledger.spent([day])
    left = [key async for key in client.scan_iter(f"{redis_prefix}*")]
    assert [key for key in left if b"}:c:" in key] == [f"{redis_prefix}{{budget}}:c:key:k1:total:total".encode()]
    await client.aclose()


async def test_keys_carry_one_hash_tag(make: Make, redis_url: str, redis_prefix: str) -> None:
    """On a Cluster one script must find everything in one slot."""
    ledger = make()
    await ledger.reserve("r1", [limit(10), limit(10, "total", "org:o1")], Money(1))
    client = Redis.from_url(redis_url)
    assert all([b"{budget}" in key async for key in client.scan_iter(f"{redis_prefix}*")])
    await client.aclose()


async def test_no_limits_make_no_round_trip() -> None:
    """A caller without a budget does not wait for Redis, even one that is not there."""
    ledger = RedisLedger("redis://127.0.0.1:1")
    held = await ledger.reserve("r1", [], Money(5))
    await ledger.settle(held, Money(5))
    assert await ledger.spent([]) == []
    await ledger.close()


async def test_a_redis_that_is_gone_is_said_so() -> None:
    """BackendUnavailable, not a connection error of some library."""
    ledger = RedisLedger("redis://127.0.0.1:1")
    with pytest.raises(BackendUnavailable):
        await ledger.reserve("r1", [limit(10)], Money(1))
    await ledger.close()


async def test_a_redis_that_refuses_writes_is_an_outage(make: Make, redis_url: str, redis_prefix: str) -> None:
    """A counter of the wrong type stands for any refusal: out of memory, a read-only replica."""
    client = Redis.from_url(redis_url)
    await client.set(f"{redis_prefix}{{budget}}:leases", "not a sorted set")
    with pytest.raises(BackendUnavailable, match="refused"):
        await make().reserve("r1", [limit(10)], Money(1))
    await client.aclose()


async def test_a_reservation_of_nothing_expires_like_any_other(make: Make) -> None:
    """A free model's: Redis knows no '-0'."""
    clock = Clock("2026-11-22T10:00:00")
    ledger, day = make(clock), limit(10)
    held = await ledger.reserve("r1", [day], Money(0))
    clock.ms += LEASE_MS
    assert await ledger.spent([day]) == [(Money(0), Money(0))]
    await ledger.settle(held, Money(3))
    assert await ledger.spent([day]) == [(Money(3), Money(0))]


async def test_a_cost_that_no_counter_holds_is_booked_as_the_largest(make: Make) -> None:
    """Once, and what was held is free again; sums end at one over the largest limit, so that it is passed for good."""
    ledger, total = make(), limit(2**53 - 1, "total")
    one = await ledger.reserve("r1", [total], Money(5))
    other = await ledger.reserve("r2", [total], Money(7))
    for _ in range(2):
        await ledger.settle(one, Money(2**80))
    assert await ledger.spent([total]) == [(Money(2**53 - 1), Money(7))]
    await ledger.settle(other, Money(2**63))
    assert await ledger.spent([total]) == [(Money(2**53), Money(0))]
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("r3", [total], Money(0))


async def test_a_settlement_that_redis_refuses_changes_nothing_and_is_lost_once(
    make: Make, redis_url: str, redis_prefix: str
) -> None:
    """One counter of two is broken: the other is as before however often it is tried; it is not tried for ever."""
    ledger, good, bad = make(), limit(100, "total", "a"), limit(100, "total", "b")
    held = await ledger.reserve("r1", [good, bad], Money(60))
    client = Redis.from_url(redis_url)
    await client.set(f"{redis_prefix}{{budget}}:c:b:total:total", "not a hash")
    for _ in range(3):
        with pytest.raises(RuntimeError, match="cannot book"):
            await ledger.settle(held, Money(25))
    assert await ledger.spent([good]) == [(Money(0), Money(60))]
    lost: list[tuple[str, Money]] = []
    settlements = Settlements(ledger, lambda reservation, cost: lost.append((reservation.request_id, cost)))
    settlements.add(held, Money(25))
    await settlements.drained()
    assert lost == [("r1", Money(25))]
    await client.aclose()
