from __future__ import annotations

import asyncio

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helix.admit.redis import PARALLEL_LEASE_SECONDS, RedisKeyStore, RedisLimiter
from helix.kernel.types import Principal


class Time:
    ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


@pytest_asyncio.fixture
async def time() -> Time:
    return Time()


@pytest_asyncio.fixture
async def limiter(store: RedisKeyStore, redis_prefix: str, time: Time) -> RedisLimiter:
    return RedisLimiter(store._pipe, prefix=redis_prefix, clock=time)


async def test_no_minute_holds_more_requests_than_allowed(limiter: RedisLimiter, time: Time) -> None:
    """A sliding window: no burst of twice the limit at a border, and the wait is exact."""
    who = Principal("k", rpm=3)
    grants = []
    for index in range(3):
        grants.append(await limiter.acquire(who, f"r{index}"))
        time.ms += 10_000
    assert [grant.remaining for grant in grants] == [2, 1, 0]
    refused = await limiter.acquire(who, "r3")
    assert (refused.refused_by, refused.wait_seconds) == ("rpm", 30.0)
    time.ms += 29_999
    assert (await limiter.acquire(who, "r4")).refused_by == "rpm"
    time.ms += 1
    assert (await limiter.acquire(who, "r5")).refused_by == ""
    assert (await limiter.acquire(who, "r6")).refused_by == "rpm"


async def test_refused_requests_do_not_count(limiter: RedisLimiter, time: Time) -> None:
    """A client that keeps knocking is let in as soon as any other; neither limit counts what the other refuses."""
    who = Principal("k", rpm=2, parallel=1)
    await limiter.acquire(who, "r0")
    for index in range(5):
        assert (await limiter.acquire(who, f"p{index}")).refused_by == "parallel"
    await limiter.release(who, "r0")
    assert (await limiter.acquire(who, "r1")).refused_by == ""
    assert (await limiter.acquire(who, "r2")).refused_by == "rpm"
    await limiter.release(who, "r1")
    time.ms += 60_000
    assert (await limiter.acquire(who, "r3")).refused_by == ""


async def test_a_place_is_free_after_release_or_when_its_gateway_died(limiter: RedisLimiter, time: Time) -> None:
    """Released by its own request alone; a lease ends what nobody releases."""
    who = Principal("k", parallel=1)
    await limiter.acquire(who, "r0")
    await limiter.release(who, "somebody else")
    assert (await limiter.acquire(who, "r1")).refused_by == "parallel"
    await limiter.release(who, "r0")
    assert (await limiter.acquire(who, "r2")).refused_by == ""
    time.ms += round(PARALLEL_LEASE_SECONDS * 1000)
    assert (await limiter.acquire(who, "r3")).refused_by == ""


async def test_a_race_for_places_gives_exactly_as_many_as_there_are(limiter: RedisLimiter) -> None:
    """200 at once for 7."""
    who = Principal("k", parallel=7, rpm=1000)
    grants = await asyncio.gather(*(limiter.acquire(who, f"r{index}") for index in range(200)))
    assert [grant.refused_by for grant in grants].count("") == 7


async def test_keys_do_not_count_for_each_other(limiter: RedisLimiter) -> None:
    """Each has its own minute."""
    for name in ("a", "b"):
        assert (await limiter.acquire(Principal(name, rpm=1), "r0")).refused_by == ""


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 40_000), max_size=20), st.integers(1, 4))
async def test_the_window_is_the_last_sixty_seconds(
    limiter: RedisLimiter, time: Time, pauses: list[int], rpm: int
) -> None:
    """However requests are spread, any 60 seconds admit at most the limit, and none is refused early."""
    time.ms += 10_000_000
    who, admitted = Principal("k", rpm=rpm), list[int]()
    for index, pause in enumerate(pauses):
        time.ms += pause
        grant = await limiter.acquire(who, f"{time.ms}-{index}")
        recent = [at for at in admitted if at > time.ms - 60_000]
        assert (grant.refused_by == "") == (len(recent) < rpm)
        if not grant.refused_by:
            admitted.append(time.ms)
