from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from helix.budget.redis import RedisLedger
from helix.budget.settlement import Settlements
from helix.kernel.errors import BackendUnavailable, BudgetExceeded
from helix.kernel.types import Limit, Money, Raise, Reservation, Standing, Usage

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

    def ledger(clock: Clock | None = None, **options: Any) -> RedisLedger:
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
    [limit(-1), limit(2**53), limit(1, "fortnight"), limit(1, scope=""), limit(1, scope="a\nb")],
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


async def test_tokens_and_requests_are_held_and_settled_beside_money(make: Make) -> None:
    """Each limit takes what is of its unit; a request counts when it began, whatever it used."""
    ledger = make()
    usd = limit(1000)
    tokens, put, got, requests = (
        Limit("key:k1", "day", 100, unit=unit) for unit in ("tokens", "input_tokens", "output_tokens", "requests")
    )
    all_five = [usd, tokens, put, got, requests]
    held = await ledger.reserve("r1", all_five, Money(600), Usage(30, 20))
    assert [one.reserved for one in await ledger.standing(all_five)] == [600, 50, 30, 20, 1]
    await ledger.settle(held, Money(70), Usage(29, 3))
    found = await ledger.standing(all_five)
    assert [(one.settled, one.reserved, one.remaining) for one in found] == [
        (70, 0, 930),
        (32, 0, 68),
        (29, 0, 71),
        (3, 0, 97),
        (1, 0, 99),
    ]
    with pytest.raises(BudgetExceeded, match=r"of 100 output tokens a day .* 3 output tokens used, .* up to 98 output"):
        await ledger.reserve("r2", [usd, got], Money(0), Usage(0, 98))
    with pytest.raises(ValueError, match="USD"):
        await ledger.spent([tokens])


async def test_a_rolling_window_frees_what_began_a_length_ago(make: Make) -> None:
    """No sooner, and at most a 60th later; the refusal says when there is room, and no earlier is there any."""
    clock = Clock("2026-11-22T10:00:30")
    ledger, one = make(clock), limit(10, "60m")
    await ledger.settle(await ledger.reserve("r1", [one], Money(4)), Money(4))
    clock.ms += 600_000
    await ledger.settle(await ledger.reserve("r2", [one], Money(6)), Money(6))
    clock.ms += 2_990_000
    with pytest.raises(BudgetExceeded) as refusal:
        await ledger.reserve("r3", [one], Money(3))
    assert "in any 60m cannot pay" in refusal.value.message
    assert "has room again at 2026-11-22T11:01:00Z" in refusal.value.message
    assert dict(refusal.value.headers)["retry-after"] == "40"
    clock.ms += 39_999
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("r4", [one], Money(3))
    clock.ms += 1
    assert (await ledger.reserve("r5", [one], Money(4))).remaining == Money(0)


async def test_a_rolling_window_that_nobody_uses_is_forgotten(make: Make, redis_url: str, redis_prefix: str) -> None:
    """One key a window, gone some time after the last that counted."""
    clock = Clock("2026-11-22T10:00:30")
    ledger, one = make(clock), limit(10, "1h")
    for number in range(3):
        await ledger.settle(await ledger.reserve(f"r{number}", [one], Money(1)), Money(1))
        clock.ms += 4 * 86_400_000
    client = Redis.from_url(redis_url)
    assert [key async for key in client.scan_iter(f"{redis_prefix}*w:*")]
    clock.ms += 15 * 86_400_000
    await ledger.standing([one])
    assert not [key async for key in client.scan_iter(f"{redis_prefix}*w:*")]
    await client.aclose()


async def test_soft_limits_warn_and_never_refuse(make: Make) -> None:
    """Once what is settled has reached them; a hard limit over the same sum still refuses."""
    ledger = make()
    soft, hard = Limit("key:k1", "day", Money(5), "four fifths", soft=True), limit(10)
    first = await ledger.reserve("r1", [soft, hard], Money(9))
    assert first.warnings == ()
    await ledger.settle(first, Money(5))
    second = await ledger.reserve("r2", [soft, hard], Money(5))
    assert [(one.limit.name, one.settled) for one in second.warnings] == [("four fifths", 5)]
    with pytest.raises(BudgetExceeded) as refusal:
        await ledger.reserve("r3", [soft, hard], Money(1))
    assert refusal.value.param == "key:k1"


async def test_a_raise_holds_on_every_gateway_until_its_end_and_is_on_record(make: Make) -> None:
    """At once, in the present period and in those that follow; then the limit is what it was."""
    clock = Clock("2026-11-22T23:00:00")
    ledger, other, day = make(clock), make(clock), limit(10)
    await ledger.reserve("r1", [day], Money(10))
    raised = Raise(Money(25), clock.ms + 2 * 86_400_000, "launch", "k_admin")
    await other.raise_limit(day, raised)
    assert (await ledger.reserve("r2", [day], Money(10))).remaining == Money(5)
    with pytest.raises(BudgetExceeded, match=r"of 0\.000000025 USD a day"):
        await ledger.reserve("r3", [day], Money(6))
    clock.ms += 86_400_000
    await ledger.reserve("r4", [day], Money(25))
    assert [one.most for one in await ledger.standing([day])] == [25]
    clock.ms += 86_400_000
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("r5", [day], Money(11))
    (noted,) = await other.raises()
    assert (noted["reason"], noted["by"], noted["limit"]) == ("launch", "k_admin", {"nano_usd": 25})
    assert noted["budget"]["scope"] == "key:k1"
    assert noted["at_ms"] == clock.ms - 2 * 86_400_000


async def test_a_raise_can_be_ended_before_its_time(make: Make) -> None:
    """By one whose end has come, which is on record as well."""
    clock = Clock("2026-11-22T10:00:00")
    ledger, total = make(clock), limit(10, "total")
    await ledger.reserve("r1", [total], Money(1))
    await ledger.raise_limit(total, Raise(Money(20), clock.ms + 1000, "launch"))
    await ledger.raise_limit(total, Raise(Money(20), clock.ms, "over"))
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("r2", [total], Money(11))
    assert [one["reason"] for one in await ledger.raises()] == ["over", "launch"]


@pytest.mark.parametrize(
    ("of", "raised", "message"),
    [
        (limit(10), Money(10), "to more than the limit itself"),
        (limit(10), Money(2**53), "no more than the largest"),
        (limit(10), 20, "in its own unit"),
        (Limit("a", "day", Money(5), soft=True), Money(20), "of a hard limit"),
    ],
)
async def test_a_raise_that_raises_nothing_is_an_error(
    make: Make, of: Limit, raised: Money | int, message: str
) -> None:
    """And so is one without a reason."""
    with pytest.raises(ValueError, match=message):
        await make().raise_limit(of, Raise(raised, 2**50, "why"))
    with pytest.raises(ValueError, match="reason"):
        Raise(raised, 2**50, " ")


async def test_what_is_abandoned_can_be_charged_until_it_is_settled(make: Make) -> None:
    """`abandoned="charge"`: a dead gateway's worst case is booked; one that hung takes its place with the real cost."""
    clock = Clock("2026-11-22T10:00:00")
    ledger, day = make(clock, abandoned="charge"), limit(100)
    held = await ledger.reserve("r1", [day], Money(60))
    clock.ms += LEASE_MS
    assert await ledger.spent([day]) == [(Money(60), Money(0))]
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("r2", [day], Money(41))
    for _ in range(2):
        await ledger.settle(held, Money(25))
    assert await ledger.spent([day]) == [(Money(25), Money(0))]


async def test_a_gateway_whose_clock_is_wrong_counts_by_that_of_redis(make: Make) -> None:
    """Redis tells it that its periods are not the present ones; what it then asks are."""
    right, wrong, year = make(), make(), limit(100, "year")
    wrong._ahead_ms = -1000 * 86_400_000
    await asyncio.gather(*(wrong.reserve(f"r{number}", [year], Money(2)) for number in range(40)))
    with pytest.raises(BudgetExceeded):
        await right.reserve("other", [year], Money(21))
    assert abs(wrong._ahead_ms) < 60_000


async def test_a_clock_that_is_moved_back_frees_nothing(make: Make) -> None:
    """What is counted stays, by the calendar and rolling; leases last as much longer."""
    clock = Clock("2026-11-22T10:30:00")
    ledger = make(clock)
    limits = [limit(10, window, f"key:{window}") for window in ("day", "month", "total", "24h", "1h")]
    held = await ledger.reserve("r1", limits, Money(4))
    await ledger.settle(await ledger.reserve("r2", limits, Money(6)), Money(3))
    for back in (1_000, 45_000, 7_200_000):
        clock.ms -= back
        assert await ledger.spent(limits) == [(Money(3), Money(4))] * 5
        for one in limits:
            with pytest.raises(BudgetExceeded):
                await ledger.reserve("r3", [one], Money(4))
    await ledger.reserve("r4", limits, Money(1))
    await ledger.settle(held, Money(4))
    assert await ledger.spent(limits) == [(Money(7), Money(1))] * 5


async def test_counters_and_reservations_of_the_first_form_are_read_rightly(
    make: Make, redis_url: str, redis_prefix: str
) -> None:
    """A hash of s and r for a day, a month or in all, in USD; a record of the amount and its counters."""
    clock = Clock("2026-11-22T10:00:00")
    ledger, day, total = make(clock), limit(100), limit(1000, "total")
    root = f"{redis_prefix}{{budget}}:"
    names = [f"{root}c:key:k1:day:2026-11-22", f"{root}c:key:k1:total:total"]
    client = Redis.from_url(redis_url)
    for name in names:
        await client.hset(name, mapping={"s": "30", "r": "20"})
    await client.set(f"{root}r:old", "\n".join(("20", *names)))
    await client.zadd(f"{root}leases", {f"{root}r:old": clock.ms + 5_000})
    assert await ledger.spent([day, total]) == [(Money(30), Money(20))] * 2
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("r1", [day, total], Money(51))
    await ledger.settle(Reservation("old", (day, total), Money(20)), Money(7))
    assert await ledger.spent([day, total]) == [(Money(37), Money(0))] * 2
    await client.set(f"{root}r:older", "\n".join(("5", *names)))
    await client.zadd(f"{root}leases", {f"{root}r:older": clock.ms})
    await client.hincrby(names[0], "r", 5)
    await client.hincrby(names[1], "r", 5)
    assert await ledger.spent([day, total]) == [(Money(37), Money(0))] * 2
    await client.aclose()


async def test_an_id_that_was_used_of_late_cannot_hold_again(make: Make) -> None:
    """A settlement of the first that is tried again would settle the second."""
    clock = Clock("2026-11-22T10:00:00")
    ledger, day = make(clock), limit(100)
    held = await ledger.reserve("r1", [day], Money(10))
    await ledger.settle(held, Money(1))
    with pytest.raises(ValueError, match="in use"):
        await ledger.reserve("r1", [day], Money(10))
    clock.ms += 120_000
    await ledger.settle(await ledger.reserve("r2", [day], Money(10)), Money(1))
    await ledger.settle(await ledger.reserve("r1", [day], Money(10)), Money(1))
    assert await ledger.spent([day]) == [(Money(3), Money(0))]


async def test_a_reservation_that_redis_has_lost_is_booked_by_whoever_holds_it(
    make: Make, redis_url: str, redis_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica became the master without the last writes: nothing that is in flight is left out, nothing twice."""
    clock = Clock("2026-11-22T10:00:00")
    ledger, other = make(clock), make(clock)
    limits = [limit(100), limit(100, "total"), limit(100, "24h"), Limit("key:k1", "minute", 5, unit="requests")]
    held = await ledger.reserve("r1", limits, Money(60))
    client = Redis.from_url(redis_url)
    await client.delete(*[key async for key in client.scan_iter(f"{redis_prefix}*")])
    for gateway in (other, ledger, ledger, other):
        await gateway.settle(held, Money(25))
    assert [(one.settled, one.reserved) for one in await ledger.standing(limits)] == [(25, 0)] * 3 + [(1, 0)]
    assert "lost a reservation" in caplog.text
    clock.ms += 30 * 86_400_000
    await ledger.standing(limits)
    left = [key async for key in client.scan_iter(f"{redis_prefix}*:c:*")]
    assert left == [f"{redis_prefix}{{budget}}:c:key:k1:total:total".encode()]
    await client.aclose()


async def test_a_provider_that_did_not_answer_is_spared(make: Make) -> None:
    """Held against every one that may answer, booked to the one that did."""
    ledger = make()
    one, other = (limit(100, scope=f"provider:{name}") for name in ("a", "b"))
    held = await ledger.reserve("r1", [one, other], Money(60))
    await ledger.settle(held, Money(25), spared={"provider:b"})
    assert await ledger.spent([one, other]) == [(Money(25), Money(0)), (Money(0), Money(0))]


async def test_what_does_not_fit_is_asked_for_as_less(make: Make) -> None:
    """`lower` is told where each limit stands, and may be asked again where another came between."""
    ledger, day, tokens = make(), limit(100), Limit("key:k1", "day", 50, unit="tokens")
    await ledger.reserve("r0", [day, tokens], Money(10), Usage(5, 5))
    seen: list[list[int]] = []

    async def lower(standings: Sequence[Standing]) -> tuple[Money, Usage] | None:
        seen.append([one.remaining for one in standings])
        return Money(200 - 50 * len(seen)), Usage(10, 10)

    held = await ledger.reserve("r1", [day, tokens], Money(200), Usage(90, 90), lower=lower)
    assert (held.amount, held.usage, held.remaining) == (Money(50), Usage(10, 10), Money(40))
    assert seen == [[90, 40]] * 3
