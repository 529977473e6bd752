"""Each part of a request changed in turn: nobody is answered from before, neither exactly nor by meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.errors import InvalidRequest
from helix.kernel.exchange import attach
from helix.kernel.types import ASGIApp, Principal, Receive, Scope, Send, Vector
from helix.kernel.wire import Dialect, dialect_of, replaced

from .conftest import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Provider, Reply, answer_of, ask

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"
FUNCTION = {"name": "f", "description": "does it", "parameters": {"type": "object", "required": ["a"]}, "strict": True}
# Every field that can change an answer, each with another value than its default.
REQUESTS: dict[str, dict[str, Any]] = {
    CHAT: {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You help the customers of a bank.", "name": "bank"},
            {"role": "user", "content": [{"type": "text", "text": "Hello!"}, {"type": "text", "text": "I am new."}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
            {"role": "assistant", "content": "Hello, what can I do for you?"},
            {"role": "user", "content": ASKED, "name": "ann"},
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 100,
        "max_completion_tokens": 100,
        "seed": 7,
        "stop": ["END", "FIN"],
        "user": "u1",
        "safety_identifier": "s1",
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
        "verbosity": "low",
        "modalities": ["text"],
        "prediction": {"type": "content", "content": "To reset"},
        "web_search_options": {"search_context_size": "low"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "top_k": 40,
        "min_p": 0.1,
        "guided_json": {"type": "object"},
        "extra_body": {"provider": {"order": ["a", "b"]}},
    },
    COMPLETIONS: {
        "model": "gpt-3.5-turbo-instruct",
        "prompt": ASKED,
        "suffix": "Thanks.",
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 100,
        "seed": 7,
        "stop": ["END"],
        "user": "u1",
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "logit_bias": {"50256": -100},
        "logprobs": 2,
        "echo": True,
    },
    RESPONSES: {
        "model": "gpt-4o",
        "instructions": "You help the customers of a bank.",
        "input": [
            {"role": "user", "content": "Hello!"},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Hello, what can I do for you?"}]},
            {"role": "user", "content": [{"type": "input_text", "text": ASKED}]},
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "max_output_tokens": 100,
        "max_tool_calls": 3,
        "top_logprobs": 2,
        "user": "u1",
        "safety_identifier": "s1",
        "prompt_cache_key": "p1",
        "metadata": {"case": "1"},
        "store": False,
        "service_tier": "flex",
        "truncation": "auto",
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}, "verbosity": "low"},
        "tools": [{"type": "function", **FUNCTION}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "prompt": {"id": "pmpt_1", "version": "2", "variables": {"city": "Rome"}},
    },
    MESSAGES: {
        "model": "claude-sonnet-4-5",
        "system": [{"type": "text", "text": "You help the customers of a bank."}],
        "messages": [
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "42"}]},
            {"role": "assistant", "content": "Hello, what can I do for you?"},
            {"role": "user", "content": [{"type": "text", "text": ASKED}]},
        ],
        "max_tokens": 100,
        "temperature": 0.2,
        "top_p": 0.9,
        "top_k": 40,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "f", "description": "does it", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f"},
        "container": "c1",
        "mcp_servers": [{"type": "url", "name": "m", "url": "https://m.example"}],
    },
}
PLAIN: dict[str, dict[str, Any]] = {
    CHAT: {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You help."},
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": ASKED},
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 100,
        "stop": ["END"],
    },
    RESPONSES: {
        "model": "m",
        "instructions": "You help.",
        "input": [
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": ASKED},
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "max_output_tokens": 100,
        "store": False,
    },
    MESSAGES: {
        "model": "m",
        "system": "You help.",
        "messages": [
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": ASKED},
        ],
        "max_tokens": 100,
        "temperature": 0.2,
        "top_p": 0.9,
        "stop_sequences": ["END"],
    },
}


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2
    return f"{value}x" if isinstance(value, str) else "x"


def changes(
    request: Any, question: tuple[Any, ...], path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every place of a request and a request that differs there: a value changed, gone, or one more."""
    value = request
    for step in path:
        value = value[step]
    if path == question:
        return
    on_the_way = path == question[: len(path)]
    if not isinstance(value, dict | list):
        yield path, replaced(request, {path: changed(value)})
        return
    if isinstance(value, dict):
        yield (*path, "+"), replaced(request, {path: {**value, "a_field_of_next_year": 1}})
    elif not on_the_way:
        yield (*path, "+"), replaced(request, {path: [*value, changed(value[-1])]})
    else:
        yield (
            (*path, "+"),
            replaced(request, {path: [value[0], *value]})
            if len(value) > 1
            else replaced(request, {path: [*value, *value]}),
        )
    for key in value if isinstance(value, dict) else range(len(value)):
        inner = (*path, key)
        if inner != question[: len(inner)]:
            rest = (
                {name: item for name, item in value.items() if name != key}
                if isinstance(value, dict)
                else [item for at, item in enumerate(value) if at != key]
            )
            yield (*inner, "-"), replaced(request, {path: rest})
        yield from changes(request, question, inner)


def asking(dialect: Dialect, request: dict[str, Any], text: str) -> dict[str, Any]:
    """The request with another question, if it still asks one."""
    try:
        dialect.check(request)
    except InvalidRequest:
        return request
    question = dialect.question(request)
    return request if question is None else replaced(request, {question.path: text})


def text_of(reply: Reply) -> str:
    """All that a reply says, or why it says nothing."""
    return reply.body.decode()


CASES = [(path, request) for requests in (REQUESTS, PLAIN) for path, request in requests.items()]


@pytest.mark.parametrize(("path", "request_"), CASES, ids=[f"{path}-{len(request)}" for path, request in CASES])
async def test_no_field_is_without_weight(
    path: str, request_: dict[str, Any], hybrid: CacheMiddleware, provider: Provider
) -> None:
    """With any field of any dialect changed, added or gone, neither the same nor a near question is answered."""
    provider.answer = lambda path, number: answer_of(path, "of the first" if number == 1 else "of another")
    dialect = dialect_of("POST", path)
    assert dialect is not None
    question = dialect.question(request_)
    assert question is not None
    await ask(hybrid, path, request_)
    again = replaced(request_, {question.path: AGAIN})
    assert (await ask(hybrid, path, again)).cache == "semantic"
    assert (await ask(hybrid, path, request_)).cache == "exact"
    answered = 0
    for place, other in changes(request_, question.path):
        for text in (AGAIN, ASKED):
            reply = await ask(hybrid, path, asking(dialect, other, text))
            assert "of the first" not in text_of(reply), place
            answered += reply.status == 200
    assert answered > 40
    assert "of the first" in text_of(await ask(hybrid, path, request_))  # it is still there


class As:
    """An admit stage that knows who calls by a header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = dict(scope["headers"]).get(b"x-who", b"k1").decode()
        attach(scope, receive).principal = Principal(who)
        await self.app(scope, receive, send)


@pytest.mark.parametrize("admitted", [False, True])
@pytest.mark.parametrize("path", PLAIN)
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"x-who": "k2", "authorization": "Bearer sk-other"}, b""),
        ({"x-who": "k2", "authorization": "", "x-api-key": "sk-test"}, b""),
        ({"x-helix-cache-namespace": "other"}, b""),
        ({"anthropic-beta": "other"}, b""),
        ({"openai-beta": "other"}, b""),
        ({}, b"api-version=2"),
        ({}, b"beta=true"),
    ],
)
async def test_no_header_is_without_weight(
    headers: dict[str, str], query: bytes, path: str, admitted: bool, hybrid: CacheMiddleware, provider: Provider
) -> None:
    """Another caller, namespace, beta or version of the API is another scope."""
    app = As(hybrid) if admitted else hybrid
    provider.answer = lambda path, number: answer_of(path, "of the first" if number == 1 else "of another")
    dialect = dialect_of("POST", path)
    assert dialect is not None
    question = dialect.question(PLAIN[path])
    assert question is not None
    await ask(app, path, PLAIN[path])
    for text in (AGAIN, ASKED):
        request = replaced(PLAIN[path], {question.path: text})
        assert (await ask(app, path, request)).cache in ("exact", "semantic")
        assert "of the first" not in text_of(await ask(app, path, request, headers, query))


class Renamed:
    """The same embedder under another name, as one of another version would have."""

    def __init__(self, embedder: SentenceTransformerEmbedder) -> None:
        self._embedder, self.name, self.dim = embedder, "another", embedder.dim

    async def embed(self, texts: Any) -> Any:
        found: Any = await self._embedder.embed(texts)
        vectors: list[Vector] = found
        return vectors


@pytest.mark.parametrize("changed_part", ["embedder", "secret", "partition", "share"])
async def test_no_setting_is_without_weight(
    changed_part: str, provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """Another embedder, secret or rule of partitions finds nothing that was stored under the first."""
    settings: dict[str, Any] = {"store": store, "embedder": embedder, "semantic_timeout_seconds": 60.0}
    first = CacheMiddleware(provider, **settings)
    await ask(first, CHAT, PLAIN[CHAT])
    again = replaced(PLAIN[CHAT], {("messages", 3, "content"): AGAIN})
    assert (await ask(first, CHAT, again)).cache == "semantic"
    others: dict[str, Any] = {
        "embedder": Renamed(embedder),
        "secret": "another secret of some length",
        "partition": lambda exchange: "another",
        "share": "everyone",
    }
    second = CacheMiddleware(provider, **{**settings, changed_part: others[changed_part]})
    assert (await ask(second, CHAT, again)).cache == "miss"
    if changed_part != "embedder":  # of which the exact tier knows nothing
        assert (await ask(second, CHAT, PLAIN[CHAT])).json["id"] != "chatcmpl-answer 1"
    await first.close()
    await second.close()
