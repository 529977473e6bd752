"""The budget stage: hold the worst case before a request goes on, settle its real cost when it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from helix.budget.estimate import dearest, worst_case
from helix.budget.limits import checked
from helix.budget.price import PriceTable
from helix.budget.settlement import Settlements
from helix.budget.tap import BudgetTap
from helix.kernel.errors import BackendUnavailable, BudgetExceeded, HelixError, ModelUnpriced
from helix.kernel.exchange import Exchange, open_exchange
from helix.kernel.lifecycle import Resource, lifespan
from helix.kernel.reply import Guard, refuse
from helix.kernel.types import (
    ASGIApp,
    Ledger,
    Limit,
    Money,
    Observer,
    Price,
    Receive,
    Reservation,
    Scope,
    Send,
)
from helix.kernel.wire import COUNT_TOKENS, dialect_of

__all__ = ["DEFAULT_MAX_OUTPUT_TOKENS", "BudgetMiddleware", "budgets_of_principal"]

DEFAULT_MAX_OUTPUT_TOKENS = 16_384
"""Reserved for an answer without a cap by a model whose own cap is not known: that of gpt-4o."""


def budgets_of_principal(exchange: Exchange) -> Sequence[Limit]:
    """The budgets of the caller that the admit stage found; none where there is no such stage."""
    return exchange.principal.budgets if exchange.principal is not None else ()


class BudgetMiddleware:
    """Keep spending inside hard limits.

    `limits` hold for every request, `limits_of` gives those of one (by default its caller's). A request without any
    makes no round trip; its cost is recorded all the same. `price` is asked for the name in the request when
    reserving, and when settling for the model that answered; by default it is LiteLLM's table, and one that is
    `Sizes` as well also bounds requests that have no bound of their own. `unpriced` says what becomes of a request
    whose limits cannot be kept because its model has no price, `on_outage` of one whose ledger is down; what either
    lets pass is not booked.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ledger: Ledger | str,
        limits: Sequence[Limit] = (),
        limits_of: Callable[[Exchange], Sequence[Limit]] | None = None,
        price: Price | None = None,
        default_max_output_tokens: int = DEFAULT_MAX_OUTPUT_TOKENS,
        unpriced: Literal["refuse", "allow"] = "refuse",
        on_outage: Literal["pass", "refuse"] = "refuse",
        observe: Observer | None = None,
    ) -> None:
        """Take a ledger, which stays the caller's, or the URL of a Redis."""
        if default_max_output_tokens < 1:
            raise ValueError("default_max_output_tokens must be at least 1")
        if unpriced not in ("refuse", "allow"):
            raise ValueError(f"unpriced must be 'refuse' or 'allow', not {unpriced!r}")
        if on_outage not in ("refuse", "pass"):
            raise ValueError(f"on_outage must be 'refuse' or 'pass', not {on_outage!r}")
        self.app = app
        self._limits = checked(limits)
        self._limits_of = limits_of or budgets_of_principal
        self._default_max_output_tokens = default_max_output_tokens
        self._unpriced = unpriced
        self._on_outage = on_outage
        self._observe = observe
        self._ledger = _ledger(ledger)
        self._price: Resource[Price] = Resource(_table) if price is None else Resource.borrowed(price)
        self._settlements = Resource(self._open_settlements, Settlements.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reserve, pass on, settle."""
        if scope["type"] == "lifespan":
            send = lifespan(send, opening=(self._settlements, self._price), closing=(self,))
            return await self.app(scope, receive, send)
        dialect = dialect_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if dialect is None or dialect is COUNT_TOKENS:  # counting tokens is free
            return await self.app(scope, receive, send)
        began = time.perf_counter()
        try:
            exchange = await open_exchange(scope, receive)
        except HelixError as error:
            return await refuse(error)(scope, receive, send)
        try:
            hides_usage = exchange.ask_usage()
            price = self._price.value or await self._price.open()
            reservation = await self._reserve(exchange, price)
        except HelixError as error:
            exchange.record.budget["refused"] = error.param if isinstance(error, BudgetExceeded) else error.code
            self._tell(exchange)
            return await refuse(error)(scope, exchange.receive, send)
        exchange.record.budget["ms"] = (time.perf_counter() - began) * 1000
        worst = reservation.amount if reservation is not None else None
        guard = Guard(send)
        tap = BudgetTap(exchange, guard, price, worst=worst, hides_usage=hides_usage)
        # A request that was given up without a reply was under way to the provider; one whose stage failed was not.
        sent = True
        try:
            await self.app(scope, exchange.receive, tap)
        except HelixError as error:
            sent = False
            await guard.fail(error, exchange)
        except Exception:
            sent = False
            raise
        finally:
            self._settle(exchange, reservation, tap.cost(sent=sent))
        return None

    async def close(self) -> None:
        """Book what is on its way, then let the ledger go."""
        await self._settlements.close()
        await self._ledger.close()

    async def _reserve(self, exchange: Exchange, price: Price) -> Reservation | None:
        own = self._limits_of(exchange)
        limits = (*self._limits, *own) if self._limits else own
        if not limits:
            return None
        model = exchange.model
        find = getattr(price, "find", None)
        sizes = find(model) if find is not None else None
        amount = dearest(price, model, worst_case(exchange, sizes, self._default_max_output_tokens))
        if amount is None:
            if self._unpriced == "allow":
                return None
            raise ModelUnpriced(
                "a budget applies to this request, but the model has no price; declare `input_cost_per_token` and "
                "`output_cost_per_token` for it",
                "model",
            )
        try:
            settlements = self._settlements.value or await self._settlements.open()
            reservation = await settlements.ledger.reserve(exchange.id, limits, amount)
        except BackendUnavailable:
            if self._on_outage == "pass":
                exchange.record.budget["outage"] = True
                return None
            raise
        exchange.record.budget["reserved_nano_usd"] = amount.nano_usd
        return reservation

    def _settle(self, exchange: Exchange, reservation: Reservation | None, cost: Money | None) -> None:
        record = exchange.record.budget
        record["priced"] = cost is not None
        if cost is not None:
            record["cost_nano_usd"] = cost.nano_usd
        if reservation is not None:
            settlements = self._settlements.value
            if settlements is not None:  # closed already: the lease frees what is held
                settlements.add(reservation, reservation.amount if cost is None else cost)
        self._tell(exchange)

    def _tell(self, exchange: Exchange) -> None:
        if self._observe is not None:
            self._observe("budget", dict(exchange.record.budget))

    async def _open_settlements(self) -> Settlements:
        return Settlements(await self._ledger.open(), self._note_loss)

    def _note_loss(self, reservation: Reservation, cost: Money) -> None:
        if self._observe is not None:
            self._observe("budget", {"lost_nano_usd": cost.nano_usd, "reserved_nano_usd": reservation.amount.nano_usd})


async def _table() -> Price:
    try:
        return await asyncio.to_thread(PriceTable.load)
    except (OSError, ValueError) as error:
        raise BackendUnavailable(f"the price table cannot be read: {error}") from error


def _ledger(ledger: Ledger | str) -> Resource[Any]:
    if not isinstance(ledger, str):
        return Resource.borrowed(ledger)
    url = ledger

    async def make() -> Any:
        from helix.budget.redis import RedisLedger  # here, so that `import helix` does not import redis

        return RedisLedger(url)

    return Resource(make, lambda made: made.close())
