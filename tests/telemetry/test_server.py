"""ClickHouse by URL: the real client over HTTP, with the real engine at the other end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.log import RequestLog
from helix.telemetry.row import NAMES
from helix.telemetry.sink import Sink

from .rows import make_row, totals

SERVER = Path(__file__).with_name("server.py")


@asynccontextmanager
async def running(folder: Path, port: int = 0) -> AsyncIterator[int]:
    """A server over a folder, on a port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), str(folder), str(port), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.communicate()


def store_at(port: int) -> ClickHouse:
    return ClickHouse(f"http://127.0.0.1:{port}/logs?compress=false")


async def test_a_server_is_used_as_the_embedded_engine_is(tmp_path: Path) -> None:
    """Migrations, inserts with their tokens, and every query of the log work over HTTP."""
    async with running(tmp_path) as port:
        store = store_at(port)
        rows = [make_row(redactions={"PERSON": 1}, key_id=f"k_{n % 2}") for n in range(100)]
        await store.insert(NAMES, rows, "same")
        await store.insert(NAMES, rows, "same")
        assert await totals(store) == {"requests": 100, "requests_per_minute": 100, "spend_per_day": 100}
        assert await store.migrate() == []
        log = RequestLog(store)
        first, cursor = await log.requests(limit=60, key="k_1")
        assert (len(first), cursor) == (50, None)
        assert first[0]["entities"] == {"PERSON": 1}
        spent = await log.spend(group_by="key", since=datetime(2026, 1, 1, 6, tzinfo=UTC))
        assert [(row["key"], row["requests"]) for row in spent] == [("k_0", 50), ("k_1", 50)]
        assert (await log.overview(since=datetime(2026, 9, 1, tzinfo=UTC)))["requests"] == 100
        await store.close()


async def test_a_server_whose_replies_are_lost(tmp_path: Path) -> None:
    """The client repeats an insert silently, and the sink repeats it again: each row counts once."""
    async with running(tmp_path / "engine") as port:
        store = store_at(port)
        await store.open()
        sink = Sink(store, tmp_path / "spool", batch_rows=10, retry_seconds=0.01)
        await sink.open()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await client.post("/test?lose=5")
        for _ in range(30):
            sink.put(make_row())
        while sink.written < 30:
            await sink.flush()
        assert await totals(store) == {"requests": 30, "requests_per_minute": 30, "spend_per_day": 30}
        assert sink.spilled == 10
        await sink.close()
        await store.close()


async def test_a_server_that_goes_and_comes_back(tmp_path: Path) -> None:
    """Rows wait on disk meanwhile, and are all written afterwards, over the same store."""
    spool = tmp_path / "spool"
    async with running(tmp_path / "engine") as port:
        store = store_at(port)
        sink = Sink(store, spool, retry_seconds=0.01)
        await sink.open()
        sink.put(make_row())
        await sink.flush()
        assert (sink.written, sink.error) == (1, None)
    sink.put(make_row())
    await sink.flush()
    assert sink.error is not None
    assert "127.0.0.1" in sink.error
    async with running(tmp_path / "engine", port):
        sink.put(make_row())
        await sink.close()
        heir = Sink(store, spool)
        await heir.open()
        await heir.close()
        assert await totals(store) == {"requests": 3, "requests_per_minute": 3, "spend_per_day": 3}
        await store.close()
