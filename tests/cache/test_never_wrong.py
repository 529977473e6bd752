"""Whatever is sent: nobody is given what another request was answered, and nothing ends in a 500.

The provider here answers with what it understands of a request, and of a key that is said twice it believes the first:
so an answer tells which request it is for, and by whom.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.types import Message, Receive, Scope, Send
from helix.kernel.wire import dialect_of

from .conftest import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Reply, answer_of

Runner = asyncio.Runner
QUESTIONS = [
    "How do I reset my password?",
    "How can I reset my password?",
    "How do I reset <PERSON_1>'s password?",
    "How do I reset <PERSON_2>'s password?",
    "How do I re\u0301set my password?",
    "How do I r\u00e9set my password?",
    "How do I reset my password?\u200b",
    "What happened in Berlin today?",
    "hm",
    "",
]
TURNS = [
    *QUESTIONS,
    *QUESTIONS[:4] * 5,
    "Hello!",
    '"}],"model":"n","x":[{"y":"',
    "\\u0000",
    "a\u0000b",
    "\U0001f600",
    "{",
    "]" * 40,
]
NOT_WEIGHED = {"stream", "stream_options", "store", "metadata", "service_tier", "prompt_cache_key"}
WEIGHED = ("x-helix-cache-namespace", "anthropic-beta", "openai-beta")


# What a provider understands


def first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def understood(value: Any) -> Any:
    """A JSON value in which equal numbers are written alike."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: understood(item) for key, item in value.items()}
    return [understood(item) for item in value] if isinstance(value, list) else value


def one_text(content: Any) -> Any:
    """The text of a content that is one part, just a text."""
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        part = content[0]
        if part.keys() == {"type", "text"} and part["type"] in ("text", "input_text", "output_text"):
            return part["text"]
    return content


def plain(path: str, request: dict[str, Any]) -> Any:
    """What a plain conversation says in every dialect; None for any other request."""
    rest = dict(request)
    try:
        if path == CHAT:
            turns, limit = rest.pop("messages"), rest.pop("max_tokens", None)
        elif path == MESSAGES:
            turns, limit = rest.pop("messages"), rest.pop("max_tokens")
        elif path == RESPONSES and rest.pop("store", None) is False:
            turns, limit = rest.pop("input"), rest.pop("max_output_tokens", None)
            turns = [{"role": "user", "content": turns}] if isinstance(turns, str) else turns
        else:
            return None
        said = [(turn["role"], one_text(turn["content"])) for turn in turns if turn.keys() == {"role", "content"}]
        system = rest.pop("system" if path == MESSAGES else "instructions", None) if path != CHAT else None
        if path == CHAT and said and said[0][0] == "system":
            system = said.pop(0)[1]
        is_plain = len(said) + (path == CHAT and system is not None) == len(turns)
        is_plain = is_plain and all(role in ("user", "assistant") and isinstance(text, str) for role, text in said)
        if not is_plain or not said or said[-1][0] != "user" or system == "" or rest.keys() - {"model", "temperature"}:
            return None
    except (KeyError, TypeError, AttributeError):
        return None
    return ["plain", rest.get("model"), system, said, limit, rest.get("temperature")]


def meaning(path: str, request: dict[str, Any], headers: dict[str, str], query: str) -> str:
    """What a request asks, of whom and on whose behalf, as a text."""
    weighed = {key: value for key, value in request.items() if value is not None}
    if path != RESPONSES:
        weighed = {key: value for key, value in weighed.items() if key not in NOT_WEIGHED}
    weighed.pop("stream", None)
    if weighed.get("n") == 1:
        del weighed["n"]
    about = plain(path, weighed) or [path, weighed]
    caller = [
        headers.get("authorization") or headers.get("x-api-key", ""),
        *(headers.get(name, "") for name in WEIGHED),
    ]
    return json.dumps([caller, query, understood(about)], sort_keys=True)


async def provider(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it understands, in the dialect of the path, whole or streamed."""
    request = json.loads((await receive())["body"], object_pairs_hook=first_of_each)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    answer = answer_of(scope["path"], meaning(scope["path"], request, headers, scope["query_string"].decode()))
    dialect = dialect_of("POST", scope["path"])
    assert dialect is not None
    if request.get("stream") is True and dialect.streams:
        body = b"".join(event.raw for event in dialect.stream(answer))
        kind = b"text/event-stream"
    else:
        body, kind = json.dumps(answer).encode(), b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


# What is sent

numbers = st.sampled_from(["0", "-0.0", "1", "1.0", "1e0", "0.5", "5e-1", "2", "18446744073709551616", "1e30", "0.2"])
ODDITIES = (
    """null true false "1" [] {} [1,1.0] {"a":1,"a":2} NaN 1e999 "\\ud800" {"":{"":[]}} "\\u0041" "A" -1 "<A_1>" """
)
oddities = st.sampled_from([*ODDITIES.split(), "9" * 5000, "[" * 150 + "]" * 150, "[" * 210 + "]" * 210])
texts = st.sampled_from(TURNS).map(lambda text: json.dumps(text)) | st.sampled_from(TURNS).map(
    lambda text: json.dumps(text, ensure_ascii=False)
)
roles = st.sampled_from(['"user"'] * 9 + ['"assistant"', '"assistant"', '"system"', '"tool"', '"developer"', "7"])


@st.composite
def members(draw: st.DrawFn, known: dict[str, st.SearchStrategy[str]]) -> str:
    """An object whose members come in any order, some twice."""
    found = [(key, draw(values)) for key, values in known.items() if draw(st.integers(0, 3)) == 0 or key in _NEEDED]
    if draw(st.integers(0, 5)) == 0:
        found.append((draw(st.sampled_from(["seed", "user", "x", "n", "tools"])), draw(numbers | oddities)))
    if found and draw(st.integers(0, 4)) == 0:
        key, _ = draw(st.sampled_from(found))
        found.append((key, draw(known[key]) if key in known else draw(oddities)))
    spaced = draw(st.sampled_from([",", " ,\n "]))
    return "{" + spaced.join(f"{json.dumps(key)}:{value}" for key, value in draw(st.permutations(found))) + "}"


_NEEDED = {
    "model",
    "messages",
    "input",
    "prompt",
    "role",
    "content",
    "max_tokens",
    "max_output_tokens",
    "store",
    "type",
}
_NEEDED |= {"text"}
parts = members({"type": st.sampled_from(['"text"', '"text"', '"input_text"', '"image_url"']), "text": texts})
contents = (
    texts
    | texts
    | parts.map(lambda part: f"[{part}]")
    | st.lists(parts, max_size=2).map(lambda found: f"[{','.join(found)}]")
)
turns = st.lists(members({"role": roles, "content": contents}), min_size=1, max_size=2).map(
    lambda found: f"[{','.join(found)}]"
)
common = {
    "model": st.sampled_from(['"m"'] * 6 + ['"n"', '"m "']),
    "temperature": numbers,
    "stream": st.sampled_from(["true", "false", "null"]),
}
limits = st.sampled_from(["1", "64", "64", "64"])
bodies: dict[str, st.SearchStrategy[str]] = {
    CHAT: members({**common, "messages": turns, "max_tokens": limits, "store": st.sampled_from(["true", "false"])}),
    RESPONSES: members(
        {
            **common,
            "input": turns | texts,
            "instructions": texts,
            "max_output_tokens": limits,
            "store": st.just("false"),
        }
    ),
    MESSAGES: members({**common, "messages": turns, "system": texts, "max_tokens": limits}),
    COMPLETIONS: members({**common, "prompt": texts | texts.map(lambda text: f"[{text}]")}),
    EMBEDDINGS: members({"model": common["model"], "input": texts}),
}
headers = st.fixed_dictionaries(
    {"authorization": st.sampled_from(["Bearer sk-1"] * 6 + ["Bearer sk-2", "bearer sk-1", ""])},
    optional={
        "x-helix-cache-namespace": st.sampled_from([*"aaaaabbb", "a:b", "", "*"]),
        "x-helix-cache-threshold": st.sampled_from([*["0", "0.5"] * 4, "nan", "2"]),
        "x-helix-cache-ttl": st.sampled_from([*["500"] * 9, "0", "-1", "x"]),
        "x-helix-cache-entry": st.just("0" * 40),
        "x-helix-cache": st.just("exact"),
        "cache-control": st.sampled_from(["no-cache", *["max-age=600"] * 9, "max-age=x"]),
        "anthropic-beta": st.just("one"),
        "openai-beta": st.just("one"),
        "x-api-key": st.sampled_from(["sk-1", "Bearer sk-1"]),
    },
)
requests = st.one_of(
    *(st.tuples(st.just(path), body, headers, st.sampled_from(["", "", "beta=true"])) for path, body in bodies.items())
)


async def ask_raw(app: CacheMiddleware, path: str, body: bytes, given_headers: dict[str, str], query: str) -> Reply:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    raw = [(name.encode(), value.encode()) for name, value in given_headers.items()]
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"content-type", b"application/json"), *raw],
    }
    await app(scope, receive, send)
    return Reply(messages, scope)


def told(path: str, reply: Reply) -> list[Any] | None:
    """What request a reply is for; None for an answer without words."""
    if path == EMBEDDINGS:
        return None
    dialect = dialect_of("POST", path)
    assert dialect is not None
    answer: Any
    if reply.headers["content-type"].startswith("text/event-stream"):
        assembler = dialect.assembler()
        for event in reply.events:
            assembler.feed(event)
        answer = assembler.answer()
    else:
        answer = reply.json
    found: list[Any] = json.loads("".join(text.value for text in dialect.answer_texts(answer)))
    return found


def without_question(path: str, said: list[Any]) -> Any:
    """A meaning without the question, and the question."""
    caller, query, about = json.loads(json.dumps(said))
    if about[0] == "plain":
        question, about[3][-1][1] = about[3][-1][1], None
        return [caller, query, about], question
    dialect = dialect_of("POST", about[0])
    assert dialect is not None
    question = dialect.question(about[1])
    assert question is not None
    place = about[1]
    for step in question.path[:-1]:
        place = place[step]
    place[question.path[-1]] = None
    return [caller, query, about], question.text


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture(scope="module")
def app(
    redis_url: str, embedder: SentenceTransformerEmbedder, runner: Runner
) -> Iterator[tuple[CacheMiddleware, dict[str, int]]]:
    """One app and one store for all examples, so that each meets what the earlier ones left; and what it did."""
    store = RedisCacheStore(redis_url, prefix="never-wrong:", timeout_seconds=30.0)
    made = CacheMiddleware(provider, store=store, embedder=embedder, semantic_timeout_seconds=60.0)
    yield made, {}
    runner.run(made.close())
    runner.run(store.flush())
    runner.run(store.close())


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=st.lists(requests, min_size=1, max_size=8))
def test_every_answer_is_for_the_request_it_is_given_to(
    asked: list[tuple[str, str, dict[str, str], str]],
    app: tuple[CacheMiddleware, dict[str, int]],
    runner: Runner,
) -> None:
    """An exact hit means the very same; a semantic one all but the question, which is a near one."""
    stage, seen = app
    for path, body, said, query in asked:
        reply = runner.run(ask_raw(stage, path, body.encode("utf-8", "surrogatepass"), said, query))
        assert reply.status in (200, 400), reply.body
        assert reply.ended
        seen[reply.cache or "refused"] = seen.get(reply.cache or "refused", 0) + 1
        if reply.status == 400:
            continue
        answered = told(path, reply)
        if answered is None:
            continue
        mine = json.loads(meaning(path, json.loads(body), said, query))
        if reply.cache != "semantic":
            assert answered == mine
        else:
            (theirs, question), (ours, own) = without_question(path, answered), without_question(path, mine)
            assert theirs == ours
            assert question != own
            assert ("PERSON_1" in question, "PERSON_2" in question) == ("PERSON_1" in own, "PERSON_2" in own)


def test_that_there_was_something_to_find(app: tuple[CacheMiddleware, dict[str, int]]) -> None:
    """The examples before hit the cache, missed it, and were refused, each often."""
    _, seen = app
    assert all(seen.get(outcome, 0) > 20 for outcome in ("exact", "miss", "refused")), seen
