"""/helix/keys and the keys' own budgets, over the real store and ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from helix import admin
from helix.admit.keys import Authority
from helix.admit.redis import RedisKeyStore
from helix.budget.redis import RedisLedger
from helix.kernel.types import Limit, Money
from tests.conftest import Serve

from .conftest import MASTER, Api


@pytest_asyncio.fixture
async def keys(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisKeyStore]:
    store = RedisKeyStore(redis_url, secret="a secret of this test", prefix=redis_prefix)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def ledger(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger(redis_url, prefix=redis_prefix)
    yield ledger
    await ledger.close()


async def test_a_key_is_made_and_shown_once(api: Api, keys: RedisKeyStore) -> None:
    """201 with the secret; lists tell everything but that."""
    client = await api(keys=keys)
    given = {
        "name": "billing bot",
        "models": ["gpt-4o"],
        "rpm": 60,
        "parallel": 4,
        "budgets": [{"limit_usd": 5, "window": "day"}, {"limit_usd": 100, "window": "total"}],
        "user": "ada",
        "team": "billing",
        "organization": "acme",
        "tags": ["prod"],
        "metadata": {"cost_centre": 42, "owners": ["ada"]},
    }
    reply = await client.post("/helix/keys", json=given)
    assert reply.status_code == 201, reply.text
    made = reply.json()
    secret = made.pop("key")
    assert secret.startswith("sk-hx-")
    assert {name: made[name] for name in given} == given
    assert made["revoked"] is False
    listed = await client.get("/helix/keys")
    assert listed.json() == {"data": [made], "next_cursor": None}
    assert secret not in listed.text


async def test_a_made_key_is_known_and_opens_no_administration(api: Api, keys: RedisKeyStore, serve: Serve) -> None:
    """With the real authority: 403 for an ordinary key, 200 for an administrator's, 401 once it is revoked."""
    authority = Authority(keys, master_key=MASTER, cache_seconds=0)
    base_url = await serve(admin.build(authorize=authority.authorize, keys=keys))
    async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:

        async def status(key: str) -> int:
            return (await client.get("/helix/keys", headers={"x-api-key": key})).status_code

        async def make(**given: object) -> tuple[str, str]:
            made = await client.post("/helix/keys", json=given, headers={"authorization": f"Bearer {MASTER}"})
            return made.json()["id"], made.json()["key"]

        _, ordinary = await make(name="ordinary")
        id, administrator = await make(name="administrator", is_admin=True)
        assert await status(ordinary) == 403
        assert await status(administrator) == 200
        revoked = await client.delete(f"/helix/keys/{id}", headers={"x-api-key": administrator})
        assert (revoked.status_code, revoked.json()) == (200, {"id": id, "revoked": True})
        assert await status(administrator) == 401
        assert await status("sk-hx-made-up") == 401


async def test_revoking_an_unknown_key_is_told(api: Api, keys: RedisKeyStore) -> None:
    """404, not a silent success."""
    reply = await (await api(keys=keys)).delete("/helix/keys/k_nothing")
    assert reply.status_code == 404
    assert reply.json()["error"]["param"] == "id"


async def test_keys_page_newest_first(api: Api, keys: RedisKeyStore) -> None:
    """Pages put together are all keys, also when one is made in between."""
    client = await api(keys=keys)
    for number in range(5):
        await client.post("/helix/keys", json={"name": f"key {number}"})
    first = (await client.get("/helix/keys?limit=2")).json()
    await client.post("/helix/keys", json={"name": "late"})
    second = (await client.get(f"/helix/keys?limit=2&cursor={first['next_cursor']}")).json()
    third = (await client.get(f"/helix/keys?limit=2&cursor={second['next_cursor']}")).json()
    names = [key["name"] for page in (first, second, third) for key in page["data"]]
    assert names == ["key 4", "key 3", "key 2", "key 1", "key 0"]
    assert third["next_cursor"] is None


async def test_the_budgets_of_live_keys_follow_those_for_everybody(
    api: Api, keys: RedisKeyStore, ledger: RedisLedger
) -> None:
    """Each with what is spent of it; those of a revoked key are gone; pages hold them all."""
    everybody = Limit("everybody", "month", Money.from_usd(10), "everybody")
    client = await api(keys=keys, ledger=ledger, limits=[everybody])
    budgets = [{"limit_usd": 5, "window": "day"}, {"limit_usd": 100, "window": "total"}]
    made = (await client.post("/helix/keys", json={"name": "bot", "budgets": budgets})).json()
    gone = (await client.post("/helix/keys", json={"name": "gone", "budgets": budgets})).json()
    await client.delete(f"/helix/keys/{gone['id']}")
    (stored,) = [one for one in await keys.list() if not one.revoked]
    reservation = await ledger.reserve("r1", [everybody, *stored.principal.budgets], Money.from_usd(1))
    await ledger.settle(reservation, Money.from_usd(0.25))
    seen: list[dict[str, object]] = []
    cursor = ""
    while True:
        page = (await client.get(f"/helix/budgets?limit=2{cursor}")).json()
        seen += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [(one["scope"], one["name"], one["window"], one["used_usd"], one["remaining_usd"]) for one in seen] == [
        ("everybody", "everybody", "month", 0.25, 9.75),
        (f"key:{made['id']}", "bot", "day", 0.25, 4.75),
        (f"key:{made['id']}", "bot", "total", 0.25, 99.75),
    ]
