from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.budget.estimate import (
    IMAGE_TOKENS,
    TEMPLATE_TOKENS,
    TOOLS_TOKENS,
    UNKNOWN_CONTEXT_TOKENS,
    dearest,
    estimated_input_tokens,
    tokens_of,
    worst_case,
)
from helix.budget.price import PriceTable
from helix.budget.rates import FREE, MOST_SEARCHES, ModelPrice, Rates
from helix.budget.row import read_row
from helix.kernel.exchange import Exchange
from helix.kernel.types import Usage

SIZES = ModelPrice(FREE, max_input_tokens=128_000, max_output_tokens=777)


def exchange(payload: dict[str, Any], path: str = "/v1/chat/completions") -> Exchange:
    async def receive() -> Any:
        return {"type": "http.request", "body": orjson.dumps(payload)}

    made = Exchange({"type": "http", "method": "POST", "path": path, "headers": []}, receive)
    asyncio.run(made.read())
    return made


def chat(content: Any = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


@given(st.text())
def test_the_bound_on_input_is_never_below_the_bytes_of_the_text(text: str) -> None:
    """However JSON writes it: escapes only make it longer."""
    text = text.encode("utf-8", "ignore").decode()
    usage = worst_case(exchange(chat(text)), None, 10)
    assert usage.input_tokens >= len(text.encode()) + TEMPLATE_TOKENS


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_completion_tokens": 6, "max_tokens": 60}, 60),
        ({"max_tokens": 5, "n": 3}, 15),
        ({}, 777),
    ],
)
def test_the_bound_on_output_is_the_callers_cap_or_the_models(more: dict[str, Any], expected: int) -> None:
    """For each choice; of two caps the larger, since servers differ in which they obey."""
    assert worst_case(exchange(chat(**more)), SIZES, 10).output_tokens == expected


def test_the_default_holds_where_the_model_is_unknown() -> None:
    """No table, no cap: the configured figure."""
    assert worst_case(exchange(chat()), None, 10).output_tokens == 10
    assert worst_case(exchange({"model": "m", "input": "x"}, "/v1/embeddings"), SIZES, 10).output_tokens == 0
    prompts = {"model": "m", "prompt": ["a", "b"], "max_tokens": 5, "best_of": 2}
    assert worst_case(exchange(prompts, "/v1/completions"), None, 10).output_tokens == 20


def test_an_image_counts_by_itself_and_not_by_its_bytes() -> None:
    """A megabyte of base64 is one image."""
    data = "data:image/png;base64," + "A" * 1_000_000
    image = {"type": "image_url", "image_url": {"url": data}}
    plain = worst_case(exchange(chat([{"type": "text", "text": "hi"}])), SIZES, 10).input_tokens
    tokens = worst_case(exchange(chat([{"type": "text", "text": "hi"}, image, image])), SIZES, 10).input_tokens
    assert 2 * IMAGE_TOKENS < tokens < 2 * IMAGE_TOKENS + plain + 200
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}}
    nested = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    messages = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [nested]}]}
    assert worst_case(exchange(messages, "/v1/messages"), SIZES, 10).input_tokens < IMAGE_TOKENS + 1000


def test_tools_add_what_a_provider_says_about_them() -> None:
    """Their definitions are in the body already."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    without = worst_case(exchange(chat()), SIZES, 10).input_tokens
    assert worst_case(exchange(chat(tools=[tool])), SIZES, 10).input_tokens >= without + TOOLS_TOKENS


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (chat([{"type": "file", "file": {"file_id": "f1"}}]), "/v1/chat/completions"),
        (chat(web_search_options={}), "/v1/chat/completions"),
        ({"model": "m", "input": "go on", "previous_response_id": "r1"}, "/v1/responses"),
        ({"model": "m", "prompt": {"id": "p1"}}, "/v1/responses"),
        ({"model": "m", "input": "x", "tools": [{"type": "web_search"}]}, "/v1/responses"),
        (
            {
                "model": "m",
                "max_tokens": 5,
                "messages": [
                    {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "u"}}]}
                ],
            },
            "/v1/messages",
        ),
    ],
)
def test_content_that_is_not_in_the_request_is_bounded_by_the_models_context(
    payload: dict[str, Any], path: str
) -> None:
    """Files, earlier responses, a provider's own search."""
    one = exchange(payload, path)
    assert worst_case(one, SIZES, 10).input_tokens == 128_000
    assert worst_case(one, None, 10).input_tokens == UNKNOWN_CONTEXT_TOKENS


def test_a_document_in_words_is_in_the_request() -> None:
    """No need to reserve a whole context for it."""
    source = {"type": "text", "media_type": "text/plain", "data": "words"}
    content = [{"type": "document", "source": source}]
    payload = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": content}]}
    assert worst_case(exchange(payload, "/v1/messages"), SIZES, 10).input_tokens < 1000


_RATES = st.builds(Rates, *[st.sampled_from([0, 10**15, 25 * 10**16, 3 * 10**18])] * len(fields(Rates)))
_IN = ("audio_input_tokens", "image_input_tokens", "video_input_tokens")
_OUT = ("reasoning_tokens", "audio_output_tokens", "image_output_tokens", "video_output_tokens")


@given(_RATES, _RATES, _RATES, st.integers(0, 5000), st.integers(0, 5000), st.data())
def test_the_dearest_case_is_never_below_any_real_one(
    rates: Rates, long: Rates, priority: Rates, inputs: int, outputs: int, data: st.DataObject
) -> None:
    """However a provider divides the tokens by kind, at whatever tier, below or above a threshold."""

    def parts(whole: int, names: tuple[str, ...]) -> dict[str, int]:
        found = {}
        for name in names:
            found[name] = data.draw(st.integers(0, whole))
            whole -= found[name]
        return found

    real_in, real_out = data.draw(st.integers(0, inputs)), data.draw(st.integers(0, outputs))
    into = parts(real_in, ("cached_input_tokens", "cache_write_tokens", *_IN))
    usage = Usage(
        real_in,
        real_out,
        cached_audio_tokens=data.draw(st.integers(0, into["cached_input_tokens"])),
        cache_write_1h_tokens=data.draw(st.integers(0, into["cache_write_tokens"])),
        service_tier=data.draw(st.sampled_from(["", "priority", "batch"])),
    )
    usage = replace(usage, **into, **parts(real_out, _OUT))  # type: ignore[arg-type]  # counts of tokens, all of them
    one = ModelPrice(((-1, rates), (2000, long)), {"priority": ((-1, priority),)}, factors={"us": (11, 10)})
    usage = replace(usage, region=data.draw(st.sampled_from(["", "us"])))
    price = PriceTable({"m": one})
    worst, real = dearest(price, "m", Usage(inputs, outputs)), price("m", usage)
    assert worst is not None
    assert real is not None
    assert worst >= real


def test_an_unknown_model_has_no_dearest_case() -> None:
    """None, not nothing."""
    assert dearest(PriceTable({}), "m", Usage(1, 1)) is None


def test_texts_are_estimated_at_three_bytes_a_token() -> None:
    """Begun ones count: an estimate errs high."""
    assert [tokens_of(size) for size in (0, 1, 3, 4)] == [0, 1, 1, 2]
    assert estimated_input_tokens(exchange(chat("é" * 3))) == 2


def test_searches_are_bounded_by_the_callers_cap() -> None:
    """Anthropic's `max_uses`; else sixteen, in each dialect's spelling."""
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    messages = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "tools": [tool]}
    assert worst_case(exchange(messages, "/v1/messages"), SIZES, 10).searches == 3
    assert worst_case(exchange(chat(web_search_options={})), SIZES, 10).searches == MOST_SEARCHES
    responses = {"model": "m", "input": "x", "tools": [{"type": "web_search"}]}
    assert worst_case(exchange(responses, "/v1/responses"), SIZES, 10).searches == MOST_SEARCHES
    assert worst_case(exchange(chat()), SIZES, 10).searches == 0


def test_a_model_that_is_paid_by_another_unit_is_bounded_too() -> None:
    """By the character, the item, the second."""
    body = {"model": "m", "input": ["abc", "def"]}
    for row, least in (
        ({"mode": "embedding", "input_cost_per_character": 1e-6}, 6_000),
        ({"mode": "embedding", "input_cost_per_query": 1e-6}, 2_000),
        ({"mode": "embedding", "input_cost_per_token": 0, "input_cost_per_image": 1e-3}, 2_000_000),
        ({"input_cost_per_second": 1e-3}, 1_000_000_000),
    ):
        price = read_row(row)
        assert price is not None
        worst = dearest(PriceTable({"m": price}), "m", worst_case(exchange(body, "/v1/embeddings"), price, 10))
        assert worst is not None
        assert worst.nano_usd >= least, row
