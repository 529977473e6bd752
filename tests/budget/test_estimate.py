from __future__ import annotations

import asyncio
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
from helix.budget.price import ModelPrice, PriceTable, Rates
from helix.kernel.exchange import Exchange
from helix.kernel.types import Usage

SIZES = ModelPrice(Rates(0, 0, 0, 0, 0), max_input_tokens=128_000, max_output_tokens=777)


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


@given(
    st.builds(Rates, *[st.sampled_from([0.0, 1e-9, 2.5e-7, 3e-6, 7.5e-5])] * 5),
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.data(),
)
def test_the_dearest_case_is_never_below_any_real_one(
    rates: Rates, inputs: int, outputs: int, data: st.DataObject
) -> None:
    """However a provider divides the tokens into fresh, cached, written, spoken and thought."""
    cached = data.draw(st.integers(0, inputs))
    usage = Usage(
        data.draw(st.integers(cached, inputs)),
        data.draw(st.integers(0, outputs)),
        cached_input_tokens=cached,
    )
    price = PriceTable({"m": ModelPrice(rates)})
    worst = dearest(price, "m", Usage(inputs, outputs))
    real = price("m", usage)
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
