from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from helix.admit.redis import RedisKeyStore

SECRET = "a secret of this server"


@pytest_asyncio.fixture
async def store(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisKeyStore]:
    """Keys of this test alone."""
    one = RedisKeyStore(redis_url, secret=SECRET, prefix=redis_prefix)
    yield one
    await one.close()
