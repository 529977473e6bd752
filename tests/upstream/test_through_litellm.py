"""Providers that LiteLLM speaks to, by real HTTP: behind it stands a gateway with the demo models, or what fails."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from helix.kernel.errors import ConfigError
from helix.upstream import Router, Upstream
from helix.upstream.through_litellm import ThroughLiteLLM

from .fakes import Provider, chat, chat_chunk, dies_after, events, hangs, hangs_after, refuses, sends

# LiteLLM's own, of pydantic.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Item .* is using the `ReadOnly`:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),
]

# LiteLLM looks for MCP servers in responses and tools, and takes these types for it, which only its proxy extra brings.
needs_mcp = pytest.mark.skipif(importlib.util.find_spec("mcp") is None, reason="LiteLLM needs the package mcp for this")

QUESTION = "Where is <ORDER_ID_1>, Zoë?"
SAID = f"You asked: {QUESTION}"
ASK: list[Any] = [{"role": "user", "content": QUESTION}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
TOOLS: Any = [{"type": "function", "function": {"name": "find", "strict": True, "parameters": SCHEMA}}]


def mistral(provider: Provider, **params: Any) -> dict[str, Any]:
    """A deployment that only LiteLLM can reach."""
    params = {"model": "mistral/echo-1", "api_base": f"{provider.url}/v1", "api_key": "key-real", **params}
    return {"model_name": "gpt-4o", "litellm_params": params}


@pytest_asyncio.fixture
async def url(serve: Any) -> str:
    """A gateway whose requests all need translating."""
    demo = [{"model_name": "echo-1", "litellm_params": {"model": "demo/echo"}}]
    behind = await serve(Upstream(Router(demo)))
    models = [
        {"model_name": name, "litellm_params": {"model": model, "api_base": base, "api_key": "k"}}
        for name, model, base in (
            ("mistral", "mistral/echo-1", f"{behind}/v1"),
            ("deepseek", "deepseek/echo-1", f"{behind}/v1"),
            ("claude", "anthropic/echo-1", behind),
            ("gpt", "openai/echo-1", f"{behind}/v1"),
        )
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


@pytest.mark.parametrize("model", ["deepseek", "claude"])
async def test_chat(client: openai.AsyncOpenAI, model: str) -> None:
    """To a provider of OpenAI's kind, and to Anthropic."""
    reply = await client.chat.completions.create(model=model, messages=ASK, max_tokens=99)
    assert reply.choices[0].message.content == SAID
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens > 3


@pytest.mark.parametrize("model", ["deepseek", "claude"])
async def test_chat_streamed(client: openai.AsyncOpenAI, model: str) -> None:
    """In pieces, with a reason at the end and usage."""
    stream = await client.chat.completions.create(
        model=model, messages=ASK, max_tokens=99, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert "stop" in [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("model", ["deepseek", "claude"])
@pytest.mark.parametrize("stream", [False, True])
async def test_chat_with_tools(client: openai.AsyncOpenAI, model: str, stream: bool) -> None:
    """Calls and their arguments come through."""
    choice: Any = {"type": "function", "function": {"name": "find"}}
    asked: Any = {"model": model, "messages": ASK, "max_tokens": 99, "tools": TOOLS, "tool_choice": choice}
    if stream:
        async with client.chat.completions.stream(**asked) as found:
            message: Any = (await found.get_final_completion()).choices[0].message
    else:
        message = (await client.chat.completions.create(**asked)).choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments) == {"q": QUESTION}


async def test_embeddings(client: openai.AsyncOpenAI) -> None:
    """Through a provider that has them."""
    reply = await client.embeddings.create(model="mistral", input=["a", "b"], encoding_format="float")
    assert [len(item.embedding) for item in reply.data] == [384, 384]


async def test_completions(client: openai.AsyncOpenAI) -> None:
    """A provider that only chats completes as well."""
    assert SAID in (await client.completions.create(model="deepseek", prompt=QUESTION, max_tokens=99)).choices[0].text
    stream = await client.completions.create(model="deepseek", prompt=QUESTION, max_tokens=99, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream if chunk.choices]) == SAID


@needs_mcp
async def test_responses(client: openai.AsyncOpenAI) -> None:
    """A provider that only chats gives responses as well, whole and streamed."""
    assert (await client.responses.create(model="claude", input=QUESTION, max_output_tokens=99)).output_text == SAID
    async with client.responses.stream(model="claude", input=QUESTION, max_output_tokens=99) as found:
        assert (await found.get_final_response()).output_text == SAID


async def test_messages_to_a_provider_of_openais_kind(claude: anthropic.AsyncAnthropic) -> None:
    """Whole and streamed."""
    reply: Any = await claude.messages.create(model="mistral", messages=ASK, max_tokens=99)
    assert reply.content[0].text == SAID
    async with claude.messages.stream(model="mistral", messages=ASK, max_tokens=99) as found:
        assert "".join([text async for text in found.text_stream]) == SAID


@needs_mcp
async def test_messages_to_openai(claude: anthropic.AsyncAnthropic) -> None:
    """A native deployment spoken to in a dialect that it does not have; with a tool."""
    tools: Any = [{"name": "find", "input_schema": SCHEMA}]
    reply: Any = await claude.messages.create(
        model="gpt", messages=ASK, max_tokens=99, tools=tools, tool_choice={"type": "tool", "name": "find"}
    )
    assert [block.input for block in reply.content if block.type == "tool_use"] == [{"q": QUESTION}]


async def test_count_tokens(claude: anthropic.AsyncAnthropic) -> None:
    """Counted by LiteLLM where the provider cannot."""
    counted = await claude.messages.count_tokens(model="mistral", messages=ASK, system="Be brief")
    assert counted.input_tokens > 3


@pytest.mark.parametrize(("status", "attempts"), [(400, 1), (429, 2), (500, 2), (503, 2)])
async def test_errors_keep_status_and_retry_after(provider: Provider, gateway: Any, status: int, attempts: int) -> None:
    """LiteLLM's exceptions are retried and answered by the rules of all others."""
    provider.otherwise = refuses(status, headers={"retry-after": "0"})
    client = await gateway([mistral(provider)], {"num_retries": 1})
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == status
    assert f"no: {status}" in reply.json()["error"]["message"]
    assert len(provider.requests) == attempts
    if status == 429:
        assert reply.headers["retry-after"] == "0"


async def test_a_refused_credential_is_not_quoted(provider: Provider, gateway: Any) -> None:
    """As with native providers."""
    provider.otherwise = refuses(401, {"error": {"message": "Invalid key key-re*l"}})
    client = await gateway([mistral(provider)])
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 401
    assert "key-re" not in reply.text


async def test_a_provider_that_hangs(provider: Provider, gateway: Any) -> None:
    """504 after the deployment's time-out."""
    provider.otherwise = hangs()
    client = await gateway([mistral(provider, timeout=0.3)], {"num_retries": 0})
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 504


async def test_a_provider_that_sends_garbage(provider: Provider, gateway: Any) -> None:
    """502, and none of it in the reply."""
    provider.otherwise = sends(b"<html>busy</html>")
    client = await gateway([mistral(provider)], {"num_retries": 0})
    reply = await client.post("/v1/chat/completions", json=chat())
    assert 500 <= reply.status_code < 600
    assert "code" in reply.json()["error"]


async def test_a_stream_that_breaks(provider: Provider, gateway: Any) -> None:
    """What came, then one error event."""
    provider.otherwise = dies_after(chat_chunk("Hel"), chat_chunk("lo"))
    client = await gateway([mistral(provider)], {"num_retries": 0})
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert reply.status_code == 200
    assert "error" in json.loads(events(reply.text)[-1])


async def test_a_caller_who_leaves_takes_the_call_along(provider: Provider, gateway: Any) -> None:
    """The provider sees the connection close."""
    provider.otherwise = hangs_after(chat_chunk("Hel"))
    client = await gateway([mistral(provider)])
    async with client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as reply:
        async for _ in reply.aiter_raw():
            break
    await provider.left.wait()


@pytest.mark.parametrize("field", ["api_base", "api_key", "mock_response", "custom_llm_provider", "extra_headers"])
async def test_a_caller_cannot_set_what_is_litellms(provider: Provider, gateway: Any, field: str) -> None:
    """Otherwise the deployment's key could be sent anywhere."""
    client = await gateway([mistral(provider)])
    reply = await client.post("/v1/chat/completions", json=chat(**{field: "http://127.0.0.1:9"}))
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == field
    assert not provider.requests


async def test_drop_params_leaves_unknown_fields_out(provider: Provider, gateway: Any) -> None:
    """LiteLLM's own switch."""
    client = await gateway([mistral(provider, drop_params=True)])
    reply = await client.post("/v1/chat/completions", json=chat(something_new=1, temperature=0.5))
    assert reply.status_code == 200
    assert "something_new" not in provider.bodies[0]
    assert provider.bodies[0]["temperature"] == 0.5


async def test_the_deployment_decides_address_and_credential(provider: Provider, gateway: Any) -> None:
    """And the record names it."""
    client = await gateway([mistral(provider)])
    reply = await client.post("/v1/chat/completions", json=chat(), headers={"authorization": "Bearer sk-hx-caller"})
    path, headers, _ = provider.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer key-real"
    assert reply.headers["x-helix-model"] == "mistral/echo-1"


async def test_nothing_is_logged(provider: Provider, gateway: Any, caplog: Any, capfd: Any) -> None:
    """LiteLLM would print prompts and advice."""
    provider.otherwise = refuses(500, headers={"retry-after-ms": "1"})
    client = await gateway([mistral(provider)], {"num_retries": 0})
    with caplog.at_level(logging.DEBUG):
        await client.post("/v1/chat/completions", json=chat("secret prompt"))
        await asyncio.sleep(0.1)
    out, err = capfd.readouterr()
    assert "secret prompt" not in caplog.text + out + err
    assert "litellm" not in (out + err).lower()


async def test_a_provider_that_litellm_does_not_know() -> None:
    """Found when the gateway starts."""
    router = Router([{"model_name": "m", "litellm_params": {"model": "nosuch/model"}}])
    with pytest.raises(ConfigError, match="LiteLLM knows no provider for the model 'nosuch/model'"):
        await router.open()
    await router.close()


def test_making_one_loads_nothing() -> None:
    """LiteLLM takes seconds and memory: only whoever needs it pays."""
    import subprocess
    import sys

    code = (
        "import sys; from helix.upstream import Router;"
        "Router([{'model_name': 'm', 'litellm_params': {'model': 'mistral/m'}}]);"
        "print('litellm' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
    assert ThroughLiteLLM() is not None
