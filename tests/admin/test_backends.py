"""/helix/budgets, /helix/cache and /helix/redact over the real backends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import pytest
import pytest_asyncio

from helix.budget.redis import RedisLedger
from helix.cache.contents import CacheContents
from helix.cache.redis import RedisCacheStore
from helix.kernel.types import Entry, Limit, Money
from helix.redact.explain import explain
from helix.redact.policy import Policy
from helix.redact.presidio import PresidioDetector

from .conftest import Api


@pytest_asyncio.fixture
async def ledger(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger(redis_url, prefix=redis_prefix)
    yield ledger
    await ledger.close()


@pytest_asyncio.fixture
async def cache(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisCacheStore]:
    cache = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=5)
    yield cache
    await cache.close()


async def test_budgets_tell_what_is_used_reserved_and_left(api: Api, ledger: RedisLedger) -> None:
    """One that is partly spent, with a request in flight; and when its window ends."""
    everybody = Limit("everybody", "month", Money.from_usd(10), "everybody")
    settled = await ledger.reserve("r1", [everybody], Money.from_usd(3))
    await ledger.settle(settled, Money.from_usd(1.5))
    await ledger.reserve("r2", [everybody], Money.from_usd(2))
    for_ever = Limit("everybody", "total", Money.from_usd(100), "everybody")
    reply = await (await api(ledger=ledger, limits=[everybody, for_ever])).get("/helix/budgets")
    assert reply.status_code == 200, reply.text
    month, total = reply.json()["data"]
    resets_at = datetime.fromisoformat(month.pop("resets_at"))
    assert month == {
        "scope": "everybody",
        "name": "everybody",
        "window": "month",
        "limit_usd": 10.0,
        "used_usd": 1.5,
        "reserved_usd": 2.0,
        "remaining_usd": 6.5,
    }
    assert resets_at > datetime.now(UTC)
    assert (resets_at.day, resets_at.hour, resets_at.minute) == (1, 0, 0)
    assert total["resets_at"] is None


async def _store(cache: RedisCacheStore, key: str, namespace: str = "") -> None:
    name = f"{namespace}:{key}" if namespace else key
    entry = Entry(name, "chat", "m", b'{"choices": []}', time.time(), namespace=namespace)
    await cache.put(name, entry, ttl_seconds=60)


async def test_the_cache_is_counted_and_flushed_part_by_part(api: Api, cache: RedisCacheStore) -> None:
    """By entry, by namespace, and everything only where that is said."""
    ids = [f"{number:040x}" for number in range(5)]
    for id in ids[:3]:
        await _store(cache, id)
    for id in ids[3:]:
        await _store(cache, id, "faq")
    client = await api(cache=CacheContents(cache.catalog))
    told = (await client.get("/helix/cache")).json()
    assert told["entries"] == 5
    assert {one["namespace"]: one["entries"] for one in told["namespaces"]} == {"": 3, "faq": 2}
    assert (await client.delete("/helix/cache", params={"entry": ids[0]})).json() == {"removed": 1, "dry_run": False}
    assert (await client.delete("/helix/cache?namespace=faq")).json() == {"removed": 2, "dry_run": False}
    assert (await client.delete("/helix/cache?namespace=faq")).json() == {"removed": 0, "dry_run": False}
    assert (await client.delete("/helix/cache?all=true")).json() == {"removed": 2, "dry_run": False}
    assert (await client.get("/helix/cache")).json()["entries"] == 0


@pytest.mark.parametrize("query", ["", "?all=false", "?entry=", "?all=true&namespace=faq", "?entry=a&namespace=b"])
async def test_what_to_flush_must_be_said_by_exactly_one_parameter(
    api: Api, cache: RedisCacheStore, query: str
) -> None:
    """A request that names nothing, or two things, removes nothing."""
    await _store(cache, "0" * 40)
    client = await api(cache=CacheContents(cache.catalog))
    reply = await client.delete(f"/helix/cache{query}")
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert (await client.get("/helix/cache")).json()["entries"] == 1


async def test_redact_tells_what_was_found_and_why_without_the_values(api: Api) -> None:
    """The redacted text, and for each span its place, kind, score, recognizer, and what was done."""
    detector = PresidioDetector(entities=("EMAIL_ADDRESS", "US_SSN"))
    await detector.open()  # loading is not what is asked for, and takes longer than the client waits
    policy = Policy({"EMAIL_ADDRESS": "placeholder", "US_SSN": "block"})
    client = await api(redact=partial(explain, detector, policy=policy))
    text = "Write to ada@example.com, my SSN is 536-90-4399."
    reply = await client.post("/helix/redact", json={"text": text})
    assert reply.status_code == 200, reply.text
    assert "ada@example.com" not in reply.text
    assert "536-90-4399" not in reply.text
    told = reply.json()
    assert told["blocked"] is True
    email = next(span for span in told["spans"] if span["kind"] == "EMAIL_ADDRESS")
    assert text[email["start"] : email["end"]] == "ada@example.com"
    assert email["action"] == "placeholder"
    assert email["replacement"] in told["text"]
    assert email["recognizer"]
    assert email["reason"] is not None
    assert 0 < email["score"] <= 1
