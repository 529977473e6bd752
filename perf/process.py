"""Servers as child processes: started on a free port, waited for, weighed, and stopped by their own process ids."""

from __future__ import annotations

import http.client
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

__all__ = ["Memory", "Server", "Unavailable", "free_port", "pinned", "tree_of"]

ROOT = Path(__file__).resolve().parent.parent
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_POLL_SECONDS = 0.05
_STOP_SECONDS = 30.0


class Unavailable(Exception):
    """Something that was to be measured cannot be installed or started; the message says why."""


class pinned:
    """While it lasts, processes started from here run on the given CPUs only; on all where there are none."""

    def __init__(self, cpus: Iterable[int] = ()) -> None:
        self._cpus = set(cpus)
        self._before: set[int] = set()

    def __enter__(self) -> None:
        self._before = os.sched_getaffinity(0)
        if self._cpus:
            os.sched_setaffinity(0, self._cpus)

    def __exit__(self, *error: object) -> None:
        os.sched_setaffinity(0, self._before)


class Memory(dict[str, float]):
    """MiB by process name; PSS, so that pages shared between processes count once."""

    @property
    def total(self) -> float:
        """MiB in all."""
        return round(sum(self.values()), 1)


class Server:
    """A server in a process (tree) of its own, used as a context manager. Entering raises Unavailable."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        ready: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cpus: Iterable[int] = (),
        start_seconds: float = 120.0,
    ) -> None:
        self.port = port
        self.started_in_seconds = 0.0
        self._command = list(command)
        self._ready = ready
        self._log = log
        self._environment = dict(os.environ if environment is None else environment)
        self._cpus = tuple(cpus)
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        begun = time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with pinned(self._cpus), self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                    env=self._environment, cwd=ROOT, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"{self._command[0]}: {error.strerror}") from None
        try:
            self._wait(begun)
        except BaseException:
            self.stop()
            raise
        self.started_in_seconds = round(time.monotonic() - begun, 2)
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _wait(self, begun: float) -> None:
        while True:
            if self.process.poll() is not None:
                raise Unavailable(f"it ended with exit code {self.process.returncode}: {self.last_lines()}")
            with suppress(OSError, http.client.HTTPException):
                if 200 <= status_of(self.port, self._ready) < 300:
                    return
            if time.monotonic() - begun > self._start_seconds:
                raise Unavailable(f"not ready within {self._start_seconds:g} s: {self.last_lines()}")
            time.sleep(_POLL_SECONDS)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process at the root of the tree. Raises RuntimeError before it is started."""
        if self._process is None:
            raise RuntimeError("the server is not started")
        return self._process

    def last_lines(self) -> str:
        """The end of what the server printed, on one line."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " | ".join(lines[-2:])[-400:]

    def stop(self) -> None:
        """Ask the process to end, wait, and end by force whatever of its tree is left."""
        if self._process is None:
            return
        tree = tree_of(self._process.pid)
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid, started in tree.items():
            if _Stat(pid).started == started != 0:
                with suppress(ProcessLookupError):
                    ended = os.pidfd_open(pid)
                    try:
                        os.kill(pid, signal.SIGKILL)
                        select.select([ended], [], [], _STOP_SECONDS)
                    finally:
                        os.close(ended)
        self._process = None

    def memory(self) -> Memory:
        """What the tree holds in memory now."""
        found = Memory()
        for pid in tree_of(self.process.pid):
            name = _name(pid)
            found[name] = round(found.get(name, 0.0) + _pss_mib(pid), 1)
        return found

    def rss_mib(self) -> float:
        """The sum of the tree's resident sets; pages shared between processes count several times."""
        pages = 0
        for pid in tree_of(self.process.pid):
            with suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return round(pages * _PAGE_BYTES / 2**20, 1)

    def cpu_seconds(self) -> float:
        """CPU time that the tree's living processes have used so far."""
        return sum(_Stat(pid).cpu_seconds for pid in tree_of(self.process.pid))


class _Stat:
    """The parent, start time and CPU time of a process; zeros for one that is gone."""

    def __init__(self, pid: int) -> None:
        self.parent, self.started, self.cpu_seconds = 0, 0, 0.0
        with suppress(OSError):
            # The name, in parentheses, may itself hold spaces and parentheses.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            self.parent, self.started = int(fields[1]), int(fields[19])
            self.cpu_seconds = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def tree_of(root: int) -> dict[int, int]:
    """The process ids of a process and its descendants, with their start times (a process id may be used again)."""
    stats = {int(entry.name): _Stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    tree, grown = {root}, True
    while grown:
        more = {pid for pid, stat in stats.items() if stat.parent in tree} - tree
        tree |= more
        grown = bool(more)
    return {pid: stats[pid].started for pid in tree if pid in stats}


def free_port() -> int:
    """A TCP port of the loopback that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def status_of(port: int, path: str) -> int:
    """The status of a GET. Raises OSError, http.client.HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"


def _pss_mib(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
