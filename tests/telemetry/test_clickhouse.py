"""The store of rows, on the real engine: schema, exactly-once inserts, migrations, locks."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helix.kernel.errors import BackendUnavailable, ConfigError
from helix.telemetry.clickhouse import MIGRATIONS, ClickHouse
from helix.telemetry.row import COLUMNS, NAMES, RowsRejected

from .rows import make_row, totals


async def test_the_table_has_the_columns_of_a_row(clickhouse: ClickHouse) -> None:
    """The SQL and the code name the same columns with the same types, in the same order."""
    found = await clickhouse.query(
        "SELECT name, type FROM system.columns WHERE table = 'requests' AND database = {db:String} ORDER BY position",
        {"db": clickhouse.database},
    )
    assert [(row["name"], row["type"]) for row in found] == list(COLUMNS.items())


async def test_what_is_inserted_is_there(clickhouse: ClickHouse) -> None:
    """Every kind of value survives: times, maps, arrays, nulls, big amounts."""
    row = make_row(
        ts=1_790_000_000_123_456,
        redactions={"EMAIL_ADDRESS": 2},
        tags=["a", "b"],
        cache_similarity=0.5,
        cost_nano_usd=2**40,
    )
    await clickhouse.insert(NAMES, [row, make_row(stream=True, first_token_ms=3.5)], "t1")
    found = await clickhouse.query(
        "SELECT toUnixTimestamp64Micro(ts) AS ts, redactions, tags, cache_similarity, cost_nano_usd, first_token_ms "
        "FROM requests ORDER BY stream"
    )
    assert found[0] == {
        "ts": 1_790_000_000_123_456,
        "redactions": {"EMAIL_ADDRESS": 2},
        "tags": ["a", "b"],
        "cache_similarity": 0.5,
        "cost_nano_usd": 2**40,
        "first_token_ms": None,
    }
    assert found[1]["first_token_ms"] == 3.5


async def test_the_same_token_twice_counts_once(clickhouse: ClickHouse) -> None:
    """An insert sent again, whatever it holds, changes neither the rows nor the rollups."""
    rows = [make_row() for _ in range(100)]
    await clickhouse.insert(NAMES, rows, "same")
    await clickhouse.insert(NAMES, rows, "same")
    assert await totals(clickhouse) == {"requests": 100, "requests_per_minute": 100, "spend_per_day": 100}


async def test_a_batch_over_two_partitions_counts_once(clickhouse: ClickHouse) -> None:
    """The token holds in each partition: rows round midnight between two weeks, sent twice, count once."""
    monday = 1_790_553_600_000_000  # 2026-09-28 00:00 UTC
    rows = [make_row(ts=monday + offset * 1_000_000) for offset in range(-5, 5)]
    await clickhouse.insert(NAMES, rows, "border")
    await clickhouse.insert(NAMES, rows, "border")
    parts = await clickhouse.query(
        "SELECT uniqExact(partition) AS n FROM system.parts "
        "WHERE active AND table = 'requests' AND database = {db:String}",
        {"db": clickhouse.database},
    )
    assert parts[0]["n"] == 2
    assert await totals(clickhouse) == {"requests": 10, "requests_per_minute": 10, "spend_per_day": 10}


async def test_equal_rows_under_two_tokens_count_twice(clickhouse: ClickHouse) -> None:
    """Two batches that happen to be equal are two batches."""
    row = make_row()
    await clickhouse.insert(NAMES, [row], "one")
    await clickhouse.insert(NAMES, [row], "two")
    assert await totals(clickhouse) == {"requests": 2, "requests_per_minute": 2, "spend_per_day": 2}


async def test_rows_that_do_not_fit_are_rejected_for_good(clickhouse: ClickHouse) -> None:
    """A value that its column cannot hold is told from an outage, and not quoted."""
    with pytest.raises(RowsRejected) as caught:
        await clickhouse.insert(NAMES, [make_row(status="a secret of somebody's")], "bad")
    assert "secret" not in str(caught.value)
    assert (await totals(clickhouse))["requests"] == 0


async def test_migrating_twice_changes_nothing(clickhouse: ClickHouse) -> None:
    """All migrations are applied when the store opens; afterwards there is nothing to do."""
    await clickhouse.open()
    assert await clickhouse.migrate() == []
    ledger = await clickhouse.query("SELECT name FROM helix_migrations FINAL ORDER BY version")
    assert [row["name"] for row in ledger] == sorted(file.stem for file in MIGRATIONS.glob("*.sql"))


async def test_migrating_at_the_same_time(engine_dir: Path) -> None:
    """Gateways that start at once all succeed, and each migration is on record once."""
    database = f"t_{secrets.token_hex(6)}"
    stores = [ClickHouse(engine_dir, database=database) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    await stores[0].insert(NAMES, [make_row()], "t")
    ledger = await stores[1].query("SELECT count() AS n FROM helix_migrations FINAL")
    assert ledger[0]["n"] == len(list(MIGRATIONS.glob("*.sql")))
    assert await totals(stores[2]) == {"requests": 1, "requests_per_minute": 1, "spend_per_day": 1}
    for store in stores:
        await store.close()


async def test_a_migration_that_was_changed_is_refused(engine_dir: Path, tmp_path: Path) -> None:
    """An applied migration is history: changing its file is an error that names it."""
    database = f"t_{secrets.token_hex(6)}"
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    first = ClickHouse(engine_dir, database=database, migrations=folder)
    await first.open()
    await first.close()
    with (folder / "0001_requests.sql").open("a") as file:
        file.write("-- changed\n")
    with pytest.raises(ConfigError, match=r"0001_requests\.sql was changed"):
        await ClickHouse(engine_dir, database=database, migrations=folder).open()


async def test_a_new_migration_is_applied_to_an_old_database(engine_dir: Path, tmp_path: Path) -> None:
    """What is there stays, what is new comes on top."""
    database = f"t_{secrets.token_hex(6)}"
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    store = ClickHouse(engine_dir, database=database, migrations=folder)
    await store.insert(NAMES, [make_row()], "t")
    (folder / "0099_later.sql").write_text("ALTER TABLE requests ADD COLUMN IF NOT EXISTS later UInt8;\n")
    assert await store.migrate() == ["0099_later"]
    await store.insert(NAMES, [make_row()], "t2")
    assert (await store.query("SELECT sum(later) AS n, count() AS c FROM requests")) == [{"n": 0, "c": 2}]
    await store.close()


async def test_a_folder_held_by_another_process(tmp_path: Path) -> None:
    """One process has the folder; another gets one clear sentence that names both."""
    program = (
        "import asyncio, sys\n"
        "from helix.telemetry.clickhouse import ClickHouse\n"
        "async def main():\n"
        "    await ClickHouse(sys.argv[1]).open()\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
        "asyncio.run(main())\n"
    )
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"open\n"
    store = ClickHouse(tmp_path)
    with pytest.raises(
        ConfigError, match=rf"^the folder {tmp_path} is in use by another process \(pid {holder.pid}\)$"
    ):
        await store.open()
    holder.kill()
    await holder.communicate()
    await store.open()
    await store.close()


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The error is one sentence that names the folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^the folder .*/file/data cannot be written: Not a directory$"):
        await ClickHouse(tmp_path / "file" / "data").open()


async def test_a_server_that_is_not_there(unused_tcp_port: int) -> None:
    """An unreachable server is an outage; neither the password nor the URL shows."""
    store = ClickHouse(f"http://helix:hunter2@127.0.0.1:{unused_tcp_port}/logs")
    assert store.database == "logs"
    with pytest.raises(BackendUnavailable) as caught:
        await store.ping()
    assert "127.0.0.1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "options"),
    [("ftp://host", {}), ("http://", {}), ("/tmp", {"max_memory_bytes": 1}), ("/tmp", {"timeout_seconds": 0})],
)
def test_wrong_values_are_refused_at_once(target: str, options: dict[str, int]) -> None:
    """The constructor checks values and does nothing else."""
    with pytest.raises(ValueError, match=r"URL|max_memory_bytes|timeout_seconds"):
        ClickHouse(target, **options)  # type: ignore[arg-type]
