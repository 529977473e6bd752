"""The OpenAPI document says what the API does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from starlette.routing import Route

from helix import __version__, admin
from helix.admit.redis import RedisKeyStore
from helix.budget.redis import RedisLedger
from helix.cache import CacheMiddleware
from helix.cache.contents import CacheContents
from helix.cache.redis import RedisCacheStore
from helix.kernel.types import Limit, Money
from helix.redact.explain import explain
from helix.redact.presidio import PresidioDetector
from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.log import RequestLog
from helix.telemetry.row import NAMES

from .conftest import Api, authorize
from .entries import Letters, put
from .rows import row

LAYOUT = CacheContents(RedisCacheStore("redis://nowhere").catalog).layout
CARRIED = {"id": "0" * 40, "expires_at": 1.0, "fields": {"answer": "AA=="}}


RAISE = {"scope": "everybody", "window": "day", "limit_usd": 2, "until": "2100-01-01T00:00:00Z", "reason": "a test"}


@pytest_asyncio.fixture
async def client(api: Api, redis_url: str, redis_prefix: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The API over every real backend, each with something in it."""
    keys = RedisKeyStore(redis_url, secret="a secret of this test", prefix=redis_prefix)
    ledger = RedisLedger(redis_url, prefix=redis_prefix)
    cache = RedisCacheStore(redis_url, prefix=f"{redis_prefix}cache:", timeout_seconds=5)
    store = ClickHouse(tmp_path / "chdb")
    await store.insert(
        NAMES, [row(cache_status="exact", redactions={"PERSON": 1}, redact_outcome="redacted", stream=True)], "t1"
    )
    await put(cache, 1, text="Where is it?")
    stage = CacheMiddleware(admin.build(authorize=authorize), store=cache, embedder=Letters())
    yield await api(
        keys=keys,
        ledger=ledger,
        limits=[Limit("everybody", "day", Money.from_usd(1), "everybody")],
        cache=CacheContents(cache.catalog, embedder=Letters(), stage=lambda: stage),
        log=RequestLog(store),
        redact=partial(explain, PresidioDetector()),
        checks={"clickhouse": store.ping},
    )
    for backend in (stage, keys, ledger, cache, store):
        await backend.close()


async def test_every_route_is_in_the_document() -> None:
    """Every path with every method, and nothing else."""
    app = admin.build(authorize=authorize)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        document = (await client.get("/helix/openapi.json")).json()
    routed = {
        (route.path, method)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert described == routed
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == __version__
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids)


async def test_every_schema_is_valid_and_every_reference_leads_somewhere(client: httpx.AsyncClient) -> None:
    """The components are JSON Schema 2020-12, as OpenAPI 3.1 has it; anybody may read the document."""
    reply = await client.get("/helix/openapi.json", headers={"authorization": ""})
    assert reply.status_code == 200
    document = reply.json()
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for child in value.values() for found in references(child)]
        return [found for child in value for found in references(child)] if isinstance(value, list) else []

    found = references(document)
    assert found
    assert {reference.removeprefix("#/components/schemas/") for reference in found} <= schemas.keys()


async def test_replies_are_as_the_document_says(client: httpx.AsyncClient) -> None:
    """Status and body of every operation, good and bad, over the real backends; each field has a value or null."""
    document = (await client.get("/helix/openapi.json")).json()
    made = await client.post("/helix/keys", json={"name": "a", "budgets": [{"limit_usd": 1, "window": "day"}]})
    calls: list[tuple[str, str, str, Any]] = [
        ("POST", "/helix/keys", "", {"name": "b", "metadata": {"any": [1, None]}}),
        ("POST", "/helix/keys", "", {"name": ""}),
        ("GET", "/helix/keys", "?limit=1", None),
        ("DELETE", "/helix/keys/{id}", made.json()["id"], None),
        ("DELETE", "/helix/keys/{id}", "k_nothing", None),
        ("GET", "/helix/budgets", "", None),
        ("POST", "/helix/budgets/raise", "", RAISE),
        ("POST", "/helix/budgets/raise", "", {**RAISE, "window": "month"}),
        ("POST", "/helix/budgets/raise", "", {**RAISE, "reason": ""}),
        ("GET", "/helix/audit/budgets", "", None),
        ("GET", "/helix/requests", "", None),
        ("GET", "/helix/requests", "?status=no", None),
        ("GET", "/helix/audit/redactions", "", None),
        ("GET", "/helix/audit/redactions", "?outcome=nothing", None),
        *(("GET", "/helix/spend", f"?group_by={group}", None) for group in ("key", "model", "team", "day")),
        ("GET", "/helix/overview", "", None),
        ("GET", "/helix/cache", "", None),
        ("GET", "/helix/cache/entries", "", None),
        ("GET", "/helix/cache/entries", "?sort=used", None),
        ("GET", "/helix/cache/entries", "?cursor=x", None),
        ("GET", "/helix/cache/export", "", None),
        ("POST", "/helix/cache/import", "", {"layout": "another", "entries": [CARRIED]}),
        ("POST", "/helix/cache/import", "", {"layout": LAYOUT, "entries": [CARRIED]}),
        ("POST", "/helix/cache/similar", "", {"text": "Where is it?", "min_similarity": 0}),
        ("POST", "/helix/cache/similar", "", {"text": ""}),
        ("POST", "/helix/cache/extend", "", {"ttl_seconds": 60, "most_used": 5}),
        ("POST", "/helix/cache/extend", "", {"ttl_seconds": 60}),
        ("POST", "/helix/cache/feedback", "", {"verdict": "right", "entry": f"{1:040x}"}),
        ("POST", "/helix/cache/feedback", "", {"verdict": "wrong", "request_id": "x"}),
        ("POST", "/helix/cache/feedback", "", {"verdict": "wrong"}),
        ("GET", "/helix/cache/precision", "", None),
        ("GET", "/helix/cache/outcomes", "", None),
        ("DELETE", "/helix/cache", "?namespace=&dry_run=true", None),
        ("DELETE", "/helix/cache", "?all=true", None),
        ("DELETE", "/helix/cache", "", None),
        ("POST", "/helix/redact", "", {"text": "I am at ada@example.com"}),
        ("GET", "/health/live", "", None),
        ("GET", "/health/liveliness", "", None),
        ("GET", "/health/ready", "", None),
        ("GET", "/health/readiness", "", None),
        ("GET", "/helix/openapi.json", "", None),
    ]
    called = set()
    for method, path, rest, body in calls:
        url = path.replace("{id}", rest) if "{id}" in path else path + rest
        reply = await client.request(method, url, json=body)
        called.add((path, method.lower()))
        responses = document["paths"][path][method.lower()]["responses"]
        assert str(reply.status_code) in responses, (method, url, reply.text)
        schema = responses[str(reply.status_code)]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(reply.json())
    assert called == {(path, method) for path, item in document["paths"].items() for method in item}
