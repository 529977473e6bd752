"""Helix's prices beside LiteLLM's own calculators: every model of its table, every kind of usage.

LiteLLM's figure is a float. It is compared by 14 of its digits, rounded to the nano-USD with halves up: what lies
beyond them is not money but the order in which floats were added.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import orjson
import pytest

from helix.budget.price import PriceTable, bundled_table
from helix.budget.row import provider_of
from helix.kernel.types import Money, Usage
from helix.kernel.wire import CHAT, MESSAGES, RESPONSES

SEARCHES_ARE_COUNTED = frozenset({"anthropic", "gemini", "vertex_ai", "xai", "perplexity", "groq"})
NO_ENDPOINT = frozenset(
    {
        *("image_generation", "image_edit", "video_generation", "audio_transcription", "audio_speech", "rerank"),
        *("evaluation", "search", "ocr", "moderation", "extraction", "guardrail", "vector_store"),
    }
)
"""Modes of models that none of Helix's paths leads to."""
LOGS_IN = frozenset({"github_copilot", "chatgpt"})
"""Providers whose models LiteLLM prices at 0, and only once it has logged in to them; paid by subscription."""
SIZE_CLASSES = "a class of sizes, which LiteLLM takes for a model and puts into another class by the number in its name"
EXCEPTIONS = {
    "perplexity/perplexity/sonar": "LiteLLM strips the doubled prefix and takes another model's row",
    **dict.fromkeys(
        (
            *("together-ai-21.1b-41b", "together-ai-4.1b-8b", "together-ai-41.1b-80b", "together-ai-8.1b-21b"),
            "together-ai-81.1b-110b",
        ),
        SIZE_CLASSES,
    ),
}
"""Models that LiteLLM prices wrongly, and why it is wrong."""

WHOLE = Usage(1000, 10)
SHAPES = (
    Usage(1, 1),
    Usage(1234, 567),
    Usage(0, 5),
    Usage(1000, 10, cached_input_tokens=400),
    Usage(1000, 10, cache_write_tokens=300),
    Usage(1000, 500, 100, 200, 300, cache_write_1h_tokens=50),
    Usage(128_000, 7),
    Usage(200_000, 7),
    Usage(200_001, 7, 7, 3, 2),
    Usage(272_001, 1000, 1000, 1000, 500),
    Usage(600_000, 3, reasoning_tokens=1),
    Usage(
        1000,
        800,
        audio_input_tokens=300,
        image_input_tokens=100,
        video_input_tokens=50,
        reasoning_tokens=40,
        audio_output_tokens=200,
        image_output_tokens=100,
        video_output_tokens=30,
    ),
    Usage(1000, 10, cached_input_tokens=400, cached_audio_tokens=100, audio_input_tokens=200),
    *(
        Usage(size, 10, 100, 100, 3, service_tier=tier)
        for tier in ("priority", "fast", "flex", "balanced", "ultrafast", "batch")
        for size in (1000, 300_000)
    ),
    replace(WHOLE, searches=1),
    replace(WHOLE, searches=3),
    replace(WHOLE, map_searches=2),
    replace(WHOLE, searches=1, page_visits=2),
    replace(WHOLE, citation_tokens=50),
    replace(WHOLE, region="us"),
    replace(WHOLE, speed="fast"),
    replace(WHOLE, stated_nano_usd=777),
    replace(WHOLE, input_characters=400),
    replace(WHOLE, input_images=2, image_input_tokens=50),
    replace(WHOLE, audio_input_seconds=12.5, audio_input_tokens=100),
    replace(WHOLE, video_input_seconds=12.5, video_input_tokens=100),
    Usage(1000, 0, queries=3),
    replace(WHOLE, elapsed_seconds=2.5),
)
FEW = (SHAPES[1], SHAPES[9])


@pytest.fixture(scope="module")
def litellm() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # or it asks GitHub for prices
        warnings.simplefilter("ignore")
        module = pytest.importorskip("litellm")
        patch.setattr(module, "suppress_debug_info", True)
        yield module


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    path = bundled_table()
    assert path is not None
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return {name: row for name, row in found.items() if name not in ("sample_spec", "fallback_generalizations")}


def told(usage: Usage) -> Any:
    """A usage as LiteLLM writes it."""
    from litellm.types.utils import CompletionTokensDetailsWrapper, PromptTokensDetailsWrapper, ServerToolUse
    from litellm.types.utils import Usage as Counted

    into: dict[str, Any] = {
        "cached_tokens": usage.cached_input_tokens,
        "cache_creation_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.audio_input_tokens and usage.audio_input_tokens + usage.cached_audio_tokens,
        "image_tokens": usage.image_input_tokens,
        "video_tokens": usage.video_input_tokens,
        "character_count": usage.input_characters,
        "image_count": usage.input_images,
        "audio_length_seconds": usage.audio_input_seconds,
        "video_length_seconds": usage.video_input_seconds,
        "query_count": usage.queries,
        "web_search_requests": usage.searches,
        "google_maps_grounding_requests": usage.map_searches,
    }
    if usage.input_images:
        into["text_tokens"] = usage.input_tokens - usage.image_input_tokens
    if usage.cached_audio_tokens:
        into["cached_tokens_details"] = {"audio_tokens": usage.cached_audio_tokens}
    if usage.cache_write_1h_tokens:
        five_minutes = usage.cache_write_tokens - usage.cache_write_1h_tokens
        into["cache_creation_token_details"] = {
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
            "ephemeral_5m_input_tokens": five_minutes,
        }
    out = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.audio_output_tokens,
        "image_tokens": usage.image_output_tokens,
        "video_tokens": usage.video_output_tokens,
    }
    more: dict[str, Any] = {
        "citation_tokens": usage.citation_tokens,
        "inference_geo": usage.region,
        "speed": usage.speed,
        "service_tier": usage.service_tier if usage.service_tier != "batch" else None,
        "cost": None if usage.stated_nano_usd is None else usage.stated_nano_usd / 1e9,
    }
    if usage.searches:
        more["server_tool_use"] = ServerToolUse(
            web_search_requests=usage.searches, browser_open_requests=usage.page_visits
        )
        more["server_side_tool_usage_details"] = {"web_search_calls": usage.searches}
    into, out, more = ({key: value for key, value in one.items() if value} for one in (into, out, more))
    return Counted(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=PromptTokensDetailsWrapper(**into) if into else None,
        completion_tokens_details=CompletionTokensDetailsWrapper(**out) if out else None,
        **more,
    )


def nano_usd(usd: float) -> Money:
    exact = Decimal(f"{usd:.14g}").scaleb(9)
    return Money(int(exact.quantize(Decimal(1), ROUND_HALF_UP)))


def priced(litellm: Any, name: str, usage: Usage, counted: Any, *, provider: str, mode: str = "chat") -> Money:
    if usage.service_tier == "batch":
        costs = litellm.cost_calculator.batch_cost_calculator(usage=counted, model=name, custom_llm_provider=provider)
        return nano_usd(float(sum(costs)))
    kind = litellm.EmbeddingResponse if mode == "embedding" else litellm.ModelResponse
    answer = kind(model=name, usage=counted)
    answer._response_ms = usage.elapsed_seconds * 1000
    return nano_usd(litellm.completion_cost(answer, model=name, custom_llm_provider=provider))


def is_left_out(provider: str, name: str, usage: Usage) -> str:
    """Why LiteLLM's figure is not the measure; "" where it is."""
    if usage.searches > 1 and provider not in SEARCHES_ARE_COUNTED:
        return "LiteLLM charges one search of a chat completion however many are counted"
    if usage.map_searches and provider == "vertex_ai" and "claude" in name:
        return "LiteLLM has a price for Google's maps with Claude, which cannot ask them"
    if usage.service_tier == "batch" and (name.startswith("jamba-") or "togethercomputer/" in name):
        return "LiteLLM does not find the model for its batch price, and says 0"
    return ""


def test_costs_equal_litellms_to_the_nano_dollar(table: PriceTable, litellm: Any, rows: dict[str, Any]) -> None:
    """The whole table: every row that differs in what it charges at every shape of usage, its copies at two."""
    counted = {usage: told(usage) for usage in SHAPES}
    differing, compared, models = [], 0, 0
    seen: set[tuple[Any, ...]] = set()
    for name, row in rows.items():
        provider, price = provider_of(row), table.find(name)
        if row.get("mode") in NO_ENDPOINT or provider in LOGS_IN or price is None or name in EXCEPTIONS:
            continue
        models += 1
        kind = repr(price)
        first = (provider, row.get("mode"), kind) not in seen
        seen.add((provider, row.get("mode"), kind))
        for usage in SHAPES if first else FEW:
            if is_left_out(provider, name, usage):
                continue
            theirs = priced(litellm, name, usage, counted[usage], provider=provider, mode=row.get("mode") or "chat")
            ours = price.cost(usage)
            compared += 1
            if theirs != ours:
                differing.append((name, usage, theirs, ours))
    assert differing == []
    assert models > 3000
    assert compared > 60_000


def test_what_litellm_asks_nothing_for_has_no_price(table: PriceTable, litellm: Any, rows: dict[str, Any]) -> None:
    """It says 0 where its table says nothing; Helix says that it does not know, so that a budget can refuse."""
    unpriced = 0
    for name, row in rows.items():
        provider = provider_of(row)
        if row.get("mode") in NO_ENDPOINT or provider in LOGS_IN or table.find(name) is not None:
            continue
        unpriced += 1
        theirs = priced(litellm, name, WHOLE, told(WHOLE), provider=provider, mode=row.get("mode") or "chat")
        assert theirs == Money(0), name
    assert 0 < unpriced < 100


@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_an_exception_is_still_one(table: PriceTable, litellm: Any, rows: dict[str, Any], name: str) -> None:
    """And Helix charges what the row says."""
    price, usage = table.find(name), Usage(1000, 1000)
    assert price is not None
    said = rows[name]["input_cost_per_token"] + rows[name]["output_cost_per_token"]
    assert price.cost(usage) == nano_usd(1000 * said)
    theirs = priced(litellm, name, usage, told(usage), provider=provider_of(rows[name]))
    assert theirs != price.cost(usage)


_SPELLINGS = """
    openai/gpt-4o gpt-4o azure/gpt-4o azure/eu/gpt-4o openai/gpt-4.1-2025-04-14 ft:gpt-4o-2024-08-06:my-org::abc123
    openai/gpt-5.1-2031-01-01 anthropic/claude-haiku-4-5 claude-haiku-4-5 gemini/gemini-2.5-pro
    gemini/gemini-2.5-flash-001 vertex_ai/gemini-2.5-pro vertex_ai/gemini-2.5-flash-001 deepseek/deepseek-reasoner
    deepseek/deepseek-chat bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0 bedrock/us.anthropic.claude-opus-4-6-v1
    bedrock/converse/anthropic.claude-3-5-sonnet-20240620-v1:0
    bedrock/invoke/anthropic.claude-3-5-sonnet-20240620-v1:0 bedrock/us-west-2/anthropic.claude-instant-v1
    bedrock/eu-west-1/anthropic.claude-3-5-sonnet-20240620-v1:0 bedrock/apac.amazon.nova-lite-v1:0
    together_ai/somebody/new-7b-instruct together_ai/togethercomputer/CodeLlama-34b-Instruct
    fireworks_ai/accounts/fireworks/models/some-mixtral-8x7b fireworks_ai/accounts/fireworks/models/new-13b
    fireworks_ai/accounts/fireworks/models/unnumbered mistral/mistral-large-latest xai/grok-4.20-beta-0309-reasoning
    azure_ai/gpt-4o-mini perplexity/sonar groq/openai/gpt-oss-120b cohere/command-a-03-2025
"""


@pytest.mark.parametrize("name", _SPELLINGS.split())
def test_a_name_is_found_as_litellm_finds_it(table: PriceTable, litellm: Any, name: str) -> None:
    """With its provider, region, route, version or fine-tune's id; by its size where it has no row."""
    usage = Usage(10_000, 1000, cached_input_tokens=500)
    answer = litellm.ModelResponse(model=name, usage=told(usage))
    assert table(name, usage) == nano_usd(litellm.completion_cost(answer, model=name))


def test_prices_by_night_are_litellms_at_any_hour(table: PriceTable, litellm: Any, rows: dict[str, Any]) -> None:
    """At each hour of a week, for every model that has such."""
    from litellm.litellm_core_utils.llm_cost_calc.utils import generic_cost_per_token

    usage = Usage(10_000, 1000, 500, 300, 200, cache_write_1h_tokens=100)
    compared, cheap = 0, 0
    for name, row in rows.items():
        if "off_peak_pricing" not in row:
            continue
        price, provider = table.find(name), provider_of(row)
        assert price is not None
        bare = name.removeprefix(f"{provider}/")
        for hour in range(7 * 24):
            at = datetime(2026, 11, 2 + hour // 24, hour % 24, 59, tzinfo=UTC)
            costs = generic_cost_per_token(model=bare, usage=told(usage), custom_llm_provider=provider, current_time=at)
            ours = price.cost(usage, at=at.timestamp())
            assert ours == nano_usd(float(sum(costs))), (name, at)
            compared += 1
            cheap += ours < price.cost(
                replace(usage, service_tier="ordinary"), at=datetime(2026, 11, 2, 2, tzinfo=UTC).timestamp()
            )
    assert compared >= 7 * 24
    assert 0 < cheap < compared


def test_prices_by_region_are_litellms(table: PriceTable, litellm: Any, rows: dict[str, Any]) -> None:
    """OpenAI's data residency, Vertex AI's locations: told by the deployment, for every model that has such."""
    usage = Usage(10_000, 1000, cached_input_tokens=500, reasoning_tokens=10)
    compared = 0
    for name, row in rows.items():
        price, provider = table.find(name), provider_of(row)
        if price is None or not price.uplifts or row.get("mode") in NO_ENDPOINT:
            continue
        for region in ("", "eu", "us", "us-east5", "global"):
            where = {"vertex_location": region} if provider == "vertex_ai" else {"data_residency": region}
            answer = litellm.ModelResponse(model=name, usage=told(usage))
            theirs = litellm.completion_cost(
                answer, model=name, custom_llm_provider=provider, **(where if region else {})
            )
            assert price.at(region).cost(usage) == nano_usd(theirs), (name, region)
            assert price.at(region).dearest(Usage(10_000, 1000)) >= price.at(region).cost(usage)
            compared += 1
    assert compared > 100


_CHATS: list[tuple[str, dict[str, Any]]] = [
    ("gpt-audio", {"prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 40, "text_tokens": 60}}),
    ("gpt-audio", {"completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 30}}),
    ("gpt-5", {"completion_tokens_details": {"reasoning_tokens": 20, "accepted_prediction_tokens": 3}}),
    ("deepseek/deepseek-reasoner", {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}),
    (
        "bedrock/anthropic.claude-haiku-4-5-20251001-v1:0",
        {
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 20,
            "prompt_tokens_details": {
                "cached_tokens": 20,
                "cache_creation_tokens": 30,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            },
        },
    ),
    ("gemini/gemini-2.5-flash", {"prompt_tokens_details": {"text_tokens": 30, "audio_tokens": 70}}),
    ("gemini/gemini-2.5-flash", {"prompt_tokens_details": {"web_search_requests": 3}}),
    ("perplexity/sonar", {"cost": 0.00654}),
    ("perplexity/sonar-deep-research", {"citation_tokens": 12, "reasoning_tokens": 9}),
]


@pytest.mark.parametrize(("name", "more"), _CHATS)
def test_a_providers_own_words_cost_what_litellm_makes_of_them(
    table: PriceTable, litellm: Any, name: str, more: dict[str, Any]
) -> None:
    """The JSON of chat completions, read by Helix and by LiteLLM."""
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, **more}
    found = CHAT.usage({"choices": [], "usage": usage})
    assert found is not None
    theirs = litellm.completion_cost(litellm.ModelResponse(model=name, usage=litellm.Usage(**usage)), model=name)
    assert table(name, found) == nano_usd(theirs)


_MESSAGES: list[dict[str, Any]] = [
    {"input_tokens": 100, "output_tokens": 50},
    {"input_tokens": 100, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 30, "output_tokens": 50},
    {
        "input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 50,
        "service_tier": "standard",
        "inference_geo": "us",
    },
    {"input_tokens": 100, "output_tokens": 50, "server_tool_use": {"web_search_requests": 2}},
    {
        "input_tokens": 10,
        "output_tokens": 5,
        "iterations": [
            {"type": "compaction", "input_tokens": 5000, "output_tokens": 200},
            {"type": "message", "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3},
        ],
    },
]


@pytest.mark.parametrize("usage", _MESSAGES)
@pytest.mark.parametrize("name", ["claude-haiku-4-5", "claude-opus-4-6", "claude-sonnet-4-5"])
def test_a_message_costs_what_litellm_makes_of_it(
    table: PriceTable, litellm: Any, name: str, usage: dict[str, Any]
) -> None:
    """Anthropic's JSON: cached input apart, two ages of cache entries, searches, a region, rounds of compaction."""
    found = MESSAGES.usage({"type": "message", "usage": usage})
    assert found is not None
    counted = litellm.AnthropicConfig().calculate_usage(usage_object=usage, reasoning_content=None)
    theirs = litellm.completion_cost(
        litellm.ModelResponse(model=name, usage=counted), model=name, custom_llm_provider="anthropic"
    )
    assert table(name, found) == nano_usd(theirs)


@pytest.mark.parametrize("searches", [0, 1, 3])
def test_a_response_costs_what_litellm_makes_of_it(table: PriceTable, litellm: Any, searches: int) -> None:
    """OpenAI's JSON: cached input, reasoning, a tier, and as many searches as there are calls."""
    from litellm.types.llms.openai import ResponsesAPIResponse

    answer = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "gpt-5.1",
        "service_tier": "priority",
        "output": [{"type": "web_search_call", "id": f"w{index}", "status": "completed"} for index in range(searches)],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 100},
            "output_tokens": 200,
            "output_tokens_details": {"reasoning_tokens": 150},
            "total_tokens": 1200,
        },
    }
    found = RESPONSES.usage(answer)
    assert found is not None
    theirs = litellm.completion_cost(
        ResponsesAPIResponse(**answer), model="gpt-5.1", custom_llm_provider="openai", call_type="responses"
    )
    assert table("gpt-5.1", found) == nano_usd(theirs)
