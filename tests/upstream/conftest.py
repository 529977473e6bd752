"""Providers on loopback, and gateways in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest_asyncio
from aiohttp import web

from helix.upstream import Router, Upstream

from .fakes import Provider


@pytest_asyncio.fixture
async def providers() -> AsyncIterator[Callable[[], Awaitable[Provider]]]:
    """`provider = await providers()`: a provider on loopback, at `provider.url`; stopped with the test."""
    running: list[web.AppRunner] = []

    async def start() -> Provider:
        provider = Provider()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", provider.handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        running.append(runner)
        provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return provider

    yield start
    for runner in running:
        await runner.cleanup()


@pytest_asyncio.fixture
async def provider(providers: Callable[[], Awaitable[Provider]]) -> Provider:
    """One provider on loopback."""
    return await providers()


Gateway = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest_asyncio.fixture
async def gateway(serve: Any) -> AsyncIterator[Gateway]:
    """`client = await gateway(model_list, router_settings)`: an HTTP client of a real server with only the upstream."""
    clients: list[httpx.AsyncClient] = []

    async def start(
        model_list: list[dict[str, Any]], router_settings: dict[str, Any] | None = None, **options: Any
    ) -> httpx.AsyncClient:
        url = await serve(Upstream(Router(model_list, router_settings, **options)))
        client = httpx.AsyncClient(base_url=url, timeout=20.0, trust_env=False)
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.aclose()
