"""All dialects natively, with the official clients in front and a real server that speaks them behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from helix.upstream import Router, Upstream

QUESTION = "Where is <ORDER_ID_1>, Zoë?"
SAID = f"You asked: {QUESTION}"
ASK: list[Any] = [{"role": "user", "content": QUESTION}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


@pytest_asyncio.fixture
async def url(serve: Any) -> str:
    """A gateway to two providers, which are gateways themselves, to the demo models."""
    demo = [{"model_name": "echo-1", "litellm_params": {"model": "demo/echo"}}]
    behind = await serve(Upstream(Router(demo)))
    models = [
        {
            "model_name": "gpt",
            "litellm_params": {"model": "openai/echo-1", "api_base": f"{behind}/v1", "api_key": "k"},
        },
        {"model_name": "claude", "litellm_params": {"model": "anthropic/echo-1", "api_base": behind, "api_key": "k"}},
    ]
    found: str = await serve(Upstream(Router(models)))
    return found


@pytest_asyncio.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's own client."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as found:
        yield found


@pytest_asyncio.fixture
async def claude(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's own client."""
    async with anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0) as found:
        yield found


async def test_chat(client: openai.AsyncOpenAI) -> None:
    """Whole."""
    reply = await client.chat.completions.create(model="gpt", messages=ASK)
    assert reply.choices[0].message.content == SAID
    assert reply.model == "echo-1"


async def test_chat_streamed(client: openai.AsyncOpenAI) -> None:
    """In pieces, with usage at the end."""
    stream = await client.chat.completions.create(
        model="gpt", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("stream", [False, True])
async def test_chat_with_tools(client: openai.AsyncOpenAI, stream: bool) -> None:
    """Calls and their arguments come through."""
    function = {"name": "find", "strict": True, "parameters": SCHEMA}
    tools: Any = [{"type": "function", "function": function}]
    asked: Any = {"model": "gpt", "messages": ASK, "tools": tools, "tool_choice": "required"}
    if stream:
        async with client.chat.completions.stream(**asked) as events:
            message: Any = (await events.get_final_completion()).choices[0].message
    else:
        message = (await client.chat.completions.create(**asked)).choices[0].message
    assert message.tool_calls[0].function.name == "find"
    assert QUESTION in message.tool_calls[0].function.arguments


async def test_completions(client: openai.AsyncOpenAI) -> None:
    """Whole and streamed."""
    assert (await client.completions.create(model="gpt", prompt=QUESTION)).choices[0].text == SAID
    stream = await client.completions.create(model="gpt", prompt=QUESTION, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == SAID


async def test_embeddings(client: openai.AsyncOpenAI) -> None:
    """Base64 as OpenAI's client asks for it."""
    reply = await client.embeddings.create(model="gpt", input=["a", "b"])
    assert [len(item.embedding) for item in reply.data] == [384, 384]


async def test_responses(client: openai.AsyncOpenAI) -> None:
    """Whole and streamed."""
    assert (await client.responses.create(model="gpt", input=QUESTION)).output_text == SAID
    async with client.responses.stream(model="gpt", input=QUESTION) as events:
        assert (await events.get_final_response()).output_text == SAID


async def test_messages(claude: anthropic.AsyncAnthropic) -> None:
    """Whole and streamed."""
    reply: Any = await claude.messages.create(model="claude", messages=ASK, max_tokens=99)
    assert reply.content[0].text == SAID
    async with claude.messages.stream(model="claude", messages=ASK, max_tokens=99) as events:
        assert "".join([text async for text in events.text_stream]) == SAID


@pytest.mark.parametrize("stream", [False, True])
async def test_messages_with_tools(claude: anthropic.AsyncAnthropic, stream: bool) -> None:
    """A tool's input comes through."""
    tools: Any = [{"name": "find", "input_schema": SCHEMA}]
    asked: Any = {"model": "claude", "messages": ASK, "max_tokens": 99, "tools": tools, "tool_choice": {"type": "any"}}
    if stream:
        async with claude.messages.stream(**asked) as events:
            reply: Any = await events.get_final_message()
    else:
        reply = await claude.messages.create(**asked)
    assert reply.content[0].input == {"q": QUESTION}


async def test_count_tokens(claude: anthropic.AsyncAnthropic) -> None:
    """By the provider."""
    assert (await claude.messages.count_tokens(model="claude", messages=ASK)).input_tokens > 3


async def test_an_error_has_the_form_of_the_dialect(
    client: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    """Both clients raise their own exception for an unknown model."""
    with pytest.raises(openai.NotFoundError) as found:
        await client.chat.completions.create(model="none", messages=ASK)
    assert found.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError) as other:
        await claude.messages.create(model="none", messages=ASK, max_tokens=9)
    body: Any = other.value.body
    assert body["error"]["type"] == "not_found_error"


async def test_models(client: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic) -> None:
    """Listed and found by both clients."""
    assert [model.id async for model in client.models.list()] == ["gpt", "claude"]
    assert (await client.models.retrieve("gpt")).owned_by == "openai"
    assert [model.id async for model in claude.models.list()] == ["gpt", "claude"]
    assert (await claude.models.retrieve("claude")).type == "model"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("none")
