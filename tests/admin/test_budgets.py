"""Raising a limit through the administration API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from helix.admit.redis import RedisKeyStore
from helix.budget.redis import RedisLedger
from helix.budget.scopes import Rule, Rules
from helix.kernel.types import Limit, Money, Principal

from .conftest import Api

TEAM = Limit("team", "month", Money.from_usd(100), "research")
EACH = Limit("user", "24h", 1000, "each person", unit="tokens")
RULES = Rules(
    [Rule(TEAM, "research"), Rule(EACH), Rule(Limit("everybody", "day", Money.from_usd(5), "all", soft=True))]
)


@pytest_asyncio.fixture
async def ledger(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger(redis_url, prefix=redis_prefix)
    yield ledger
    await ledger.close()


@pytest_asyncio.fixture
async def keys(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisKeyStore]:
    store = RedisKeyStore(redis_url, prefix=redis_prefix, secret="x" * 32)
    yield store
    await store.close()


def until(hours: float = 1.0) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def test_a_raise_holds_at_once_and_is_on_record(api: Api, ledger: RedisLedger, keys: RedisKeyStore) -> None:
    """Of a named scope, of one that each of its kind has, and of a key's own; latest first, with who and why."""
    client = await api(ledger=ledger, keys=keys, limits=RULES.known, named=RULES.of)
    made, _ = await keys.create(Principal("", "bot", budgets=(Limit("", "total", Money.from_usd(1)),)))
    for body in (
        {"scope": "team", "of": "research", "window": "month", "limit_usd": 150},
        {"scope": "user", "of": "ada@example.com", "window": "1440m", "limit_tokens": 5000},
        {"scope": "key", "of": made.principal.key_id, "window": "total", "limit_usd": 2},
    ):
        reply = await client.post("/helix/budgets/raise", json={**body, "until": until(), "reason": "the launch"})
        assert reply.status_code == 201, reply.text
    team, user = RULES.of("team", "research")[0], RULES.of("user", "ada@example.com")[0]
    found = await ledger.standing([team, user, *made.principal.budgets])
    assert [one.most for one in found] == [150 * 10**9, 5000, 2 * 10**9]
    noted = (await client.get("/helix/audit/budgets?limit=2")).json()
    assert [(one["raised_to"], one["by"], one["reason"]) for one in noted["data"]] == [
        (2.0, "master", "the launch"),
        (5000.0, "master", "the launch"),
    ]
    (last,) = (await client.get(f"/helix/audit/budgets?limit=2&cursor={noted['next_cursor']}")).json()["data"]
    assert (last["scope"], last["name"], last["limit"], last["raised_to"]) == (
        "team:research",
        "research",
        100.0,
        150.0,
    )
    assert "ada" not in str(noted)
    budgets = (await client.get("/helix/budgets")).json()["data"]
    assert [one["limit_usd"] for one in budgets if one["scope"] == "team:research"] == [150.0]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"of": "other"}, 404, "no hard limit of this scope"),
        ({"window": "day"}, 404, "no hard limit of this scope"),
        ({"limit_usd": None, "limit_tokens": 5}, 400, "exactly one of the fields"),
        ({"scope": "everybody", "of": None, "window": "day", "limit_usd": 9}, 404, "no hard limit"),
        ({"limit_usd": 100}, 400, "to more than the limit itself"),
        ({"reason": " "}, 400, "reason"),
        ({"until": "tomorrow"}, 400, "until"),
        ({"window": "moon"}, 400, "'day', 'week', 'month'"),
        ({"time_zone": "Mars"}, 400, "IANA"),
    ],
)
async def test_a_raise_of_nothing_is_refused(
    api: Api, ledger: RedisLedger, change: dict[str, object], status: int, says: str
) -> None:
    """And nothing is noted."""
    client = await api(ledger=ledger, limits=RULES.known, named=RULES.of)
    given = {"scope": "team", "of": "research", "window": "month", "limit_usd": 150, "until": until(), "reason": "why"}
    reply = await client.post("/helix/budgets/raise", json={**given, **change})
    assert reply.status_code == status, reply.text
    assert says in reply.json()["error"]["message"]
    assert await ledger.raises() == []
