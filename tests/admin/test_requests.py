"""/helix/requests, /helix/spend and /helix/overview over the real engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest_asyncio

from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.log import RequestLog
from helix.telemetry.row import NAMES

from .conftest import Api
from .rows import row

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[ClickHouse]:
    store = ClickHouse(tmp_path / "chdb")
    await store.open()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def client(api: Api, store: ClickHouse) -> httpx.AsyncClient:
    return await api(log=RequestLog(store))


async def _data(client: httpx.AsyncClient, path: str) -> list[dict[str, object]]:
    reply = await client.get(path)
    assert reply.status_code == 200, reply.text
    data: list[dict[str, object]] = reply.json()["data"]
    return data


async def test_requests_are_filtered_by_each_parameter(client: httpx.AsyncClient, store: ClickHouse) -> None:
    """Model, status, cache, key and time each narrow the list, latest first."""
    rows = [
        row(request_model="gpt-4o", status=200, cache_status="miss", key_id="k_1", ago=4 * HOUR),
        row(request_model="gpt-4o", status=429, key_id="k_1", error_code="budget_exceeded", ago=3 * HOUR),
        row(request_model="demo/echo", status=200, cache_status="exact", key_id="k_2", ago=2 * HOUR),
    ]
    await store.insert(NAMES, rows, "t1")
    ids = [one[NAMES.index("request_id")] for one in rows]

    async def found(query: str) -> list[object]:
        return [one["request_id"] for one in await _data(client, f"/helix/requests?{query}")]

    assert await found("") == ids[::-1]
    assert await found("model=gpt-4o") == [ids[1], ids[0]]
    assert await found("status=429") == [ids[1]]
    assert await found("cache=exact") == [ids[2]]
    assert await found("key=k_2") == [ids[2]]
    assert await found("since=150m") == [ids[2]]
    assert await found("model=gpt-4o&status=200&key=k_1") == [ids[0]]
    assert await found("model=nothing") == []


async def test_requests_page_by_cursor(client: httpx.AsyncClient, store: ClickHouse) -> None:
    """Pages put together are the list, also where many rows have one time."""
    at = int(datetime.now(UTC).timestamp() * 1e6)
    rows = [row(ts=at - number // 3) for number in range(10)]
    await store.insert(NAMES, rows, "t1")
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await client.get(f"/helix/requests?limit=3{cursor}")).json()
        seen += [one["request_id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    whole = [one["request_id"] for one in await _data(client, "/helix/requests")]
    assert seen == whole
    assert len(set(seen)) == 10


async def test_a_foreign_cursor_is_refused(client: httpx.AsyncClient) -> None:
    """400 that names the parameter."""
    reply = await client.get("/helix/requests?cursor=nonsense!")
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "cursor"


async def test_a_request_is_told_whole(client: httpx.AsyncClient, store: ClickHouse) -> None:
    """Amounts in USD, kinds of personal data with their number, durations in milliseconds."""
    await store.insert(
        NAMES,
        [
            row(
                request_model="gpt-4o",
                response_model="openai/gpt-4o",
                stream=True,
                cost_nano_usd=1_234_567,
                redactions={"EMAIL_ADDRESS": 2},
                restored=1,
                duration_ms=12.5,
                first_token_ms=3.5,
                cache_status="semantic",
                cache_similarity=0.9375,
                tags=["a", "b"],
            )
        ],
        "t1",
    )
    (one,) = await _data(client, "/helix/requests")
    told = {
        "model": "gpt-4o",
        "response_model": "openai/gpt-4o",
        "stream": True,
        "cost_usd": 0.001234567,
        "entities": {"EMAIL_ADDRESS": 2},
        "restored": 1,
        "duration_ms": 12.5,
        "first_token_ms": 3.5,
        "cache": "semantic",
        "cache_similarity": 0.9375,
        "tags": ["a", "b"],
        "operation": "chat",
        "error_code": "",
    }
    assert {name: one[name] for name in told} == told


async def test_what_the_redact_stage_decided_is_told(client: httpx.AsyncClient, store: ClickHouse) -> None:
    """By outcome and by kind, also of what was refused; requests without personal data are not among them."""
    finding = {
        "kind": "US_SSN",
        "place": "messages[0].content",
        "start": 3,
        "end": 14,
        "score": 0.85,
        "recognizer": "Ssn",
        "strategy": "block",
    }
    findings = json.dumps({"detector": "d 1", "findings": [finding], "more": 2})
    rows = [
        row(request_model="clean"),
        row(redact_outcome="redacted", redactions={"PERSON": 2}, restored=1, key_id="k_1"),
        row(redact_outcome="blocked", status=400, error_code="content_blocked", findings=findings),
        row(redact_outcome="passed"),
    ]
    await store.insert(NAMES, rows, "t1")
    events = await _data(client, "/helix/audit/redactions")
    assert sorted(str(event["outcome"]) for event in events) == ["blocked", "passed", "redacted"]
    [blocked] = await _data(client, "/helix/audit/redactions?kind=US_SSN")
    assert (blocked["outcome"], blocked["detector"], blocked["more"]) == ("blocked", "d 1", 2)
    assert blocked["findings"] == [finding]
    [redacted] = await _data(client, "/helix/audit/redactions?outcome=redacted&kind=PERSON&key=k_1")
    assert (redacted["entities"], redacted["findings"], redacted["restored"]) == ({"PERSON": 2}, [], 1)
    assert await _data(client, "/helix/audit/redactions?kind=CREDIT_CARD") == []


async def test_spend_is_grouped(client: httpx.AsyncClient, store: ClickHouse) -> None:
    """By key with its name, by model, team and day; the group's own field alone is set."""
    rows = [
        row(key_id="k_1", key_name="one", request_model="a", team="x", cost_nano_usd=2_000_000_000, input_tokens=10),
        row(key_id="k_2", key_name="two", request_model="b", team="x", cost_nano_usd=500_000_000, output_tokens=7),
        row(key_id="k_2", key_name="two", request_model="a", team="y", saved_nano_usd=250_000_000),
    ]
    await store.insert(NAMES, rows, "t1")
    by_key = await _data(client, "/helix/spend?group_by=key")
    assert [(one["key"], one["key_name"], one["cost_usd"], one["saved_usd"], one["requests"]) for one in by_key] == [
        ("k_1", "one", 2.0, 0.0, 1),
        ("k_2", "two", 0.5, 0.25, 2),
    ]
    assert by_key[0]["model"] is None
    by_model = await _data(client, "/helix/spend")
    assert [(one["model"], one["cost_usd"], one["input_tokens"]) for one in by_model] == [("a", 2.0, 10), ("b", 0.5, 0)]
    assert [one["team"] for one in await _data(client, "/helix/spend?group_by=team&since=1h")] == ["x", "y"]
    (today,) = await _data(client, "/helix/spend?group_by=day")
    assert (today["requests"], today["cost_usd"]) == (3, 2.5)


async def test_the_overview_adds_up(client: httpx.AsyncClient, store: ClickHouse) -> None:
    """Totals, hit rate, slices, models and redactions agree with the rows."""
    rows = [
        row(request_model="a", cache_status="exact", saved_nano_usd=1_000_000, duration_ms=1.0),
        row(request_model="a", cache_status="semantic", saved_nano_usd=1_000_000, duration_ms=1.0),
        row(request_model="a", cache_status="miss", cost_nano_usd=3_000_000, redactions={"PERSON": 2}, restored=2),
        row(request_model="b", cache_status="miss", status=502, error_code="upstream_error", redactions={"PERSON": 1}),
        row(request_model="b", cache_status="bypass", stream=True, ago=3 * HOUR),
    ]
    await store.insert(NAMES, rows, "t1")
    reply = await client.get("/helix/overview?since=2h")
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert (told["requests"], told["errors"], told["streams"]) == (4, 1, 0)
    assert (told["cost_usd"], told["saved_usd"]) == (0.003, 0.002)
    assert told["cache"] == {"exact": 1, "semantic": 1, "miss": 2}
    assert told["hit_rate"] == 0.5
    assert told["redactions"] == {"PERSON": 3}
    assert told["restored"] == 2
    assert sum(one["requests"] for one in told["slices"]) == 4
    assert sum(one["hits"] for one in told["slices"]) == 2
    assert [(one["model"], one["requests"]) for one in told["models"]] == [("a", 3), ("b", 1)]
    assert set(told["latency_ms"]) == {"p50", "p95", "p99"}
    assert (await client.get("/helix/overview?since=4h")).json()["requests"] == 5


async def test_an_overview_of_nothing_has_no_numbers_that_mean_nothing(client: httpx.AsyncClient) -> None:
    """Zeros, and null where there is no ratio and no percentile."""
    told = (await client.get("/helix/overview")).json()
    assert told["requests"] == 0
    assert told["hit_rate"] is None
    assert told["latency_ms"] == {"p50": None, "p95": None, "p99": None}
