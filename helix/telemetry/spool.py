"""Rows on disk until they are in the store: a folder of segments, one file a batch, each with its insert's token.

    spool/<owner>/lock               locked while the owner lives
    spool/<owner>/<token>.jsonl      names of the columns, then one row a line
    spool/<owner>/<token>.rejected   what the store refuses for good, for somebody to look at

A process that dies leaves its folder; the next one to open the spool takes it over. What has been written survives a
kill of the process; a power failure may take the last seconds, since nothing waits for the disk.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from helix.telemetry.row import COLUMNS, NAMES, Row

__all__ = ["Segment", "Spool"]

_LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


@dataclass(slots=True)
class Segment:
    """A batch: its token, its rows while they are in memory, and its file while it has one."""

    token: str
    rows: list[Row] = field(default_factory=list)
    count: int = 0
    path: Path | None = None
    descriptor: int | None = None
    is_on_disk: bool = False
    """Whether the file holds every row, so that they need not stay in memory."""
    was_refused: bool = False
    started: float = field(default_factory=time.monotonic)

    def append(self, rows: Sequence[Row]) -> int:
        """Take rows in, on disk as far as it lets; return how many cannot be taken, since they have no JSON form."""
        given = len(rows)
        try:
            lines = [orjson.dumps(row, option=_LINE) for row in rows]
        except TypeError:
            rows, lines = _encodable(rows)
        self.rows.extend(rows)
        self.count += len(rows)
        if self.descriptor is not None and self.is_on_disk:
            self._append_on_disk(self.descriptor, b"".join(lines))
        return given - len(rows)

    def _append_on_disk(self, descriptor: int, data: bytes) -> None:
        try:
            _write(descriptor, data)
        except OSError:
            self.is_on_disk = False  # the file holds a part; the memory has it all

    def cut(self) -> None:
        """Take no more rows: from here on the batch is what its token stands for."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def forget(self) -> None:
        """Keep the rows on disk alone, if they are there."""
        if self.is_on_disk:
            self.rows = []

    def read(self) -> tuple[Sequence[str], list[Row]]:
        """Names and rows, from memory or from disk. Raises OSError, ValueError, TypeError where the file is damaged.

        A last line that a kill cut short is left out; so are columns that this version does not know.
        """
        in_memory = self.rows  # `forget` may come from another thread
        if in_memory or self.path is None:
            return NAMES, in_memory
        lines = self.path.read_bytes().split(b"\n")
        if len(lines) < 2:
            return NAMES, []  # killed before there was anything in it
        names = orjson.loads(lines[0])
        rows = [tuple(orjson.loads(line)) for line in lines[1:-1]]
        if any(len(row) != len(names) for row in rows):
            raise ValueError("a row does not have as many values as there are columns")
        known = [index for index, name in enumerate(names) if name in COLUMNS]
        if len(known) < len(names):
            rows = [tuple(row[index] for index in known) for row in rows]
        return [names[index] for index in known], rows

    def remove(self) -> None:
        """The rows are in the store."""
        self.cut()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def reject(self) -> None:
        """The store will never take the rows: keep the file aside."""
        self.cut()
        if self.path is not None and self.is_on_disk:
            self.path.rename(self.path.with_suffix(".rejected"))


class Spool:
    """The folder of one process, and those that dead ones left. Every method may raise OSError and blocks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: Path | None = None
        self._locks: dict[Path, IO[bytes]] = {}

    def open(self) -> list[Segment]:
        """Claim a folder, and return what dead processes left, oldest first."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        left: list[Segment] = []
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            if not folder.name.startswith(".") and self._claim(folder):
                left += [Segment(file.stem, path=file, is_on_disk=True) for file in folder.glob("*.jsonl")]
        self.tidy()
        # Locked before others can see it, or one of them might take it for a dead one's.
        name = f"{time.time_ns():016x}-{os.getpid()}"
        draft, own = self.folder / f".{name}", self.folder / name
        draft.mkdir(mode=0o700)
        self._claim(draft)
        draft.rename(own)
        self._locks[own] = self._locks.pop(draft)
        self._own = own
        return sorted(left, key=lambda segment: segment.token)

    def segment(self) -> Segment:
        """A new segment; one of memory alone where the disk takes no more."""
        segment = Segment(f"{time.time_ns():016x}-{secrets.token_hex(4)}")
        if self._own is None:
            return segment
        try:
            segment.path = self._own / f"{segment.token}.jsonl"
            segment.descriptor = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            _write(segment.descriptor, orjson.dumps(NAMES, option=_LINE))
            segment.is_on_disk = True
        except OSError:
            segment.cut()
        return segment

    def tidy(self) -> None:
        """Remove the folders of the dead that hold nothing any more."""
        for folder in [folder for folder in self._locks if folder != self._own]:
            self._release(folder, only_if_done=True)

    def close(self) -> None:
        """Let the folders go; what they hold is for the next process."""
        for folder in list(self._locks):
            self._release(folder)
        self._own = None

    def _claim(self, folder: Path) -> bool:
        try:
            lock = (folder / "lock").open("ab")
        except FileNotFoundError:
            return False  # whoever had it has just removed it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = (folder / "lock").exists()
        except BlockingIOError:
            is_ours = False
        if not is_ours:
            lock.close()
            return False
        self._locks[folder] = lock
        return True

    def _release(self, folder: Path, *, only_if_done: bool = False) -> None:
        rest = [path for path in folder.iterdir() if path.name != "lock"]
        if only_if_done and any(path.suffix == ".jsonl" for path in rest):
            return
        if not rest:
            shutil.rmtree(folder)  # while the lock is held, so that nobody claims it meanwhile
        self._locks.pop(folder).close()


def _encodable(rows: Sequence[Row]) -> tuple[list[Row], list[bytes]]:
    """The rows that have a JSON form, and their lines."""
    taken, lines = [], []
    for row in rows:
        try:
            lines.append(orjson.dumps(row, option=_LINE))
        except TypeError:
            continue  # the caller counts it
        taken.append(row)
    return taken, lines


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
