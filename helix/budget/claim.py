"""What a request may take at most, and how much of an answer the rest of a budget can pay for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from helix.budget.estimate import dearest, worst_case
from helix.budget.limits import taken
from helix.budget.tokens import encodings_of, load
from helix.kernel.exchange import Exchange
from helix.kernel.types import Limit, Money, Price, Standing, Usage

__all__ = ["Claim"]

_BY_OUTPUT = frozenset(("usd", "tokens", "output_tokens"))


class Claim:
    """The worst case of one request, by how many output tokens its answer may have.

    `cost` is None for a model without a price. `fit` lowers the cap to what remains and never what is held for it.
    """

    def __init__(self, exchange: Exchange, price: Price, *, default_max_output_tokens: int, least: int) -> None:
        self._exchange, self._price = exchange, price
        dialect, request = exchange.dialect, exchange.payload
        find = getattr(price, "find", None)
        sizes = find(exchange.model) if find is not None else None
        self._sizes, self._default = sizes, default_max_output_tokens
        self._is_counted = False
        self.usage = worst_case(exchange, sizes, default_max_output_tokens)
        self._choices = max(1, dialect.choices(request)) if dialect is not None else 1
        self._cap = self.usage.output_tokens // self._choices
        given = dialect.max_output_tokens(request) if dialect is not None else None
        self._least = max(min(least, self._cap), dialect.least_output_tokens(request) if dialect is not None else 1)
        self._bounded = given is not None or (sizes is not None and sizes.max_output_tokens is not None)
        """Whether an answer ends at the cap without a word of ours."""
        self.cost = dearest(price, exchange.model, self.usage)
        self.told_cap: int | None = None
        """The cap that was put into the request."""

    async def fit(self, standings: Sequence[Standing]) -> tuple[Money, Usage] | None:
        """The longest answer that all hard limits can pay for; None where that is under the least.

        Its cost rises with its length, whatever the price, so it is found by halving. Before that, the input is counted
        by the tokenizer, where it is known: bytes are some four times as many.
        """
        hard = [one for one in standings if not one.limit.soft]
        if not self._is_counted:
            self._is_counted = True
            closer = await asyncio.to_thread(self._by_tokenizer)
            if closer is not None:
                self.usage = replace(self.usage, input_tokens=closer.input_tokens)
                self.cost = self._cost(self._cap)
                if self._fits(hard, self._cap):
                    return self.cost, self.usage
        low, high = self._least, self._cap - 1
        if low > high or not self._fits(hard, low) or self._capped(low) is None:
            return None
        while low < high:
            middle = (low + high + 1) // 2
            if self._fits(hard, middle):
                low = middle
            else:
                high = middle - 1
        self._cap, self._bounded = low, False
        self.usage = self._of(low)
        self.cost = self._cost(low)
        return self.cost, self.usage

    def bind(self, limits: Sequence[Limit]) -> None:
        """Say the cap in the request, where an answer that is longer would be one that nobody holds money for."""
        if self._bounded or not any(not one.soft and one.unit in _BY_OUTPUT for one in limits):
            return
        capped = self._capped(self._cap)
        if capped is not None:
            self._exchange.replace(capped)
            self.told_cap = self._cap

    def _by_tokenizer(self) -> Usage | None:
        """The worst case by the tokenizers of the models that may answer; None where one of them is not known."""
        members = getattr(self._price, "members", None)
        names = encodings_of(members(self._exchange.model) if members is not None else (self._exchange.model,))
        encodings = [encoding for name in names if (encoding := load(name)) is not None]
        if not encodings or len(encodings) < len(names):
            return None
        return worst_case(self._exchange, self._sizes, self._default, encodings)

    def _capped(self, tokens: int) -> dict[str, object] | None:
        dialect = self._exchange.dialect
        return None if dialect is None else dialect.capped(self._exchange.payload, tokens)

    def _of(self, tokens: int) -> Usage:
        return replace(self.usage, output_tokens=tokens * self._choices)

    def _cost(self, tokens: int) -> Money:
        # One without a price is held against no limit in USD.
        return dearest(self._price, self._exchange.model, self._of(tokens)) or Money(0)

    def _fits(self, hard: Sequence[Standing], tokens: int) -> bool:
        cost, usage = self._cost(tokens), self._of(tokens)
        return all(one.settled + one.reserved + taken(one.limit, cost, usage) <= one.most for one in hard)
