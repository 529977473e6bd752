"""`ledger`: what reserving and settling with five limits costs Redis and the caller, with 10 to 1,000,000 keys."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from helix.budget.counters import plan_of
from helix.budget.redis import RedisLedger
from helix.embedded.redis import EmbeddedRedis
from helix.kernel.types import Limit, Money, Usage
from perf.measure import target
from perf.readings import percentiles

__all__ = ["measure"]

SIZES = (10, 1_000, 100_000, 1_000_000)
_PAIRS = 4_000
_ROUNDS = 5
_ALONE = 2_000
_IN_FLIGHT = 32
_MOST = Money.from_usd(1_000_000)
_AMOUNT, _COST = Money(9_000_000), Money(2_500_000)
_HELD, _USED = Usage(2_000, 1_000), Usage(600, 300)


def measure(folder: Path, most_keys: int = SIZES[-1]) -> dict[str, Any]:
    """Measure over an embedded Redis in a folder; each key has counters of its own, all in their first day."""
    return asyncio.run(_measure(folder, most_keys))


async def _measure(folder: Path, most_keys: int) -> dict[str, Any]:
    server = EmbeddedRedis(folder / "redis", max_memory_bytes=4 * 1024**3)
    url = await server.open()
    client, ledger = Redis.from_url(url), RedisLedger(url, timeout_seconds=60.0)
    found: dict[str, Any] = {}
    try:
        done = 0
        for size in sorted({*(one for one in SIZES if one < most_keys), most_keys}):
            await _fill(client, range(done, size))
            done = size
            # A first round writes what a key's first request of the day does; the others find it there.
            await _round(client, ledger, size, "warm", _PAIRS)
            rounds = [await _round(client, ledger, size, f"{number}", _PAIRS) for number in range(_ROUNDS)]
            cpu_us = min(one[0] for one in rounds)
            found[f"{size:,} keys"] = {
                "redis_cpu_us_a_pair": round(cpu_us, 1),
                "pairs_a_second_of_a_redis_core": round(1e6 / cpu_us),
                "script_us": round(min(one[1] for one in rounds), 1),
                "caller_cpu_us_a_pair": round(min(one[2] for one in rounds), 1),
                "reserve_alone_ms": await _alone(ledger, size),
                "memory_mib": round((await client.info("memory"))["used_memory"] / 2**20, 1),
            }
    finally:
        await ledger.close()
        await client.aclose()
        await server.close()
    first, last = (found[name] for name in (next(iter(found)), list(found)[-1]))
    growth = last["redis_cpu_us_a_pair"] / first["redis_cpu_us_a_pair"]
    slowest = max(one["redis_cpu_us_a_pair"] for one in found.values())
    return {
        **found,
        "targets": [
            target("reserve + settle a second on one Redis core", round(1e6 / slowest), at_least=5_000.0),
            target(
                "reserve alone, p50 in ms",
                max(one["reserve_alone_ms"]["p50"] for one in found.values()),
                at_most=0.5,
            ),
            target(f"cost with {most_keys:,} keys over that with {SIZES[0]}", round(growth, 2), at_most=1.25),
        ],
    }


def _limits(number: int) -> tuple[Limit, ...]:
    """What a key's request is held against: two limits of its own, its team's, its organisation's, its model's."""
    return (
        Limit(f"key:k{number}", "day", _MOST),
        Limit(f"key:k{number}", "month", 2**50, unit="tokens"),
        Limit(f"team:t{number % 1000}", "month", _MOST),
        Limit(f"organization:o{number % 100}", "24h", _MOST),
        Limit(f"model:m{number % 20}", "total", _MOST),
    )


async def _fill(client: Redis, numbers: range) -> None:
    """Write the counters of keys as their first requests would have."""
    root = "helix:{budget}:"
    now = time.time_ns() // 1_000_000
    for start in range(numbers.start, numbers.stop, 5_000):
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(start + 5_000, numbers.stop)):
            for limit in _limits(number)[:2]:
                at = plan_of((limit,)).at(now)
                pipe.hset(root + at.keys[0], mapping={"s": "1000", "r": "0"})
                pipe.zadd(root + "forget", {root + at.keys[0]: at.periods[0].forget_ms or 0})
        await pipe.execute()


async def _round(client: Redis, ledger: RedisLedger, size: int, name: str, pairs: int) -> tuple[float, float, float]:
    """CPU of Redis' main thread a pair, the time of a script, and CPU of the caller a pair, in µs."""
    chosen = random.Random(f"{size} {name}")
    numbers = iter([chosen.randrange(size) for _ in range(pairs)])

    async def caller(index: int) -> None:
        for count, number in enumerate(numbers):
            held = await ledger.reserve(f"{size}-{name}-{index}-{count}", _limits(number), _AMOUNT, _HELD)
            await ledger.settle(held, _COST, _USED)

    await client.config_resetstat()
    before, own = await _cpu(client), time.thread_time()
    await asyncio.gather(*(caller(index) for index in range(_IN_FLIGHT)))
    used, own = await _cpu(client) - before, time.thread_time() - own
    scripts = (await client.info("commandstats"))["cmdstat_evalsha"]
    return used / pairs * 1e6, scripts["usec"] / scripts["calls"], own / pairs * 1e6


async def _alone(ledger: RedisLedger, size: int) -> dict[str, float]:
    """How long a caller waits for a reservation while nobody else asks."""
    chosen, waited = random.Random(size), []
    for count in range(_ALONE):
        limits = _limits(chosen.randrange(size))
        began = time.perf_counter()
        held = await ledger.reserve(f"alone-{size}-{count}", limits, _AMOUNT, _HELD)
        waited.append(time.perf_counter() - began)
        await ledger.settle(held, _COST, _USED)
    return percentiles(waited)


async def _cpu(client: Redis) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_user_main_thread"]) + float(info["used_cpu_sys_main_thread"])
