"""One Redis connection whose commands are coalesced: what the requests in flight ask in one tick goes out in one write.

redis-py makes the connection (so URLs, TLS, passwords, Sentinel and unix sockets are its own), hiredis packs and
parses; between them this class pipelines, which costs a fraction of a pooled connection a command.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import deque
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from helix.kernel.errors import BackendUnavailable

__all__ = ["Pipe", "Script", "connect"]

Argument = str | bytes | int | float


def connect(url: str, **options: Any) -> Redis:
    """A redis-py client for a URL (redis://, rediss://, unix://), not connected yet; replies are bytes."""
    options.setdefault("socket_connect_timeout", 2.0)
    return Redis.from_url(url, **options)


class Pipe:
    """Sends commands over one connection of a client's pool, coalesced by tick and matched to replies in order.

    Raises BackendUnavailable from `call` when Redis is gone or slower than `timeout_seconds`; the next call reconnects.
    """

    def __init__(self, client: Redis, *, timeout_seconds: float = 2.0) -> None:
        self._pool: ConnectionPool = client.connection_pool
        self._timeout_seconds = timeout_seconds
        self._waiting: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = []
        self._sent: deque[asyncio.Future[Any]] = deque()
        self._connection: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._flusher: asyncio.Task[None] | None = None

    async def call(self, *command: Argument) -> Any:
        """Send one command and return its reply. Raises BackendUnavailable, redis.ResponseError for a refused one."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await future
        except TimeoutError:
            # Replies come in order, so a slow one means that the connection is lost for those behind it as well.
            self._break(BackendUnavailable(f"Redis did not answer within {self._timeout_seconds:g} s"))
            raise BackendUnavailable(f"Redis did not answer within {self._timeout_seconds:g} s") from None

    async def close(self) -> None:
        """Give the connection back; calls in flight end with BackendUnavailable."""
        self._break(BackendUnavailable("the connection to Redis was closed"))
        for task in (self._flusher, self._reader):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._flusher = self._reader = None

    async def _flush(self) -> None:
        try:
            while self._waiting:
                if self._connection is None:
                    self._connection = await self._open()
                batch, self._waiting = self._waiting, []
                live = [(command, future) for command, future in batch if not future.done()]
                self._sent.extend(future for _, future in live)
                await self._connection.send_packed_command(self._connection.pack_commands([c for c, _ in live]), False)
        except (RedisError, OSError, TimeoutError, AttributeError):
            # An AttributeError is how redis-py meets a connection that `_break` closed while it was writing.
            self._break(BackendUnavailable("Redis cannot be reached"))
        finally:
            self._flusher = None

    async def _open(self) -> Any:
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        if self._reader is not None:
            self._reader.cancel()
        self._reader = asyncio.create_task(self._read(connection))
        return connection

    async def _read(self, connection: Any) -> None:
        try:
            while True:
                # Reads while nothing is asked too, so that an idle connection's end is seen, and not by the next call.
                try:
                    reply = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
                except ResponseError as error:
                    reply = error
                if not self._sent:
                    continue
                future = self._sent.popleft()
                if future.done():
                    continue
                if isinstance(reply, Exception):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        except (RedisError, OSError, EOFError):
            self._break(BackendUnavailable("the connection to Redis broke"))

    def _break(self, error: BackendUnavailable) -> None:
        connection, self._connection = self._connection, None
        waiting, self._waiting = self._waiting, []
        for future in [*self._sent, *(future for _, future in waiting)]:
            if not future.done():
                future.set_exception(error)
        self._sent.clear()
        if connection is not None:
            reader = self._reader
            if reader is not None and reader is not asyncio.current_task():
                reader.cancel()
            self._reader = None
            # Closing politely would wait for the very peer that does not answer.
            connection._close()


class Script:
    """A Lua script, sent by its digest and loaded when Redis does not know it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def run(self, pipe: Pipe, keys: list[str], arguments: list[Argument]) -> Any:
        """Run it. Raises BackendUnavailable, redis.ResponseError."""
        try:
            return await pipe.call("EVALSHA", self._digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await pipe.call("EVAL", self._source, len(keys), *keys, *arguments)

    async def load(self, pipe: Pipe) -> None:
        """Make it known beforehand, so that the first `run` costs one round trip as well. Raises like `run`."""
        await pipe.call("SCRIPT", "LOAD", self._source)
