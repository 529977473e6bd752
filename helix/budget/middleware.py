"""The budget stage: hold the worst case before a request goes on, settle its real cost when it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import quote

from helix.budget.claim import Claim
from helix.budget.counters import plan_of
from helix.budget.limits import said
from helix.budget.price import PriceTable
from helix.budget.scopes import Identity, Rule, Rules
from helix.budget.settlement import Settlements
from helix.budget.tap import BudgetTap
from helix.kernel.errors import BackendUnavailable, BudgetExceeded, Headers, HelixError, ModelUnpriced
from helix.kernel.exchange import Exchange, open_exchange
from helix.kernel.lifecycle import Resource, lifespan
from helix.kernel.reply import Guard, refuse, telling
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
    Standing,
)
from helix.kernel.wire import COUNT_TOKENS, dialect_of

__all__ = ["DEFAULT_MAX_OUTPUT_TOKENS", "MIN_OUTPUT_TOKENS", "BudgetMiddleware", "budgets_of_principal"]

DEFAULT_MAX_OUTPUT_TOKENS = 16_384
"""Reserved for an answer without a cap by a model whose own cap is not known: that of gpt-4o."""


MIN_OUTPUT_TOKENS = 256
"""An answer that must end before would help nobody; a caller's own cap may be lower."""


def budgets_of_principal(exchange: Exchange) -> Sequence[Limit]:
    """The budgets of the caller that the admit stage found; none where there is no such stage."""
    return exchange.principal.budgets if exchange.principal is not None else ()


class BudgetMiddleware:
    """Keep spending inside limits.

    `limits` hold for every request, a `Rule` among them for those of one organisation, team, user, key, model,
    provider, tag or end user, or of each; `identify` says whose a request is, and `secret` keys the hashes under which
    persons stand in the ledger. `limits_of` gives further limits of one request (by default its caller's). A request
    without any makes no round trip; its cost is recorded all the same.

    `price` is asked for the name in the request when reserving, and when settling for the model that answered; by
    default it is LiteLLM's table, and one that is `Sizes` as well also bounds requests that have no bound of their
    own. Where neither bounds an answer, or a hard limit cannot pay for one so long, the request goes on with a cap
    that it can pay for, and the reply says so in `x-helix-max-tokens`; under `min_output_tokens` it is refused.
    `unpriced` says what becomes of a request whose limits in USD cannot be kept because its model has no price,
    `on_outage` of one whose ledger is down; what either lets pass is not booked.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ledger: Ledger | str,
        limits: Sequence[Limit | Rule] = (),
        limits_of: Callable[[Exchange], Sequence[Limit]] | None = None,
        identify: Callable[[Exchange], Identity] | None = None,
        secret: bytes = b"",
        price: Price | None = None,
        default_max_output_tokens: int = DEFAULT_MAX_OUTPUT_TOKENS,
        min_output_tokens: int = MIN_OUTPUT_TOKENS,
        unpriced: Literal["refuse", "allow"] = "refuse",
        on_outage: Literal["pass", "refuse"] = "refuse",
        observe: Observer | None = None,
    ) -> None:
        """Take a ledger, which stays the caller's, or the URL of a Redis."""
        if default_max_output_tokens < 1:
            raise ValueError("default_max_output_tokens must be at least 1")
        if min_output_tokens < 1:
            raise ValueError("min_output_tokens must be at least 1")
        if unpriced not in ("refuse", "allow"):
            raise ValueError(f"unpriced must be 'refuse' or 'allow', not {unpriced!r}")
        if on_outage not in ("refuse", "pass"):
            raise ValueError(f"on_outage must be 'refuse' or 'pass', not {on_outage!r}")
        self.app = app
        self._limits = plan_of(tuple(one for one in limits if isinstance(one, Limit))).limits
        self._rules = Rules([one for one in limits if isinstance(one, Rule)], identify=identify, secret=secret)
        self._limits_of = limits_of or budgets_of_principal
        self._default_max_output_tokens = default_max_output_tokens
        self._min_output_tokens = min_output_tokens
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
            reservation, told = await self._reserve(exchange, price)
        except HelixError as error:
            exchange.record.budget["refused"] = error.param if isinstance(error, BudgetExceeded) else error.code
            self._tell(exchange)
            return await refuse(error)(scope, exchange.receive, send)
        exchange.record.budget["ms"] = (time.perf_counter() - began) * 1000
        worst = reservation.amount if reservation is not None else None
        guard = Guard(telling(send, told) if told else send)
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
            self._settle(exchange, reservation, tap, tap.cost(sent=sent))
        return None

    async def close(self) -> None:
        """Book what is on its way, then let the ledger go."""
        await self._settlements.close()
        await self._ledger.close()

    async def _reserve(self, exchange: Exchange, price: Price) -> tuple[Reservation | None, Headers]:
        limits = (*self._limits, *self._rules(exchange), *self._limits_of(exchange))
        if not limits:
            return None, ()
        claim = Claim(
            exchange,
            price,
            default_max_output_tokens=self._default_max_output_tokens,
            least=self._min_output_tokens,
        )
        if claim.cost is None and any(limit.unit == "usd" for limit in limits):
            if self._unpriced == "refuse":
                raise ModelUnpriced(
                    "a budget applies to this request, but the model has no price; declare `input_cost_per_token` and "
                    "`output_cost_per_token` for it",
                    "model",
                )
            limits = tuple(limit for limit in limits if limit.unit != "usd")
            if not limits:
                return None, ()
        amount = claim.cost or Money(0)
        settlements = self._settlements.value or await self._settlements.open()
        try:
            reservation = await settlements.ledger.reserve(exchange.id, limits, amount, claim.usage, lower=claim.fit)
        except (BackendUnavailable, asyncio.CancelledError) as error:
            settlements.forgo(Reservation(exchange.id, limits, amount))  # it may be held all the same
            if self._on_outage == "refuse" or isinstance(error, asyncio.CancelledError):
                raise
            exchange.record.budget["outage"] = True
            return None, ()
        claim.bind(limits)
        exchange.record.budget["reserved_nano_usd"] = reservation.amount.nano_usd
        return reservation, self._told(exchange, reservation, claim.told_cap)

    def _told(self, exchange: Exchange, reservation: Reservation, cap: int | None) -> Headers:
        told: Headers = ()
        if cap is not None:
            exchange.record.budget["max_output_tokens"] = cap
            told = (("x-helix-max-tokens", str(cap)),)
        if reservation.warnings:
            exchange.record.budget["warned"] = [one.limit.name or one.limit.scope for one in reservation.warnings]
            told += tuple(("x-helix-budget-warning", _warning(one)) for one in reservation.warnings)
        return told

    def _settle(self, exchange: Exchange, reservation: Reservation | None, tap: BudgetTap, cost: Money | None) -> None:
        record = exchange.record.budget
        record["priced"] = cost is not None
        if cost is not None:
            record["cost_nano_usd"] = cost.nano_usd
        if reservation is not None:
            if cost is not None and cost > reservation.amount:
                record["over_nano_usd"] = cost.nano_usd - reservation.amount.nano_usd
            settlements = self._settlements.value
            if settlements is not None:  # closed already: the lease frees what is held
                settlements.add(
                    reservation,
                    reservation.amount if cost is None else cost,
                    reservation.usage if tap.used is None else tap.used,
                    _spared(reservation, tap.answered_by),
                )
        self._tell(exchange)

    def _tell(self, exchange: Exchange) -> None:
        if self._observe is not None:
            self._observe("budget", dict(exchange.record.budget))

    async def _open_settlements(self) -> Settlements:
        return Settlements(await self._ledger.open(), self._note_loss)

    def _note_loss(self, reservation: Reservation, cost: Money) -> None:
        if self._observe is not None:
            self._observe("budget", {"lost_nano_usd": cost.nano_usd, "reserved_nano_usd": reservation.amount.nano_usd})


def _warning(standing: Standing) -> str:
    limit = standing.limit
    name = quote(limit.name or limit.scope, safe=" !#$%&'()*+-./:<=>?@[]^_`{|}~")
    return f"{name}; {said(limit, standing.settled)} used of {said(limit, standing.most)}"


def _spared(reservation: Reservation, answered_by: str) -> frozenset[str]:
    """The providers that did not answer; none where nobody knows which one did."""
    scopes = frozenset(limit.scope for limit in reservation.limits if limit.scope.startswith("provider:"))
    answered = f"provider:{answered_by.partition('/')[0]}"
    return scopes - {answered} if answered in scopes else frozenset()


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
