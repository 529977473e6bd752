"""What a model charges: LiteLLM's price table, read without importing LiteLLM, and prices declared by
configuration."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from helix.kernel.types import NANO_PER_USD, Money, Usage

__all__ = ["GroupPrices", "ModelPrice", "PriceTable", "Rates"]

MAX_NAMES = 4096
"""Names whose members are remembered; a caller can make up any number that a pattern matches."""

TABLE_NAME = "model_prices_and_context_window_backup.json"

# What LiteLLM's calculators do for single providers beyond their rows in the table.
_FIREWORKS_CACHE_READ_RATIO = 0.5  # litellm.constants.FIREWORKS_AI_DEFAULT_CACHE_READ_RATE_RATIO
_INCLUSIVE_THRESHOLDS = frozenset({"xai"})  # the long-context rate begins at the threshold, not after it
_REASONING_IS_OUTPUT = frozenset({"xai"})
_FLAT = frozenset({"perplexity"})  # neither long inputs nor cached ones have a rate of their own
_SELF_HOSTED = frozenset({"lemonade"})
_PRIORITY = "_priority"
# Rates by the token that a caller can choose and that `Usage` does not tell apart.
_OTHER_INPUT = (
    "input_cost_per_audio_token",
    "input_cost_per_image_token",
    "input_cost_per_video_token",
    "cache_creation_input_audio_token_cost",
    "cache_creation_input_token_cost_above_1hr",
)
_OTHER_OUTPUT = ("output_cost_per_audio_token", "output_cost_per_image_token")


@dataclass(frozen=True, slots=True)
class Rates:
    """USD a token, by kind of token."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    reasoning: float
    dearest_input: float = 0.0
    """What an input token costs at most by a rate that no usage tells apart: spoken, or cached for an hour."""
    dearest_output: float = 0.0
    """The same for output: spoken."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """A model's rates, its dearer rates for long inputs, and the sizes it is capped at.

    `tiers` are (threshold, rates), ascending: the last whose threshold the input tokens exceed holds for the whole
    request. `max_input_tokens` and `max_output_tokens` are None where the table does not know them. `priority` are the
    prices for priority processing (`service_tier`), None where they are the same.

    Booked are input, cached and written tokens, output and reasoning, at the ordinary or the priority rates; a cache
    entry for an hour is booked like one for five minutes, sound like text, flex like the ordinary tier. What is
    reserved covers the dearest of all of these.
    """

    rates: Rates
    tiers: tuple[tuple[float, Rates], ...] = ()
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    priority: ModelPrice | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> ModelPrice | None:
        """Read a row of LiteLLM's table, or the `model_info` or `litellm_params` of a deployment.

        None where it has no price by the token. Raises ValueError for a price that is not a number of zero or more.
        """
        if not any(_rate(entry, key) is not None for key in ("input_cost_per_token", "output_cost_per_token")) and (
            not _ranges(entry)
        ):
            return None
        provider = entry.get("litellm_provider") or ""
        if provider in _SELF_HOSTED:
            return cls(Rates(0.0, 0.0, 0.0, 0.0, 0.0))
        base = _rates(entry, provider, "", None)
        tiers = _ranges_as_tiers(entry, provider, base) or _thresholds_as_tiers(entry, provider, base)
        return cls(
            base,
            () if provider in _FLAT else tiers,
            _tokens(entry.get("max_input_tokens")),
            _tokens(entry.get("max_output_tokens")),
            cls.of(_priority(entry)) if any(key.endswith(_PRIORITY) for key in entry) else None,
        )

    def cost(self, usage: Usage) -> Money:
        """The cost of a usage, computed in LiteLLM's own order of float operations and rounded to the nano-USD
        once."""
        rates = self.rates
        for threshold, dearer in self.tiers:
            if usage.input_tokens <= threshold:
                break
            rates = dearer
        cached, written, reasoning = usage.cached_input_tokens, usage.cache_write_tokens, usage.reasoning_tokens
        input_usd = max(usage.input_tokens - cached - written, 0) * rates.input
        if cached:
            input_usd += cached * rates.cache_read
        if written:
            input_usd += written * rates.cache_write
        output_usd = max(usage.output_tokens - reasoning, 0) * rates.output
        if reasoning:
            output_usd += reasoning * rates.reasoning
        return Money(round((input_usd + output_usd) * NANO_PER_USD))

    def dearest(self, input_tokens: int, output_tokens: int) -> Money:
        """The most so many tokens can cost, of whatever kind they are and in whatever tier."""
        rates = self.rates
        for threshold, dearer in self.tiers:
            if input_tokens <= threshold:
                break
            rates = dearer
        usd = input_tokens * max(rates.input, rates.cache_read, rates.cache_write, rates.dearest_input)
        usd += output_tokens * max(rates.output, rates.reasoning, rates.dearest_output)
        most = Money(math.ceil(usd * NANO_PER_USD))
        return most if self.priority is None else max(most, self.priority.dearest(input_tokens, output_tokens))


class PriceTable:
    """Prices by model name, as a `Price`: LiteLLM's table with a deployment's own prices laid over it.

    Names are found as LiteLLM writes them, with the provider ("openai/gpt-4o") or without ("gpt-4o").
    """

    def __init__(self, prices: Mapping[str, ModelPrice], *, providers: Mapping[str, str] | None = None) -> None:
        self._prices = dict(prices)
        self._providers = dict(providers or {})
        self._found: dict[str, ModelPrice | None] = {}

    @classmethod
    def load(cls, path: Path | str | None = None, *, custom: Mapping[str, ModelPrice] | None = None) -> PriceTable:
        """Read a table from a file, by default the one that comes with LiteLLM; takes some 100 ms, no network.

        Without LiteLLM there are the custom prices alone. Raises ValueError for a file that is no such table, OSError
        for one that cannot be read.
        """
        file = Path(path) if path is not None else bundled_table()
        prices: dict[str, ModelPrice] = {}
        providers: dict[str, str] = {}
        if file is not None:
            try:
                rows = orjson.loads(file.read_bytes())
                for name, row in rows.items():
                    if name != "sample_spec" and (price := ModelPrice.of(row)) is not None:
                        prices[name] = price
                        providers[name] = row.get("litellm_provider") or ""
            except (ValueError, AttributeError) as error:
                raise ValueError(f"the price table {file.name} cannot be read: {error}") from None
        prices |= custom or {}
        return cls(prices, providers=providers)

    def __call__(self, model: str, usage: Usage) -> Money | None:
        """The cost of a usage, or None for a model without a price."""
        price = self.find(model)
        return None if price is None else price.cost(usage)

    def priority(self, model: str, usage: Usage) -> Money | None:
        """The cost of a usage at the rates for priority processing, or None for a model without a price."""
        price = self.find(model)
        return None if price is None else (price.priority or price).cost(usage)

    def dearest(self, model: str, input_tokens: int, output_tokens: int) -> Money | None:
        """The most that so many tokens of a model can cost, or None for one without a price."""
        price = self.find(model)
        return None if price is None else price.dearest(input_tokens, output_tokens)

    def __len__(self) -> int:
        return len(self._prices)

    def find(self, model: str) -> ModelPrice | None:
        """A model's price; None where there is none."""
        try:
            return self._found[model]
        except KeyError:
            price = self._find(model)
            # Names come from callers too: what is unknown is not remembered, so that they cannot fill the memory.
            if price is not None:
                self._found[model] = price
            return price

    def _find(self, model: str) -> ModelPrice | None:
        if (price := self._prices.get(model)) is not None:
            return price
        provider, slash, name = model.partition("/")
        if not slash:
            provider, name = "", model
        if name.startswith("ft:"):  # "ft:gpt-4o-2024-08-06:my-org::id" is listed by its base model
            name = ":".join(name.split(":", 2)[:2])
        # "bedrock" is also "bedrock_converse", "vertex_ai" also "vertex_ai-language-models". Somebody's own server that
        # serves a model of the same name is another provider, and has no price here.
        if name and self._providers.get(name, "").startswith(provider):
            return self._prices.get(name)
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
        return _most(self.table(member, usage) for member in self._members_of(model))

    def priority(self, model: str, usage: Usage) -> Money | None:
        """The same at the rates for priority processing."""
        return _most(self.table.priority(member, usage) for member in self._members_of(model))

    def dearest(self, model: str, input_tokens: int, output_tokens: int) -> Money | None:
        """The most that so many tokens can cost with any member; None where one has no price."""
        return _most(self.table.dearest(member, input_tokens, output_tokens) for member in self._members_of(model))

    def find(self, model: str) -> ModelPrice | None:
        """The group's sizes in the form of one price: the largest of each; None where a member is not known."""
        members = self._members_of(model)
        if len(members) == 1:
            return self.table.find(members[0])
        prices = [price for member in members if (price := self.table.find(member)) is not None]
        if len(prices) != len(members):
            return None
        inputs, outputs = [p.max_input_tokens for p in prices], [p.max_output_tokens for p in prices]
        return ModelPrice(
            prices[0].rates,
            (),
            None if None in inputs else max(size for size in inputs if size is not None),
            None if None in outputs else max(size for size in outputs if size is not None),
        )

    def _members_of(self, model: str) -> Sequence[str]:
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


def _rate(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    try:
        rate = float(value)  # YAML reads "3e-7" as a string
    except (TypeError, ValueError):
        raise ValueError(f"'{key}' must be a number of USD") from None
    if not 0.0 <= rate < float("inf"):
        raise ValueError(f"'{key}' must be a number of USD of zero or more")
    return rate


def _tokens(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None


def _rates(entry: Mapping[str, Any], provider: str, suffix: str, below: Rates | None) -> Rates:
    def rate(key: str) -> float | None:
        return _rate(entry, key + suffix)

    def known(key: str, fallback: float) -> float:
        value = rate(key)
        return fallback if value is None else value

    tokens_in = known("input_cost_per_token", below.input if below else 0.0)
    tokens_out = known("output_cost_per_token", below.output if below else 0.0)
    if not tokens_out:
        tokens_out = _rate(entry, "output_cost_per_image_token") or tokens_out
    read, written = rate("cache_read_input_token_cost"), rate("cache_creation_input_token_cost")
    if read is None and suffix:
        read = _rate(entry, "cache_read_input_token_cost")
    if written is None and suffix:
        written = _rate(entry, "cache_creation_input_token_cost")
    if read is None:
        read = tokens_in * _FIREWORKS_CACHE_READ_RATIO if provider == "fireworks_ai" else tokens_in
    if written is None:
        written = tokens_in
    if provider in _FLAT:
        read = written = tokens_in
    reasoning = _rate(entry, "output_cost_per_reasoning_token")
    if reasoning is None or provider in _REASONING_IS_OUTPUT:
        reasoning = tokens_out
    return Rates(
        tokens_in,
        tokens_out,
        read,
        written,
        reasoning,
        _largest(entry, _OTHER_INPUT, suffix, below.dearest_input if below else 0.0),
        _largest(entry, _OTHER_OUTPUT, suffix, below.dearest_output if below else 0.0),
    )


def _largest(entry: Mapping[str, Any], keys: Sequence[str], suffix: str, least: float) -> float:
    return max(least, *(_rate(entry, key + suffix) or 0.0 for key in keys))


def _priority(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The same row with the rates for priority processing in the place of the ordinary ones, where it has them."""
    dear = {key.removesuffix(_PRIORITY): value for key, value in entry.items() if key.endswith(_PRIORITY)}
    rest = {key: value for key, value in entry.items() if not key.endswith(_PRIORITY)}
    return rest | {key: value for key, value in dear.items() if value is not None}


def _thresholds_as_tiers(entry: Mapping[str, Any], provider: str, base: Rates) -> tuple[tuple[float, Rates], ...]:
    # "input_cost_per_token_above_200k_tokens"; priority, flex and batch rates end otherwise
    names = {
        key.rsplit("_above_", 1)[1].removesuffix("_tokens")
        for key, value in entry.items()
        if value is not None and "_cost" in key and "_above_" in key and key.endswith("_tokens")
    }
    sizes = {name: float(name.removesuffix("k")) * (1000 if name.endswith("k") else 1) for name in names}
    tiers = []
    for name in sorted(names, key=sizes.__getitem__):
        base = _rates(entry, provider, f"_above_{name}_tokens", base)
        tiers.append((sizes[name] - (provider in _INCLUSIVE_THRESHOLDS), base))
    return tuple(tiers)


def _ranges(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    ranges = entry.get("tiered_pricing")
    if not isinstance(ranges, list):
        return []
    return sorted(
        (
            tier
            for tier in ranges
            if len(tier.get("range", ())) == 2 and _rate(tier, "input_cost_per_token") is not None
        ),
        key=lambda tier: float(tier["range"][0]),
    )


def _ranges_as_tiers(entry: Mapping[str, Any], provider: str, base: Rates) -> tuple[tuple[float, Rates], ...]:
    tiers = []
    for tier in _ranges(entry):
        rates = _rates(tier, provider, "", None)
        if _rate(tier, "output_cost_per_token") is None:
            reasoning = _rate(tier, "output_cost_per_reasoning_token")
            rates = Rates(
                rates.input,
                base.output,
                rates.cache_read,
                rates.cache_write,
                base.reasoning if reasoning is None else reasoning,
            )
        tiers.append((float(tier["range"][0]), rates))
    return tuple(tiers)
