"""The ledger in Redis: one script to reserve, one to settle, shared by every gateway that uses the same Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from helix.budget.limits import MAX_LIMIT, checked, exceeded
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe, Script, connect
from helix.kernel.types import Limit, Money, Reservation

__all__ = ["RedisLedger"]

MAX_HOLD_SECONDS = 3600.0
"""How long a reservation's deadline is moved on; a request that takes longer has gone wrong."""

_PASSING = frozenset(("BUSY", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "TRYAGAIN", "UNKILLABLE"))
"""The first words of the errors after which Redis may do better."""

_log = logging.getLogger(__name__)
_folder = Path(__file__).parent
_common = (_folder / "common.lua").read_text()
_RESERVE, _SETTLE, _RENEW, _SPENT = (
    Script(_common + (_folder / f"{name}.lua").read_text()) for name in ("reserve", "settle", "renew", "spent")
)


class RedisLedger:
    """A `Ledger` in Redis. At no moment does settled + reserved exceed a limit, however many gateways share it.

    A reservation has a deadline `lease_seconds` away, which is moved on while its request is in flight; a gateway
    that dies stops moving it, and the next reservation of anybody frees what it held. Settling is exactly once: it
    removes the reservation in the same script that books the cost, so a second call finds nothing to do. Settling
    after the deadline (a gateway that hung) books the cost all the same; only then, or when a cost is over its
    reservation, can a limit be passed, since money that is spent is never left out.

    Windows are days and months of the UTC calendar by Redis' own clock. All keys carry one hash tag, since one
    request is held against a key's, a team's and an organisation's budget at once: on a Cluster the ledger lives in
    one slot. No key has a time to live: periods that are over are removed a week later, by whoever reserves next.
    """

    def __init__(
        self,
        redis: Redis | str,
        *,
        prefix: str = "helix:",
        lease_seconds: float = 60.0,
        timeout_seconds: float = 2.0,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Take a client, which stays the caller's, or a URL. `clock` (Unix ms) stands in for Redis' own, for
        tests."""
        if lease_seconds <= 0:
            raise ValueError("lease_seconds must be positive")
        self._owned = isinstance(redis, str)
        self._client = connect(redis) if isinstance(redis, str) else redis
        self._pipe = Pipe(self._client, timeout_seconds=timeout_seconds)
        self._root = f"{prefix}{{budget}}:"
        self._sets = [self._root + "leases", self._root + "forget"]
        self._lease_seconds = lease_seconds
        self._lease_ms = round(lease_seconds * 1000)
        self._clock = clock
        self._held: dict[str, float] = {}
        self._renewer: asyncio.Task[None] | None = None

    async def reserve(self, request_id: str, limits: Sequence[Limit], amount: Money) -> Reservation:
        """Hold an amount against every limit, all or nothing.

        Raises BudgetExceeded, naming the limit that decides; BackendUnavailable; ValueError for an impossible limit
        or amount, or an id that is in use.
        """
        limits = checked(limits)
        if not limits:
            return Reservation(request_id, (), amount)
        if not amount.nano_usd >= 0:
            raise ValueError("an amount to reserve must not be negative")
        # What is over the largest limit fits in none; the scripts hold no larger number exactly.
        nano = min(amount.nano_usd, MAX_LIMIT.nano_usd + 1)
        record = f"{self._root}r:{request_id}"
        arguments: list[Argument] = [self._now(), self._lease_ms, nano]
        for limit in limits:
            arguments += (limit.window, limit.limit.nano_usd)
        reply = await self._run(_RESERVE, [*self._sets, record, *map(self._counter, limits)], arguments)
        if reply[0] == -1:
            raise ValueError("the request id is in use by another reservation")
        if reply[0] > 0:
            _, settled, reserved, resets, now = reply
            raise exceeded(
                limits[reply[0] - 1],
                settled=Money(settled),
                reserved=Money(reserved),
                amount=amount,
                resets=resets,
                now=now,
            )
        self._held[record] = time.monotonic() + MAX_HOLD_SECONDS
        if self._renewer is None:
            self._renewer = asyncio.create_task(self._renew())
        return Reservation(request_id, limits, amount, Money(reply[1]))

    async def settle(self, reservation: Reservation, cost: Money) -> None:
        """Replace the held amount by the real cost; the second call for a reservation does nothing.

        A cost over the largest limit is booked as that. Raises BackendUnavailable, after which it may be called
        again; RuntimeError where Redis refuses this very settlement, as it would the next time; ValueError for a
        negative cost.
        """
        if cost.nano_usd < 0:
            raise ValueError("a cost must not be negative")
        if not reservation.limits:
            return
        record = f"{self._root}r:{reservation.request_id}"
        nano = min(cost.nano_usd, MAX_LIMIT.nano_usd)
        try:
            await _SETTLE.run(self._pipe, [*self._sets, record], [nano])
        except ResponseError as error:
            if _passes(error):
                raise _refusal(error) from error
            self._held.pop(record, None)
            raise RuntimeError(f"Redis cannot book a cost ({_kind(error)})") from error
        self._held.pop(record, None)

    async def spent(self, limits: Sequence[Limit]) -> Sequence[tuple[Money, Money]]:
        """What is settled and what is reserved in each limit's present window. Raises BackendUnavailable."""
        return [(settled, reserved) for settled, reserved, _ in await self.standing(limits)]

    async def standing(self, limits: Sequence[Limit]) -> Sequence[tuple[Money, Money, int]]:
        """Like `spent`, with the end of each limit's present window in Unix seconds, 0 for one without an end."""
        if not limits:
            return []
        windows: list[Argument] = [limit.window for limit in limits]
        reply = await self._run(_SPENT, [*self._sets, *map(self._counter, limits)], [self._now(), *windows])
        return [(Money(reply[i]), Money(reply[i + 1]), reply[i + 2]) for i in range(0, len(reply), 3)]

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

    def _counter(self, limit: Limit) -> str:
        return f"{self._root}c:{limit.scope}:{limit.window}"

    def _now(self) -> Argument:
        return "" if self._clock is None else self._clock()

    async def _run(self, script: Script, keys: list[str], arguments: list[Argument]) -> Any:
        try:
            return await script.run(self._pipe, keys, arguments)
        except ResponseError as error:
            raise _refusal(error) from error

    async def _renew(self) -> None:
        # Three times a lease, so that one lost round trip does not cost a reservation.
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            now = time.monotonic()
            for record in [record for record, until in self._held.items() if until < now]:
                del self._held[record]
            if not self._held:
                continue
            try:
                await self._run(_RENEW, self._sets[:1], [self._now(), self._lease_ms, *self._held])
            except BackendUnavailable:
                _log.warning("the leases of %d reservations could not be renewed; trying again", len(self._held))


def _passes(error: ResponseError) -> bool:
    """Whether Redis is there and cannot book for now: out of memory, a disk that is full, a cluster that regroups."""
    return isinstance(error, OutOfMemoryError) or _kind(error) in _PASSING


def _kind(error: ResponseError) -> str:
    return str(error).partition(" ")[0]


def _refusal(error: ResponseError) -> BackendUnavailable:
    return BackendUnavailable(f"Redis refused to book ({_kind(error)})")
