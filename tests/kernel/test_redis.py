from __future__ import annotations

import asyncio
import datetime
import gc
import secrets
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ResponseError

from helix.embedded.redis import EmbeddedRedis
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Pipe, Script, connect


@pytest_asyncio.fixture
async def pipe(redis_url: str) -> AsyncIterator[Pipe]:
    client = connect(redis_url)
    pipe = Pipe(client)
    yield pipe
    await pipe.close()
    await client.aclose()


@pytest_asyncio.fixture
async def own_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedRedis]:
    """A Redis of this test alone, to stop and start."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("r"))
    await server.open()
    yield server
    await server.close()


class Peer:
    """A server that notes what arrives and replies what it is told, for what a real Redis does not do on demand."""

    def __init__(self, replies: list[bytes]) -> None:
        self.replies = replies
        self.chunks: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        while chunk := await reader.read(65536):
            if b"HELLO" in chunk or b"CLIENT" in chunk:
                # What redis-py says first: let it have its way.
                writer.write(b"+OK\r\n" * chunk.count(b"*"))
                continue
            self.chunks.append(chunk)
            if self.replies:
                writer.write(self.replies.pop(0))
        writer.close()


@pytest_asyncio.fixture
async def peer(tmp_path: Path) -> AsyncIterator[tuple[Peer, Redis]]:
    peer = Peer([])
    folder = Path("/tmp") / f"hxp-{secrets.token_hex(4)}"
    server = await asyncio.start_unix_server(peer.serve, folder)
    client = connect(f"unix://{folder}?protocol=2")
    yield peer, client
    await client.aclose()
    for writer in peer.writers:
        writer.close()
    server.close()
    folder.unlink(missing_ok=True)


async def test_replies_come_in_the_order_of_the_calls(pipe: Pipe, redis_prefix: str) -> None:
    """A thousand at once, of every type that a reply may have."""
    calls = [pipe.call("ECHO", f"{at}") for at in range(1000)]
    assert await asyncio.gather(*calls) == [b"%d" % at for at in range(1000)]
    assert await pipe.call("SET", redis_prefix + "a", b"\x00\xff\r\n") in (b"OK", "OK")
    assert await pipe.call("GET", redis_prefix + "a") == b"\x00\xff\r\n"
    assert await pipe.call("GET", redis_prefix + "none") is None
    assert await pipe.call("INCRBYFLOAT", redis_prefix + "f", 1.5) == b"1.5"
    assert await pipe.call("INCRBY", redis_prefix + "n", 7) == 7
    assert await pipe.call("RPUSH", redis_prefix + "l", "x", 1, 2.5) == 3
    assert await pipe.call("LRANGE", redis_prefix + "l", 0, -1) == [b"x", b"1", b"2.5"]


async def test_calls_of_one_tick_go_out_in_one_write(peer: tuple[Peer, Redis]) -> None:
    other, client = peer
    pipe = Pipe(client)
    other.replies = [b"+1\r\n", b"+1\r\n+2\r\n+3\r\n"]
    await pipe.call("PING")
    assert len(await asyncio.gather(*(pipe.call("ECHO", text) for text in "abc"))) == 3
    assert len(other.chunks) == 2
    assert other.chunks[1].count(b"ECHO") == 3
    assert other.connections == 1
    await pipe.close()


async def test_a_large_value_passes_both_ways(pipe: Pipe, redis_prefix: str) -> None:
    """Larger than any buffer between."""
    value = secrets.token_bytes(8 * 1024 * 1024)
    await pipe.call("SET", redis_prefix + "big", value)
    assert await pipe.call("GET", redis_prefix + "big") == value


async def test_a_refused_command_fails_alone(pipe: Pipe) -> None:
    results = await asyncio.gather(
        pipe.call("ECHO", "a"), pipe.call("NOSUCHCOMMAND"), pipe.call("ECHO", "b"), return_exceptions=True
    )
    assert results[0] == b"a"
    assert isinstance(results[1], ResponseError)
    assert results[2] == b"b"


async def test_an_argument_that_cannot_be_sent_fails_alone(pipe: Pipe) -> None:
    with pytest.raises(TypeError):
        await pipe.call("ECHO", None)  # type: ignore[arg-type]
    assert await pipe.call("ECHO", "a") == b"a"


async def test_a_caller_who_leaves_does_not_shift_the_replies(pipe: Pipe) -> None:
    """Neither before its command is sent, nor when it is in flight."""
    await pipe.call("PING")
    before = asyncio.create_task(pipe.call("ECHO", "left at once"))
    after = asyncio.create_task(pipe.call("ECHO", "left in flight"))
    staying = asyncio.create_task(pipe.call("ECHO", "stays"))
    await asyncio.sleep(0)
    before.cancel()
    await asyncio.sleep(0)
    after.cancel()
    assert await staying == b"stays"
    assert await pipe.call("ECHO", "next") == b"next"
    for task in (before, after):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_script_is_sent_whole_only_when_redis_does_not_know_it(pipe: Pipe, redis_prefix: str) -> None:
    source = f"return redis.call('INCRBY', KEYS[1], ARGV[1]) -- {secrets.token_hex(8)}"
    script = Script(source)
    key = redis_prefix + "n"
    assert await script.run(pipe, [key], [2]) == 2
    digest = await pipe.call("SCRIPT", "LOAD", source)
    assert await pipe.call("SCRIPT", "EXISTS", digest) == [1]
    assert await script.run(pipe, [key], [3]) == 5
    loaded = Script(source + " again")
    await loaded.load(pipe)
    assert await loaded.run(pipe, [key], [1]) == 6


async def test_a_scripts_own_error_is_the_callers(pipe: Pipe) -> None:
    with pytest.raises(ResponseError, match="on purpose"):
        await Script("return redis.error_reply('ERR on purpose')").run(pipe, [], [])


async def test_the_next_call_reconnects_after_the_server_came_back(own_redis: EmbeddedRedis) -> None:
    """While it is gone, calls fail at once; an idle connection's end costs no call."""
    client = connect(own_redis.url)
    pipe = Pipe(client, timeout_seconds=5)
    assert await pipe.call("SET", "a", 1)
    await own_redis.close()
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            await pipe.call("GET", "a")
    await own_redis.open()
    assert await asyncio.gather(*(pipe.call("GET", "a") for _ in range(20))) == [b"1"] * 20
    await own_redis.close()
    await own_redis.open()
    assert await pipe.call("GET", "a") == b"1"
    await pipe.close()
    await client.aclose()


async def test_what_is_in_flight_when_the_connection_breaks_fails(own_redis: EmbeddedRedis) -> None:
    client = connect(own_redis.url)
    pipe = Pipe(client, timeout_seconds=20)
    await pipe.call("PING")
    waiting = [asyncio.create_task(pipe.call("BLPOP", "nothing", 0)) for _ in range(3)]
    await asyncio.sleep(0)
    await own_redis.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [BackendUnavailable] * 3
    await pipe.close()
    await client.aclose()


async def test_a_server_that_does_not_answer_is_unavailable_in_time(own_redis: EmbeddedRedis) -> None:
    """Those behind the slow command fail with it; the next call has a connection of its own."""
    client = connect(own_redis.url)
    pipe = Pipe(client, timeout_seconds=0.05)
    slow = [pipe.call("BLPOP", "nothing", 0), pipe.call("ECHO", "behind")]
    results = await asyncio.gather(*slow, return_exceptions=True)
    assert [str(result) for result in results] == ["Redis did not answer within 0.05 s"] * 2
    pipe._timeout_seconds = 20
    assert await pipe.call("ECHO", "next") == b"next"
    await pipe.close()
    await client.aclose()


async def test_the_clock_runs_for_the_oldest_call_in_flight(peer: tuple[Peer, Redis]) -> None:
    """Calls that are answered do not keep a hanging one alive, and answered ones leave no clock that breaks later."""
    other, client = peer
    pipe = Pipe(client, timeout_seconds=0.05)
    other.replies = [b"+1\r\n"]
    await pipe.call("ECHO", "a")
    with pytest.raises(BackendUnavailable, match="did not answer"):
        await pipe.call("ECHO", "b")
    other.replies = [b"+2\r\n", b"+3\r\n"]
    await pipe.call("ECHO", "c")
    await asyncio.sleep(0.06)  # the clock of "c" goes off, with nothing in flight
    await pipe.call("ECHO", "d")
    assert other.connections == 2
    await pipe.close()


async def test_a_server_that_never_greets_is_unavailable_in_time(tmp_path: Path) -> None:
    """Connecting is part of the time-out."""
    silent: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    path = Path("/tmp") / f"hxs-{secrets.token_hex(4)}"
    server = await asyncio.start_unix_server(serve, path)
    client = connect(f"unix://{path}")
    pipe = Pipe(client, timeout_seconds=0.05)
    results = await asyncio.gather(*(pipe.call("PING") for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["Redis cannot be reached (TimeoutError)"] * 3
    assert len(silent) == 1
    await pipe.close()
    await client.aclose()
    for writer in silent:
        writer.close()
    server.close()
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "not ready"),
        (b"-READONLY You can't write against a read only replica.\r\n", "not ready"),
        (b"what is this\r\n", "not its protocol"),
    ],
)
async def test_a_server_that_is_not_ready_is_unavailable(peer: tuple[Peer, Redis], reply: bytes, message: str) -> None:
    other, client = peer
    pipe = Pipe(client)
    other.replies = [reply, b"+1\r\n"]
    with pytest.raises(BackendUnavailable, match=message):
        await pipe.call("ECHO", "a")
    other.replies = [b"+1\r\n"]
    assert await pipe.call("ECHO", "b") in (b"1", "1")
    await pipe.close()


async def test_a_reply_that_nobody_asked_for_ends_the_connection(peer: tuple[Peer, Redis]) -> None:
    """Else every later reply would go to the wrong call."""
    other, client = peer
    pipe = Pipe(client)
    other.replies = [b"+1\r\n+2\r\n", b"+3\r\n"]
    await pipe.call("ECHO", "a")
    assert await pipe.call("ECHO", "b") in (b"3", "3")
    assert other.connections == 2
    await pipe.close()


async def test_nobody_listens(tmp_path: Path) -> None:
    client = connect(f"unix://{tmp_path}/none.sock")
    pipe = Pipe(client)
    with pytest.raises(BackendUnavailable, match=r"cannot be reached \(ConnectionError\)"):
        await pipe.call("PING")
    await pipe.close()
    await client.aclose()


async def test_closing_fails_what_waits_and_a_later_call_opens_anew(pipe: Pipe) -> None:
    await pipe.call("PING")
    waiting = asyncio.create_task(pipe.call("BLPOP", "nothing", 0))
    connecting = Pipe(connect("redis://127.0.0.1:1"))
    early = asyncio.create_task(connecting.call("PING"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await pipe.close()
    await connecting.close()
    with pytest.raises(BackendUnavailable, match="closed"):
        await waiting
    with pytest.raises(BackendUnavailable, match=r"closed|cannot be reached"):
        await early
    assert await pipe.call("ECHO", "again") == b"again"


def test_a_pipe_outlives_its_event_loop(redis_url: str) -> None:
    """An app may be started twice in one process, even where the first start was not ended properly."""
    pipe = Pipe(connect(redis_url))

    async def call(*, close: bool) -> Any:
        reply = await pipe.call("ECHO", "a")
        if close:
            await pipe.close()
        return reply

    def start(*, close: bool) -> Any:
        reply = asyncio.run(call(close=close))
        gc.collect()
        return reply

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the connection that was left open
        assert [start(close=False), start(close=True), start(close=True)] == [b"a"] * 3
        asyncio.run(pipe.close())


async def test_a_password_is_given(own_redis: EmbeddedRedis) -> None:
    client = connect(own_redis.url)
    await client.config_set("requirepass", "hunter2")
    await client.aclose()
    client = connect(own_redis.url.replace("unix://", "unix://:hunter2@"))
    pipe = Pipe(client)
    assert await pipe.call("ECHO", "a") == b"a"
    await pipe.close()
    wrong = connect(own_redis.url.replace("unix://", "unix://:guess@"))
    refused = Pipe(wrong)
    with pytest.raises(BackendUnavailable) as caught:
        await refused.call("PING")
    assert "guess" not in str(caught.value)
    assert "Authentication" in str(caught.value)
    await client.config_set("requirepass", "")
    await client.aclose()
    await wrong.aclose()


def _certificate(folder: Path) -> tuple[Path, Path]:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret


async def test_tls_is_redis_pys_own(redis_url: str, tmp_path: Path) -> None:
    """The pipe takes over a transport whatever it is made of."""
    certificate, secret = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    relays: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(redis_url.removeprefix("unix://"))

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while chunk := await source.read(65536):
                target.write(chunk)
            target.close()

        for pair in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(copy(*pair))
            relays.add(task)

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    client = connect(f"rediss://localhost:{port}", ssl_ca_certs=str(certificate))
    pipe = Pipe(client)
    value = secrets.token_bytes(300_000)
    assert await asyncio.gather(*(pipe.call("ECHO", value) for _ in range(5))) == [value] * 5
    await pipe.close()
    await client.aclose()
    server.close()
    await asyncio.gather(*relays, return_exceptions=True)


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A master and its Sentinel; their ports."""
    binary = next(EmbeddedRedis(tmp_path)._builds()).server
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {ports[1]}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {ports[0]} 1\n")
    quiet: Any = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    master = subprocess.Popen([binary, "--port", str(ports[0]), "--bind", "127.0.0.1", "--save", ""], **quiet)
    watcher = subprocess.Popen([binary, str(config), "--sentinel"], **quiet)
    yield ports[0], ports[1]
    for process in (watcher, master):
        process.terminate()
        process.wait()


async def test_a_master_is_found_by_sentinel(sentinel: tuple[int, int]) -> None:
    master, port = sentinel
    manager: Any = Sentinel([("127.0.0.1", port)])  # type: ignore[no-untyped-call]
    client = manager.master_for("main")
    pipe = Pipe(client, timeout_seconds=5)
    for _ in range(500):
        try:
            settings = await pipe.call("CONFIG", "GET", "port")
            break
        except BackendUnavailable:
            await asyncio.sleep(0.02)  # the two servers are starting
    assert str(master).encode() in (settings.values() if isinstance(settings, dict) else settings)
    await pipe.close()
    await client.aclose()
    for other in manager.sentinels:
        await other.aclose()
