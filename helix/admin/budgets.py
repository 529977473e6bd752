"""/helix/budgets: where every limit stands, and raising one for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from helix.admin import answers
from helix.admin import given as sent
from helix.admin.backends import Keys, Spending
from helix.admin.endpoint import Call, Endpoint
from helix.admin.paging import Order, page
from helix.kernel.errors import InvalidRequest, NotFound
from helix.kernel.types import NANO_PER_USD, Limit, Money, Raise, Standing
from helix.kernel.windows import window_of

__all__ = ["Named", "budget_endpoints"]

Named: TypeAlias = Callable[[str, str], Sequence[Limit]]
"""Kind of scope, and which one → its limits, those that each of its kind has among them."""


def budget_endpoints(spending: Spending, keys: Keys | None, limits: Sequence[Limit], named: Named) -> list[Endpoint]:
    """Where every limit stands, and raising one: `limits` are those that the configuration names, the rest the keys'
    own."""
    shared = {limit: index for index, limit in enumerate(limits)}

    def order(named: tuple[Limit, str]) -> Order:
        limit, _ = named
        rest = (limit.scope, limit.window, limit.time_zone, limit.unit, limit.soft)
        return (shared.get(limit, len(shared)), *rest)

    async def list_budgets(call: Call) -> answers.BudgetPage:
        """List budgets with what is used, reserved for requests in flight, and left."""
        query: sent.PageQuery = call.query
        named = [(limit, limit.name) for limit in limits]
        if keys is not None:
            live = [stored.principal for stored in await keys.list() if not stored.revoked]
            named += [(limit, limit.name or who.name) for who in live for limit in who.budgets]
        chosen, cursor = page(named, order, limit=query.limit, cursor=query.cursor)
        sums = await spending.standing([limit for limit, _ in chosen]) if chosen else []
        data = [_standing(name, standing) for (_, name), standing in zip(chosen, sums, strict=True)]
        return answers.BudgetPage(data=data, next_cursor=cursor)

    async def raise_budget(call: Call) -> answers.Raised:
        """Raise a hard limit until a time, on every gateway at once; a time that has come ends a raise."""
        given: sent.RaiseGiven = call.body
        limit = await found(given)
        most = given.most or 0
        raised = Raise(
            Money.from_usd(most) if given.unit == "usd" else int(most),
            round(given.until.timestamp() * 1000),
            given.reason,
            call.caller,
        )
        try:
            await spending.raise_limit(limit, raised)
        except ValueError as error:
            raise InvalidRequest(f"the budget cannot be raised so: {error}", f"limit_{given.unit}") from None
        return _raised(limit, raised, datetime.now(UTC))

    async def found(given: sent.RaiseGiven) -> Limit:
        own: list[Limit] = [limit for limit in limits if limit.scope == given.scope == "everybody"]
        if given.of is not None:
            own += named(given.scope, given.of)
            if given.scope == "key" and keys is not None:
                live = [stored.principal for stored in await keys.list() if not stored.revoked]
                own += [limit for who in live if who.key_id == given.of for limit in who.budgets]
        stem = window_of(given.window, given.time_zone).stem
        hard = [
            limit
            for limit in own
            if not limit.soft and limit.unit == given.unit and window_of(limit.window, limit.time_zone).stem == stem
        ]
        if not hard:
            raise NotFound(
                "there is no hard limit of this scope, window and unit; GET /helix/budgets lists them", "scope"
            )
        return min(hard, key=lambda limit: limit.most)

    async def list_raises(call: Call) -> answers.RaisePage:
        """List every raise that there was, latest first."""
        query: sent.PageQuery = call.query
        noted = list(enumerate(await spending.raises()))
        chosen, cursor = page(noted, lambda one: (-one[1]["at_ms"], one[0]), limit=query.limit, cursor=query.cursor)
        return answers.RaisePage(data=[_noted(note) for _, note in chosen], next_cursor=cursor)

    return [
        Endpoint("GET", "/helix/budgets", list_budgets, answers.BudgetPage, query=sent.PageQuery),
        Endpoint(
            "POST",
            "/helix/budgets/raise",
            raise_budget,
            answers.Raised,
            body=sent.RaiseGiven,
            status=201,
            errors=(404,),
        ),
        Endpoint("GET", "/helix/audit/budgets", list_raises, answers.RaisePage, query=sent.PageQuery),
    ]


def _noted(note: Mapping[str, Any]) -> answers.Raised:
    budget = note["budget"]
    limit = Limit(**{**budget, "limit": _amount(budget["limit"])})
    raised = Raise(_amount(note["limit"]), note["until_ms"], note["reason"], note["by"])
    return _raised(limit, raised, datetime.fromtimestamp(note["at_ms"] / 1000, UTC))


def _amount(kept: Any) -> Money | int:
    return Money(**kept) if isinstance(kept, dict) else int(kept)


def _raised(limit: Limit, raised: Raise, at: datetime) -> answers.Raised:
    def told(amount: Money | int) -> float:
        return amount.usd if isinstance(amount, Money) else amount

    return answers.Raised(
        at=at,
        by=raised.by,
        reason=raised.reason,
        scope=limit.scope,
        name=limit.name,
        window=limit.window,
        time_zone=limit.time_zone,
        unit=limit.unit,
        limit=told(limit.limit),
        raised_to=told(raised.limit),
        until=datetime.fromtimestamp(raised.until_ms / 1000, UTC),
    )


def _standing(name: str, standing: Standing) -> answers.Budget:
    limit = standing.limit
    sums = {
        "limit": standing.most,
        "used": standing.settled,
        "reserved": standing.reserved,
        "remaining": standing.remaining,
    }
    if limit.unit == "usd":
        told: dict[str, Any] = {f"{name}_usd": amount / NANO_PER_USD for name, amount in sums.items()}
    else:
        told = {**sums, "unit": limit.unit}
    return answers.Budget(
        scope=limit.scope,
        name=name,
        window=limit.window,
        time_zone=limit.time_zone,
        soft=limit.soft,
        **told,
        resets_at=None if standing.resets_ms is None else datetime.fromtimestamp(standing.resets_ms / 1000, UTC),
    )
