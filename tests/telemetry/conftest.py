"""A real engine for the tests of telemetry: chDB on one folder a session, one database a test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from helix.telemetry.clickhouse import ClickHouse


@pytest.fixture(scope="session")
def engine_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the session's engine: a process may have one open at a time."""
    return tmp_path_factory.mktemp("clickhouse")


@pytest_asyncio.fixture
async def clickhouse(engine_dir: Path) -> AsyncIterator[ClickHouse]:
    """A store with a database of this test's own."""
    store = ClickHouse(engine_dir, database=f"t_{secrets.token_hex(6)}")
    yield store
    await store.close()
