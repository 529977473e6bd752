"""ClickHouse as the store of rows: a server by URL, or the same engine in this process (chDB) over a data folder.

All calls go through one thread of the store's own: the driver blocks, and chDB wants one caller at a time.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from helix import __version__
from helix.kernel.errors import BackendUnavailable, ConfigError
from helix.telemetry.row import COLUMNS, Row, RowsRejected

__all__ = ["ClickHouse"]

T = TypeVar("T")

MIGRATIONS = Path(__file__).with_name("migrations")

_SCHEMES = {"http": "http", "https": "https", "clickhouse": "http", "clickhouses": "https"}
_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)
# A batch that one of these refuses would be refused for ever: TYPE_MISMATCH, CANNOT_PARSE_*, TOO_LARGE_STRING_SIZE,
# CANNOT_CONVERT_TYPE, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE, CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN, INCORRECT_DATA.
_REJECTIONS = frozenset((6, 26, 27, 53, 70, 117, 131, 321, 349))

_MISFITS = (ValueError, TypeError, OverflowError, LookupError)  # what the driver raises where a value has no such form

# The batches are made here, so the server's own batching stays off; the token, with the tables' deduplication windows,
# makes an insert that is sent again (by the driver too, when a reply is lost) count once, in the rollups as well.
_INSERT_SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}

_LEDGER = """
CREATE TABLE IF NOT EXISTS helix_migrations
(
    version       UInt32,
    name          String,
    checksum      String,
    helix_version String,
    applied_at    DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY version
"""


class ClickHouse:
    """Stores rows and answers queries; opened by its first use, and then brought up to date by its migrations.

    `target` is a URL (`http[s]://user:password@host:port/database`, or clickhouse[s]://) or the folder of an embedded
    engine, which one process at a time may hold. `max_memory_bytes` caps that engine, not the process around it.
    """

    def __init__(
        self,
        target: str | Path,
        *,
        database: str | None = None,
        max_memory_bytes: int = 512 * 1024 * 1024,
        timeout_seconds: float = 30.0,
        migrate: bool = True,
        migrations: Path = MIGRATIONS,
    ) -> None:
        if max_memory_bytes < 64 * 1024 * 1024:
            raise ValueError(f"max_memory_bytes must be at least 67108864, not {max_memory_bytes}")
        if timeout_seconds <= 0:
            raise ValueError(f"timeout_seconds must be positive, not {timeout_seconds}")
        self._folder: Path | None = None
        self._url = ""
        found = ""
        if isinstance(target, str) and "://" in target:
            parts = urlsplit(target)
            try:
                _ = parts.port
            except ValueError:
                # Python's own words would quote the URL, perhaps its password.
                raise ValueError(
                    "a ClickHouse URL's port must be a number; is a '/' in its password not %2F?"
                ) from None
            if parts.scheme not in _SCHEMES or not parts.hostname:
                raise ValueError(f"a ClickHouse URL is {', '.join(f'{s}://' for s in _SCHEMES)} and a host")
            self._url, found = target, unquote(parts.path.strip("/"))
            self.name = f"ClickHouse at {parts.hostname}"
        else:
            self._folder = Path(target).absolute()
            self.name = f"the embedded ClickHouse in {self._folder}"
        self.database = database or found or "helix"
        self._max_memory_bytes = max_memory_bytes
        self._timeout_seconds = timeout_seconds
        self._migrate_on_open = migrate
        self._migrations = migrations
        self._lock = asyncio.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._client: Any = None

    @property
    def is_embedded(self) -> bool:
        """Whether the engine runs in this process."""
        return self._folder is not None

    async def open(self) -> None:
        """Connect, and migrate. Raises ConfigError (folder in use or not writable), BackendUnavailable."""
        async with self._lock:
            if self._client is not None:
                return
            thread = self._thread = ThreadPoolExecutor(1, thread_name_prefix="helix-clickhouse")
            try:
                self._client = await asyncio.get_running_loop().run_in_executor(thread, self._connect)
            finally:
                if self._client is None:
                    thread.shutdown(wait=False)
                    self._thread = None

    async def close(self) -> None:
        """Let the connection, or the folder, go."""
        async with self._lock:
            client, self._client = self._client, None
            thread, self._thread = self._thread, None
            if thread is not None:
                await asyncio.get_running_loop().run_in_executor(thread, client.close)
                thread.shutdown(wait=False)

    async def ping(self) -> None:
        """Raise BackendUnavailable or ConfigError unless it answers."""
        await self.query("SELECT 1 AS one")

    async def insert(self, names: Sequence[str], rows: Sequence[Row], token: str) -> None:
        """Store rows of the table `requests`, once however often it is called with this token.

        Raises BackendUnavailable, or RowsRejected where the rows do not fit the table.
        """

        def insert(client: Any) -> None:
            client.insert(
                "requests",
                list(zip(*rows, strict=True)),
                column_names=list(names),
                column_type_names=[COLUMNS[name] for name in names],
                column_oriented=True,
                settings={**_INSERT_SETTINGS, "insert_deduplication_token": token},
            )

        if rows:
            await self._run(insert)

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a SELECT, whose `{name:Type}` places are filled by the server. Raises BackendUnavailable."""

        def query(client: Any) -> list[dict[str, Any]]:
            settings = {"max_execution_time": self._timeout_seconds}
            result = client.query(sql, parameters=dict(parameters or {}), settings=settings)
            return list(result.named_results())

        return await self._run(query)

    async def migrate(self) -> list[str]:
        """Apply the migrations that have not been; return their names. Raises ConfigError, BackendUnavailable."""
        return await self._run(self._migrate)

    # Inside

    async def _run(self, call: Callable[[Any], T]) -> T:
        if self._client is None:
            await self.open()
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call, self._client)
        except (ClickHouseError, OSError, *_MISFITS) as error:
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> BackendUnavailable | RowsRejected:
        """What went wrong, by its code: the server's own message may quote values."""
        code = getattr(error, "code", None)
        label = getattr(error, "name", None) or type(error).__name__
        if code in _REJECTIONS or isinstance(error, _MISFITS) or label == "DataError":
            return RowsRejected(f"{self.name} does not take these rows ({label})")
        return BackendUnavailable(f"{self.name} cannot be used now ({label}{f', code {code}' if code else ''})")

    # All of what follows runs in the store's thread.

    def _connect(self) -> Any:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        client = None
        try:
            client = self._connect_embedded() if self._folder is not None else self._connect_server()
            self._use_database(client)
            if self._migrate_on_open:
                self._migrate(client)
        except (ClickHouseError, OSError) as error:
            if client is not None:
                client.close()
            raise self._explained(error) from None
        except ConfigError:
            if client is not None:
                client.close()
            raise
        return client

    def _use_database(self, client: Any) -> None:
        parameters = {"name": self.database}
        known = client.query("SELECT count() FROM system.databases WHERE name = {name:String}", parameters=parameters)
        if not known.result_rows[0][0]:
            client.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", parameters=parameters)
        client.database = self.database

    def _connect_server(self) -> Any:
        import clickhouse_connect

        parts = urlsplit(self._url)
        return clickhouse_connect.get_client(
            interface=_SCHEMES[parts.scheme],
            # The database is set once it is known to exist.
            dsn=parts._replace(path="").geturl(),
            connect_timeout=5,
            send_receive_timeout=self._timeout_seconds,
            autogenerate_session_id=False,
            client_name=f"helix/{__version__}",
        )

    def _connect_embedded(self) -> Any:
        folder = self._folder
        if folder is None:
            raise RuntimeError("this ClickHouse has a URL")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / f".probe.{os.getpid()}"
            probe.touch()
            probe.unlink(missing_ok=True)  # another store of this process may have been quicker
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(f"the folder {folder} cannot be written: {reason}", "data_dir") from None
        _refuse_if_locked(folder)
        try:
            import chdb as _  # noqa: F401  # so that its absence is told from other import errors
            import clickhouse_connect
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"the embedded ClickHouse needs {error.name}: pip install 'helix-gateway[embedded,telemetry]', "
                "or set a ClickHouse URL"
            ) from None
        from clickhouse_connect.driver.exceptions import ProgrammingError

        options = {
            "max_server_memory_usage": self._max_memory_bytes,
            # Its default cache sizes are a server's: gigabytes.
            "mark_cache_size": self._max_memory_bytes // 8,
            "primary_index_cache_size": self._max_memory_bytes // 8,
            "background_pool_size": 2,
        }
        try:
            return clickhouse_connect.get_client(interface="chdb", path=str(folder), chdb_options=options)
        except ProgrammingError:
            _refuse_if_locked(folder)  # somebody else was quicker
            raise ConfigError(
                f"the embedded ClickHouse in {folder} cannot be opened: the folder is damaged, or this process holds "
                "another one already",
                "data_dir",
            ) from None

    def _migrate(self, client: Any) -> list[str]:
        """Each statement is IF NOT EXISTS, so that two processes that migrate at once both succeed."""
        client.command(_LEDGER)
        done = dict(client.query("SELECT version, checksum FROM helix_migrations FINAL").result_rows)
        applied = []
        for file in sorted(self._migrations.glob("[0-9]*.sql")):
            text = file.read_text(encoding="utf-8")
            version, checksum = int(file.name.split("_")[0]), hashlib.sha256(text.encode()).hexdigest()
            if version in done:
                if done[version] != checksum:
                    raise ConfigError(f"the migration {file.name} was changed after it had been applied to {self.name}")
                continue
            for statement in _STATEMENT_END.split(text):
                if _has_sql(statement):
                    client.command(statement)
            client.insert(
                "helix_migrations",
                [[version, file.stem, checksum, __version__]],
                column_names=["version", "name", "checksum", "helix_version"],
            )
            applied.append(file.stem)
        return applied


def _has_sql(statement: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("--") for line in statement.splitlines())


def _refuse_if_locked(folder: Path) -> None:
    """Raise ConfigError where another process holds the engine's lock; the engine itself would only print why."""
    try:
        with (folder / "status").open("r+b") as status:
            try:
                fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                match = re.search(rb"PID: (\d+)", status.read(256))
                pid = int(match.group(1)) if match else None
                if pid != os.getpid():
                    by = f" (pid {pid})" if pid else ""
                    raise ConfigError(f"the folder {folder} is in use by another process{by}", "data_dir") from None
    except FileNotFoundError:
        return
