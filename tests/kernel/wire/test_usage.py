"""What providers count, in their own words, and in the words that LiteLLM gives it."""

from __future__ import annotations

from typing import Any

import pytest

from helix.kernel.types import Usage
from helix.kernel.wire import CHAT, EMBEDDINGS, MESSAGES, RESPONSES


def chat(**more: Any) -> Usage:
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, **more}
    found = CHAT.usage({"choices": [], "usage": usage})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, Usage(100, 50)),
        ({"prompt_tokens_details": None, "completion_tokens_details": None}, Usage(100, 50)),
        # OpenAI, with sound; the counts by kind include what was cached of it
        (
            {
                "prompt_tokens_details": {
                    "cached_tokens": 40,
                    "audio_tokens": 60,
                    "text_tokens": 40,
                    "cached_tokens_details": {"audio_tokens": 30, "text_tokens": 10},
                },
                "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 20},
            },
            Usage(
                100,
                50,
                cached_input_tokens=40,
                cached_audio_tokens=30,
                audio_input_tokens=30,
                reasoning_tokens=5,
                audio_output_tokens=20,
            ),
        ),
        # DeepSeek
        ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, Usage(100, 50, cached_input_tokens=64)),
        # LiteLLM for Anthropic
        (
            {
                "cache_creation_input_tokens": 30,
                "cache_read_input_tokens": 20,
                "prompt_tokens_details": {
                    "cached_tokens": 20,
                    "cache_creation_tokens": 30,
                    "cache_creation_token_details": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                },
                "server_tool_use": {"web_search_requests": 2},
            },
            Usage(100, 50, 20, 30, cache_write_1h_tokens=20, searches=2),
        ),
        # LiteLLM for Gemini, for Groq
        (
            {"prompt_tokens_details": {"image_tokens": 30, "video_tokens": 20, "google_maps_grounding_requests": 2}},
            Usage(100, 50, image_input_tokens=30, video_input_tokens=20, map_searches=2),
        ),
        (
            {"server_tool_use": {"web_search_requests": 1, "browser_open_requests": 2}},
            Usage(100, 50, searches=1, page_visits=2),
        ),
        # Perplexity: searches, citations, and its own word on the cost
        (
            {"citation_tokens": 7, "num_search_queries": 3, "reasoning_tokens": 9, "cost": {"total_cost": 0.00654}},
            Usage(100, 50, reasoning_tokens=9, citation_tokens=7, searches=3, stated_nano_usd=6_540_000),
        ),
        # xAI: reasoning beside the output, ticks of a dollar
        (
            {
                "total_tokens": 175,
                "completion_tokens_details": {"reasoning_tokens": 25},
                "cost_in_usd_ticks": 12_345_678,
                "server_side_tool_usage_details": {"web_search_calls": 2},
            },
            Usage(100, 75, reasoning_tokens=25, searches=2, stated_nano_usd=1_234_568),
        ),
    ],
)
def test_a_chat_completions_usage_is_read_in_every_providers_form(more: dict[str, Any], expected: Usage) -> None:
    """Whole, and as the last chunk of a stream."""
    assert chat(**more) == expected
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, **more}
    assert CHAT.event_usage({"choices": [], "usage": usage}, None) == expected


def test_embeddings_of_other_things_than_text() -> None:
    """As LiteLLM writes them for models that embed images and sound."""
    details = {"image_count": 2, "character_count": 30, "query_count": 1, "audio_length_seconds": 1.5}
    assert EMBEDDINGS.usage({"usage": {"prompt_tokens": 5, "prompt_tokens_details": details}}) == Usage(
        5, input_images=2, input_characters=30, queries=1, audio_input_seconds=1.5
    )


def test_a_page_that_is_cited_was_searched_for() -> None:
    """The only sign of a search that OpenAI's chat completions give; in a stream it comes before the usage."""
    note = {"type": "url_citation", "url_citation": {"url": "https://example.org"}}
    usage = {"prompt_tokens": 100, "completion_tokens": 50}
    whole = {"choices": [{"message": {"content": "x", "annotations": [note, note]}}], "usage": usage}
    assert CHAT.usage(whole) == Usage(100, 50, searches=1)
    so_far = CHAT.event_usage({"choices": [{"delta": {"annotations": [note]}}]}, None)
    assert so_far == Usage(searches=1, doubtful=True)
    assert CHAT.event_usage({"choices": [], "usage": usage}, so_far) == Usage(100, 50, searches=1)


def test_a_responses_searches_are_its_calls_unless_it_says_how_many() -> None:
    """Items of its output; Bedrock reports those that are billed."""
    answer: dict[str, Any] = {
        "service_tier": "flex",
        "output": [{"type": "web_search_call"}, {"type": "message"}, {"type": "web_search_call"}],
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3},
        },
    }
    expected = Usage(10, 5, 4, 2, 3, searches=2, service_tier="flex")
    assert RESPONSES.usage(answer) == expected
    assert RESPONSES.event_usage({"type": "response.completed", "response": answer}, None) == expected
    reported = RESPONSES.usage({**answer, "tool_usage": {"web_search": {"num_requests": 1}}})
    assert reported is not None
    assert reported.searches == 1


def test_a_messages_usage_is_read_whole_and_in_two_parts() -> None:
    """Ages of cache entries, searches, the tier, where and how fast it was served."""
    begun = {
        "input_tokens": 100,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 1,
        "service_tier": "priority",
        "inference_geo": "us",
        "speed": "fast",
    }
    ended = {"output_tokens": 50, "server_tool_use": {"web_search_requests": 2}}
    expected = Usage(
        150,
        50,
        20,
        30,
        cache_write_1h_tokens=20,
        searches=2,
        service_tier="priority",
        region="us",
        speed="fast",
    )
    assert MESSAGES.usage({"usage": {**begun, **ended}}) == expected
    usage = MESSAGES.event_usage({"type": "message_start", "message": {"usage": begun}}, None)
    assert MESSAGES.event_usage({"type": "message_delta", "usage": ended}, usage) == expected


def test_rounds_of_compaction_are_added_up() -> None:
    """The counts beside them are those of the last round alone."""
    rounds = [{"input_tokens": 5000, "output_tokens": 200}, {"input_tokens": 10, "output_tokens": 5}]
    found = MESSAGES.usage({"usage": {"input_tokens": 10, "output_tokens": 5, "iterations": rounds}})
    assert found == Usage(5010, 205)


@pytest.mark.parametrize(
    "more",
    [
        {"prompt_tokens": -1},
        {"prompt_tokens": None},
        {"completion_tokens": "5"},
        {"completion_tokens": 10**18},
        {"completion_tokens": 1.5},
        {"completion_tokens": True},
        {"prompt_tokens_details": {"cached_tokens": 101}},
        {"prompt_tokens_details": {"cached_tokens": -5}},
        {"completion_tokens_details": {"reasoning_tokens": 51}},
        {"prompt_tokens_details": {"cached_tokens": 60, "cache_creation_tokens": 60}},
    ],
)
def test_figures_that_cannot_be_are_doubtful_and_never_negative(more: dict[str, Any]) -> None:
    """Negative, missing, no numbers, more than there is, a part that is larger than the whole."""
    found = chat(**more)
    assert found.doubtful
    assert min(found.input_tokens, found.output_tokens, found.cached_input_tokens) >= 0
    assert max(found.input_tokens, found.output_tokens) <= 10**9


@pytest.mark.parametrize("key", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
@pytest.mark.parametrize("value", [-1, 10**18, "5"])
def test_a_messages_figures_can_be_doubtful_too(key: str, value: Any) -> None:
    """And stay so to the end of a stream."""
    usage = MESSAGES.event_usage({"type": "message_start", "message": {"usage": {"input_tokens": 5, key: value}}}, None)
    usage = MESSAGES.event_usage({"type": "message_delta", "usage": {"output_tokens": 7}}, usage)
    assert usage is not None
    assert usage.doubtful
    assert usage.input_tokens >= 0


def test_a_cost_that_is_none_is_not_taken() -> None:
    """Negative, infinite, not a number."""
    for cost in (-1.0, float("inf"), float("nan"), "1", True, {"total_cost": -1}):
        assert chat(cost=cost).stated_nano_usd is None
