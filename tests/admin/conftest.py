"""The administration API on a real server, over whichever backends a test gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest_asyncio

from helix import admin
from helix.kernel.errors import Unauthenticated
from helix.kernel.exchange import credential_of
from helix.kernel.types import Principal, Scope

MASTER = "sk-hx-master-of-the-test"
CALLER = "sk-hx-caller-of-the-test"

Api = Callable[..., Awaitable[httpx.AsyncClient]]


async def authorize(scope: Scope) -> Principal:
    """Know the master key and one that is no administrator's."""
    credential = credential_of(scope)
    if credential == MASTER:
        return Principal("master", is_admin=True)
    if credential == CALLER:
        return Principal("k_caller")
    raise Unauthenticated("the API key is not known")


@pytest_asyncio.fixture
async def api(serve: Callable[..., Awaitable[str]]) -> AsyncIterator[Api]:
    """`client = await api(keys=..., ledger=...)`: a client with the master key."""
    async with AsyncExitStack() as stack:

        async def start(**backends: Any) -> httpx.AsyncClient:
            base_url = await serve(admin.build(authorize=authorize, **backends))
            headers = {"authorization": f"Bearer {MASTER}"}
            return await stack.enter_async_context(
                httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False, timeout=60.0)
            )

        yield start
