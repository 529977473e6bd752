"""Gateways as `build_app` composes them, over real parts: Redis, ClickHouse, Presidio, the embedder, providers.

logs      autouse   every record of every logger; a traceback among them fails the test
clickhouse function a store without rows
echo      function  a provider that speaks every dialect and restates the question; remembers what it was sent
provider  function  a provider that does as it is told (tests/upstream/fakes.py)
start     function  `gateway = await start(cache={...})`: a gateway with these settings; it stops with the test
gateway   function  one with the settings below
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from helix.config import Config
from helix.embed import SentenceTransformerEmbedder
from helix.gateway import Parts, build_app
from helix.redact import PresidioDetector
from helix.telemetry.clickhouse import ClickHouse
from helix.upstream import Router, Upstream
from tests.conftest import Serve
from tests.upstream.conftest import provider, providers
from tests.upstream.fakes import Provider

from .running import MASTER, PROVIDER_KEY, Recorder, Running

__all__ = ["provider", "providers"]

Start = Callable[..., Awaitable[Running]]

# The clients of the tests themselves, which are no part of the gateway.
_CALLERS = ("openai", "anthropic", "httpx", "httpcore")

HELIX: dict[str, dict[str, Any]] = {
    "admit": {"cache_seconds": 0.1},
    "budget": {"limits": [{"name": "everybody", "limit_usd": 100, "window": "total"}]},
    # By chance hits go upstream too, to be checked; what the provider gets is counted here.
    "cache": {"semantic": {"checks": {"share": 0}}},
    "telemetry": {"flush_seconds": 0.05},
}


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[logging.LogRecord]]]:
    """Every record of every logger but the callers' own, at DEBUG."""
    caplog.set_level(logging.DEBUG)
    known = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    before = [(logger, logger.level, logger.propagate) for logger in known]
    for logger in known:
        logger.setLevel(logging.DEBUG)
        logger.propagate = True

    def records() -> list[logging.LogRecord]:
        found = [*caplog.get_records("setup"), *caplog.get_records("call")]
        return [record for record in found if record.name.partition(".")[0] not in _CALLERS]

    yield records
    for logger, level, propagate in before:
        logger.setLevel(level)
        logger.propagate = propagate
    for record in records():
        assert record.exc_info is None or record.levelno < logging.WARNING, record
        assert "Traceback" not in record.getMessage()


@pytest.fixture(scope="package")
def engine(engine_dir: Path) -> Iterator[ClickHouse]:
    """A store that all gateways share: opening one of its own for each would take as long as most of these tests."""
    store = ClickHouse(engine_dir, database="gateways")
    asyncio.run(store.open())
    yield store
    asyncio.run(store.close())


@pytest_asyncio.fixture
async def clickhouse(engine: ClickHouse) -> ClickHouse:
    """The same store, empty."""
    for table in ("requests", "requests_per_minute", "spend_per_day"):
        await engine.query(f"TRUNCATE TABLE {table}")
    return engine


@pytest_asyncio.fixture
async def echo(serve: Serve) -> Recorder:
    """The demo model under two names that have a price, by HTTP."""
    names = ("gpt-4o", "claude-sonnet-4-5")
    models = [{"model_name": name, "litellm_params": {"model": "demo/echo"}} for name in names]
    recorder = Recorder(Upstream(Router(models)))
    recorder.url = await serve(recorder)
    return recorder


@pytest_asyncio.fixture
async def start(
    clickhouse: ClickHouse,
    clean_redis_url: str,
    presidio: PresidioDetector,
    embedder: SentenceTransformerEmbedder,
    provider: Provider,
    echo: Recorder,
    serve: Serve,
    tmp_path: Path,
    logs: Callable[[], list[logging.LogRecord]],
) -> AsyncIterator[Start]:
    """`gateway = await start(cache={...}, parts={...}, router_settings={...})`: parts take the place of the usual."""
    async with AsyncExitStack() as stack:

        async def run(
            *,
            parts: dict[str, Any] | None = None,
            router_settings: dict[str, Any] | None = None,
            models: list[dict[str, Any]] | None = None,
            **helix: Any,
        ) -> Running:
            settings = {name: {**HELIX.get(name, {}), **helix.get(name, {})} for name in {*HELIX, *helix}}
            config = Config.of(
                {
                    "model_list": [
                        deployment("gpt-4o", "openai/gpt-4o", f"{echo.url}/v1"),
                        deployment("claude", "anthropic/claude-sonnet-4-5", echo.url),
                        deployment("faulty-gpt", "openai/gpt-4o", f"{provider.url}/v1"),
                        deployment("faulty-claude", "anthropic/claude-sonnet-4-5", provider.url),
                        *(models or []),
                    ],
                    "router_settings": {"num_retries": 0, **(router_settings or {})},
                    "helix": settings,
                },
                {},
            )
            lent = {
                "redis_url": clean_redis_url,
                "master_key": MASTER,
                "key_secret": "the secret that keys are hashed with",
                "store": clickhouse,
                "spool_dir": tmp_path / "spool",
                "embedder": embedder,
                "detector": presidio,
                **(parts or {}),
            }
            app = build_app(config, Parts(**lent))
            url = await serve(app, log_config=None, log_level="debug", access_log=True)
            clients = [
                await stack.enter_async_context(
                    httpx.AsyncClient(base_url=url, headers=headers, timeout=60.0, trust_env=False)
                )
                for headers in ({}, {"authorization": f"Bearer {MASTER}"})
            ]
            return Running(
                url,
                lent["redis_url"],
                lent["store"],
                lent["spool_dir"],
                logs,
                stack,
                caller=clients[0],
                admin=clients[1],
            )

        yield run


@pytest_asyncio.fixture
async def gateway(start: Start) -> Running:
    """A gateway with everything on."""
    return await start()


def deployment(name: str, model: str, base: str) -> dict[str, Any]:
    """An entry of model_list."""
    params = {"model": model, "api_base": base, "api_key": PROVIDER_KEY}
    return {"model_name": name, "litellm_params": params}
