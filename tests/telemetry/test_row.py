"""What a row holds of a request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson

from helix.kernel.exchange import Exchange
from helix.kernel.types import Message, Scope, Usage
from helix.telemetry.row import COLUMNS, NAMES, row_of


async def never() -> Message:
    raise AssertionError("nothing is received here")


def test_every_number_fits_its_column() -> None:
    """However absurd a provider's counts and what follows from them, the row can be written and stored."""
    scope: Scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    exchange, huge = Exchange(scope, never), 9 * 10**18 * 2500
    exchange.record.budget = {"cost_nano_usd": huge, "priced": True}
    exchange.record.cache = {"saved_nano_usd": huge}
    exchange.record.redact = {"restored": huge, "unknown": huge}
    exchange.record.upstream = {"attempts": huge, "fallbacks": huge}
    outcome: Any = SimpleNamespace(
        status=huge,
        error_code="",
        finish_reason="",
        request_model="m",
        response_model="m",
        usage=Usage(huge, huge, huge, huge, huge),
        first_byte_seconds=0.0,
        first_token_seconds=None,
    )
    row = dict(zip(NAMES, row_of(exchange, outcome, 1.0), strict=True))
    whole = {name: int(kind[4:]) for name, kind in COLUMNS.items() if kind.startswith("UInt")}
    assert {name: row[name] for name in whole} == {name: 2**bits - 1 for name, bits in whole.items()}
    orjson.dumps(row)
