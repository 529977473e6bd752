"""The record of requests, as the administration API and the console read it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from helix.kernel import exact
from helix.kernel.errors import InvalidRequest
from helix.kernel.types import NANO_PER_USD

__all__ = ["RequestLog"]

# Filters by their argument's name. What callers give goes in as a parameter, never into the text.
_FILTERS = {
    "model": "request_model = {model:String}",
    "status": "status = {status:UInt16}",
    "outcome": "redact_outcome = {outcome:String}",
    "kind": "(mapContains(redactions, {kind:String})"
    " OR has(JSONExtract(findings, 'findings', 'Array(Tuple(kind String))').kind, {kind:String}))",
    "cache": "cache_status = {cache:String}",
    "key": "key_id = {key:String}",
    "since": "ts >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')",
    # The first line is for the primary index, which a comparison of pairs would not use.
    "cursor": "ts <= fromUnixTimestamp64Micro({before:Int64}, 'UTC')"
    " AND (ts, request_id) < (fromUnixTimestamp64Micro({before:Int64}, 'UTC'), {before_id:String})",
}
_CURSOR = re.compile(r"(\d{1,17})-([A-Za-z0-9-]{1,64})")

_REQUESTS = """
SELECT
    toUnixTimestamp64Micro(ts) AS ts_us, request_id, operation_name AS operation, dialect, stream,
    request_model AS model, response_model, provider_name AS provider, deployment, attempts, fallbacks,
    status, error_code, finish_reason, input_tokens, output_tokens,
    cache_read_input_tokens, cache_creation_input_tokens, reasoning_output_tokens,
    cost_nano_usd, saved_nano_usd, priced, budget_refused,
    cache_status AS cache, cache_entry, cache_similarity, cache_veto, cache_age_seconds,
    redactions AS entities, restored, unknown_placeholders,
    duration_ms, first_token_ms, overhead_ms, upstream_ms, upstream_first_ms, redact_ms, cache_ms, budget_ms,
    key_id, key_name, user, team, organization, tags, helix_version
FROM requests
"""

_AUDIT = """
SELECT
    toUnixTimestamp64Micro(ts) AS ts_us, request_id, dialect, request_model AS model, status, error_code,
    redact_outcome AS outcome, redactions AS entities, findings, leaks, restored, unknown_placeholders,
    redact_ms,
    key_id, key_name, user, team, organization
FROM requests
"""

_GROUPS = {"key": "key_id", "model": "request_model", "team": "team", "day": "day"}

# The sums by day, but for the first day, of which only a part is asked for.
_SPEND = """
SELECT
    toString({group}) AS group, anyLast(name) AS key_name, sum(n) AS requests,
    sum(input) AS input_tokens, sum(output) AS output_tokens, sum(cost) AS cost_nano_usd, sum(saved) AS saved_nano_usd
FROM
(
    SELECT day, team, key_id, request_model, key_name AS name, requests AS n, input_tokens AS input,
        output_tokens AS output, cost_nano_usd AS cost, saved_nano_usd AS saved
    FROM spend_per_day WHERE day >= {first_whole_day:Date}
    UNION ALL
    SELECT toDate(ts) AS day, team, key_id, request_model, key_name, 1, input_tokens,
        output_tokens, cost_nano_usd, saved_nano_usd
    FROM requests
    WHERE ts >= fromUnixTimestamp64Micro({since:Int64}, 'UTC') AND ts < toDateTime({first_whole_day:Date}, 'UTC')
)
GROUP BY group
"""

_TOTALS = """
SELECT cache_status, sum(requests) AS n, sum(errors) AS failed, sum(streams) AS streamed, sum(input_tokens) AS input,
    sum(output_tokens) AS output, sum(cost_nano_usd) AS cost, sum(saved_nano_usd) AS saved, sum(restored) AS back
FROM requests_per_minute WHERE minute >= toDateTime({since:UInt32}, 'UTC') GROUP BY cache_status
"""

_SLICES = """
SELECT intDiv(toUnixTimestamp(minute), {step:UInt32}) * {step:UInt32} AS at, sum(requests) AS n, sum(errors) AS failed,
    sumIf(requests, cache_status IN ('exact', 'semantic')) AS hits,
    sum(cost_nano_usd) AS cost, sum(saved_nano_usd) AS saved
FROM requests_per_minute WHERE minute >= toDateTime({since:UInt32}, 'UTC') GROUP BY at ORDER BY at
"""

_MODELS = """
SELECT request_model AS model, sum(requests) AS n, sum(cost_nano_usd) AS cost, sum(saved_nano_usd) AS saved
FROM requests_per_minute WHERE minute >= toDateTime({since:UInt32}, 'UTC')
GROUP BY model ORDER BY n DESC, model LIMIT 10
"""

_PERCENTILES = """
SELECT quantilesTDigest(0.5, 0.95, 0.99)(duration_ms) AS latency,
    quantilesTDigest(0.5, 0.95, 0.99)(overhead_ms) AS overhead
FROM requests WHERE ts >= toDateTime({since:UInt32}, 'UTC')
"""

_REDACTIONS = """
SELECT kind, sum(number) AS n FROM requests ARRAY JOIN mapKeys(redactions) AS kind, mapValues(redactions) AS number
WHERE ts >= toDateTime({since:UInt32}, 'UTC') GROUP BY kind ORDER BY n DESC, kind
"""

# About a hundred slices of a length that people think in.
_STEPS_SECONDS = (60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400)
_SLICES_AT_MOST = 120


class Queries(Protocol):
    """What can be asked of the store: `ClickHouse`, or the same behind a Ray Serve handle."""

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a SELECT. Raises BackendUnavailable."""
        ...


class RequestLog:
    """Questions about the requests that were recorded. Every method may raise BackendUnavailable."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def requests(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        model: str | None = None,
        status: int | None = None,
        cache: str | None = None,
        key: str | None = None,
        since: datetime | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Requests, latest first, and the cursor of the next page. Raises InvalidRequest for a foreign cursor."""
        given = {"model": model, "status": status, "cache": cache, "key": key}
        return await self._page(_REQUESTS, _request, given, limit, cursor, since)

    async def redactions(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        outcome: str | None = None,
        kind: str | None = None,
        key: str | None = None,
        since: datetime | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Requests with which the redact stage had something to do, as `requests` gives them."""
        given = {"outcome": outcome, "kind": kind, "key": key}
        return await self._page(_AUDIT, _redaction, given, limit, cursor, since, "redact_outcome != ''")

    async def _page(
        self,
        sql: str,
        row_of: Callable[[dict[str, Any]], dict[str, Any]],
        given: Mapping[str, Any],
        limit: int,
        cursor: str | None,
        since: datetime | None,
        *always: str,
    ) -> tuple[list[dict[str, Any]], str | None]:
        parameters = {name: value for name, value in given.items() if value is not None}
        wanted = [*always, *(_FILTERS[name] for name in parameters)]
        if since is not None:
            parameters["since"] = _micros(since)
            wanted.append(_FILTERS["since"])
        if cursor is not None:
            match = _CURSOR.fullmatch(cursor)
            if match is None:
                raise InvalidRequest("the cursor is not one that a page before gave as next_cursor", "cursor")
            parameters["before"], parameters["before_id"] = int(match[1]), match[2]
            wanted.append(_FILTERS["cursor"])
        where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
        parameters["count"] = limit + 1
        sql = f"{sql} {where} ORDER BY ts DESC, request_id DESC LIMIT {{count:UInt32}}"
        rows = await self._store.query(sql, parameters)
        following = f"{rows[limit - 1]['ts_us']}-{rows[limit - 1]['request_id']}" if len(rows) > limit else None
        page = [row_of(row) for row in rows[:limit]]
        return page, following

    async def spend(self, *, group_by: str, since: datetime) -> list[dict[str, Any]]:
        """Spending since then by key, model, team or day: largest first, by day earliest first."""
        if group_by not in _GROUPS:
            raise InvalidRequest(f"group_by must be one of {', '.join(_GROUPS)}", "group_by")
        since = since.astimezone(UTC)
        is_midnight = since == since.replace(hour=0, minute=0, second=0, microsecond=0)
        first_whole_day = since.date() if is_midnight else since.date() + timedelta(days=1)
        sql = _SPEND.replace("{group}", _GROUPS[group_by])
        parameters = {"since": _micros(since), "first_whole_day": first_whole_day}
        found = []
        for row in await self._store.query(sql, parameters):
            spent = {
                group_by: row["group"],
                **{name: row[name] for name in ("requests", "input_tokens", "output_tokens")},
            }
            if group_by == "key":
                spent["key_name"] = row["key_name"]
            found.append({**spent, **_usd(row["cost_nano_usd"], row["saved_nano_usd"])})
        if group_by == "day":
            return sorted(found, key=lambda item: item["day"])
        return sorted(found, key=lambda item: (-item["cost_usd"], -item["requests"], item[group_by]))

    async def overview(self, *, since: datetime) -> dict[str, Any]:
        """Totals, percentiles and slices since then, to the minute; times are seconds, durations milliseconds."""
        now = datetime.now(UTC)
        start = since.astimezone(UTC).replace(second=0, microsecond=0)
        span_seconds = max((now - start).total_seconds(), 1.0)
        fitting = (step for step in _STEPS_SECONDS if span_seconds / step <= _SLICES_AT_MOST)
        step = next(fitting, _STEPS_SECONDS[-1])
        parameters = {"since": int(start.timestamp()), "step": step}

        async def ask(sql: str) -> list[dict[str, Any]]:
            return await self._store.query(sql, parameters)

        totals = await ask(_TOTALS)
        cache = {row["cache_status"]: row["n"] for row in totals if row["cache_status"]}
        hits, misses = sum(cache.get(status, 0) for status in ("exact", "semantic", "shared")), cache.get("miss", 0)
        percentiles = (await ask(_PERCENTILES))[0]

        def total(name: str) -> int:
            return sum(row[name] for row in totals)

        return {
            "since": start,
            "until": now,
            "step_seconds": step,
            "requests": total("n"),
            "errors": total("failed"),
            "streams": total("streamed"),
            "input_tokens": total("input"),
            "output_tokens": total("output"),
            **_usd(total("cost"), total("saved")),
            "cache": cache,
            "hit_rate": hits / (hits + misses) if hits + misses else None,
            "latency_ms": _percentiles(percentiles["latency"]),
            "overhead_ms": _percentiles(percentiles["overhead"]),
            "redactions": {row["kind"]: row["n"] for row in await ask(_REDACTIONS)},
            "restored": total("back"),
            "slices": _slices(await ask(_SLICES), start, now, step),
            "models": [
                {"model": row["model"], "requests": row["n"], **_usd(row["cost"], row["saved"])}
                for row in await ask(_MODELS)
            ],
        }


def _slices(rows: Sequence[Mapping[str, Any]], start: datetime, end: datetime, step: int) -> list[dict[str, Any]]:
    """One slice a step, also where nothing happened."""
    by_start = {row["at"]: row for row in rows}
    empty = {"n": 0, "failed": 0, "hits": 0, "cost": 0, "saved": 0}
    first, last = (int(moment.timestamp()) // step * step for moment in (start, end))
    found = []
    for at in range(first, last + 1, step):
        row = by_start.get(at, empty)
        numbers = {"requests": row["n"], "errors": row["failed"], "hits": row["hits"]}
        found.append({"at": datetime.fromtimestamp(at, UTC), **numbers, **_usd(row["cost"], row["saved"])})
    return found


def _request(row: Mapping[str, Any]) -> dict[str, Any]:
    request = {**row, **_usd(row["cost_nano_usd"], row["saved_nano_usd"])}
    request["started_at"] = datetime.fromtimestamp(request.pop("ts_us") / 1e6, UTC)
    return request


def _redaction(row: dict[str, Any]) -> dict[str, Any]:
    told = exact.loads(row["findings"].encode()) if row["findings"] else {"detector": "", "findings": [], "more": 0}
    event = {**row, **told}
    event["started_at"] = datetime.fromtimestamp(event.pop("ts_us") / 1e6, UTC)
    return event


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    found = [None if math.isnan(value) else value for value in values]
    return dict(zip(("p50", "p95", "p99"), found, strict=True))


def _usd(cost_nano_usd: int, saved_nano_usd: int) -> dict[str, float]:
    return {"cost_usd": cost_nano_usd / NANO_PER_USD, "saved_usd": saved_nano_usd / NANO_PER_USD}


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)
