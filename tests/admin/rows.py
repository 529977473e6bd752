"""Rows of the record of requests, as the telemetry stage writes them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from helix.telemetry.row import COLUMNS, NAMES, Row

_numbers = itertools.count(1)
_EMPTY = {
    "String": "",
    "LowCardinality(String)": "",
    "Bool": False,
    "Array(LowCardinality(String))": [],
    "Map(LowCardinality(String), UInt32)": {},
}


def row(*, ago: timedelta = timedelta(), **values: Any) -> Row:
    """A row with these values; all others empty, the id its own, the time so long ago."""
    unknown = values.keys() - COLUMNS.keys()
    if unknown:
        raise ValueError(f"no such column: {unknown}")
    at = datetime.now(UTC) - ago
    given = {
        "ts": int(at.timestamp() * 1e6),
        "request_id": f"hx-{next(_numbers):027x}",
        "operation_name": "chat",
        "dialect": "chat",
        "status": 200,
        "cache_similarity": None,
        "cache_age_seconds": None,
        "first_token_ms": None,
        **values,
    }
    return tuple(given.get(name, _EMPTY.get(COLUMNS[name], 0)) for name in NAMES)
