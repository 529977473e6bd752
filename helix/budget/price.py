"""What a model charges, by its name: LiteLLM's price table, read without importing LiteLLM, and prices declared by
configuration."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import orjson

from helix.budget.names import candidates, serves
from helix.budget.rates import ModelPrice
from helix.budget.row import provider_of, read_row
from helix.kernel.types import Money, Usage

__all__ = ["GroupPrices", "PriceTable"]

MAX_NAMES = 4096
"""Names whose members are remembered; a caller can make up any number that a pattern matches."""

TABLE_NAME = "model_prices_and_context_window_backup.json"


class Rows(NamedTuple):
    """What a table's file says: prices and providers by name, and which keys are prices. Shared, never changed."""

    prices: Mapping[str, ModelPrice]
    providers: Mapping[str, str]
    keys: frozenset[str]


@lru_cache(maxsize=1)  # gateways of one process read it once
def _read(file: Path, changed_ns: int) -> Rows:
    """Read a table's file, as it is since `changed_ns`. Raises ValueError for what is no such table."""
    prices: dict[str, ModelPrice] = {}
    providers: dict[str, str] = {}
    families: dict[str, str] = {}
    try:
        rows = orjson.loads(file.read_bytes())
        for name, row in rows.items():
            if name != "sample_spec" and (price := read_row(row, name)) is not None:
                prices[name] = price
                providers[name] = row.get("litellm_provider") or ""
                families[name] = provider_of(row)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"the price table {file.name} cannot be read: {error}") from None
    # LiteLLM prices "deepseek-chat" by "deepseek/deepseek-chat" where there are both.
    for name in [name for name in prices if "/" not in name]:
        prices[name] = prices.get(f"{families[name]}/{name}", prices[name])
    return Rows(prices, providers, frozenset(key for row in rows.values() for key in row if "cost" in key))


class PriceTable:
    """Prices by model name, as a `Price`: LiteLLM's table with a deployment's own prices laid over it.

    Names are found as LiteLLM writes them, with the provider ("openai/gpt-4o") or without ("gpt-4o").
    """

    def __init__(
        self,
        prices: Mapping[str, ModelPrice],
        *,
        providers: Mapping[str, str] | None = None,
        price_keys: Iterable[str] = (),
    ) -> None:
        self._prices = dict(prices)
        self._price_keys = frozenset(price_keys)
        self._providers = dict(providers or {})
        self._found: dict[str, ModelPrice | None] = {}

    @classmethod
    def load(cls, path: Path | str | None = None, *, custom: Mapping[str, ModelPrice] | None = None) -> PriceTable:
        """Read a table from a file, by default the one that comes with LiteLLM; no network.

        The first time takes some 0.25 s. Without LiteLLM there are the custom prices alone. Raises ValueError for a
        file that is no such table, OSError for one that cannot be read.
        """
        file = Path(path) if path is not None else bundled_table()
        rows = Rows({}, {}, frozenset()) if file is None else _read(file, file.stat().st_mtime_ns)
        return cls({**rows.prices, **(custom or {})}, providers=rows.providers, price_keys=rows.keys)

    def over(self, custom: Mapping[str, ModelPrice]) -> PriceTable:
        """The same table with other prices laid over it."""
        return PriceTable({**self._prices, **custom}, providers=self._providers, price_keys=self._price_keys)

    def check(self, info: Mapping[str, object]) -> None:
        """Raise ValueError, naming it, for a key that looks like a price's and is not one of the table's."""
        for key in info:
            if self._price_keys and ("_cost" in key or key.startswith("cost_")) and key not in self._price_keys:
                near = difflib.get_close_matches(key, self._price_keys, 1)
                raise ValueError(f"'{key}' is no price" + (f"; did you mean '{near[0]}'?" if near else ""))

    def __call__(self, model: str, usage: Usage) -> Money | None:
        """The cost of a usage, or None for a model without a price."""
        price = self.find(model)
        return None if price is None else price.cost(usage)

    def dearest(self, model: str, usage: Usage) -> Money | None:
        """The most that so much input and output of a model can cost, or None for one without a price."""
        price = self.find(model)
        return None if price is None else price.dearest(usage)

    def __len__(self) -> int:
        return len(self._prices)

    def find(self, model: str) -> ModelPrice | None:
        """A model's price; None where there is none."""
        try:
            return self._found[model]
        except KeyError:
            price = self._find(model)
            # Names come from callers too, who can make up any number, of which only some are kept.
            if price is not None and len(self._found) < MAX_NAMES:
                self._found[model] = price
            return price

    def _find(self, model: str) -> ModelPrice | None:
        if (price := self._prices.get(model)) is not None:
            return price
        provider, slash, name = model.partition("/")
        if not slash:
            provider, name = "", model
        if not name:
            return None
        for row in candidates(provider, name):
            if row in self._prices and serves(provider, self._providers.get(row, "")):
                return self._prices[row]
        return None


class GroupPrices:
    """The price of a name that stands for several models: the dearest of them, so that a reservation covers any.

    A gateway routes "gpt-4o" to any deployment of that group or of its fallbacks; a budget must reserve before it
    does. `members` says which models a name can end at, none for a name that stands for itself. A group with a member
    without a price has none.
    """

    def __init__(self, table: PriceTable, members: Callable[[str], Sequence[str]]) -> None:
        self.table = table
        """What single models of providers cost: asked for the one that has answered."""
        self._members = lru_cache(MAX_NAMES)(members)

    def __call__(self, model: str, usage: Usage) -> Money | None:
        """The cost of a usage: the most any member asks for it; None where one has no price."""
        return _most(self.table(member, usage) for member in self.members(model))

    def dearest(self, model: str, usage: Usage) -> Money | None:
        """The most that so much can cost with any member; None where one has no price."""
        return _most(self.table.dearest(member, usage) for member in self.members(model))

    def find(self, model: str) -> ModelPrice | None:
        """The group's sizes in the form of one price: the largest of each; None where a member is not known."""
        members = self.members(model)
        if len(members) == 1:
            return self.table.find(members[0])
        prices = [price for member in members if (price := self.table.find(member)) is not None]
        if len(prices) != len(members):
            return None
        inputs, outputs = [p.max_input_tokens for p in prices], [p.max_output_tokens for p in prices]
        return replace(
            next((price for price in prices if price.units.second is not None), prices[0]),
            max_input_tokens=None if None in inputs else max(size for size in inputs if size is not None),
            max_output_tokens=None if None in outputs else max(size for size in outputs if size is not None),
        )

    def members(self, model: str) -> Sequence[str]:
        """The models that a name can end at; the name itself where it stands for no other."""
        return self._members(model) or (model,)


def _most(costs: Iterable[Money | None]) -> Money | None:
    found = list(costs)
    return max((cost for cost in found if cost is not None), default=None) if None not in found else None


def bundled_table() -> Path | None:
    """Where LiteLLM's price table lies; None where LiteLLM is not installed. Does not import it: that takes
    seconds."""
    spec = importlib.util.find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (file := Path(folder) / TABLE_NAME).is_file():
            return file
    return None
