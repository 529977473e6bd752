"""The official clients against a real server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore

from .conftest import Provider

Serve = Callable[..., Awaitable[str]]


@pytest.fixture
def app(provider: Provider, store: RedisCacheStore) -> CacheMiddleware:
    return CacheMiddleware(provider, store=store, mode="exact")


async def test_openai_reads_a_replayed_stream(serve: Serve, app: CacheMiddleware, provider: Provider) -> None:
    """A stored whole answer streams through the official client, piece by piece, to the same text."""
    async with AsyncOpenAI(base_url=f"{await serve(app)}/v1", api_key="sk-test", max_retries=0) as client:
        provider.answer = lambda path, number: {
            **_chat(),
            "id": f"chatcmpl-{number}",
        }
        whole = await client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Tell me something."}]
        )
        assert whole.headers["x-helix-cache"] == "miss"
        stream = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "Tell me something."}],
            stream=True,
            stream_options={"include_usage": True},
        )
        assert stream.response.headers["x-helix-cache"] == "exact"
        chunks = [chunk async for chunk in stream]
    assert provider.calls == 1
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.parse().choices[0].message.content
    assert {chunk.id for chunk in chunks} == {"chatcmpl-1"}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 18


async def test_openai_reads_a_replayed_answer(serve: Serve, app: CacheMiddleware, provider: Provider) -> None:
    """A stored stream comes back as a whole answer and as a response."""
    async with AsyncOpenAI(base_url=f"{await serve(app)}/v1", api_key="sk-test", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Tell me something."}], stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        whole = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Tell me something."}]
        )
        assert whole.choices[0].message.content == text
        response = await client.responses.create(model="gpt-4o", input="Tell me something.")
        async with client.responses.stream(model="gpt-4o", input="Tell me something.") as replay:
            final = await replay.get_final_response()
    assert provider.calls == 2
    assert final.output_text == response.output_text
    assert final.id == response.id


async def test_anthropic_reads_a_replayed_stream(serve: Serve, app: CacheMiddleware, provider: Provider) -> None:
    """A stored message streams through Anthropic's client to the same message."""
    async with AsyncAnthropic(base_url=await serve(app), api_key="sk-test", max_retries=0) as client:
        whole = await client.messages.create(
            model="claude-test", max_tokens=9, messages=[{"role": "user", "content": "Tell me something."}]
        )
        async with client.messages.stream(
            model="claude-test", max_tokens=9, messages=[{"role": "user", "content": "Tell me something."}]
        ) as stream:
            final = await stream.get_final_message()
    assert provider.calls == 1
    assert [block.text for block in final.content if block.type == "text"] == ["answer 1"]
    assert final.id == whole.id
    assert final.usage.output_tokens == whole.usage.output_tokens


def _chat() -> dict[str, object]:
    from .conftest import CHAT, answer_of

    return answer_of(CHAT, "A replayed answer comes in natural pieces, not in one.")
