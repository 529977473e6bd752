"""/helix/keys: who may call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from helix.admin import answers
from helix.admin import given as sent
from helix.admin.backends import Keys, StoredKey
from helix.admin.endpoint import Call, Endpoint
from helix.admin.paging import Order, page
from helix.kernel.errors import NotFound
from helix.kernel.types import Limit, Money, Principal

__all__ = ["key_endpoints"]


def key_endpoints(keys: Keys) -> list[Endpoint]:
    """Make, list and revoke virtual keys."""

    async def create_key(call: Call) -> answers.NewKey:
        """Make a virtual key; the secret is shown this once."""
        given: sent.KeyGiven = call.body
        principal = Principal(
            key_id="",
            name=given.name,
            user=given.user,
            team=given.team,
            organization=given.organization,
            models=given.models,
            tags=given.tags,
            rpm=given.rpm,
            parallel=given.parallel,
            budgets=tuple(_limit(budget) for budget in given.budgets),
            metadata=given.metadata,
            is_admin=given.is_admin,
        )
        stored, secret = await keys.create(principal)
        return answers.NewKey(**_described(stored), key=secret)

    async def list_keys(call: Call) -> answers.KeyPage:
        """List keys, newest first; never the secrets."""
        query: sent.PageQuery = call.query
        chosen, cursor = page(await keys.list(), _newest_first, limit=query.limit, cursor=query.cursor)
        return answers.KeyPage(data=[answers.Key(**_described(stored)) for stored in chosen], next_cursor=cursor)

    async def revoke_key(call: Call) -> answers.Revoked:
        """Revoke a key, for good."""
        if not await keys.revoke(call.path["id"]):
            raise NotFound("there is no key with this id; GET /helix/keys lists them", "id")
        return answers.Revoked(id=call.path["id"])

    return [
        Endpoint("POST", "/helix/keys", create_key, answers.NewKey, body=sent.KeyGiven, status=201),
        Endpoint("GET", "/helix/keys", list_keys, answers.KeyPage, query=sent.PageQuery),
        Endpoint("DELETE", "/helix/keys/{id}", revoke_key, answers.Revoked, errors=(404,)),
    ]


def _limit(given: sent.BudgetGiven) -> Limit:
    amount = given.most or 0
    most = Money.from_usd(amount) if given.unit == "usd" else int(amount)
    return Limit("", given.window, most, "", given.unit, given.time_zone, given.soft)


def _budget(limit: Limit) -> answers.KeyBudget:
    most = limit.limit
    told = {f"limit_{limit.unit}": most.usd if isinstance(most, Money) else most}
    return answers.KeyBudget(**told, window=limit.window, time_zone=limit.time_zone, soft=limit.soft)


def _newest_first(stored: StoredKey) -> Order:
    return (-stored.created_at, stored.principal.key_id)


def _described(stored: StoredKey) -> dict[str, Any]:
    who = stored.principal
    return {
        "id": who.key_id,
        "name": who.name,
        "models": list(who.models),
        "rpm": who.rpm,
        "parallel": who.parallel,
        "budgets": [_budget(limit) for limit in who.budgets],
        "user": who.user,
        "team": who.team,
        "organization": who.organization,
        "tags": list(who.tags),
        "metadata": dict(who.metadata),
        "is_admin": who.is_admin,
        "created_at": datetime.fromtimestamp(stored.created_at, UTC),
        "revoked": stored.revoked,
    }
