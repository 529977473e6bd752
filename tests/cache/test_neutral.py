from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from helix.cache import CacheMiddleware
from helix.cache.key import exact_key, scope_key
from helix.cache.redis import RedisCacheStore
from helix.cache.storable import Storable
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.exchange import Exchange
from helix.kernel.wire import dialect_of

from .conftest import CHAT, MESSAGES, RESPONSES, Provider, answer_of, ask, assembled, cached

Serve = Callable[..., Awaitable[str]]
PATHS = (CHAT, RESPONSES, MESSAGES)
NAMES = {CHAT: "chat", RESPONSES: "responses", MESSAGES: "messages"}
ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def conversation(
    path: str,
    turns: list[str],
    *,
    system: str | None = None,
    limit: int | None = 64,
    parts: bool = False,
    **sampling: Any,
) -> dict[str, Any]:
    """A plain conversation in the dialect of a path; `parts` spells texts as lists of one part."""

    def content(text: str, role: str) -> Any:
        kind = "text" if path != RESPONSES else ("output_text" if role == "assistant" else "input_text")
        return [{"type": kind, "text": text}] if parts else text

    roles = ["user" if (len(turns) - at) % 2 else "assistant" for at in range(len(turns))]
    messages = [{"role": role, "content": content(text, role)} for role, text in zip(roles, turns, strict=True)]
    request: dict[str, Any] = {"model": "m", **sampling}
    if path == CHAT:
        if system is not None:
            messages.insert(0, {"role": "system", "content": content(system, "system")})
        request["messages"] = messages
        if limit is not None:
            request["max_completion_tokens"] = limit
        return request
    if path == MESSAGES:
        if system is not None:
            request["system"] = content(system, "system")
        return {**request, "messages": messages, "max_tokens": limit}
    if system is not None:
        request["instructions"] = system
    return {**request, "input": messages, "max_output_tokens": limit, "store": False}


def key(path: str, request: dict[str, Any], variant: tuple[str, ...] = ()) -> str:
    return exact_key(NAMES[path], request, partition="p", namespace="", variant=variant)


texts = st.text(min_size=1, max_size=12)


@given(
    turns=st.lists(texts, min_size=1, max_size=4),
    system=st.none() | texts,
    limit=st.integers(1, 9999),
    parts=st.booleans(),
    sampling=st.fixed_dictionaries({}, optional={"temperature": st.floats(0, 1), "top_p": st.floats(0, 1)}),
)
def test_a_plain_conversation_has_one_key(
    turns: list[str], system: str | None, limit: int, parts: bool, sampling: dict[str, Any]
) -> None:
    """However it is asked, and however its texts are spelled."""
    keys = {
        key(path, conversation(path, turns, system=system, limit=limit, parts=spelled, **sampling))
        for path in PATHS
        for spelled in (parts, False)
    }
    assert len(keys) == 1


CHANGES: dict[str, dict[str, Any]] = {
    CHAT: {
        "model": "n",
        "temperature": 0.5,
        "top_p": 0.5,
        "max_completion_tokens": 65,
        "stop": "x",
        "user": "u",
        "seed": 1,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "n": 2,
    },
    RESPONSES: {
        "model": "n",
        "temperature": 0.5,
        "top_p": 0.5,
        "max_output_tokens": 65,
        "instructions": "x",
        "previous_response_id": "resp_1",
        "store": True,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_object"}},
        "tools": [{"type": "web_search"}],
    },
    MESSAGES: {
        "model": "n",
        "temperature": 0.5,
        "top_p": 0.5,
        "max_tokens": 65,
        "system": "x",
        "stop_sequences": ["x"],
        "top_k": 3,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "metadata": {"user_id": "u"},
        "tools": [{"name": "f", "input_schema": {}}],
    },
}


@pytest.mark.parametrize(("path", "field"), [(path, field) for path in PATHS for field in CHANGES[path]])
def test_every_field_counts(path: str, field: str) -> None:
    """A field that is said in one dialect parts the request from all others, whichever dialect they are asked in."""
    changed = {**conversation(path, [ASKED]), field: CHANGES[path][field]}
    assert key(path, changed) not in {key(other, conversation(other, [ASKED])) for other in PATHS}


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (CHAT, {"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": ASKED}]}),
        (CHAT, {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": ASKED}]}),
        (CHAT, {"messages": [{"role": "user", "content": ASKED, "name": "ann"}]}),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}] * 2}]}),
        (CHAT, {"max_tokens": 64}),
        (MESSAGES, {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": "It"}]}),
        (MESSAGES, {"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        (
            MESSAGES,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": ASKED, "cache_control": {"type": "ephemeral"}}],
                    }
                ]
            },
        ),
        (RESPONSES, {"input": [{"role": "user", "content": ASKED, "id": "msg_1"}]}),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED, "x": 0}]}]}),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED, "annotations": 0}]}]}),
        (RESPONSES, {"input": [{"role": "system", "content": "s"}, {"role": "user", "content": ASKED}]}),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}),
    ],
)
def test_what_has_no_counterpart_keeps_its_dialect(path: str, change: dict[str, Any]) -> None:
    """A conversation that is more than texts is equal only to itself in its own dialect."""
    changed = {**conversation(path, [ASKED]), **change}
    assert key(path, changed) == key(path, dict(reversed(changed.items())))
    others = [{**conversation(other, [ASKED]), **change} for other in PATHS if other != path]
    assert key(path, changed) not in {key(other, request) for other in PATHS for request in others}
    assert key(path, changed) != key(path, conversation(path, [ASKED]))


def test_the_version_that_every_client_names_does_not_count() -> None:
    """The form of the first does, as does a beta, and any for what is no plain conversation."""
    request = conversation(MESSAGES, [ASKED])
    asked = key(CHAT, conversation(CHAT, [ASKED]))
    assert key(MESSAGES, request, ("anthropic-version: 2023-06-01",)) == asked
    assert key(MESSAGES, request, ("anthropic-version: 2023-01-01",)) != asked
    assert key(MESSAGES, request, ("anthropic-beta: x", "anthropic-version: 2023-06-01")) != asked
    with_tools = {**request, "tools": []}
    assert key(MESSAGES, with_tools, ("anthropic-version: 2023-06-01",)) != key(MESSAGES, with_tools)


def test_a_plain_conversation_has_one_scope() -> None:
    """So a near question is answered whichever dialect the earlier one was asked in, and only inside its scope."""

    def scope(path: str, *turns: str, **more: Any) -> str:
        dialect = dialect_of("POST", path)
        assert dialect is not None
        request = conversation(path, list(turns), **more)
        question = dialect.question(request)
        assert question is not None
        return scope_key(NAMES[path], request, question.path, partition="p", namespace="", variant=(), embedder="e")

    assert {scope(path, text, parts=parts) for path in PATHS for text in (ASKED, AGAIN) for parts in (True, False)} == {
        scope(CHAT, ASKED)
    }
    assert len({scope(path, ASKED, system="s") for path in PATHS}) == 1
    assert scope(CHAT, ASKED, system="s") != scope(CHAT, ASKED)
    assert scope(CHAT, "Hi.", "Hello.", ASKED) != scope(CHAT, "Hi.", "Hello!", ASKED)


def everybody(exchange: Exchange) -> str:
    return "all"


@pytest.fixture
def shared(provider: Provider, store: RedisCacheStore) -> CacheMiddleware:
    """The exact tier, shared by all credentials: the clients name theirs in headers of their own."""
    return CacheMiddleware(provider, store=store, mode="exact", partition=everybody)


def said(path: str, answer: dict[str, Any] | None) -> tuple[str, str]:
    """What an answer says, and how it ended."""
    assert answer is not None
    if path == CHAT:
        choice = answer["choices"][0]
        return choice["message"]["content"], choice["finish_reason"]
    if path == RESPONSES:
        return answer["output"][0]["content"][0]["text"], answer["status"]
    return answer["content"][0]["text"], answer["stop_reason"]


ENDS = {CHAT: "stop", RESPONSES: "completed", MESSAGES: "end_turn"}


@pytest.mark.parametrize("streams", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize(("first", "second"), [(a, b) for a in PATHS for b in PATHS if a != b])
async def test_the_answer_comes_in_the_askers_dialect(
    first: str, second: str, streams: tuple[bool, bool], shared: CacheMiddleware, provider: Provider
) -> None:
    """Whole and streamed, with the text, the reason of the end and the usage."""
    await ask(shared, first, {**conversation(first, [ASKED]), "stream": streams[0]})
    headers = ANTHROPIC if second == MESSAGES else {}
    reply = await ask(shared, second, {**conversation(second, [ASKED]), "stream": streams[1]}, headers)
    assert (reply.cache, provider.calls) == ("exact", 1)
    answer = assembled(second, reply.events) if streams[1] else reply.json
    assert said(second, answer) == ("answer 1", ENDS[second])
    dialect = dialect_of("POST", second)
    assert dialect is not None
    assert answer is not None
    if not (second == CHAT and streams[1]):  # which did not ask for usage
        usage = dialect.usage(answer)
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens) == (11, 7)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_near_question_of_another_dialect(
    path: str, provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """The semantic tier gives what was asked in one dialect in another too."""
    app = CacheMiddleware(provider, store=store, embedder=embedder, partition=everybody, semantic_timeout_seconds=60.0)
    other = RESPONSES if path == CHAT else CHAT
    await ask(app, other, conversation(other, [ASKED]))
    reply = await ask(app, path, conversation(path, [AGAIN]))
    assert (reply.cache, said(path, reply.json)) == ("semantic", ("answer 1", ENDS[path]))
    await app.close()


async def test_a_response_that_is_kept_is_asked_for_anew(shared: CacheMiddleware, provider: Provider) -> None:
    """Who may go on from a response by its id is not given one that no provider knows."""
    await ask(shared, CHAT, conversation(CHAT, [ASKED]))
    request = conversation(RESPONSES, [ASKED])
    del request["store"]
    assert (await ask(shared, RESPONSES, request)).cache == "miss"
    assert provider.calls == 2


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (CHAT, {"choices": [{"message": {"content": "x", "annotations": [{}]}, "finish_reason": "stop"}]}),
        (CHAT, {"choices": [{"message": {"content": "x"}, "logprobs": {"content": []}, "finish_reason": "stop"}]}),
        (MESSAGES, {"content": [{"type": "text", "text": "x", "citations": [{}]}]}),
        (
            RESPONSES,
            {"output": [{"type": "message", "content": [{"type": "output_text", "text": "x", "annotations": [{}]}]}]},
        ),
    ],
)
async def test_what_cannot_be_said_in_another_dialect_is_asked_there(
    path: str, change: dict[str, Any], shared: CacheMiddleware, provider: Provider
) -> None:
    """An answer with citations or probabilities is given again in its own dialect only."""
    provider.answer = lambda path, number: {**answer_of(path, "x"), **(change if number == 1 else {})}
    await ask(shared, path, conversation(path, [ASKED]))
    assert (await ask(shared, path, conversation(path, [ASKED]))).cache == "exact"
    other = MESSAGES if path == CHAT else CHAT
    assert (await ask(shared, other, conversation(other, [ASKED]))).cache == "miss"
    assert (await ask(shared, path, conversation(path, [ASKED]))).cache == "exact"
    assert provider.calls == 2


async def test_thinking_is_left_out(shared: CacheMiddleware, provider: Provider) -> None:
    """What a model thought is no part of what it says in another dialect; several texts are one."""
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "So "},
        {"type": "text", "text": "be it."},
    ]
    provider.answer = lambda path, number: {**answer_of(path, "x"), "content": content}
    await ask(shared, MESSAGES, conversation(MESSAGES, [ASKED]))
    for path in (CHAT, RESPONSES):
        assert said(path, (await ask(shared, path, conversation(path, [ASKED]))).json)[0] == "So be it."


async def test_which_stop_sequence_ended_it_cannot_be_told(shared: CacheMiddleware, provider: Provider) -> None:
    """With stop sequences a message answers a chat completion, but not the other way round."""
    asked, same = {**conversation(CHAT, [ASKED]), "stop": "END"}, {**conversation(MESSAGES, [ASKED])}
    same["stop_sequences"] = ["END"]
    await ask(shared, CHAT, asked)
    assert (await ask(shared, MESSAGES, same)).cache == "miss"
    assert (await ask(shared, CHAT, asked)).cache == "exact"
    assert provider.calls == 2


async def test_an_answer_is_rewritten_for_another_version(shared: CacheMiddleware, provider: Provider) -> None:
    """Of what another version of the interface answered is given what all versions say."""
    provider.answer = lambda path, number: {**answer_of(path, "x"), "a_field_of_that_version": 1}
    request = conversation(MESSAGES, [ASKED])
    first = await ask(shared, MESSAGES, request, ANTHROPIC)
    assert (await ask(shared, MESSAGES, request, ANTHROPIC)).json == cached(MESSAGES, first.json)
    other = await ask(shared, MESSAGES, request, {"anthropic-version": "2099-01-01"})
    assert (other.cache, said(MESSAGES, other.json)) == ("exact", ("x", "end_turn"))
    assert "a_field_of_that_version" not in other.json
    assert provider.calls == 1


async def test_a_truncated_answer_that_is_kept(provider: Provider, store: RedisCacheStore) -> None:
    """Is truncated in every dialect."""
    app = CacheMiddleware(provider, store=store, mode="exact", partition=everybody, storable=Storable(truncated=True))
    provider.answer = lambda path, number: {**answer_of(path, "x"), "stop_reason": "max_tokens"}
    await ask(app, MESSAGES, conversation(MESSAGES, [ASKED]))
    assert said(CHAT, (await ask(app, CHAT, conversation(CHAT, [ASKED]))).json) == ("x", "length")
    response = (await ask(app, RESPONSES, conversation(RESPONSES, [ASKED]))).json
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    await app.close()


async def test_the_official_clients(serve: Serve, shared: CacheMiddleware, provider: Provider) -> None:
    """One call of the provider is read by OpenAI's and Anthropic's clients, whole and streamed."""
    url = await serve(shared)
    openai = AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-test", max_retries=0)
    anthropic = AsyncAnthropic(base_url=url, api_key="sk-test", max_retries=0)
    messages: list[Any] = [{"role": "user", "content": ASKED}]
    async with openai, anthropic:
        chat = await openai.chat.completions.create(model="m", messages=messages, max_tokens=64)
        response = await openai.responses.create(model="m", input=ASKED, max_output_tokens=64, store=False)
        async with openai.responses.stream(model="m", input=ASKED, max_output_tokens=64, store=False) as events:
            streamed = await events.get_final_response()
        message = await anthropic.messages.create(model="m", messages=messages, max_tokens=64)
        async with anthropic.messages.stream(model="m", messages=messages, max_tokens=64) as texts:
            final = await texts.get_final_message()
    assert provider.calls == 1
    assert chat.choices[0].message.content == "answer 1"
    assert response.output_text == streamed.output_text == "answer 1"
    assert (response.status, streamed.status) == ("completed", "completed")
    assert response.usage is not None
    assert response.usage.total_tokens == 18
    assert [block.text for block in message.content if block.type == "text"] == ["answer 1"]
    assert [block.text for block in final.content if block.type == "text"] == ["answer 1"]
    assert (message.stop_reason, final.stop_reason) == ("end_turn", "end_turn")
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens, final.usage.output_tokens) == (0, 11, 7)


def test_an_earlier_answer_may_be_sent_back_as_it_came() -> None:
    """With the fields that it has beside its text, where they are empty."""
    turns = ["Hello!", "Hello.", ASKED]
    request = conversation(RESPONSES, turns, parts=True)
    request["input"][1]["content"][0] |= {"annotations": [], "logprobs": []}
    assert key(RESPONSES, request) == key(CHAT, conversation(CHAT, turns))
    message = conversation(MESSAGES, turns, parts=True)
    message["messages"][1]["content"][0]["citations"] = None
    assert key(MESSAGES, message) == key(CHAT, conversation(CHAT, turns))
