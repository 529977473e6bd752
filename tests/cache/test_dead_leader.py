"""The process that asks for all is killed in the middle of a stream, or its Redis goes."""

from __future__ import annotations

import asyncio
import sys

import pytest

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.cache.stampede import Sharing
from helix.embedded.redis import EmbeddedRedis

from .conftest import CHAT, Provider, assembled, chat
from .test_stampede import QUESTION, Ear, Slow, settled, start

LEASE_SECONDS = 1.0

# A process whose provider says half of a stream and then nothing, for ever.
LEADER = f"""
import asyncio, sys
from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.cache.stampede import Sharing
from tests.cache.conftest import CHAT, ask, chat
from tests.cache.test_stampede import QUESTION, Slow

async def main():
    slow = Slow()
    store = RedisCacheStore(sys.argv[1], prefix=sys.argv[2], timeout_seconds=30.0)
    app = CacheMiddleware(slow, store=store, mode="exact", stampede=Sharing(lease_seconds={LEASE_SECONDS}))
    asking = asyncio.create_task(ask(app, CHAT, chat(QUESTION, stream=True)))
    await slow.half.wait()
    print("half", flush=True)
    await asking

asyncio.run(main())
"""


async def test_a_leader_that_is_killed(redis_url: str, redis_prefix: str, provider: Provider) -> None:
    """Within its lease the others ask for themselves, once; who had a part of the stream is told that it broke."""
    store = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30.0)
    app = CacheMiddleware(provider, store=store, mode="exact", stampede=Sharing(lease_seconds=LEASE_SECONDS))
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEADER, redis_url, redis_prefix, stdout=asyncio.subprocess.PIPE
    )
    assert leader.stdout is not None
    try:
        assert await leader.stdout.readline() == b"half\n"
        ear = Ear(app, b"It ")
        streaming = start(ear, CHAT, chat(QUESTION, stream=True))
        await ear.heard.wait()
        whole = [start(app, CHAT, chat(QUESTION)) for _ in range(5)]
        await settled()
        assert provider.calls == 0
    finally:
        leader.kill()
        await leader.wait()
    broken = await streaming
    assert assembled(CHAT, broken.events) is None
    assert broken.events[-1].json()["error"]["code"] == "upstream_unreachable"
    assert {reply.json["id"] for reply in await asyncio.gather(*whole)} == {"chatcmpl-answer 1"}
    assert provider.calls == 1
    await app.close()
    await store.flush()
    await store.close()


async def test_redis_goes_in_the_middle(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The process that asks is answered, its own followers too; those of another process ask for themselves."""
    slow = Slow()
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    url = await server.open()
    stores = [RedisCacheStore(url, timeout_seconds=5.0) for _ in range(2)]
    apps = [CacheMiddleware(slow, store=store, mode="exact", stampede=Sharing(lease_seconds=1.0)) for store in stores]
    first = start(apps[0], CHAT, chat(QUESTION))
    await slow.asked.wait()
    near, far = start(apps[0], CHAT, chat(QUESTION)), start(apps[1], CHAT, chat(QUESTION))
    await settled()
    await server.close()
    while slow.calls < 2:
        await settled()
    slow.go.set()
    replies = await asyncio.gather(first, near, far)
    assert [reply.status for reply in replies] == [200] * 3
    assert [reply.cache for reply in replies][:2] == ["miss", "shared"]
    assert slow.calls == 2
    for app, store in zip(apps, stores, strict=True):
        await app.close()
        await store.close()
