"""What one request leaves behind: the columns of the table `requests`, and how a row of them is made.

A row is a plain tuple in the order of COLUMNS, so that it pickles, goes to disk as a JSON array, and pivots into
columns with one `zip`. It holds names, counts, amounts and durations; every string in it comes from configuration or
passes `token`, for what callers and providers send may be anything, somebody's words included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from helix import __version__
from helix.kernel import exact
from helix.kernel.errors import HelixError
from helix.kernel.types import Usage

if TYPE_CHECKING:
    from helix.kernel.exchange import Exchange

__all__ = ["COLUMNS", "NAMES", "Outcome", "Row", "RowStore", "RowsRejected", "row_of", "token"]

Row: TypeAlias = tuple[Any, ...]

COLUMNS: dict[str, str] = {
    "ts": "DateTime64(6, 'UTC')",
    "request_id": "String",
    "operation_name": "LowCardinality(String)",
    "dialect": "LowCardinality(String)",
    "stream": "Bool",
    "request_model": "LowCardinality(String)",
    "response_model": "LowCardinality(String)",
    "provider_name": "LowCardinality(String)",
    "deployment": "LowCardinality(String)",
    "server_address": "LowCardinality(String)",
    "attempts": "UInt8",
    "fallbacks": "UInt8",
    "status": "UInt16",
    "error_code": "LowCardinality(String)",
    "finish_reason": "LowCardinality(String)",
    "input_tokens": "UInt32",
    "output_tokens": "UInt32",
    "cache_read_input_tokens": "UInt32",
    "cache_creation_input_tokens": "UInt32",
    "reasoning_output_tokens": "UInt32",
    "cost_nano_usd": "UInt64",
    "saved_nano_usd": "UInt64",
    "priced": "Bool",
    "budget_refused": "LowCardinality(String)",
    "cache_status": "LowCardinality(String)",
    "cache_entry": "String",
    "cache_similarity": "Nullable(Float32)",
    "cache_veto": "LowCardinality(String)",
    "cache_age_seconds": "Nullable(Float32)",
    "redactions": "Map(LowCardinality(String), UInt32)",
    "restored": "UInt32",
    "unknown_placeholders": "UInt32",
    "redact_outcome": "LowCardinality(String)",
    "findings": "String",
    "leaks": "Map(LowCardinality(String), UInt32)",
    "duration_ms": "Float32",
    "first_token_ms": "Nullable(Float32)",
    "overhead_ms": "Float32",
    "upstream_ms": "Float32",
    "upstream_first_ms": "Float32",
    "redact_ms": "Float32",
    "cache_ms": "Float32",
    "budget_ms": "Float32",
    "key_id": "LowCardinality(String)",
    "key_name": "LowCardinality(String)",
    "user": "LowCardinality(String)",
    "team": "LowCardinality(String)",
    "organization": "LowCardinality(String)",
    "tags": "Array(LowCardinality(String))",
    "helix_version": "LowCardinality(String)",
}
"""Name → ClickHouse type, in the order of a row; clickhouse/*.sql says what each means."""

NAMES: tuple[str, ...] = tuple(COLUMNS)

_MAX_TOKEN_LENGTH = 128
_TOKEN = re.compile(r"[A-Za-z0-9_.:/@+*-]+")
_LIMITS = {name: 2 ** int(kind[4:]) - 1 for name, kind in COLUMNS.items() if kind.startswith("UInt")}
"""The largest number that each column of whole numbers holds; what follows from a provider's counts may be larger."""


class RowsRejected(HelixError):
    """The store will never take these rows: they do not fit its table."""

    code = "rows_rejected"


class RowStore(Protocol):
    """Where rows go: ClickHouse, in this process or behind a Ray Serve handle."""

    async def insert(self, names: Sequence[str], rows: Sequence[Row], token: str) -> None:
        """Store rows, once however often it is called with this token. Raises BackendUnavailable, RowsRejected."""
        ...


class Outcome(Protocol):
    """How a request ended, as the middleware saw it."""

    status: int
    error_code: str
    finish_reason: str
    request_model: str
    response_model: str
    usage: Usage | None
    first_byte_seconds: float
    first_token_seconds: float | None


def token(value: object) -> str:
    """A word that somebody outside chose, if it looks like an identifier; "other" for anything else, "" for nothing."""
    if not value:
        return ""
    return _token(value) if isinstance(value, str) and len(value) <= _MAX_TOKEN_LENGTH else "other"


@lru_cache(maxsize=1024)
def _token(value: str) -> str:
    return value if _TOKEN.fullmatch(value) else "other"


def count(value: object, column: str) -> int:
    """A whole number, brought into the range of its column."""
    return min(value, _LIMITS[column]) if type(value) is int and value > 0 else 0


def row_of(exchange: Exchange, outcome: Outcome, duration_seconds: float) -> Row:
    """The row of a request that has ended."""
    record, dialect = exchange.record, exchange.dialect
    admit, redact, cache, budget, upstream = (
        record.admit,
        record.redact,
        record.cache,
        record.budget,
        record.upstream,
    )
    usage = outcome.usage or _NO_USAGE
    if cache.get("veiled") and cache.get("status") in _HITS:  # what the reply does not say
        usage = replace(usage, cached_input_tokens=usage.input_tokens, cache_write_tokens=0)
    upstream_ms, upstream_first_ms = upstream.get("ms") or 0.0, upstream.get("first_ms") or 0.0
    if outcome.first_token_seconds is None:
        overhead_ms = duration_seconds * 1e3 - (upstream_ms or upstream_first_ms)
    else:
        overhead_ms = outcome.first_byte_seconds * 1e3 - upstream_first_ms
    # Waiting for an answer that somebody else asked for is no work of Helix's.
    overhead_ms -= cache.get("waited_ms") or 0.0
    refused = budget.get("refused")
    return (
        int(exchange.started_at * 1e6),
        exchange.id,
        dialect.operation if dialect is not None else "",
        dialect.name if dialect is not None else "",
        exchange.stream,
        outcome.request_model,
        outcome.response_model,
        upstream.get("provider") or "",
        upstream.get("deployment") or "",
        upstream.get("api_base") or "",
        count(upstream.get("attempts"), "attempts"),
        count(upstream.get("fallbacks"), "fallbacks"),
        count(outcome.status, "status"),
        outcome.error_code,
        outcome.finish_reason,
        count(usage.input_tokens, "input_tokens"),
        count(usage.output_tokens, "output_tokens"),
        count(usage.cached_input_tokens, "cache_read_input_tokens"),
        count(usage.cache_write_tokens, "cache_creation_input_tokens"),
        count(usage.reasoning_tokens, "reasoning_output_tokens"),
        count(budget.get("cost_nano_usd"), "cost_nano_usd"),
        count(cache.get("saved_nano_usd"), "saved_nano_usd"),
        bool(budget.get("priced")),
        str(refused) if refused else "",
        cache.get("status") or "",
        cache.get("entry") or "",
        cache.get("similarity"),
        cache.get("veto") or "",
        cache.get("age_seconds"),
        redact.get("entities") or {},
        count(redact.get("restored"), "restored"),
        count(redact.get("unknown"), "unknown_placeholders"),
        _outcome(redact),
        _findings(redact) if redact.get("findings") else "",
        redact.get("leaks") or {},
        duration_seconds * 1e3,
        None if outcome.first_token_seconds is None else outcome.first_token_seconds * 1e3,
        max(overhead_ms, 0.0),
        upstream_ms,
        upstream_first_ms,
        redact.get("ms") or 0.0,
        cache.get("ms") or 0.0,
        budget.get("ms") or 0.0,
        admit.get("key_id") or "",
        admit.get("key_name") or "",
        admit.get("user") or "",
        admit.get("team") or "",
        admit.get("organization") or "",
        list(admit.get("tags") or ()),
        __version__,
    )


_NO_USAGE = Usage()
_HITS = frozenset(("exact", "semantic", "shared"))


def _outcome(redact: Mapping[str, Any]) -> str:
    """What the redact stage decided, in one word; empty where there was nothing to decide."""
    if redact.get("outage"):
        return "passed" if redact.get("passed") else "outage"
    if redact.get("blocked"):
        return "blocked"
    if redact.get("entities"):
        return "redacted"
    if redact.get("leaks"):
        return "leaked"
    return "token_ids" if redact.get("token_ids") else ""


def _findings(redact: Mapping[str, Any]) -> str:
    told = [
        {
            "kind": token(found.kind),
            "place": found.place,
            "start": found.start,
            "end": found.end,
            "score": round(found.score, 3),
            "recognizer": token(found.recognizer),
            "strategy": found.strategy,
        }
        for found in redact["findings"]
    ]
    said = {"detector": redact.get("detector") or "", "findings": told, "more": redact.get("more_findings") or 0}
    return exact.dumps(said).decode()
