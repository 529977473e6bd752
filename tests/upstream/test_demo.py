"""The offline models, through the official clients and a real server: all dialects, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from helix.upstream import Router, Upstream

MODELS: list[dict[str, Any]] = [
    {"model_name": "demo/echo", "litellm_params": {"model": "demo/echo"}},
    {"model_name": "demo/slow", "litellm_params": {"model": "demo/slow", "tokens_per_second": 1000}},
    {"model_name": "demo/none", "litellm_params": {"model": "demo/none"}},
]
QUESTION = "Where is <ORDER_ID_1>,\n  said Zoë?  "
ECHO: dict[str, Any] = {"model": "demo/echo"}
ASK: list[Any] = [{"role": "user", "content": QUESTION}]
TOOL: dict[str, Any] = {
    "name": "look_up",
    "description": "Look something up",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}, "note": {"type": "string"}},
        "required": ["query", "limit"],
    },
}


@pytest_asyncio.fixture
async def url(serve: Any) -> str:
    """A server with nothing but the demo models."""
    found: str = await serve(Upstream(Router(MODELS)))
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


async def test_chat_restates_the_question_verbatim(client: openai.AsyncOpenAI) -> None:
    """The last user text stands in the answer as it was asked, so that placeholders can be restored."""
    earlier: list[Any] = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    reply = await client.chat.completions.create(**ECHO, messages=[*earlier, *ASK])
    assert reply.choices[0].message.content == f"You asked: {QUESTION}"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "demo/echo"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 10


async def test_the_answer_depends_on_the_request_alone(client: openai.AsyncOpenAI) -> None:
    """Asked twice it says the same, under the same id."""
    first = await client.chat.completions.create(**ECHO, messages=ASK)
    second = await client.chat.completions.create(**ECHO, messages=ASK)
    assert (first.id, first.choices, first.usage) == (second.id, second.choices, second.usage)


@pytest.mark.parametrize("model", ["demo/echo", "demo/slow"])
async def test_a_streamed_chat_says_the_same_as_the_whole_one(client: openai.AsyncOpenAI, model: str) -> None:
    """The pieces join to the answer, and usage comes when it is asked for."""
    stream = await client.chat.completions.create(
        model=model, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == f"You asked: {QUESTION}"
    assert len(chunks) > 4
    assert chunks[-1].usage is not None


async def test_a_stream_carries_no_usage_unasked(client: openai.AsyncOpenAI) -> None:
    """OpenAI's own rule."""
    stream = await client.chat.completions.create(**ECHO, messages=ASK, stream=True)
    assert all(chunk.usage is None for chunk in [chunk async for chunk in stream])


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look_up"}}])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_forced_tool_is_called_with_the_question(client: openai.AsyncOpenAI, choice: Any, stream: bool) -> None:
    """Required strings hold the question, other required fields the least that is allowed, optional ones nothing."""
    tools: Any = [{"type": "function", "function": {**TOOL, "strict": True}}]
    asked = {**ECHO, "messages": ASK, "tools": tools, "tool_choice": choice}
    if stream:
        async with client.chat.completions.stream(**asked) as events:
            message = (await events.get_final_completion()).choices[0].message
    else:
        message = (await client.chat.completions.create(**asked)).choices[0].message
    assert message.tool_calls is not None
    call: Any = message.tool_calls[0]
    assert call.function.name == "look_up"

    assert json.loads(call.function.arguments) == {"query": QUESTION, "limit": 0}


async def test_a_cap_on_tokens_cuts_the_answer(client: openai.AsyncOpenAI) -> None:
    """The answer ends early and says why."""
    reply = await client.chat.completions.create(**ECHO, messages=ASK, max_tokens=3)
    assert reply.choices[0].finish_reason == "length"
    assert reply.choices[0].message.content == "You asked:"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 3


async def test_several_choices(client: openai.AsyncOpenAI) -> None:
    """`n` answers, all the same."""
    reply = await client.chat.completions.create(**ECHO, messages=ASK, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]


async def test_an_answer_in_a_json_schema(client: openai.AsyncOpenAI) -> None:
    """Structured output is valid for its schema."""
    schema: Any = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"enum": [1]}},
        "required": ["a", "b"],
    }
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    reply = await client.chat.completions.create(**ECHO, messages=ASK, response_format=wanted)

    assert json.loads(reply.choices[0].message.content or "") == {"a": f"You asked: {QUESTION}", "b": 1}


async def test_no_question(client: openai.AsyncOpenAI) -> None:
    """A request without user text is answered too."""
    reply = await client.chat.completions.create(**ECHO, messages=[{"role": "system", "content": "Be brief"}])
    assert reply.choices[0].message.content == "You asked nothing."


async def test_completions(client: openai.AsyncOpenAI) -> None:
    """Whole and streamed."""
    reply = await client.completions.create(**ECHO, prompt=QUESTION)
    assert reply.choices[0].text == f"You asked: {QUESTION}"
    stream = await client.completions.create(**ECHO, prompt=QUESTION, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == f"You asked: {QUESTION}"


async def test_embeddings(client: openai.AsyncOpenAI) -> None:
    """Unit vectors that depend on the text alone; OpenAI's client asks for base64."""
    reply = await client.embeddings.create(**ECHO, input=["one", "two", "one"])
    one, two, again = (item.embedding for item in reply.data)
    assert one == again != two
    assert sum(value * value for value in one) == pytest.approx(1.0, abs=1e-5)
    plain = await client.embeddings.create(**ECHO, input="one", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(one, abs=1e-6)
    short = await client.embeddings.create(**ECHO, input="one", dimensions=8)
    assert len(short.data[0].embedding) == 8


async def test_responses(client: openai.AsyncOpenAI) -> None:
    """Whole and streamed."""
    reply = await client.responses.create(**ECHO, input=QUESTION)
    assert reply.output_text == f"You asked: {QUESTION}"
    assert reply.usage is not None
    async with client.responses.stream(**ECHO, input=QUESTION) as events:
        final = await events.get_final_response()
    assert final.output_text == f"You asked: {QUESTION}"
    assert final.usage == reply.usage


async def test_responses_with_a_forced_tool(client: openai.AsyncOpenAI) -> None:
    """The function call is an item of the output."""
    tools: Any = [{"type": "function", "strict": False, **TOOL}]
    reply = await client.responses.create(**ECHO, input=QUESTION, tools=tools, tool_choice="required")
    call: Any = reply.output[0]
    assert (call.type, call.name) == ("function_call", "look_up")


async def test_messages(claude: anthropic.AsyncAnthropic) -> None:
    """Whole and streamed."""
    reply = await claude.messages.create(**ECHO, messages=ASK, max_tokens=100)
    first: Any = reply.content[0]
    assert first.text == f"You asked: {QUESTION}"
    assert reply.stop_reason == "end_turn"
    async with claude.messages.stream(**ECHO, messages=ASK, max_tokens=100) as events:
        assert "".join([text async for text in events.text_stream]) == first.text
        assert (await events.get_final_message()).usage.output_tokens == reply.usage.output_tokens


@pytest.mark.parametrize("stream", [False, True])
async def test_messages_with_a_forced_tool(claude: anthropic.AsyncAnthropic, stream: bool) -> None:
    """The tool's input is an object."""
    tools: Any = [{"name": "look_up", "input_schema": TOOL["parameters"]}]
    asked: Any = {**ECHO, "messages": ASK, "max_tokens": 100, "tools": tools, "tool_choice": {"type": "any"}}
    if stream:
        async with claude.messages.stream(**asked) as events:
            reply: Any = await events.get_final_message()
    else:
        reply = await claude.messages.create(**asked)
    assert reply.content[0].input == {"query": QUESTION, "limit": 0}
    assert reply.stop_reason == "tool_use"


async def test_count_tokens(claude: anthropic.AsyncAnthropic) -> None:
    """As many as the answer will say were put in."""
    counted = await claude.messages.count_tokens(**ECHO, messages=ASK)
    reply = await claude.messages.create(**ECHO, messages=ASK, max_tokens=100)
    assert counted.input_tokens == reply.usage.input_tokens


async def test_a_demo_model_that_there_is_not(client: openai.AsyncOpenAI) -> None:
    """404 that names those that there are."""
    with pytest.raises(openai.NotFoundError, match="demo/echo"):
        await client.chat.completions.create(model="demo/none", messages=ASK)
