"""From the requests to the store: a queue in memory, segments on disk, batches into ClickHouse.

    put ──▶ queue ──every 50 ms──▶ segment on disk ──every second, or when full──▶ insert with its token ──▶ unlink

There is one path in good and in bad times: a store that is down only means that segments stay. A segment is inserted
under its token however often it takes, so that each row is stored exactly once, also when the reply to an insert is
lost or the process is killed in the midst of one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from helix.kernel.errors import BackendUnavailable, ConfigError, HelixError
from helix.telemetry.row import Row, RowsRejected, RowStore
from helix.telemetry.spool import Segment, Spool

__all__ = ["Sink"]

_log = logging.getLogger("helix.telemetry")

# Past this many times `queue_rows`, the disk has stood still for long: rows are lost, and counted.
_OVERFLOW = 4

# The next batch gathers rows for this many times as long as the last one took to insert, within bounds.
_INSERT_SHARE = 20
_MAX_PATIENCE = 5


class Sink:
    """Takes rows and sees to it that they reach the store. One event loop; `put` may be called before `open`.

    `store` and its life belong to the caller. `spool_dir` holds what is on the way, and may be shared by processes.
    `batch_rows` and `flush_seconds`: a batch is written when it has so many rows, or is so old; while inserts are slow
    for their number, it may be up to five times as old. `queue_rows`: rows in
    memory alone before `put` itself takes them to disk. A kill loses the rows of the last `journal_seconds` at most.
    """

    def __init__(
        self,
        store: RowStore,
        spool_dir: str | Path,
        *,
        batch_rows: int = 10_000,
        flush_seconds: float = 1.0,
        queue_rows: int = 20_000,
        journal_seconds: float = 0.05,
        retry_seconds: float = 0.5,
        max_retry_seconds: float = 30.0,
        close_timeout_seconds: float = 10.0,
    ) -> None:
        if batch_rows < 1 or queue_rows < 1:
            raise ValueError("batch_rows and queue_rows must be at least 1")
        if min(flush_seconds, journal_seconds, retry_seconds, max_retry_seconds, close_timeout_seconds) <= 0:
            raise ValueError("the times of a sink must be positive")
        self._store = store
        self._spool = Spool(Path(spool_dir).absolute())
        self._batch_rows = batch_rows
        self._flush_seconds = flush_seconds
        self._queue_rows = queue_rows
        self._journal_seconds = journal_seconds
        self._retry_seconds = retry_seconds
        self._max_retry_seconds = max_retry_seconds
        self._close_timeout_seconds = close_timeout_seconds

        self.queued = 0
        """Rows put."""
        self.written = 0
        """Rows that the store has; those that an earlier process left count too."""
        self.spilled = 0
        """Rows that had to wait because the store refused them at first."""
        self.rejected = 0
        """Rows that the store will never take; they are kept in the spool, as `.rejected` files, if they can be."""
        self.lost = 0
        """Rows that neither the store nor the disk took."""
        self.error: str | None = None
        """Why the store takes no rows now; None while it does."""

        self._queue: deque[Row] = deque()
        self._current: Segment | None = None
        self._pending: deque[Segment] = deque()
        self._disk = threading.Lock()
        self._lock = asyncio.Lock()
        self._draining = asyncio.Lock()  # whoever waits for a drain waits for the one that is under way, too
        self._wake = asyncio.Event()  # for the journal: there are rows, or there is room for a batch
        self._ready = asyncio.Event()  # for the writer: there is a batch
        self._hurry = asyncio.Event()  # for the writer: do not wait before the next attempt
        self._settled = asyncio.Event()  # for `flush`: everything is in the store, or it takes nothing
        self._is_writing = False
        self._is_faulty = False
        self._patience = flush_seconds
        self._tasks: list[asyncio.Task[None]] = []

    # For the hot path

    def put(self, row: Row) -> None:
        """Take one row. Never waits and never raises."""
        self.queued += 1
        queue = self._queue
        queue.append(row)
        if len(queue) >= self._queue_rows:
            self._overflow()
        if not self._wake.is_set():
            self._wake.set()

    @property
    def is_open(self) -> bool:
        """Whether rows are on their way to the store; otherwise they wait in memory."""
        return bool(self._tasks)

    @property
    def waiting(self) -> int:
        """Rows in memory that are in no segment yet."""
        return len(self._queue)

    @property
    def backlog(self) -> int:
        """Batches that are not in the store yet."""
        return len(self._pending) + (self._current is not None)

    # Life

    async def open(self) -> None:
        """Start; what earlier processes left is written first. Raises ConfigError where the spool cannot be written."""
        async with self._lock:
            if self._tasks:
                return
            try:
                left = await asyncio.to_thread(self._spool.open)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise ConfigError(f"the folder {self._spool.folder} cannot be written: {reason}", "data_dir") from None
            self._pending.extendleft(reversed(left))
            if left:
                self._ready.set()
            self._tasks = [asyncio.create_task(self._kept_up(work)) for work in (self._journal, self._write)]

    async def flush(self) -> None:
        """Wait until every row put so far is in the store, or on disk because the store takes none."""
        if not self._tasks:
            return
        await self._drain(cut=True)
        self._settled.clear()
        self._hurry.set()
        self._ready.set()
        await self._settled.wait()

    async def close(self) -> None:
        """Flush and stop; what the store does not take now, or not in time, stays on disk for the next start."""
        async with self._lock:
            if not self._tasks:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._close_timeout_seconds):
                    await self.flush()
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._append, self._taken(), cut=True)
            homeless = sum(segment.count for segment in self._pending if not segment.is_on_disk)
            if homeless:
                self._lose(homeless)
            self._pending.clear()
            self._is_writing = False
            await asyncio.to_thread(self._spool.close)

    async def _kept_up(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run one of the two tasks. If it ends by itself, that is a fault of ours, and it begins anew."""
        while True:
            try:
                await work()
            except Exception as error:
                self._note_fault(error)
            await asyncio.sleep(self._retry_seconds)
            self._wake.set()
            self._ready.set()

    def _note_fault(self, error: Exception) -> None:
        if not self._is_faulty:
            self._is_faulty = True
            _log.critical("the telemetry sink failed, and goes on: %s", type(error).__name__, exc_info=error)

    # Memory → disk

    async def _journal(self) -> None:
        try:
            while True:
                timeout = None
                if self._current is not None and not self._is_writing:
                    timeout = max(0.0, self._current.started + self._patience - time.monotonic())
                is_due = False
                try:
                    async with asyncio.timeout(timeout):
                        await self._wake.wait()
                        self._wake.clear()
                        # Several rows a system call, several calls a batch.
                        await asyncio.sleep(self._journal_seconds)
                except TimeoutError:
                    is_due = True
                await self._drain(cut=is_due)
        except asyncio.CancelledError:
            # An app without a lifespan is ended like this: what is in memory goes to disk for the next start.
            self._append(self._taken(), cut=True)
            raise

    async def _drain(self, *, cut: bool) -> None:
        """Everything that is in memory goes into the segment; `cut` ends it, so that it is written."""
        async with self._draining:
            rows = self._taken()
            if rows or (cut and self._current is not None):
                # Shielded, since a call that still waits for a thread would be dropped, and the rows with it.
                await asyncio.shield(asyncio.to_thread(self._append, rows, cut=cut))
        if self._pending:
            self._trim()
            self._ready.set()

    def _taken(self) -> list[Row]:
        rows = list(self._queue)
        self._queue.clear()
        return rows

    def _append(self, rows: list[Row], *, cut: bool) -> None:
        with self._disk:
            self._append_locked(rows, cut=cut)

    def _append_locked(self, rows: list[Row], *, cut: bool) -> None:
        try:
            while rows:
                if self._current is None:
                    self._current = self._spool.segment()
                room = self._batch_rows - self._current.count
                misfits = self._current.append(rows[:room])
                rows = rows[room:]
                if misfits:
                    self._reject(misfits)
                if self._current.count >= self._batch_rows:
                    self._cut()
        except Exception:
            self._queue.extendleft(reversed(rows))  # for the next attempt
            raise
        if cut:
            self._cut()

    def _cut(self) -> None:
        segment, self._current = self._current, None
        if segment is not None:
            try:
                segment.cut()
            finally:
                self._pending.append(segment)

    def _trim(self) -> None:
        """Keep the memory bounded: batches that wait are on disk alone, and those that cannot be there are few."""
        homeless = 0
        for segment in list(self._pending):
            if segment.is_on_disk:
                if self.error is not None or len(self._pending) > _OVERFLOW:
                    segment.forget()
            elif homeless + segment.count > self._queue_rows * _OVERFLOW:
                self._pending.remove(segment)
                self._lose(segment.count)
            else:
                homeless += segment.count

    def _overflow(self) -> None:
        """The journal has not come by for long: take the rows to disk here, unless the disk itself is what is slow."""
        if self._tasks and self._disk.acquire(blocking=False):
            try:
                self._append_locked(self._taken(), cut=False)
            except Exception as error:
                self._note_fault(error)
            finally:
                self._disk.release()
        if len(self._queue) > self._queue_rows * _OVERFLOW:
            self._queue.pop()
            self._lose(1)

    def _reject(self, count: int) -> None:
        if not self.rejected:
            _log.error("telemetry rows are rejected: they cannot be written down")
        self.rejected += count

    def _lose(self, count: int) -> None:
        if not self.lost:
            _log.error("telemetry rows are being lost: neither the store nor the disk takes them")
        self.lost += count

    # Disk → store

    async def _write(self) -> None:
        delay = self._retry_seconds
        while True:
            if not self._pending:
                self._is_writing = False
                self._settled.set()
                self._ready.clear()
                if self._current is not None:
                    self._wake.set()  # it may be due by now
                await self._ready.wait()
                continue
            self._is_writing = True
            segment = self._pending[0]
            error = await self._insert(segment)
            if error is None:
                delay = self._retry_seconds
                if self._pending and self._pending[0] is segment:
                    self._pending.popleft()
                continue
            if self.error is None:
                _log.warning("telemetry rows wait on disk: %s", error)
            self.error = error.message
            if not segment.was_refused:
                segment.was_refused = True
                self.spilled += segment.count
            self._settled.set()
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(delay * random.uniform(0.75, 1.25)):
                    await self._hurry.wait()
            delay = min(delay * 2, self._max_retry_seconds)

    async def _insert(self, segment: Segment) -> HelixError | None:
        """None when the segment is done with, else why the store does not take it now."""
        try:
            names, rows = await asyncio.to_thread(segment.read)
        except (OSError, ValueError, TypeError) as error:
            _log.error("telemetry rows in %s cannot be read: %s", segment.path, type(error).__name__)
            await asyncio.to_thread(segment.reject)
            self.rejected += segment.count
            return None
        segment.count = len(rows)
        began = time.monotonic()
        try:
            if rows:
                await self._store.insert(names, rows, segment.token)
        except RowsRejected as error:
            _log.error("%d telemetry rows were rejected: %s", len(rows), error)
            await asyncio.to_thread(segment.reject)
            self.rejected += len(rows)
            return None
        except (BackendUnavailable, ConfigError) as error:
            return error
        except Exception as error:
            # A store that fails in a way of its own may work again; the rows are safe meanwhile.
            self._note_fault(error)
            return BackendUnavailable(f"the store failed ({type(error).__name__})")
        if self.error is not None:
            _log.info("telemetry rows are being written again")
            self.error = None
        self.written += len(rows)
        # An insert costs much by itself and little by the row: where requests are many, fewer and larger batches.
        taken = (time.monotonic() - began) * _INSERT_SHARE
        self._patience = min(max(self._flush_seconds, taken), self._flush_seconds * _MAX_PATIENCE)
        await asyncio.to_thread(self._done, segment)
        return None

    def _done(self, segment: Segment) -> None:
        try:
            segment.remove()
            self._spool.tidy()
        except OSError as error:
            # It will be inserted once more by the next process, under the same token: no harm.
            _log.warning("a telemetry segment that is written cannot be removed: %s", error.strerror)

    def state(self) -> dict[str, Any]:
        """The counters, and what is wrong if something is; for readiness and metrics."""
        return {
            "queued": self.queued,
            "waiting": self.waiting,
            "backlog": self.backlog,
            "written": self.written,
            "spilled": self.spilled,
            "rejected": self.rejected,
            "lost": self.lost,
            "error": self.error,
        }
