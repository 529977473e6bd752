"""The ledger in Redis: one script to reserve, one to settle, shared by every gateway that uses the same Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from helix.budget.counters import Plan, Present, plan_of, stem_of
from helix.budget.layout import asked, lost_record, refusal, resets_ms, standings
from helix.budget.limits import MAX_LIMIT
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe, Script, connect
from helix.kernel.types import NO_USAGE, Limit, Lower, Money, Raise, Reservation, Standing, Usage

__all__ = ["RedisLedger"]

MAX_HOLD_SECONDS = 3600.0
"""How long a reservation's deadline is moved on; a request that takes longer has gone wrong."""

REMEMBERED_MS = 120_000
"""How long the id of a settled reservation is remembered. A settlement tried again within that time can tell whether it
was done before or whether Redis has lost the reservation; later, what is not there counts as settled."""

_PASSING = frozenset(("BUSY", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "TRYAGAIN", "UNKILLABLE"))
"""The first words of the errors after which Redis may do better."""

_log = logging.getLogger(__name__)
_folder = Path(__file__).parent
_common = (_folder / "common.lua").read_text()
_RESERVE, _SETTLE, _RENEW, _SPENT, _RAISE = (
    Script(_common + (_folder / f"{name}.lua").read_text()) for name in ("reserve", "settle", "renew", "spent", "raise")
)


@dataclass(slots=True)
class _Held:
    """A reservation of this gateway."""

    until: float
    lost: str
    """The record by which it is booked should Redis have lost its own."""
    tried: float | None = None
    """When it was first tried to settle it."""


class RedisLedger:
    """A `Ledger` in Redis. At no moment does settled + reserved exceed a limit, however many gateways share it.

    A reservation has a deadline `lease_seconds` away, which is moved on while its request is in flight; a gateway
    that dies stops moving it, and the next reservation of anybody ends it. Then what it held is free again, or, with
    `abandoned="charge"`, booked as if it had been used. Settling is exactly once: it removes the reservation in the
    same script that books the cost, so a second call finds nothing to do. Settling after the deadline (a gateway that
    hung) books the cost all the same, in the place of what was charged. So a limit can be passed by a cost over its
    reservation and, unless what is abandoned is charged, by one that is settled after its deadline: money that is
    spent is never left out.

    A request belongs to the periods in which it began, by Redis' own clock. All keys carry one hash tag, since one
    request is held against a key's, a team's and an organisation's budget at once: on a Cluster the ledger lives in
    one slot. No key has a time to live: what is over is removed a while later, by whoever reserves next.
    """

    def __init__(
        self,
        redis: Redis | str,
        *,
        prefix: str = "helix:",
        lease_seconds: float = 60.0,
        timeout_seconds: float = 2.0,
        abandoned: Literal["release", "charge"] = "release",
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Take a client, which stays the caller's, or a URL. `clock` (Unix ms) stands in for Redis' own, for
        tests."""
        if lease_seconds <= 0:
            raise ValueError("lease_seconds must be positive")
        if abandoned not in ("release", "charge"):
            raise ValueError(f"abandoned must be 'release' or 'charge', not {abandoned!r}")
        self._owned = isinstance(redis, str)
        self._client = connect(redis) if isinstance(redis, str) else redis
        self._pipe = Pipe(self._client, timeout_seconds=timeout_seconds)
        self._root = f"{prefix}{{budget}}:"
        self._leases, self._forget, self._done, self._raises, self._audit = (
            self._root + name for name in ("leases", "forget", "settled", "raises", "audit")
        )
        self._lease_seconds = lease_seconds
        self._lease_ms = round(lease_seconds * 1000)
        self._abandoned = "charge" if abandoned == "charge" else ""
        self._clock = clock
        self._ahead_ms = 0
        """By how much Redis' clock is ahead of this machine's, as far as it mattered yet."""
        self._held: dict[str, _Held] = {}
        self._renewer: asyncio.Task[None] | None = None

    async def reserve(
        self,
        request_id: str,
        limits: Sequence[Limit],
        amount: Money,
        usage: Usage = NO_USAGE,
        *,
        lower: Lower | None = None,
    ) -> Reservation:
        """Hold money, tokens and one request against every limit, all or nothing.

        Raises BudgetExceeded, naming the limit that decides; BackendUnavailable; ValueError for an impossible limit
        or amount, or an id that is in use or was used of late.
        """
        plan = plan_of(tuple(limits))
        if not plan.limits:
            return Reservation(request_id, (), amount, usage=usage)
        record = f"{self._root}r:{request_id}"
        while True:
            present, amounts, reply = await self._claim(plan, record, amount, usage)
            found = standings(plan, present, reply[3:])
            if reply[0] == 0:
                break
            less = None if lower is None else await lower(found)
            if less is None:
                raise refusal(plan, reply, found, amounts)
            amount, usage = less
        self._held[record] = _Held(
            time.monotonic() + MAX_HOLD_SECONDS, lost_record(plan, present, self._root, self._abandoned)
        )
        if self._renewer is None:
            self._renewer = asyncio.create_task(self._keep())
        usd = [one.remaining - amount.nano_usd for one in found if one.limit.unit == "usd" and not one.limit.soft]
        warnings = tuple(one for one in found if one.limit.soft and one.settled >= one.limit.most)
        return Reservation(request_id, plan.limits, amount, Money(min(usd)) if usd else None, usage, warnings)

    async def settle(
        self, reservation: Reservation, cost: Money, usage: Usage = NO_USAGE, *, spared: Collection[str] = ()
    ) -> None:
        """Replace what is held by what was used; the second call for a reservation does nothing.

        An amount over the largest limit is booked as that. Raises BackendUnavailable, after which it may be called
        again; RuntimeError where Redis refuses this very settlement, as it would the next time; ValueError for a
        negative cost or usage.
        """
        if min(cost.nano_usd, usage.input_tokens, usage.output_tokens) < 0:
            raise ValueError("a cost must not be negative")
        if not reservation.limits:
            return
        record = f"{self._root}r:{reservation.request_id}"
        amounts = plan_of(reservation.limits).taken(cost, usage, spared)
        held, lost = self._held.get(record), ""
        if held is not None:
            now = time.monotonic()
            held.tried = held.tried or now
            lost = held.lost if (now - held.tried) * 1000 < REMEMBERED_MS / 2 else ""
        arguments: list[Argument] = [self._given_clock(), REMEMBERED_MS, lost]
        arguments += [min(one, MAX_LIMIT.nano_usd) for one in amounts]
        try:
            done = await _SETTLE.run(self._pipe, [self._leases, self._forget, self._done, record], arguments)
        except ResponseError as error:
            if _passes(error):
                raise _unavailable(error) from error
            self._held.pop(record, None)
            raise RuntimeError(f"Redis cannot book a cost ({_kind(error)})") from error
        self._held.pop(record, None)
        if done == 2:
            _log.warning("Redis has lost a reservation; what it used is booked all the same")
        elif done == 0 and held is not None and not lost:
            _log.warning("a settlement was tried for too long to tell whether it was done; it counts as done")

    async def spent(self, limits: Sequence[Limit]) -> Sequence[tuple[Money, Money]]:
        """What is settled and what is reserved in the present window of each of these limits in USD.

        Raises BackendUnavailable, ValueError for a limit in another unit.
        """
        if any(limit.unit != "usd" for limit in limits):
            raise ValueError("only limits in USD have something spent; see `standing`")
        return [(Money(one.settled), Money(one.reserved)) for one in await self.standing(limits)]

    async def standing(self, limits: Sequence[Limit]) -> Sequence[Standing]:
        """Where each limit stands. Raises BackendUnavailable, ValueError for an impossible limit."""
        if not limits:
            return []
        whole = plan_of(tuple(limits))

        async def ask(now: int) -> Any:
            at = whole.at(now)
            keys = [self._leases, self._forget, self._raises, *(self._root + key for key in at.keys)]
            arguments: list[Argument] = [self._given_clock(), at.from_ms, at.until_ms]
            arguments += ["" if one.bucket is None else one.bucket for one in at.periods]
            return await self._run(_SPENT, keys, arguments)

        present, reply = await self._present(whole, ask)
        sums = {
            counter.stem: (period, reply[2 + 3 * index : 5 + 3 * index])
            for index, (counter, period) in enumerate(zip(whole.counters, present.periods, strict=True))
        }
        found = []
        for limit in limits:
            period, (raised, settled, reserved) = sums[stem_of(limit)]
            most = limit.most if limit.soft else max(limit.most, raised)
            found.append(Standing(limit, settled, reserved, most, resets_ms(limit, period)))
        return found

    async def raise_limit(self, limit: Limit, raised: Raise) -> None:
        """Raise a hard limit until a time, on every gateway at once; one that has come ends a raise. It is audited.

        Raises BackendUnavailable; ValueError for a raise that raises nothing, or a soft limit.
        """
        most = raised.limit.nano_usd if isinstance(raised.limit, Money) else raised.limit
        if limit.soft or isinstance(raised.limit, Money) != isinstance(limit.limit, Money):
            raise ValueError("a raise must be of a hard limit, in its own unit")
        if not limit.most < most <= MAX_LIMIT.nano_usd:
            raise ValueError("a raise must be to more than the limit itself, and to no more than the largest one")
        plan = plan_of((limit,))
        now = self._now_ms()
        note = orjson.dumps({"at_ms": now, **asdict(raised), "budget": asdict(limit)})
        keys = [self._raises, self._audit, self._root + plan.at(now).keys[0]]
        stem = self._root + stem_of(limit)
        await self._run(_RAISE, keys, [self._given_clock(), stem, most, raised.until_ms, note])

    async def raises(self) -> Sequence[dict[str, Any]]:
        """Every raise that there ever was, latest first: `at_ms`, `budget`, `limit`, `until_ms`, `reason`, `by`.

        Raises BackendUnavailable.
        """
        try:
            found = await self._pipe.call("LRANGE", self._audit, 0, -1)
        except ResponseError as error:
            raise _unavailable(error) from error
        return [orjson.loads(note) for note in reversed(found)]

    async def renew(self) -> None:
        """Move the deadlines of this gateway's reservations a lease away from now. Raises BackendUnavailable."""
        now = time.monotonic()
        for record in [record for record, held in self._held.items() if held.until < now]:
            del self._held[record]
        if self._held:
            await self._run(_RENEW, [self._leases], [self._given_clock(), self._lease_ms, *self._held])

    async def ping(self) -> None:
        """Raise BackendUnavailable unless Redis answers."""
        await self._pipe.call("PING")

    async def close(self) -> None:
        """Stop moving deadlines and give the connection back."""
        renewer, self._renewer = self._renewer, None
        if renewer is not None:
            renewer.cancel()
            await asyncio.gather(renewer, return_exceptions=True)
        await self._pipe.close()
        if self._owned:
            await self._client.aclose()

    # Inside

    def _given_clock(self) -> Argument:
        return "" if self._clock is None else self._clock()

    def _now_ms(self) -> int:
        return self._clock() if self._clock is not None else time.time_ns() // 1_000_000 + self._ahead_ms

    async def _present(self, plan: Plan, ask: Callable[[int], Awaitable[Any]]) -> tuple[Present, Any]:
        """Ask a script about the counters of the present; where Redis' clock says that they are not, once more.

        Periods are the calendar's, which Lua does not know; so they are told, and Redis checks them by its clock.
        """
        while True:
            now = self._now_ms()
            reply = await ask(now)
            if reply[0] != -2:
                return plan.at(now), reply
            self._ahead_ms = reply[1] - time.time_ns() // 1_000_000

    async def _claim(self, plan: Plan, record: str, amount: Money, usage: Usage) -> tuple[Present, list[int], Any]:
        """Try to hold so much; returns the counters that were asked for, what of each, and the script's reply."""
        if min(amount.nano_usd, usage.input_tokens, usage.output_tokens) < 0:
            raise ValueError("an amount to reserve must not be negative")
        # What is over the largest limit fits in none; the scripts hold no larger number exactly.
        amounts = [min(one, MAX_LIMIT.nano_usd + 1) for one in plan.taken(amount, usage)]
        present, reply = await self._present(plan, lambda now: self._reserving(plan.at(now), plan, record, amounts))
        if reply[0] == -1:
            raise ValueError("the request id is in use by another reservation, or was used of late")
        return present, amounts, reply

    async def _reserving(self, at: Present, plan: Plan, record: str, amounts: list[int]) -> Any:
        keys = [self._leases, self._forget, self._done, self._raises, record, *(self._root + key for key in at.keys)]
        head: list[Argument] = [self._given_clock(), at.from_ms, at.until_ms, self._lease_ms, self._abandoned]
        return await self._run(_RESERVE, keys, [*head, *asked(plan, at, amounts)])

    async def _run(self, script: Script, keys: list[str], arguments: list[Argument]) -> Any:
        try:
            return await script.run(self._pipe, keys, arguments)
        except ResponseError as error:
            raise _unavailable(error) from error

    async def _keep(self) -> None:
        # Three times a lease, so that one lost round trip does not cost a reservation.
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            try:
                await self.renew()
            except BackendUnavailable:
                _log.warning("the leases of %d reservations could not be renewed; trying again", len(self._held))


def _passes(error: ResponseError) -> bool:
    """Whether Redis is there and cannot book for now: out of memory, a disk that is full, a cluster that regroups."""
    return isinstance(error, OutOfMemoryError) or _kind(error) in _PASSING


def _kind(error: ResponseError) -> str:
    return str(error).partition(" ")[0]


def _unavailable(error: ResponseError) -> BackendUnavailable:
    return BackendUnavailable(f"Redis refused to book ({_kind(error)})")
