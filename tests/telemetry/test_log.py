"""What the administration API reads: latest requests, spending, the overview."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from helix.admin.answers import Overview, RequestRow, SpendRow
from helix.kernel.errors import InvalidRequest
from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.log import RequestLog
from helix.telemetry.row import NAMES, Row

from .rows import make_row


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def at(moment: datetime, **values: Any) -> Row:
    return make_row(ts=int(moment.timestamp() * 1e6), **values)


async def test_latest_first_page_by_page(clickhouse: ClickHouse, now: datetime) -> None:
    """Pages follow each other without gap or overlap, also where requests share an instant."""
    moments = [now - timedelta(seconds=n // 3) for n in range(10)]
    rows = [at(moment, request_id=f"hx-{n:02}") for n, moment in enumerate(moments)]
    await clickhouse.insert(NAMES, rows, "t")
    log, seen, cursor = RequestLog(clickhouse), [], None
    while True:
        page, cursor = await log.requests(limit=4, cursor=cursor)
        seen += [row["request_id"] for row in page]
        if cursor is None:
            break
    order = sorted(range(10), key=lambda n: (moments[n], n), reverse=True)
    assert seen == [f"hx-{n:02}" for n in order]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"model": "small"}, ["a"]),
        ({"status": 429}, ["b"]),
        ({"cache": "exact"}, ["c"]),
        ({"key": "k_d"}, ["d"]),
        ({"since": timedelta(seconds=90)}, ["d", "c"]),
        ({"since": timedelta(seconds=90), "cache": "exact"}, ["c"]),
        ({"model": "' OR 1 = 1 --"}, []),
    ],
)
async def test_filters(clickhouse: ClickHouse, now: datetime, wanted: dict[str, Any], expected: list[str]) -> None:
    """Each filter narrows, together they intersect, and what a caller writes is a value and nothing else."""
    rows = [
        at(now - timedelta(minutes=3), request_id="a", request_model="small"),
        at(now - timedelta(minutes=2), request_id="b", status=429),
        at(now - timedelta(minutes=1), request_id="c", cache_status="exact"),
        at(now, request_id="d", key_id="k_d"),
    ]
    await clickhouse.insert(NAMES, rows, "t")
    if "since" in wanted:
        wanted = {**wanted, "since": now - wanted["since"]}
    found, _ = await RequestLog(clickhouse).requests(**wanted)
    assert [row["request_id"] for row in found] == expected


async def test_a_request_is_what_the_api_declares(clickhouse: ClickHouse, now: datetime) -> None:
    """The row that comes out is the one that went in, in the names of the API."""
    row = at(now, redactions={"PERSON": 2}, tags=["x"], cost_nano_usd=2_500_000_000, stream=True, first_token_ms=2.0)
    await clickhouse.insert(NAMES, [row], "t")
    (found,), _ = await RequestLog(clickhouse).requests()
    shown = RequestRow.model_validate(found)
    assert shown.started_at == now
    assert (shown.entities, shown.tags, shown.cost_usd, shown.stream) == ({"PERSON": 2}, ["x"], 2.5, True)
    assert (shown.model, shown.response_model, shown.provider) == ("gpt-4o", "openai/gpt-4o", "openai")


@pytest.mark.parametrize("cursor", ["", "x", "1-' OR 1", "99999999999999999999-a"])
async def test_a_foreign_cursor(clickhouse: ClickHouse, cursor: str) -> None:
    """A cursor that no page gave is the caller's mistake."""
    with pytest.raises(InvalidRequest, match="next_cursor"):
        await RequestLog(clickhouse).requests(cursor=cursor)


async def test_spending_by_each_group(clickhouse: ClickHouse, now: datetime) -> None:
    """Sums are exact, and largest first."""
    rows = [
        at(now, key_id="k_1", key_name="one", team="red", request_model="big", cost_nano_usd=3_000_000_000),
        at(now, key_id="k_1", key_name="one", team="red", request_model="small", cost_nano_usd=1),
        at(now, key_id="k_2", key_name="two", team="blue", request_model="big", saved_nano_usd=5, cost_nano_usd=0),
    ]
    await clickhouse.insert(NAMES, rows, "t")
    log, since = RequestLog(clickhouse), now - timedelta(hours=1)
    keys = [SpendRow.model_validate(row) for row in await log.spend(group_by="key", since=since)]
    assert [(row.key, row.key_name, row.requests, row.cost_usd) for row in keys] == [
        ("k_1", "one", 2, 3.000000001),
        ("k_2", "two", 1, 0.0),
    ]
    models = await log.spend(group_by="model", since=since)
    assert [(row["model"], row["input_tokens"], row["output_tokens"]) for row in models] == [
        ("big", 20, 40),
        ("small", 10, 20),
    ]
    teams = await log.spend(group_by="team", since=since)
    assert [(row["team"], row["saved_usd"]) for row in teams] == [("red", 0.0), ("blue", 5e-9)]


async def test_spending_since_the_midst_of_a_day(clickhouse: ClickHouse, now: datetime) -> None:
    """The first day counts from the very moment, the others whole; days come in order."""
    noon = datetime(now.year, now.month, now.day, 12, tzinfo=UTC) - timedelta(days=3)
    hours = (-13, -1, 1, 13, 37)
    await clickhouse.insert(NAMES, [at(noon + timedelta(hours=n)) for n in hours], "t")
    log = RequestLog(clickhouse)
    found = await log.spend(group_by="day", since=noon)
    days = [(noon + timedelta(days=n)).date().isoformat() for n in range(3)]
    assert [(row["day"], row["requests"]) for row in found] == [(day, 1) for day in days]
    whole = await log.spend(group_by="day", since=noon.replace(hour=0))
    assert whole[0]["requests"] == 2


async def test_an_unknown_group(clickhouse: ClickHouse, now: datetime) -> None:
    """Only the four groups are a part of the statement."""
    with pytest.raises(InvalidRequest, match="key, model, team, day"):
        await RequestLog(clickhouse).spend(group_by="status; DROP TABLE requests", since=now)


async def test_the_overview(clickhouse: ClickHouse, now: datetime) -> None:
    """Counts, rates, sums, percentiles and slices agree with the rows."""
    rows = [
        at(now - timedelta(minutes=5), cache_status="exact", saved_nano_usd=10**9, cost_nano_usd=0, duration_ms=1.0),
        at(now - timedelta(minutes=5), cache_status="semantic", saved_nano_usd=10**9, cost_nano_usd=0, duration_ms=2.0),
        at(now - timedelta(minutes=2), cache_status="miss", redactions={"PERSON": 2, "EMAIL_ADDRESS": 1}, restored=3),
        at(now, cache_status="miss", stream=True, redactions={"PERSON": 1}, request_model="small"),
        at(now, cache_status="bypass", status=502, error_code="upstream_error", duration_ms=1000.0),
        at(now - timedelta(hours=3), cache_status="miss"),
    ]
    await clickhouse.insert(NAMES, rows, "t")
    shown = Overview.model_validate(await RequestLog(clickhouse).overview(since=now - timedelta(hours=1)))
    assert (shown.requests, shown.errors, shown.streams, shown.restored) == (5, 1, 1, 3)
    assert shown.cache == {"exact": 1, "semantic": 1, "miss": 2, "bypass": 1}
    assert shown.hit_rate == 0.5
    assert (shown.input_tokens, shown.output_tokens) == (50, 100)
    assert shown.cost_usd == pytest.approx(3e-6)
    assert shown.saved_usd == 2.0
    assert shown.redactions == {"PERSON": 3, "EMAIL_ADDRESS": 1}
    assert shown.latency_ms.p50 == 12.5
    assert shown.latency_ms.p99 is not None
    assert shown.latency_ms.p99 > 500
    assert [(row.model, row.requests) for row in shown.models] == [("gpt-4o", 4), ("small", 1)]
    assert shown.step_seconds == 60
    assert len(shown.slices) in (61, 62)
    assert sum(part.requests for part in shown.slices) == 5
    assert sum(part.hits for part in shown.slices) == 2
    assert sum(part.errors for part in shown.slices) == 1


async def test_the_overview_of_nothing(clickhouse: ClickHouse, now: datetime) -> None:
    """Where nothing happened there are zeros and nulls."""
    shown = Overview.model_validate(await RequestLog(clickhouse).overview(since=now - timedelta(days=30)))
    assert (shown.requests, shown.hit_rate, shown.latency_ms.p50) == (0, None, None)
    assert len(shown.slices) <= 122
