"""`race`: 64 callers in 4 processes on a budget that pays for 1,000 requests; two processes are killed on the way."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

import orjson

from helix.budget import BudgetMiddleware, PriceTable, read_row
from helix.budget.redis import RedisLedger
from helix.embedded.redis import EmbeddedRedis
from helix.kernel.errors import BudgetExceeded
from helix.kernel.types import (
    NO_USAGE,
    Limit,
    Lower,
    Message,
    Money,
    Receive,
    Reservation,
    Scope,
    Send,
    Standing,
    Usage,
)
from perf.measure import target
from perf.process import Unavailable

__all__ = ["measure"]

_PROCESSES, _CALLERS, _REQUESTS = 4, 16, 1_000
_KILLED_AFTER = (_REQUESTS // 4, _REQUESTS // 2)
_TOKEN, _CAP, _LEAST = 1_000, 200, 20
"""Nano-USD an output token; the callers' cap; the floor."""
_LIMIT = Limit("everybody", "total", Money(_REQUESTS * _TOKEN * _CAP // 2), "the race")
_LEASE_SECONDS = 3.0
_LEFT_SHARE = 0.2
_PATIENCE_SECONDS = 180.0
_COUNTS = ("added", "removed", "admitted", "settled", "over", "refused", "behind_the_dead", "phantom", "left")


class Tally:
    """What each process counts, in memory that all of them share and that outlives a killed one."""

    def __init__(self, slots: int) -> None:
        self.counts = {name: RawArray("q", slots) for name in _COUNTS}
        self.killed = RawArray("d", slots)
        """When a slot's process was killed (monotonic), 0 for one that was not."""

    def living(self, name: str) -> int:
        """A count of the processes that were not killed."""
        return sum(count for count, killed in zip(self.counts[name], self.killed, strict=True) if not killed)

    def all(self, name: str) -> int:
        """A count of all processes."""
        return sum(self.counts[name])


class Watched(RedisLedger):
    """A ledger whose every refusal and settlement is checked against what the processes know of each other."""

    def __init__(self, url: str, tally: Tally, slot: int) -> None:
        super().__init__(url, lease_seconds=_LEASE_SECONDS, timeout_seconds=30.0)
        self.tally = tally
        self.slot = slot
        self.exhausted = False

    def count(self, name: str, by: int = 1) -> None:
        """Only this process writes its slot, so nothing is lost."""
        self.tally.counts[name][self.slot] += by

    async def reserve(
        self,
        request_id: str,
        limits: Sequence[Limit],
        amount: Money,
        usage: Usage = NO_USAGE,
        *,
        lower: Lower | None = None,
    ) -> Reservation:
        """Reserve; a refusal is a phantom if what is settled, all that living requests may hold and the least that
        this one needs would have fitted."""
        removed = self.tally.living("removed")
        self.count("added", amount.nano_usd)

        async def asked(standings: Sequence[Standing]) -> tuple[Money, Usage] | None:
            less = None if lower is None else await lower(standings)
            if less is None:
                self.judge(standings[0], amount, self.tally.living("added") - removed - amount.nano_usd)
            return less

        try:
            reservation = await super().reserve(request_id, limits, amount, usage, lower=asked)
        except BudgetExceeded:
            self.count("removed", amount.nano_usd)
            raise
        # What was cancelled may be held all the same, until it is settled with nothing.
        self.count("removed", amount.nano_usd - reservation.amount.nano_usd)
        self.count("admitted")
        return reservation

    def judge(self, standing: Standing, amount: Money, others: int) -> None:
        """Count a refusal by its reason."""
        need = amount.nano_usd - (_CAP - _LEAST) * _TOKEN
        self.count("refused")
        self.exhausted = standing.settled + need > standing.most
        if standing.settled + others + need > standing.most:
            return
        mourned = any(killed and time.monotonic() - killed < _LEASE_SECONDS + 1 for killed in self.tally.killed)
        self.count("behind_the_dead" if mourned else "phantom")

    async def settle(
        self, reservation: Reservation, cost: Money, usage: Usage = NO_USAGE, *, spared: Collection[str] = ()
    ) -> None:
        """Settle, and look at once whether the limit holds."""
        await super().settle(reservation, cost, usage, spared=spared)
        self.count("removed", reservation.amount.nano_usd)
        if not spared:
            self.count("settled")
        (standing,) = await self.standing([_LIMIT])
        if standing.settled + standing.reserved > standing.most:
            self.count("over")


def measure(folder: Path) -> dict[str, Any]:
    """Run the race over an embedded Redis in a folder."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> dict[str, Any]:
    server = EmbeddedRedis(folder / "redis")
    url = await server.open()
    tally = Tally(_PROCESSES + len(_KILLED_AFTER))
    context = multiprocessing.get_context("spawn")

    def start(slot: int) -> BaseProcess:
        process = context.Process(target=_gateway, args=(url, tally, slot), daemon=True)
        process.start()
        return process

    ledger = RedisLedger(url)
    began = time.monotonic()
    processes = [start(slot) for slot in range(_PROCESSES)]
    try:
        for victim, after in enumerate(_KILLED_AFTER):
            while tally.all("admitted") < after:
                await _patience(began)
            os.kill(processes[victim].pid or 0, signal.SIGKILL)
            tally.killed[victim] = time.monotonic()
            processes.append(start(_PROCESSES + victim))
        while any(process.is_alive() for process in processes):
            await _patience(began)
        seconds = time.monotonic() - began
        failed = [process.exitcode for process in processes if process.exitcode not in (0, -signal.SIGKILL)]
        if failed:
            raise Unavailable(f"a gateway ended with {failed[0]}")
        (end,) = await ledger.standing([_LIMIT])
        while end.reserved and time.monotonic() - max(tally.killed) < 2 * _LEASE_SECONDS + 1:
            await asyncio.sleep(0.1)
            (end,) = await ledger.standing([_LIMIT])
    finally:
        for process in processes:
            process.kill()
        await ledger.close()
        await server.close()
    counts = {name: tally.all(name) for name in _COUNTS if name not in ("added", "removed")}
    used = end.settled / end.most
    return {
        "requests": counts,
        "seconds": round(seconds, 1),
        "budget": {"limit": end.most, "settled": end.settled, "reserved": end.reserved, "used_share": round(used, 5)},
        "targets": [
            target("settlements after which the limit was passed", float(counts["over"]), at_most=0.0),
            target("utilisation", round(used, 5), at_least=0.99),
            target("phantom refusals", float(counts["phantom"]), at_most=0.0),
            target("nano-USD still held at the end", float(end.reserved), at_most=0.0),
        ],
    }


async def _patience(began: float) -> None:
    if time.monotonic() - began > _PATIENCE_SECONDS:
        raise Unavailable(f"the race did not end within {_PATIENCE_SECONDS:g} s")
    await asyncio.sleep(0.02)


def _gateway(url: str, tally: Tally, slot: int) -> None:
    asyncio.run(_run(url, tally, slot))


async def _run(url: str, tally: Tally, slot: int) -> None:
    ledger = Watched(url, tally, slot)
    row = {"input_cost_per_token": 1e-9, "output_cost_per_token": _TOKEN * 1e-9}
    price = read_row(row)
    if price is None:
        raise RuntimeError("a row with a price has one")
    budget = BudgetMiddleware(
        _provider, ledger=ledger, limits=[_LIMIT], price=PriceTable({"m": price}), min_output_tokens=_LEAST
    )
    chance = random.Random(slot)
    await asyncio.gather(*(_caller(budget, ledger, chance) for _ in range(_CALLERS)))
    await budget.close()
    await ledger.close()


async def _caller(budget: BudgetMiddleware, ledger: Watched, chance: random.Random) -> None:
    """Ask until the budget is used up; leave some answers half way."""
    while not ledger.exhausted:
        asking = asyncio.create_task(_ask(budget))
        if chance.random() < _LEFT_SHARE:
            done, _ = await asyncio.wait((asking,), timeout=chance.uniform(0.0, 0.03))
            if not done:
                ledger.count("left")
                asking.cancel()
        status = 0
        with suppress(asyncio.CancelledError):
            status = await asking
        if status == 429:
            await asyncio.sleep(0.02)  # those in flight will cost less than they hold


async def _ask(budget: BudgetMiddleware) -> int:
    body = {"model": "m", "stream": True, "max_tokens": _CAP, "messages": [{"role": "user", "content": "go"}]}
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": orjson.dumps(body), "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b""}
    await budget(scope, receive, send)
    return status


async def _provider(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream an answer of any length up to the cap, in some milliseconds."""
    asked = orjson.loads((await receive())["body"])
    tokens = random.randint(1, asked["max_tokens"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for _ in range(4):
        await asyncio.sleep(random.uniform(0.0, 0.01))
        delta = {"index": 0, "delta": {"content": "abc" * (tokens // 4)}, "finish_reason": None}
        await _event(send, {"object": "chat.completion.chunk", "model": "m", "choices": [delta]})
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10}
    await _event(send, {"object": "chat.completion.chunk", "model": "m", "choices": [], "usage": usage})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


async def _event(send: Send, payload: dict[str, Any]) -> None:
    body = b"data: " + orjson.dumps(payload) + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})
