"""Redis and ClickHouse gone, at the start and in flight: what still works, what says no, and that nothing is lost."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from helix.embedded.redis import EmbeddedRedis
from tests.telemetry.test_server import running, store_at
from tests.upstream.fakes import Provider, chat_chunk, hangs_after

from .conftest import Start
from .running import Running, eventually, fault


@pytest_asyncio.fixture
async def own_redis() -> AsyncIterator[EmbeddedRedis]:
    """A Redis of this test alone, not started; stopped with the test."""
    with tempfile.TemporaryDirectory(prefix="hx-") as folder:
        server = EmbeddedRedis(folder)
        yield server
        await server.close()


async def not_ready(gateway: Running, part: str) -> None:
    reply = await gateway.caller.get("/health/ready")
    assert (reply.status_code, reply.json()["not_ready"]) == (503, [part])
    assert (await gateway.caller.get("/health/live")).status_code == 200


async def recovered(gateway: Running, key: str) -> None:
    """Wait until a key that only Redis knows opens the gateway again."""

    async def status() -> int:
        return (await gateway.ask("Are you back?", key=key)).status_code

    await eventually(status, lambda found: found == 200)


async def test_redis_gone_in_flight(start: Start, own_redis: EmbeddedRedis, provider: Provider) -> None:
    """Budgets fail closed, in the dialect's form; when Redis is back, so are keys, budgets and cache, with no restart.

    What was in flight when it went is settled when it is back: nothing stays reserved, and every request has its row.
    """
    gateway = await start(parts={"redis_url": await own_redis.open()})
    made = await gateway.key(name="shop", budgets=[{"limit_usd": 5, "window": "day"}])
    assert (await gateway.ask("Hi", key=made["key"])).status_code == 200
    await gateway.cached(1)
    provider.plan.append(hangs_after(chat_chunk("Hello")))
    body = {"model": "faulty-gpt", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = {"authorization": f"Bearer {made['key']}"}
    async with gateway.caller.stream("POST", "/v1/chat/completions", json=body, headers=headers) as reply:
        assert "Hello" in await anext(line async for line in reply.aiter_lines() if line)
        await own_redis.close()  # one that is killed is back at once
    await eventually(lambda: gateway.caller.get("/health/ready"), lambda ready: ready.status_code == 503)
    await not_ready(gateway, "redis")
    refused = 0
    for dialect in ("chat", "messages"):
        for stream in (False, True):
            reply = await gateway.ask("Hi", dialect, key=made["key"], stream=stream)
            assert reply.status_code == 503
            fault(reply, dialect)
            refused += 1
    await own_redis.open()
    await recovered(gateway, made["key"])
    budgets = await gateway.budgets()
    assert [budget["name"] for budget in budgets] == ["everybody", "shop"]
    rows = await gateway.rows(1 + 1 + refused + await asked_again(gateway))
    assert [row["status"] for row in rows[:6]] == [200, 499, 503, 503, 503, 503]
    assert {row["error_code"] for row in rows[2:6]} == {"backend_unavailable"}
    assert budgets[1]["used_usd"] == pytest.approx(sum(row["cost_usd"] for row in rows))


async def asked_again(gateway: Running) -> int:
    """How many requests `recovered` took, by the gateway's own count."""
    text = (await gateway.caller.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("helix_requests_total{")]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines) - 6


async def test_redis_gone_at_the_start(start: Start, own_redis: EmbeddedRedis) -> None:
    """The gateway starts, says what is not ready, serves what needs no Redis, and all of it once Redis is there."""
    gateway = await start(parts={"redis_url": own_redis.url}, budget={"limits": []})
    await not_ready(gateway, "redis")
    reply = await gateway.ask("I am ann@made-up-mail.org")  # the master key is known without Redis, and has no budget
    assert (reply.status_code, reply.headers["x-helix-redactions"]) == (200, "EMAIL_ADDRESS=1")
    unknown = await gateway.ask("Hi", key="sk-hx-" + "A" * 48)
    assert unknown.status_code == 401
    assert (await gateway.admin.get("/helix/keys")).status_code == 503
    await own_redis.open()
    await eventually(lambda: gateway.caller.get("/health/ready"), lambda ready: ready.status_code == 200)
    made = await gateway.key(rpm=10, budgets=[{"limit_usd": 5, "window": "day"}])
    assert (await gateway.ask("Hi", key=made["key"])).status_code == 200
    await eventually(
        lambda: gateway.ask("Is the cache back?"), lambda reply: reply.headers["x-helix-cache"] in ("exact", "semantic")
    )
    await gateway.budgets()


async def test_a_budget_without_redis_fails_closed(start: Start, own_redis: EmbeddedRedis) -> None:
    """With a limit for everybody, nobody spends what cannot be counted."""
    gateway = await start(parts={"redis_url": own_redis.url})
    for dialect in ("chat", "messages"):
        reply = await gateway.ask("Hi", dialect)
        assert reply.status_code == 503
        assert "Redis" in fault(reply, dialect)["message"]
    rows = await gateway.rows(2)
    assert {(row["status"], row["error_code"], row["cost_usd"]) for row in rows} == {(503, "backend_unavailable", 0)}


async def test_clickhouse_gone_in_flight(start: Start, tmp_path: Path) -> None:
    """Requests go on, their rows wait on disk, and every one of them appears when ClickHouse is back."""
    async with running(tmp_path / "engine") as port:
        store = store_at(port)
        gateway = await start(parts={"store": store})
        assert (await gateway.ask("one")).status_code == 200
        assert len(await gateway.rows(1)) == 1
    await not_ready(gateway, "clickhouse")
    for number in range(5):
        assert (await gateway.ask(f"number {number}")).status_code == 200
    reply = await gateway.admin.get("/helix/requests")
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "backend_unavailable")
    metrics = (await gateway.caller.get("/metrics")).text
    assert "helix_telemetry_up" in metrics
    async with running(tmp_path / "engine", port):
        rows = await gateway.rows(6)
        assert [row["status"] for row in rows] == [200] * 6
        await store.close()


async def test_clickhouse_gone_at_the_start(start: Start, tmp_path: Path) -> None:
    """The gateway starts and serves; the tables are made, and the rows appear, when ClickHouse does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = store_at(port)
    gateway = await start(parts={"store": store})
    await not_ready(gateway, "clickhouse")
    assert (await gateway.ask("Hi")).status_code == 200
    assert (await gateway.ask("Hi", model="none")).status_code == 404
    async with running(tmp_path / "engine", port):
        assert [row["status"] for row in await gateway.rows(2)] == [200, 404]
        await store.close()
