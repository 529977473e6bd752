"""A real replica that becomes the master without the last writes."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from redis.asyncio import Redis

from helix.budget.redis import RedisLedger
from helix.embedded.redis import EmbeddedRedis
from helix.kernel.types import Limit, Money


async def _follow(master: Redis, replica: Redis) -> None:
    """Let one have all that the other has, and no more from then on: a master in waiting that has lost its link."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    await master.config_set("bind", "127.0.0.1")  # the embedded server has a unix socket alone
    await master.config_set("port", port)
    await master.config_set("repl-diskless-sync-delay", 0)  # nobody else will follow
    await replica.replicaof("127.0.0.1", port)
    assert await master.wait(1, 60_000) == 1
    await replica.replicaof("NO", "ONE")


async def test_a_replica_without_the_last_writes_books_what_is_in_flight_once(tmp_path: Path) -> None:
    """What was settled before it fell behind stands; what is in flight is booked when it ends; nothing is held for
    ever."""
    one, other = EmbeddedRedis(tmp_path / "a"), EmbeddedRedis(tmp_path / "b")
    await asyncio.gather(one.open(), other.open())
    master, replica = (Redis.from_url(server.url, socket_timeout=None) for server in (one, other))
    # The gateway knows one address, which leads to whichever is the master, as a Sentinel's or a service's does.
    address = tmp_path / "redis.sock"
    address.symlink_to(one.socket_path)
    ledger = RedisLedger(f"unix://{address}")
    total = [Limit("everybody", "total", Money(1000)), Limit("everybody", "24h", Money(1000))]
    try:
        await ledger.settle(await ledger.reserve("r1", total, Money(100)), Money(70))
        seen = await ledger.reserve("r2", total, Money(100))
        await _follow(master, replica)
        unseen = await ledger.reserve("r3", total, Money(200))
        await one.close()
        address.unlink()
        address.symlink_to(other.socket_path)
        assert await ledger.spent(total) == [(Money(70), Money(100))] * 2
        for _ in range(2):
            await ledger.settle(seen, Money(40))
            await ledger.settle(unseen, Money(150))
        assert await ledger.spent(total) == [(Money(70 + 40 + 150), Money(0))] * 2
        await ledger.settle(await ledger.reserve("r4", total, Money(740)), Money(740))
        assert await ledger.spent(total) == [(Money(1000), Money(0))] * 2
    finally:
        await ledger.close()
        await master.aclose()
        await replica.aclose()
        await other.close()
