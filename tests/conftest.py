"""What tests stand on: a real Redis (one server a session) and real HTTP servers.

redis_url        session   URL of a Redis with search that all tests share: use keys nobody else uses
clean_redis_url  function  the same server, emptied before the test
redis_prefix     function  a key prefix of this test alone
serve            function  `base_url = await serve(app)`: any ASGI app on a real server, lifespan on, in this loop
engine_dir       session   the folder of the embedded ClickHouse that all tests share
clickhouse       function  a store of that engine, with a database of this test alone
presidio         session   the real detector, loaded once
embedder         session   the real embedding model, loaded once
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn

from helix.embed import SentenceTransformerEmbedder
from helix.embedded.redis import EmbeddedRedis
from helix.redact import PresidioDetector
from helix.telemetry.clickhouse import ClickHouse

# Before anything of Hugging Face is imported: no test downloads a model.
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Serve = Callable[..., Awaitable[str]]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test downloads a model, even one that clears the environment."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The unix:// URL of a real Redis with search; started by the first test that asks, stopped with the session."""
    folder = tempfile.mkdtemp(prefix="hx-")  # short: a socket's path has a limit
    server = EmbeddedRedis(folder)
    # In a thread of its own, since a session's fixture must not depend on any test's event loop.
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(asyncio.run, server.open()).result()
        thread.submit(asyncio.run, server.close()).result()
    shutil.rmtree(folder)


@pytest_asyncio.fixture
async def clean_redis_url(redis_url: str) -> str:
    """The session's Redis, with no key and no index in it."""
    from redis.asyncio import Redis

    client = Redis.from_url(redis_url)
    await client.flushall()
    await client.aclose()
    return redis_url


@pytest.fixture
def redis_prefix() -> str:
    """A prefix for the keys of this test alone."""
    return f"test:{secrets.token_hex(6)}:"


class _Server(uvicorn.Server):
    """A uvicorn that says when it is ready, and leaves the signals to pytest."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Run ASGI apps on real servers: `base_url = await serve(app)`; they stop, lifespan included, with the test."""
    running: list[tuple[_Server, asyncio.Task[None]]] = []

    async def start(app: Any, **options: Any) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,
            **{
                "lifespan": "on",
                "ws": "none",
                "log_level": "critical",  # uvicorn reports a request that is cut off at the test's end as an error
                "access_log": False,
                "timeout_graceful_shutdown": 0,  # a test's open stream must not hold its end up
                **options,
            },
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve([listener]))
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if task.done():
            listener.close()
            task.result()
            raise RuntimeError("the app failed to start")
        running.append((server, task))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, _ in running:
        server.should_exit = True
    await asyncio.gather(*(task for _, task in running))


@pytest.fixture(scope="session")
def engine_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the session's engine: a process may have one open at a time."""
    return tmp_path_factory.mktemp("clickhouse")


@pytest_asyncio.fixture
async def clickhouse(engine_dir: Path) -> AsyncIterator[ClickHouse]:
    """A store with a database of this test's own."""
    store = ClickHouse(engine_dir, database=f"t_{secrets.token_hex(6)}")
    yield store
    await store.close()


@pytest.fixture(scope="session")
def presidio() -> Iterator[PresidioDetector]:
    """The real detector with its default kinds, open."""
    detector = PresidioDetector()
    asyncio.run(detector.open())
    yield detector
    asyncio.run(detector.close())


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentenceTransformerEmbedder]:
    """The real model, loaded once."""
    opened = SentenceTransformerEmbedder(cache_dir=tmp_path_factory.mktemp("models"))
    asyncio.run(opened.open())
    yield opened
    asyncio.run(opened.close())
