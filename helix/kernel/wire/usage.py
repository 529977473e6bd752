"""Reading what providers count: the shapes of OpenAI and Anthropic, and what others, or LiteLLM, put into them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from helix.kernel.types import NANO_PER_USD, Usage
from helix.kernel.wire.base import Json, fields, objects

__all__ = [
    "chat_usage",
    "embeddings_usage",
    "message_read_from_cache",
    "message_usage",
    "read_from_cache",
    "response_usage",
    "tier_of",
    "with_searches",
]

MOST_TOKENS: Final = 10**9
"""More than any request has: a count above it is taken for none."""

# What a detail of the input is called, and what it is here. The second name of a pair is Anthropic's or LiteLLM's.
_INPUT: Final = {
    "cached_tokens": "cached_input_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_creation_tokens": "cache_write_tokens",
    "audio_tokens": "audio_input_tokens",
    "image_tokens": "image_input_tokens",
    "video_tokens": "video_input_tokens",
    "character_count": "input_characters",
    "image_count": "input_images",
    "query_count": "queries",
    "web_search_requests": "searches",
    "google_maps_grounding_requests": "map_searches",
}
_INPUT_SECONDS: Final = {
    "audio_length_seconds": "audio_input_seconds",
    "video_length_seconds": "video_input_seconds",
}
_OUTPUT: Final = {
    "reasoning_tokens": "reasoning_tokens",
    "audio_tokens": "audio_output_tokens",
    "image_tokens": "image_output_tokens",
    "video_tokens": "video_output_tokens",
}
# Beside the details: DeepSeek's, LiteLLM's for Anthropic, Perplexity's.
_BESIDE: Final = {
    "prompt_cache_hit_tokens": "cached_input_tokens",
    "cache_read_input_tokens": "cached_input_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "citation_tokens": "citation_tokens",
    "num_search_queries": "searches",
}
_NANO_PER_TICK: Final = NANO_PER_USD / 10_000_000_000  # xAI's cost_in_usd_ticks
_ORDINARY: Final = frozenset(("auto", "default", "standard", "standard_only"))
_NOWHERE: Final = frozenset(("global", "not_available"))
_PLAIN: Final = frozenset(("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"))


def chat_usage(answer: Json) -> Usage | None:
    """The usage of a chat completion, a completion, or a chunk of one; None where it tells none."""
    usage = answer.get("usage")
    if not isinstance(usage, dict) or not usage:
        return None
    found = _openai(usage, "prompt_tokens", "completion_tokens", tier_of(answer))
    return with_searches(found, answer) if "choices" in answer else found


def response_usage(answer: Json) -> Usage | None:
    """The usage of a response, with the searches among its output items."""
    usage = answer.get("usage")
    if not isinstance(usage, dict) or not usage:
        return None
    found = _openai(usage, "input_tokens", "output_tokens", tier_of(answer))
    told = fields(fields(answer, "tool_usage"), "web_search").get("num_requests")
    if isinstance(told, int):
        return replace(found, searches=_count(told))
    searches = sum(item.get("type") == "web_search_call" for _, item in objects(answer.get("output")))
    return replace(found, searches=searches) if searches > found.searches else found


def embeddings_usage(answer: Json) -> Usage | None:
    """The usage of embeddings, which have no output."""
    usage = answer.get("usage")
    return _openai(usage, "prompt_tokens", None, "") if isinstance(usage, dict) and usage else None


def with_searches(usage: Usage | None, payload: Json) -> Usage | None:
    """The usage with at least one search where a choice cites pages: the only sign of it in chat completions."""
    choices = payload.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        message = (choice.get("delta") or choice.get("message")) if isinstance(choice, dict) else None
        notes = message.get("annotations") if isinstance(message, dict) else None
        if notes and any(note.get("type") == "url_citation" for _, note in objects(notes)):
            # Before the usage comes, nothing else is known.
            known = Usage(doubtful=True) if usage is None else usage
            return known if known.searches else replace(known, searches=1)
    return usage


def message_usage(usage: Json, so_far: Usage | None) -> Usage | None:
    """Anthropic's usage, which counts cached input apart; an event's, over what was known before it."""
    if not usage:
        return so_far
    known = so_far or Usage()
    rounds = [one for _, one in objects(usage.get("iterations"))]  # with compaction: each is billed

    def told(key: str, otherwise: int) -> int:
        if rounds:
            return sum(_count(one.get(key)) for one in rounds)
        return _count(usage[key]) if usage.get(key) is not None else otherwise

    cached = told("cache_read_input_tokens", known.cached_input_tokens)
    written = told("cache_creation_input_tokens", known.cache_write_tokens)
    fresh = told("input_tokens", known.input_tokens - known.cached_input_tokens - known.cache_write_tokens)
    creation, tools = usage.get("cache_creation"), usage.get("server_tool_use")
    hour = known.cache_write_1h_tokens
    if isinstance(creation, dict):
        hour = min(_count(creation.get("ephemeral_1h_input_tokens")), written)
    searches = _count(tools.get("web_search_requests")) if isinstance(tools, dict) else known.searches
    region, speed = usage.get("inference_geo"), usage.get("speed")
    return Usage(
        input_tokens=fresh + cached + written,
        output_tokens=told("output_tokens", known.output_tokens),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        searches=searches,
        service_tier=tier_of(usage) or known.service_tier,
        region=_region(region) if isinstance(region, str) else known.region,
        speed=speed if isinstance(speed, str) else known.speed,
        doubtful=known.doubtful or any(_is_wrong(usage[key]) for key in _ANTHROPIC if usage.get(key) is not None),
    )


_ANTHROPIC: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def tier_of(holder: Mapping[str, Any]) -> str:
    """The `service_tier` that an answer, or a usage, names; "" for the ordinary one."""
    tier = holder.get("service_tier")
    return tier if isinstance(tier, str) and tier not in _ORDINARY else ""


def _openai(usage: Json, key_in: str, key_out: str | None, tier: str) -> Usage:
    tokens_in, tokens_out = usage.get(key_in), usage.get(key_out) if key_out else 0
    more: dict[str, Any] = {}
    doubtful = _is_wrong(tokens_in) or _is_wrong(tokens_out)
    counted_in, counted_out = _count(tokens_in), _count(tokens_out)
    stem_in, stem_out = key_in.removesuffix("s"), (key_out or "").removesuffix("s")
    for key, value in usage.items():
        if not value or key in _PLAIN:
            continue
        if isinstance(value, dict):
            if key in (f"{key_in}_details", f"{stem_in}_details"):
                doubtful |= _details(value, _INPUT, more)
                _nested(value, more)
            elif key in (f"{key_out}_details", f"{stem_out}_details"):
                doubtful |= _details(value, _OUTPUT, more)
            else:
                _tools(key, value, more)
        elif key in _BESIDE:
            doubtful |= _is_wrong(value)
            more.setdefault(_BESIDE[key], _count(value))
        elif key in ("cost", "cost_in_usd_ticks"):
            _cost(key, value, more)
    if more or doubtful:
        reasoning = more.get("reasoning_tokens", 0)
        if reasoning and usage.get("total_tokens") == counted_in + counted_out + reasoning:
            counted_out += reasoning  # xAI counts it apart
        doubtful = doubtful or (
            more.get("cached_input_tokens", 0) + more.get("cache_write_tokens", 0) > counted_in
            or reasoning > counted_out
        )
        if doubtful:
            more["doubtful"] = True
    if tier:
        more["service_tier"] = tier
    return Usage(counted_in, counted_out, **more)


def _details(details: Json, names: Mapping[str, str], more: dict[str, Any]) -> bool:
    wrong = False
    for key, value in details.items():
        if not value:
            continue
        name = names.get(key)
        if name is not None:
            wrong |= _is_wrong(value)
            more[name] = _count(value)
        elif key in _INPUT_SECONDS and isinstance(value, int | float) and 0 < value < MOST_TOKENS:
            more[_INPUT_SECONDS[key]] = float(value)
    return wrong


def _nested(details: Json, more: dict[str, Any]) -> None:
    creation = fields(details, "cache_creation_token_details")
    if hour := _count(creation.get("ephemeral_1h_input_tokens")):
        written = max(more.get("cache_write_tokens", 0), hour + _count(creation.get("ephemeral_5m_input_tokens")))
        more |= {"cache_write_1h_tokens": hour, "cache_write_tokens": written}
    cached = fields(details, "cached_tokens_details")
    if cached:
        # Counts by kind include what was read from the cache.
        all_cached = more.get("cached_input_tokens", 0)
        spoken = min(_count(cached.get("audio_tokens")), all_cached)
        pictured = min(_count(cached.get("image_tokens")), all_cached - spoken)
        for name, part in (("audio_input_tokens", spoken), ("image_input_tokens", pictured)):
            if part and name in more:
                more[name] = max(more[name] - part, 0)
        if spoken:
            more["cached_audio_tokens"] = spoken


def _tools(key: str, value: Json, more: dict[str, Any]) -> None:
    if key == "server_tool_use":
        if searches := _count(value.get("web_search_requests")):
            more["searches"] = searches
        if visits := _count(value.get("browser_open_requests")):
            more["page_visits"] = visits
    elif key == "server_side_tool_usage_details":
        if searches := _count(value.get("web_search_calls")):
            more["searches"] = searches
    elif key == "cost":
        _cost(key, value.get("total_cost"), more)


def _cost(key: str, value: Any, more: dict[str, Any]) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        nano_usd = value * (_NANO_PER_TICK if key == "cost_in_usd_ticks" else NANO_PER_USD)
        more["stated_nano_usd"] = math.floor(nano_usd + 0.5)


def _region(name: str) -> str:
    name = name.lower()
    return "" if name in _NOWHERE else name


def _count(value: Any) -> int:
    return value if type(value) is int and 0 < value <= MOST_TOKENS else 0


def _is_wrong(value: Any) -> bool:
    return type(value) is not int or not 0 <= value <= MOST_TOKENS


def read_from_cache(answer: Json, total: str, details: str) -> Json:
    """An answer of OpenAI's whose usage counts all input as read from a cache; the same object where it has none."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return answer
    told = {**fields(usage, details), "cached_tokens": _count(usage.get(total))}
    return {**answer, "usage": {**usage, details: told}}


def message_read_from_cache(answer: Json) -> Json:
    """A message, or event, whose usage counts all input as read from a cache; the same object where it tells none."""
    usage = answer.get("usage")
    if not isinstance(usage, dict) or "input_tokens" not in usage:
        return answer
    read = sum(_count(usage.get(key)) for key in _MESSAGE_INPUT)
    return {**answer, "usage": {**usage, **dict.fromkeys(_MESSAGE_INPUT, 0), "cache_read_input_tokens": read}}


_MESSAGE_INPUT: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
