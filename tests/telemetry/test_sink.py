"""The way of a row to the store: nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from helix.kernel.errors import BackendUnavailable, ConfigError
from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.row import NAMES, Row
from helix.telemetry.sink import Sink
from helix.telemetry.spool import Segment, Spool

from .rows import make_row, totals


class Wire:
    """The way to a real store, which can be cut, and can swallow the replies to inserts."""

    def __init__(self, store: ClickHouse) -> None:
        self.store = store
        self.is_cut = False
        self.replies_to_lose = 0
        self.tokens: list[str] = []
        self.hold: asyncio.Event | None = None

    async def insert(self, names: Sequence[str], rows: Sequence[Row], token: str) -> None:
        self.tokens.append(token)
        if self.hold is not None:
            await self.hold.wait()
        if self.is_cut:
            raise BackendUnavailable("the wire is cut")
        await self.store.insert(names, rows, token)
        if self.replies_to_lose:
            self.replies_to_lose -= 1
            raise BackendUnavailable("the reply was lost")


def make_sink(store: Any, folder: Path, **options: Any) -> Sink:
    return Sink(store, folder, **{"journal_seconds": 0.005, "flush_seconds": 0.02, "retry_seconds": 0.01, **options})


def folders(spool: Path) -> list[Path]:
    return list(spool.iterdir())


def left(folder: Path, pattern: str = "*/*.jsonl") -> list[Path]:
    return sorted(folder.glob(pattern))


async def settled(condition: Callable[[], bool]) -> None:
    """Wait for a condition; pytest's own time-out ends a test in which it never comes."""
    while not condition():  # noqa: ASYNC110  # what is waited for has no event, being other tasks' counters
        await asyncio.sleep(0.005)


async def test_rows_reach_the_store(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """What is put is in the table and in the rollups, and nothing stays on disk."""
    sink = make_sink(clickhouse, tmp_path / "spool", batch_rows=100)
    await sink.open()
    for _ in range(250):
        sink.put(make_row())
    await sink.flush()
    assert await totals(clickhouse) == {"requests": 250, "requests_per_minute": 250, "spend_per_day": 250}
    await sink.close()
    assert (sink.queued, sink.written, sink.spilled, sink.lost, sink.error) == (250, 250, 0, 0, None)
    assert folders(tmp_path / "spool") == []


async def test_rows_are_written_without_being_asked(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """A lone row is written when it has waited for `flush_seconds`."""
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    sink.put(make_row())
    await settled(lambda: sink.written == 1)
    await sink.close()


async def test_rows_put_before_the_sink_is_open(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """They wait in memory."""
    sink = make_sink(clickhouse, tmp_path)
    sink.put(make_row())
    await sink.open()
    await sink.close()
    assert (await totals(clickhouse))["requests"] == 1


async def test_closing_writes_what_is_on_the_way(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """No row is left behind in memory."""
    sink = make_sink(clickhouse, tmp_path, journal_seconds=60.0, flush_seconds=60.0)
    await sink.open()
    for _ in range(10):
        sink.put(make_row())
    await sink.close()
    assert (await totals(clickhouse))["requests"] == 10


async def test_an_outage_and_its_end(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """While the store is down rows go to disk; afterwards they are written, in order, once each."""
    wire = Wire(clickhouse)
    sink = make_sink(wire, tmp_path, batch_rows=10)
    await sink.open()
    wire.is_cut = True
    for _ in range(35):
        sink.put(make_row())
    await sink.flush()
    assert sink.error == "the wire is cut"
    assert sink.written == 0
    assert sum(len(file.read_bytes().splitlines()) - 1 for file in left(tmp_path)) == 35
    wire.is_cut = False
    wire.tokens.clear()
    await sink.flush()
    await settled(lambda: sink.written == 35)
    assert wire.tokens == sorted(wire.tokens)
    assert await totals(clickhouse) == {"requests": 35, "requests_per_minute": 35, "spend_per_day": 35}
    await sink.close()
    assert sink.state()["error"] is None
    assert (sink.written, sink.lost) == (35, 0)
    assert sink.spilled >= 10
    assert left(tmp_path) == []


async def test_the_sink_recovers_by_itself(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Nobody has to ask for another attempt."""
    wire = Wire(clickhouse)
    wire.is_cut = True
    sink = make_sink(wire, tmp_path)
    await sink.open()
    sink.put(make_row())
    await settled(lambda: len(wire.tokens) >= 2)
    wire.is_cut = False
    await settled(lambda: sink.written == 1)
    assert sink.error is None
    await sink.close()


async def test_lost_replies_count_nothing_twice(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """An insert whose reply was lost is sent again under its token, and counts once everywhere."""
    wire = Wire(clickhouse)
    wire.replies_to_lose = 3
    sink = make_sink(wire, tmp_path, batch_rows=10)
    await sink.open()
    for _ in range(20):
        sink.put(make_row())
    await sink.flush()
    await settled(lambda: sink.written == 20)
    assert len(wire.tokens) == 5
    assert len(set(wire.tokens)) == 2
    assert await totals(clickhouse) == {"requests": 20, "requests_per_minute": 20, "spend_per_day": 20}
    await sink.close()


async def test_a_store_that_is_down_at_start_and_at_stop(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Rows outlive a whole life of the process without a store; the next start writes them."""
    wire = Wire(clickhouse)
    wire.is_cut = True
    first = make_sink(wire, tmp_path)
    await first.open()
    for _ in range(7):
        first.put(make_row())
    await first.close()
    assert (first.written, first.lost) == (0, 0)
    wire.is_cut = False
    second = make_sink(wire, tmp_path)
    await second.open()
    await settled(lambda: second.written == 7)
    await second.close()
    assert await totals(clickhouse) == {"requests": 7, "requests_per_minute": 7, "spend_per_day": 7}
    assert folders(tmp_path) == []


async def test_a_full_queue_goes_to_disk(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """More rows at once than the queue holds, with no time for the journal: all are written, in the end."""
    sink = make_sink(clickhouse, tmp_path, queue_rows=50, batch_rows=100)
    await sink.open()
    for _ in range(1234):
        sink.put(make_row())
        assert sink.waiting < 50
    await sink.flush()
    assert await totals(clickhouse) == {"requests": 1234, "requests_per_minute": 1234, "spend_per_day": 1234}
    assert sink.lost == 0
    await sink.close()


async def test_memory_stays_bounded_during_an_outage(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Batches that wait keep their rows on disk alone."""
    wire = Wire(clickhouse)
    wire.is_cut = True
    sink = make_sink(wire, tmp_path, batch_rows=10)
    await sink.open()
    sink.put(make_row())
    await sink.flush()
    for _ in range(200):
        sink.put(make_row())
    await sink.flush()
    assert sink.backlog >= 20
    assert sum(len(segment.rows) for segment in sink._pending) == 0
    wire.is_cut = False
    await sink.flush()
    await settled(lambda: sink.written == 201)
    await sink.close()
    assert (await totals(clickhouse))["requests"] == 201


async def test_a_disk_that_takes_nothing(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Without a disk rows go from memory to the store."""
    sink = make_sink(clickhouse, tmp_path / "spool")
    await sink.open()
    (own,) = folders(tmp_path / "spool")
    (own / "lock").unlink()
    own.rmdir()
    for _ in range(5):
        sink.put(make_row())
    await sink.flush()
    assert (sink.written, sink.lost) == (5, 0)
    assert (await totals(clickhouse))["requests"] == 5
    own.mkdir()
    await sink.close()


async def test_a_full_disk_in_the_midst_of_a_batch(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """A batch of which the disk took only a part is written whole, from memory."""
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    sink.put(make_row())
    await sink._drain(cut=False)
    segment = sink._current
    assert segment is not None
    assert segment.descriptor is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, segment.descriptor)
    os.close(full)
    sink.put(make_row())
    await sink._drain(cut=False)
    assert not segment.is_on_disk
    await sink.flush()
    assert (sink.written, sink.lost) == (2, 0)
    assert (await totals(clickhouse))["requests"] == 2
    await sink.close()


async def test_neither_store_nor_disk(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Then rows are lost once the memory is at its bound, and every one of them is counted."""
    wire = Wire(clickhouse)
    wire.is_cut = True
    sink = make_sink(wire, tmp_path, batch_rows=10, queue_rows=10)
    await sink.open()
    (own,) = folders(tmp_path)
    (own / "lock").unlink()
    own.rmdir()
    for _ in range(100):
        sink.put(make_row())
    await sink.flush()
    assert 0 < sink.lost < 100
    wire.is_cut = False
    await sink.flush()
    await settled(lambda: sink.written + sink.lost == 100)
    assert (await totals(clickhouse))["requests"] == sink.written
    own.mkdir()
    await sink.close()


async def test_rows_that_the_store_rejects_are_kept_aside(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """A batch that will never fit does not hold up those behind it, and stays for somebody to look at."""
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    sink.put(make_row(status="wrong"))
    await sink.flush()
    sink.put(make_row())
    await sink.flush()
    assert (sink.rejected, sink.written, sink.lost) == (1, 1, 0)
    assert len(left(tmp_path, "*/*.rejected")) == 1
    await sink.close()
    assert len(left(tmp_path, "*/*.rejected")) == 1


async def test_two_processes_share_a_spool(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Each writes its own; neither takes the other's rows while the other lives."""
    wire = Wire(clickhouse)
    wire.is_cut = True
    first, second = make_sink(wire, tmp_path), make_sink(clickhouse, tmp_path)
    await first.open()
    first.put(make_row())
    await first.flush()
    await second.open()
    second.put(make_row())
    await second.flush()
    assert second.written == 1
    await second.close()
    assert len(left(tmp_path)) == 1
    wire.is_cut = False
    await first.flush()
    await settled(lambda: first.written == 1)
    await first.close()
    assert (await totals(clickhouse))["requests"] == 2


async def test_rows_of_an_older_version(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """What was spooled with fewer columns, or with columns that are gone, is written by name."""
    folder = tmp_path / "0000-1"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "0001-aa.jsonl").write_bytes(
        b'["request_id","ts","gone","status"]\n["hx-old",1790000000000000,"x",201]\n["hx-torn",17900'
    )
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    await settled(lambda: sink.written == 1)
    await sink.close()
    found = await clickhouse.query("SELECT request_id, status, request_model FROM requests")
    assert found == [{"request_id": "hx-old", "status": 201, "request_model": ""}]


@pytest.mark.parametrize("content", [b"", b'["request_id","ts"', b'["request_id","ts"]\n', b'["request_id"]\n["hx-to'])
async def test_a_segment_with_nothing_in_it_yet(clickhouse: ClickHouse, tmp_path: Path, content: bytes) -> None:
    """A kill before the first row was whole leaves a file that is cleared away."""
    folder = tmp_path / "0000-1"
    folder.mkdir()
    (folder / "0001-aa.jsonl").write_bytes(content)
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    await settled(lambda: not left(tmp_path))
    await sink.close()
    assert (sink.written, sink.rejected, sink.lost) == (0, 0, 0)
    assert folders(tmp_path) == []


@pytest.mark.parametrize("content", [b"garbage\nmore\n", b"5\n[1]\n", b'["ts","status"]\n[1]\n'])
async def test_a_segment_that_cannot_be_read(clickhouse: ClickHouse, tmp_path: Path, content: bytes) -> None:
    """A damaged file is set aside, and those behind it are written."""
    folder = tmp_path / "0000-1"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "0001-aa.jsonl").write_bytes(content)
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    sink.put(make_row())
    await sink.flush()
    assert sink.written == 1
    await sink.close()
    assert len(left(tmp_path, "*/*.rejected")) == 1


async def test_a_spool_that_cannot_be_written(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Opening says so in one sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"/file/spool cannot be written: Not a directory$"):
        await make_sink(clickhouse, tmp_path / "file" / "spool").open()


CHILD = """
import asyncio, sys
from pathlib import Path
from helix.kernel.errors import BackendUnavailable
from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.sink import Sink
from telemetry.rows import make_row

class Down:
    async def insert(self, names, rows, token):
        raise BackendUnavailable("down")

async def main():
    store = Down() if sys.argv[1] == "down" else ClickHouse(sys.argv[1], database="crash")
    sink = Sink(store, sys.argv[2], batch_rows=50, flush_seconds=0.01, journal_seconds=0.002)
    await sink.open()
    sent = 0
    while True:
        for _ in range(20):
            sink.put(make_row())
        sent += 20
        await sink._drain(cut=False)
        print(sent, flush=True)  # so many rows are on disk or in the store
        await asyncio.sleep(0.001)

asyncio.run(main())
"""


async def crash(store: str, spool: Path, at_least: int) -> tuple[int, int]:
    """Run a writer and kill it; how many rows it had reported, and one report more."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        store,
        str(spool),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
    )
    assert child.stdout is not None
    reported = 0
    while reported < at_least:
        reported = int(await child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest, _ = await child.communicate()
    complete = rest.decode().rpartition("\n")[0].split()
    return (int(complete[-1]) if complete else reported), reported


async def test_a_kill_loses_no_row_that_is_on_disk(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """With the store down, a killed writer's rows are all written by the next process."""
    reported, _ = await crash("down", tmp_path, 200)
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    await sink.flush()
    await settled(lambda: not left(tmp_path))
    await sink.close()
    # The kill may fall between a write and its report.
    assert reported <= sink.written <= reported + 20
    assert await totals(clickhouse) == dict.fromkeys(("requests", "requests_per_minute", "spend_per_day"), sink.written)


async def test_kills_in_the_midst_of_inserts(tmp_path: Path) -> None:
    """Writers killed again and again while they insert: every row is in the table and the rollups once."""
    engine, spool = tmp_path / "engine", tmp_path / "spool"
    least = most = 0
    for _ in range(4):
        reported, _ = await crash(str(engine), spool, 300)
        least, most = least + reported, most + reported + 20
    store = ClickHouse(engine, database="crash")
    sink = make_sink(store, spool)
    await sink.open()
    await settled(lambda: not left(spool))
    await sink.close()
    counts = await totals(store)
    distinct = await store.query("SELECT uniqExact(request_id) AS n FROM requests")
    await store.close()
    assert len(set(counts.values())) == 1
    assert counts["requests"] == distinct[0]["n"]
    assert least <= counts["requests"] <= most


async def test_an_app_that_ends_without_a_lifespan(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Where nobody closes the sink, its end takes what is in memory to disk."""
    sink = make_sink(clickhouse, tmp_path, journal_seconds=60.0)
    await sink.open()
    await asyncio.sleep(0)  # its tasks begin
    sink.put(make_row())
    for task in sink._tasks:
        task.cancel()
    await asyncio.gather(*sink._tasks, return_exceptions=True)
    segments = Spool(tmp_path)
    assert segments.open() == []  # its folder is still locked
    segments.close()
    assert len(left(tmp_path)) == 1
    sink._spool.close()


async def test_a_row_that_cannot_be_written_down_stops_nothing(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """It is counted as rejected; those before and after it are stored, as are later ones."""
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    for cost in (1, 2**64, 2):
        sink.put(make_row(cost_nano_usd=cost))
    await sink.flush()
    sink.put(make_row())
    await sink.flush()
    assert (await totals(clickhouse))["requests"] == 3
    assert (sink.written, sink.rejected, sink.lost) == (3, 1, 0)
    await sink.close()


async def test_a_store_that_fails_in_its_own_way_is_asked_again(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Whatever it raises, the rows wait and are stored once it works."""
    failures = [RuntimeError("of the driver"), KeyError("of the driver")]

    class Failing:
        async def insert(self, names: Sequence[str], rows: Sequence[Row], token: str) -> None:
            if failures:
                raise failures.pop()
            await clickhouse.insert(names, rows, token)

    sink = make_sink(Failing(), tmp_path)
    await sink.open()
    sink.put(make_row())
    await settled(lambda: sink.written == 1)
    assert (sink.spilled, sink.rejected, sink.lost, sink.error) == (1, 0, 0, None)
    await sink.close()


async def test_a_task_that_fails_begins_anew(
    clickhouse: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults of the sink itself, however often they come, are logged once, and cost no row."""
    sink = make_sink(clickhouse, tmp_path)
    await sink.open()
    make_segment, read = sink._spool.segment, Segment.read
    faults = ["segment", "segment", "read"]

    def segment() -> Segment:
        if "segment" in faults:
            faults.remove("segment")
            raise RuntimeError("a fault")
        return make_segment()

    def read_segment(self: Segment) -> tuple[Sequence[str], list[Row]]:
        if "read" in faults:
            faults.remove("read")
            raise RuntimeError("a fault")
        return read(self)

    monkeypatch.setattr(sink._spool, "segment", segment)
    monkeypatch.setattr(Segment, "read", read_segment)
    sink.put(make_row())
    await settled(lambda: sink.written == 1)
    assert not faults
    assert (sink.is_open, sink.lost) == (True, 0)
    assert len([record for record in caplog.records if record.levelname == "CRITICAL"]) == 1
    await sink.close()


def test_wrong_values_are_refused_at_once(tmp_path: Path) -> None:
    """The constructor checks values and does nothing else."""
    store: Any = None
    for options in ({"batch_rows": 0}, {"queue_rows": 0}, {"flush_seconds": 0}, {"retry_seconds": -1}):
        with pytest.raises(ValueError, match=r"at least 1|positive"):
            Sink(store, tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()
    assert len(make_row()) == len(NAMES)
