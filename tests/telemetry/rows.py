"""Rows for tests, and what became of them."""

from __future__ import annotations

import secrets
from typing import Any

from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.row import NAMES, Row

_DEFAULTS: dict[str, Any] = {
    "ts": 1_790_000_000_000_000,
    "request_id": "",
    "operation_name": "chat",
    "dialect": "chat",
    "stream": False,
    "request_model": "gpt-4o",
    "response_model": "openai/gpt-4o",
    "provider_name": "openai",
    "deployment": "d1",
    "server_address": "api.openai.com",
    "attempts": 1,
    "fallbacks": 0,
    "status": 200,
    "error_code": "",
    "finish_reason": "stop",
    "input_tokens": 10,
    "output_tokens": 20,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "reasoning_output_tokens": 0,
    "cost_nano_usd": 1000,
    "saved_nano_usd": 0,
    "priced": True,
    "budget_refused": "",
    "cache_status": "miss",
    "cache_entry": "",
    "cache_similarity": None,
    "cache_veto": "",
    "cache_age_seconds": None,
    "redactions": {},
    "restored": 0,
    "unknown_placeholders": 0,
    "redact_outcome": "",
    "findings": "",
    "leaks": {},
    "duration_ms": 12.5,
    "first_token_ms": None,
    "overhead_ms": 1.5,
    "upstream_ms": 11.0,
    "upstream_first_ms": 10.0,
    "redact_ms": 0.0,
    "cache_ms": 0.0,
    "budget_ms": 0.0,
    "key_id": "k_1",
    "key_name": "one",
    "user": "",
    "team": "red",
    "organization": "",
    "tags": [],
    "helix_version": "0",
}


def make_row(**values: Any) -> Row:
    """A row of an ordinary request, with other values where given."""
    row = {**_DEFAULTS, "request_id": f"hx-{secrets.token_hex(8)}", **values}
    return tuple(row[name] for name in NAMES)


async def totals(store: ClickHouse) -> dict[str, int]:
    """How many requests the table and each rollup count."""
    found = {}
    for table, count in (
        ("requests", "count()"),
        ("requests_per_minute", "sum(requests)"),
        ("spend_per_day", "sum(requests)"),
    ):
        found[table] = (await store.query(f"SELECT {count} AS n FROM {table}"))[0]["n"]
    return found
