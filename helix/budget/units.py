"""What a row of LiteLLM's price table says beside the price of a token: other units, searches, regions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeGuard

from helix.budget.amounts import Row, exact, rate, usd
from helix.budget.rates import NO_UNITS, Units

__all__ = ["pays_without_tokens", "read_factors", "read_units", "read_uplifts"]

_GOOGLE: Final = frozenset({"gemini", "vertex_ai"})
_XAI_SEARCH_USD: Final = 0.005
_GEMINI_SEARCH_USD: Final = 0.035
_MAPS_BY_QUERY_USD: Final = 0.014
_MAPS_BY_PROMPT_USD: Final = 0.025
_GROQ_VISIT_USD: Final = 0.001  # litellm.constants.GROQ_BROWSER_VISIT_WEBSITE_COST_PER_CALL
_BY_THE_SECOND: Final = frozenset({None, "chat", "completion", "embedding", "responses"})


def read_units(row: Row, provider: str, name: str) -> Units:
    """What is paid beside tokens, or instead. `name` is the model's: Claude at Google searches at Anthropic's terms."""
    google = provider in _GOOGLE and "claude" not in name.lower()
    units = Units(
        character=rate(row, "input_cost_per_character"),
        image=rate(row, "input_cost_per_image"),
        audio_second=rate(row, "input_cost_per_audio_per_second"),
        video_second=rate(row, "input_cost_per_video_per_second"),
        second=_second(row),
        query=rate(row, "input_cost_per_query") or 0,
        citation=(rate(row, "citation_cost_per_token") or 0) if provider == "perplexity" else 0,
        search=_searches(row, provider, google),
        searches_once=google and row.get("web_search_billing_unit") != "per_query",
        map_search=_map_search(row) if google else 0,
        page_visit=exact(_GROQ_VISIT_USD) if provider == "groq" else 0,
    )
    return units if units != NO_UNITS else NO_UNITS


def pays_without_tokens(row: Row, units: Units) -> bool:
    """Whether a row without a price by the token has one all the same, for what Helix can be asked."""
    if units.second is not None:
        return True
    return row.get("mode") == "embedding" and (
        bool(units.query) or units.character is not None or units.image is not None
    )


def read_factors(row: Row, provider: str) -> dict[str, tuple[int, int]]:
    """By how much the provider itself says that a region, or a speed, changes the price of tokens (Anthropic)."""
    entry = row.get("provider_specific_entry")
    if provider != "anthropic" or not isinstance(entry, Mapping):
        return {}
    return {name: _ratio(value) for name, value in entry.items() if _is_number(value)}


def read_uplifts(row: Row, provider: str) -> dict[str, tuple[int, int]]:
    """By how much a deployment's region changes it: OpenAI's data residency, Vertex AI's locations ("" for any)."""
    if provider == "vertex_ai":
        value = row.get("regional_endpoint_uplift_multiplier")
        return {"": _ratio(value)} if _is_number(value) else {}
    start = "regional_processing_uplift_multiplier_"
    return {
        key.removeprefix(start): _ratio(value)
        for key, value in row.items()
        if key.startswith(start) and _is_number(value)
    }


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ratio(value: float) -> tuple[int, int]:
    return Decimal(str(value)).as_integer_ratio()


def _second(row: Row) -> int | None:
    by_token = any(usd(row, key) for key in ("input_cost_per_token", "output_cost_per_token"))
    if by_token or row.get("tiered_pricing") or row.get("mode") not in _BY_THE_SECOND:
        return None
    keys = ("cost_per_second", "input_cost_per_second", "output_cost_per_second")
    return next((price for key in keys if (price := rate(row, key)) is not None), None)


def _map_search(row: Row) -> int:
    by_query = row.get("web_search_billing_unit") == "per_query"
    default = exact(_MAPS_BY_QUERY_USD if by_query else _MAPS_BY_PROMPT_USD)
    return rate(row, "google_maps_grounding_cost_per_query", default) or 0


def _searches(row: Row, provider: str, google: bool) -> dict[str, int]:
    told = row.get("search_context_cost_per_query")
    costs = told if isinstance(told, Mapping) else {}
    by_size = {size: rate(costs, f"search_context_size_{size}") for size in ("low", "medium", "high")}
    known = {size: price for size, price in by_size.items() if price is not None}
    usual = known.get("medium", 0)
    if provider == "perplexity":
        return {"": known.get("low", 0)}
    if provider == "xai":
        return {
            "": next((known[size] for size in ("medium", "low", "high") if known.get(size)), exact(_XAI_SEARCH_USD))
        }
    if google and "medium" not in known:
        usual = exact(_GEMINI_SEARCH_USD)
    if provider in _GOOGLE or provider in ("anthropic", "groq"):
        return {"": usual} if usual else {}
    return {"": usual, **{size: known.get(size, 0) for size in by_size}} if known else {}
