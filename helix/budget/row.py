"""Reading a row of LiteLLM's price table, or a deployment's own prices in that form, as LiteLLM's calculators do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from helix.budget.amounts import Row, exact, rate, tokens, usd
from helix.budget.hours import Hours
from helix.budget.rates import FREE, ModelPrice, Rates, Tariff
from helix.budget.units import pays_without_tokens, read_factors, read_units, read_uplifts

__all__ = ["provider_of", "read_row"]

# What LiteLLM's calculators do for single providers beyond their rows in the table.
_FIREWORKS_CACHE_READ_RATIO: Final = 0.5  # litellm.constants.FIREWORKS_AI_DEFAULT_CACHE_READ_RATE_RATIO
_INCLUSIVE_THRESHOLDS: Final = frozenset({"xai"})  # the long-context rate begins at the threshold, not after it
_REASONING_IS_OUTPUT: Final = frozenset({"xai"})
_FLAT: Final = frozenset({"perplexity"})  # neither long inputs nor cached ones have a rate of their own
_RANGES_ALONE: Final = frozenset({"dashscope", "qwencloud", "qwen_ai_platform"})  # text at every price, no other kind
_SELF_HOSTED: Final = frozenset({"lemonade"})
_STATES_COST: Final = frozenset({"xai", "perplexity"})
_ONE_TIER: Final = _RANGES_ALONE | {"fireworks_ai", "deepseek", "tencent", "perplexity", "xai"}

_TIERS: Final = {"flex": "_flex", "balanced": "_balanced", "priority": "_priority", "ultrafast": "_ultrafast"}
_NAMES: Final = {"priority": ("priority", "fast")}
"""What requests and answers call a tier; by its own name where nothing is said."""
_BATCH: Final = "_batches"
_KINDS: Final = ("audio", "image", "video")
_THRESHOLD: Final = re.compile(
    r"(?:input_cost_per_token|output_cost_per_token|cache_read_input_token_cost|cache_creation_input_token_cost)"
    r"(?:_above_1hr)?_above_(\d+k?)_tokens(_\w+)?$"
)


def provider_of(row: Row) -> str:
    """The provider that LiteLLM asks for a row: several names of the table are one provider."""
    name = str(row.get("litellm_provider") or "")
    for family in ("vertex_ai", "bedrock", "fireworks_ai"):
        if name.startswith(family) and name != "bedrock_mantle":
            return family
    return name


def read_row(row: Row, name: str = "") -> ModelPrice | None:
    """The prices in a row; None where it has none for what Helix can be asked.

    `name` is the model's: Claude at Google searches at Anthropic's terms.

    Raises ValueError for a price that is not a number of zero or more.
    """
    provider = provider_of(row)
    most_in, most_out = tokens(row, "max_input_tokens"), tokens(row, "max_output_tokens")
    if provider in _SELF_HOSTED:
        return ModelPrice(FREE, max_input_tokens=most_in, max_output_tokens=most_out)
    units = read_units(row, provider, name)
    by_token = any(usd(row, key) is not None for key in ("input_cost_per_token", "output_cost_per_token"))
    if not by_token and not _ranges(row) and not pays_without_tokens(row, units):
        return None
    tariff = _tariff(row, provider)
    tariffs = dict(_other_tariffs(row, provider, tariff))
    off_peak, cheap = None, dict[str, Tariff]()
    if isinstance(block := row.get("off_peak_pricing"), Mapping):
        off_peak = Hours.of(block)
        cheap = {"": _tariff(row, provider, off_peak=block)}
        cheap |= {tier: _tariff(row, provider, _TIERS.get(tier, ""), off_peak=block) for tier in tariffs}
    return ModelPrice(
        tariff=tariff,
        tariffs=tariffs,
        units=units,
        off_peak=off_peak,
        off_peak_tariffs=cheap,
        factors=read_factors(row, provider),
        uplifts=read_uplifts(row, provider),
        trusts_provider=provider in _STATES_COST,
        max_input_tokens=most_in,
        max_output_tokens=most_out,
    )


def _tariff(row: Row, provider: str, tier: str = "", off_peak: Row | None = None) -> Tariff:
    """The bands of one tier, by the suffix of its keys."""
    cheap = off_peak or {}
    bands = [(-1.0, _rates(row, provider, tier, (), cheap))]
    if provider not in _FLAT:
        ranges = _ranges(row)
        if ranges:
            bands += [(float(one["range"][0]), _ranged(row, one, provider, cheap)) for one in ranges]
        else:
            names = _thresholds(row, tier)
            inclusive = provider in _INCLUSIVE_THRESHOLDS
            bands += [
                (size - inclusive, _rates(row, provider, tier, names[: index + 1], cheap))
                for index, size in enumerate(map(_size, names))
            ]
    return tuple(bands)


def _size(name: str) -> float:
    return float(name.removesuffix("k")) * (1000 if name.endswith("k") else 1)


def _thresholds(row: Row, tier: str) -> list[str]:
    matches = (_THRESHOLD.match(key) for key, value in row.items() if value is not None and "_above_" in key)
    return sorted({match[1] for match in matches if match and (match[2] or "") in ("", tier)}, key=_size)


def _rates(row: Row, provider: str, tier: str, above: list[str] | tuple[str, ...], cheap: Row) -> Rates:
    def told(key: str, otherwise: int | None, tail: str = "") -> int | None:
        # A tier's own price, else the ordinary one; the same above each threshold that is exceeded.
        value = rate(row, f"{key}{tail}{tier}", rate(row, f"{key}{tail}")) if tier else rate(row, f"{key}{tail}")
        return otherwise if value is None else value

    def climbed(key: str, otherwise: int | None) -> int | None:
        value = otherwise
        for name in above:
            value = told(key, value, f"_above_{name}_tokens")
        return value

    tokens_out = told("output_cost_per_token", 0)
    if not tokens_out:
        tokens_out = rate(row, "output_cost_per_image_token", tokens_out)
    tokens_in = climbed("input_cost_per_token", told("input_cost_per_token", 0)) or 0
    tokens_out = climbed("output_cost_per_token", tokens_out) or 0
    read_default = None
    if row.get("litellm_provider") == "fireworks_ai" and (base := usd(row, "input_cost_per_token")) is not None:
        read_default = exact(base * _FIREWORKS_CACHE_READ_RATIO)
    read = climbed("cache_read_input_token_cost", told("cache_read_input_token_cost", read_default))
    written = climbed("cache_creation_input_token_cost", told("cache_creation_input_token_cost", None))
    hour_key = "cache_creation_input_token_cost_above_1hr"
    hour = climbed(hour_key, rate(row, hour_key))

    tokens_in = rate(cheap, "input_cost_per_token", tokens_in) or 0
    tokens_out = rate(cheap, "output_cost_per_token", tokens_out) or 0
    read = rate(cheap, "cache_read_input_token_cost", tokens_in if read is None else read) or 0
    written = rate(cheap, "cache_creation_input_token_cost", tokens_in if written is None else written) or 0
    if provider in _FLAT:
        read = written = hour = tokens_in
    reasoning = rate(cheap, "output_cost_per_reasoning_token")
    if reasoning is None:
        reasoning = _reasoning(row, tier, tokens_out)
    rates = Rates(tokens_in, tokens_out, read, read, written, written if hour is None else hour, reasoning)
    return _with_modalities(row, provider, tier, rates)


def _reasoning(row: Row, tier: str, tokens_out: int) -> int:
    if tier:
        own = rate(row, f"output_cost_per_reasoning_token{tier}")
        if own is not None or usd(row, f"output_cost_per_token{tier}") is not None:
            return tokens_out if own is None else own
    return rate(row, "output_cost_per_reasoning_token", tokens_out) or 0


def _with_modalities(row: Row, provider: str, tier: str, rates: Rates) -> Rates:
    if provider in _FLAT or provider in _RANGES_ALONE:
        one_in, one_out = rates.input, rates.output
        rates = replace(
            rates, cache_write_1h=rates.cache_write, audio_input=one_in, image_input=one_in, video_input=one_in
        )
        return replace(rates, audio_output=one_out, image_output=one_out, video_output=one_out)
    out = [rates.output] * 3
    if provider in _REASONING_IS_OUTPUT:
        rates = replace(rates, reasoning=rates.output)
    else:
        out = [rate(row, f"output_cost_per_{kind}_token", rates.output) or 0 for kind in _KINDS]
    spoken = rate(row, f"cache_read_input_audio_token_cost{tier}", rate(row, "cache_read_input_audio_token_cost"))
    into = [rate(row, f"input_cost_per_{kind}_token", rates.input) or 0 for kind in _KINDS]
    return replace(
        rates,
        cache_read_audio=rates.cache_read if spoken is None else spoken,
        audio_input=into[0],
        image_input=into[1],
        video_input=into[2],
        audio_output=out[0],
        image_output=out[1],
        video_output=out[2],
    )


def _ranges(row: Row) -> list[Row]:
    ranges = row.get("tiered_pricing")
    if not isinstance(ranges, list):
        return []
    told = [one for one in ranges if len(one.get("range", ())) == 2 and usd(one, "input_cost_per_token") is not None]
    return sorted(told, key=lambda one: float(one["range"][0]))


def _ranged(row: Row, one: Row, provider: str, cheap: Row) -> Rates:
    tokens_in = rate(cheap, "input_cost_per_token", rate(one, "input_cost_per_token")) or 0
    range_in = rate(one, "input_cost_per_token") or 0
    out = one if "output_cost_per_token" in one else row
    tokens_out = rate(cheap, "output_cost_per_token", rate(out, "output_cost_per_token")) or 0
    read = rate(cheap, "cache_read_input_token_cost", rate(one, "cache_read_input_token_cost", range_in)) or 0
    written = rate(one, "cache_creation_input_token_cost", range_in) or 0
    hour = rate(one, "cache_creation_input_token_cost_above_1hr", written) or written
    written = rate(cheap, "cache_creation_input_token_cost", written) or 0
    reasoning = rate(cheap, "output_cost_per_reasoning_token", rate(one, "output_cost_per_reasoning_token"))
    if reasoning is None:
        reasoning = tokens_out if out is one else rate(row, "output_cost_per_reasoning_token", tokens_out)
    return _with_modalities(row, provider, "", Rates(tokens_in, tokens_out, read, read, written, hour, reasoning or 0))


def _other_tariffs(row: Row, provider: str, ordinary: Tariff) -> Iterator[tuple[str, Tariff]]:
    for tier, suffix in _TIERS.items() if provider not in _ONE_TIER else ():
        if any(key.endswith(suffix) and value is not None for key, value in row.items()):
            tariff = _tariff(row, provider, suffix)
            if tariff != ordinary:
                yield from ((name, tariff) for name in _NAMES.get(tier, (tier,)))
    yield "batch", _batch_tariff(row)


def _batch_tariff(row: Row) -> Tariff:
    """What a provider's batch API charges: its own rates, else half of the ordinary ones."""
    matches = [_THRESHOLD.match(key) for key, value in row.items() if value is not None and key.endswith(_BATCH)]
    names = sorted({match[1] for match in matches if match and match[2] == _BATCH}, key=_size)
    bands = [(-1.0, _batch_rates(row, []))]
    return (*bands, *((_size(name), _batch_rates(row, names[: index + 1])) for index, name in enumerate(names)))


def _batch_rates(row: Row, above: list[str]) -> Rates:
    def told(key: str) -> int | None:
        value = rate(row, f"{key}{_BATCH}")
        for name in above:
            if usd(row, f"{key}_above_{name}_tokens{_BATCH}") is not None:
                value = rate(row, f"{key}_above_{name}_tokens{_BATCH}")
        return value

    tokens_in, tokens_out = told("input_cost_per_token"), told("output_cost_per_token")
    if tokens_out is None:
        tokens_out = (rate(row, "output_cost_per_token") or 0) // 2
    image_out = rate(row, f"output_cost_per_image_token{_BATCH}")
    if image_out is None:
        image_out = (rate(row, "output_cost_per_image_token") or 2 * tokens_out) // 2
    if tokens_in is not None:
        read, written = told("cache_read_input_token_cost"), told("cache_creation_input_token_cost")
        into = [rate(row, f"input_cost_per_{kind}_token{_BATCH}", tokens_in) or 0 for kind in _KINDS]
    else:
        base = rate(row, "input_cost_per_token") or 0
        tokens_in, into = base // 2, [base // 2] * 3
        read = (rate(row, "cache_read_input_token_cost") or 0) // 2
        written = (rate(row, "cache_creation_input_token_cost") or base) // 2
    read, written = tokens_in if read is None else read, tokens_in if written is None else written
    rates = Rates(tokens_in, tokens_out, read, read, written, written, tokens_out, *into)
    return replace(rates, audio_output=tokens_out, image_output=image_out, video_output=tokens_out)
