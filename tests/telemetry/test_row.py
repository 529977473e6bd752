"""What a row holds of a request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from helix.kernel.exchange import Exchange
from helix.kernel.types import Message, Scope, Usage
from helix.redact.redaction import Finding
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


def _row(facts: dict[str, Any]) -> dict[str, Any]:
    """The row of a request of which the redact stage noted this."""
    exchange = Exchange({"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}, never)
    exchange.record.redact = facts
    names = ("error_code", "finish_reason", "request_model", "response_model")
    ended: Any = SimpleNamespace(
        status=200, usage=None, first_byte_seconds=0.0, first_token_seconds=None, **dict.fromkeys(names, "")
    )
    return dict(zip(NAMES, row_of(exchange, ended, 1.0), strict=True))


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"entities": {}}, ""),
        ({"entities": {"PERSON": 1}}, "redacted"),
        ({"blocked": "US_SSN"}, "blocked"),
        ({"outage": True}, "outage"),
        ({"outage": True, "passed": True}, "passed"),
        ({"entities": {}, "leaks": {"PERSON": 1}}, "leaked"),
        ({"entities": {"PERSON": 1}, "leaks": {"PERSON": 1}}, "redacted"),
        ({"entities": {}, "token_ids": "pass"}, "token_ids"),
    ],
)
def test_what_the_redact_stage_decided_is_a_word(facts: dict[str, Any], outcome: str) -> None:
    """A request that passed in an outage is not mistaken for one without personal data."""
    assert _row(facts)["redact_outcome"] == outcome


def test_findings_are_told_without_what_may_be_text() -> None:
    """Names that do not look like names, from a detector of one's own, are not written down."""
    found = Finding("PERSON", "messages[0].content", 0, 4, 0.8512, "saw 'Jane Doe'", "placeholder")
    row = _row({"entities": {"PERSON": 1}, "findings": [found], "more_findings": 3, "detector": "d"})
    assert orjson.loads(row["findings"]) == {
        "detector": "d",
        "findings": [
            {
                "kind": "PERSON",
                "place": "messages[0].content",
                "start": 0,
                "end": 4,
                "score": 0.851,
                "recognizer": "other",
                "strategy": "placeholder",
            }
        ],
        "more": 3,
    }
