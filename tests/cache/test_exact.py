from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.kernel.types import Money, Usage

from .conftest import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    Provider,
    answer_of,
    ask,
    assembled,
    cached,
    chat,
)

QUESTION = "Where is the Louvre?"
REQUESTS: dict[str, dict[str, Any]] = {
    CHAT: chat(QUESTION),
    COMPLETIONS: {"model": "gpt-3.5-turbo-instruct", "prompt": QUESTION},
    EMBEDDINGS: {"model": "text-embedding-3-small", "input": QUESTION},
    RESPONSES: {"model": "gpt-4o", "input": QUESTION},
    MESSAGES: {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": QUESTION}]},
}
STREAMING = [path for path in REQUESTS if path != EMBEDDINGS]


@pytest.mark.parametrize("path", REQUESTS)
async def test_an_equal_request_is_answered_from_the_cache(
    path: str, exact: CacheMiddleware, provider: Provider
) -> None:
    """The provider is asked once; the second reply is the first's, but that its usage says that a cache answered."""
    first = await ask(exact, path, REQUESTS[path])
    second = await ask(exact, path, REQUESTS[path])
    assert (first.cache, second.cache, provider.calls) == ("miss", "exact", 1)
    assert first.json == answer_of(path, "answer 1")
    assert second.json == cached(path, answer_of(path, "answer 1"))
    assert second.status == 200
    assert second.headers["content-length"] == str(len(second.body))
    assert second.headers["x-helix-model"] == "openai/gpt-4o"
    assert int(second.headers["age"]) >= 0
    assert second.record["entry"] == second.headers["x-helix-cache-entry"]


@pytest.mark.parametrize("path", STREAMING)
@pytest.mark.parametrize("first_streams", [False, True])
@pytest.mark.parametrize("second_streams", [False, True])
async def test_whole_and_streamed_answer_each_other(
    path: str, first_streams: bool, second_streams: bool, exact: CacheMiddleware, provider: Provider
) -> None:
    """What was stored from either form is replayed in the form that is asked for."""
    await ask(exact, path, {**REQUESTS[path], "stream": first_streams})
    reply = await ask(exact, path, {**REQUESTS[path], "stream": second_streams})
    assert (reply.cache, provider.calls) == ("exact", 1)
    want = cached(path, answer_of(path, "answer 1"))
    if not second_streams:
        assert reply.json == want
    else:
        got = assembled(path, reply.events)
        assert got is not None
        if path in (CHAT, COMPLETIONS):  # whoever does not ask for usage is not shown it
            assert "usage" not in got
            want.pop("usage")
        assert got == want


async def test_stream_options_of_the_second_caller_count(exact: CacheMiddleware, provider: Provider) -> None:
    """A replay shows usage to those who ask for it, even if the first caller did not."""
    await ask(exact, CHAT, chat(QUESTION, stream=True))
    reply = await ask(exact, CHAT, chat(QUESTION, stream=True, stream_options={"include_usage": True}))
    assert reply.cache == "exact"
    got = assembled(CHAT, reply.events)
    assert got is not None
    assert got["usage"]["total_tokens"] == 18


async def test_usage_that_only_the_cache_asked_for_is_taken_out(exact: CacheMiddleware, provider: Provider) -> None:
    """The provider is asked for usage; a caller who did not ask does not see the event."""
    reply = await ask(exact, CHAT, chat(QUESTION, stream=True))
    assert provider.asked[0]["stream_options"] == {"include_usage": True}
    assert not any((event.json() or {}).get("usage") for event in reply.events)
    assert reply.events[-1].data == b"[DONE]"


async def test_partition_and_credential(exact: CacheMiddleware, provider: Provider) -> None:
    """Callers with different credentials share nothing."""
    await ask(exact, CHAT, chat(QUESTION))
    other = await ask(exact, CHAT, chat(QUESTION), {"authorization": "Bearer sk-other"})
    assert (other.cache, provider.calls) == ("miss", 2)


async def test_partition_is_the_operators(provider: Provider, store: RedisCacheStore) -> None:
    """`partition` decides who shares."""
    app = CacheMiddleware(provider, store=store, mode="exact", partition=lambda exchange: "everyone")
    await ask(app, CHAT, chat(QUESTION))
    other = await ask(app, CHAT, chat(QUESTION), {"authorization": "Bearer sk-other"})
    assert (other.cache, provider.calls) == ("exact", 1)


async def test_namespace(exact: CacheMiddleware, provider: Provider, store: RedisCacheStore) -> None:
    """A namespace is a cache of its own, and its name is part of its entries' ids."""
    await ask(exact, CHAT, chat(QUESTION))
    named = {"x-helix-cache-namespace": "blue"}
    assert (await ask(exact, CHAT, chat(QUESTION), named)).cache == "miss"
    hit = await ask(exact, CHAT, chat(QUESTION), named)
    assert hit.cache == "exact"
    assert hit.headers["x-helix-cache-entry"].startswith("blue:")
    assert await store.flush(namespace="blue") == 1
    assert (await ask(exact, CHAT, chat(QUESTION), named)).cache == "miss"
    assert (await ask(exact, CHAT, chat(QUESTION))).cache == "exact"


@pytest.mark.parametrize("headers", [{"anthropic-beta": "x"}, {"openai-beta": "y"}, {"anthropic-version": "1"}])
async def test_headers_that_change_the_answer(
    headers: dict[str, str], exact: CacheMiddleware, provider: Provider
) -> None:
    """What asks the provider for another behaviour is part of the key."""
    await ask(exact, CHAT, chat(QUESTION))
    assert (await ask(exact, CHAT, chat(QUESTION), headers)).cache == "miss"


async def test_no_store(exact: CacheMiddleware, provider: Provider) -> None:
    """`no-store` neither takes from the cache nor puts into it."""
    for _ in range(2):
        assert (await ask(exact, CHAT, chat(QUESTION), {"cache-control": "no-store"})).cache == "bypass"
    assert (await ask(exact, CHAT, chat(QUESTION))).cache == "miss"
    assert (await ask(exact, CHAT, chat(QUESTION), {"cache-control": "no-store"})).cache == "bypass"


async def test_no_cache(exact: CacheMiddleware, provider: Provider) -> None:
    """`no-cache` asks the provider anew and replaces the entry."""
    await ask(exact, CHAT, chat(QUESTION))
    assert (await ask(exact, CHAT, chat(QUESTION), {"cache-control": "no-cache"})).cache == "refresh"
    reply = await ask(exact, CHAT, chat(QUESTION))
    assert reply.cache == "exact"
    assert reply.json["id"] == "chatcmpl-answer 2"


async def test_max_age(exact: CacheMiddleware, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry older than `max-age` is refreshed, a younger one is served with its age."""
    await ask(exact, CHAT, chat(QUESTION))
    later = time.time() + 100
    monkeypatch.setattr("helix.cache.tiers.time.time", lambda: later)
    assert (await ask(exact, CHAT, chat(QUESTION), {"cache-control": "max-age=200"})).headers["age"] in ("99", "100")
    assert (await ask(exact, CHAT, chat(QUESTION), {"cache-control": "max-age=50"})).cache == "refresh"
    assert (await ask(exact, CHAT, chat(QUESTION), {"cache-control": "max-age=50"})).cache == "exact"
    assert (await ask(exact, CHAT, chat(QUESTION), {"cache-control": "max-age=0"})).cache == "refresh"


@pytest.mark.parametrize(("asked", "kept"), [("5", 5), ("999999", 60)])
async def test_ttl_only_shortens(
    asked: str, kept: int, provider: Provider, store: RedisCacheStore, redis_url: str, redis_prefix: str
) -> None:
    """A caller may have the entry forgotten sooner, not later."""
    from redis.asyncio import Redis

    app = CacheMiddleware(provider, store=store, mode="exact", ttl_seconds=60)
    await ask(app, CHAT, chat(QUESTION), {"x-helix-cache-ttl": asked})
    await app.close()
    client = Redis.from_url(redis_url)
    (key,) = await client.keys(f"{redis_prefix}a:*")
    assert kept * 1000 - 5000 < await client.pttl(key) <= kept * 1000
    await client.aclose()


@pytest.mark.parametrize(
    ("header", "value"),
    [("cache-control", "max-age=x"), ("x-helix-cache-ttl", "-1"), ("x-helix-cache-namespace", "a/b")],
)
async def test_wrong_headers(header: str, value: str, exact: CacheMiddleware, provider: Provider) -> None:
    """A wrong value is a 400 that names the header, and the provider is not asked."""
    reply = await ask(exact, CHAT, chat(QUESTION), {header: value})
    assert (reply.status, provider.calls) == (400, 0)
    assert reply.json["error"]["param"] == header
    assert header in reply.json["error"]["message"]


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_errors_are_not_stored(status: int, exact: CacheMiddleware, provider: Provider) -> None:
    """Only 2xx answers are."""
    provider.status = status
    assert (await ask(exact, CHAT, chat(QUESTION))).status == status
    provider.status = 200
    assert (await ask(exact, CHAT, chat(QUESTION))).cache == "miss"


def _with(path: str, change: dict[str, Any]) -> dict[str, Any]:
    answer = answer_of(path, "x")
    if path == CHAT:
        answer["choices"][0] |= change
        return answer
    return {**answer, **change}


UNFIT = [
    (CHAT, {"finish_reason": "length"}),
    (CHAT, {"finish_reason": "content_filter"}),
    (CHAT, {"finish_reason": "tool_calls", "message": {"role": "assistant", "content": None, "tool_calls": [{}]}}),
    (CHAT, {"message": {"role": "assistant", "content": ""}}),
    (RESPONSES, {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
    (RESPONSES, {"status": "queued", "output": []}),
    (MESSAGES, {"stop_reason": "max_tokens"}),
    (MESSAGES, {"stop_reason": "refusal"}),
]


@pytest.mark.parametrize(("path", "change"), UNFIT)
@pytest.mark.parametrize("streams", [False, True])
async def test_incomplete_answers_are_not_stored(
    path: str, change: dict[str, Any], streams: bool, exact: CacheMiddleware, provider: Provider
) -> None:
    """Truncated, filtered, refused, empty and tool-calling answers go to the caller and nowhere else."""
    provider.answer = lambda path, number: _with(path, change)
    for number in (1, 2):
        reply = await ask(exact, path, {**REQUESTS[path], "stream": streams})
        assert (reply.cache, provider.calls) == ("miss", number)


@pytest.mark.parametrize("path", STREAMING)
async def test_a_stream_that_is_cut_off_is_never_stored(
    path: str, exact: CacheMiddleware, provider: Provider, store: RedisCacheStore
) -> None:
    """Wherever the stream breaks before its end, nothing is kept; complete, it is."""
    request = {**REQUESTS[path], "stream": True}
    whole = await ask(exact, path, request, {"cache-control": "no-store"})
    for cut in range(len(whole.events)):
        provider.cut_after = cut
        await ask(exact, path, request)
        await exact.close()
        assert (await store.stats())["entries"] == 0, f"stored after {cut} of {len(whole.events)} events"
    provider.cut_after = None
    await ask(exact, path, request)
    assert (await ask(exact, path, request)).cache == "exact"


async def test_a_caller_who_leaves_stops_the_storing(exact: CacheMiddleware, store: RedisCacheStore) -> None:
    """A request that is cancelled in the middle of a stream leaves nothing behind."""
    began = asyncio.Event()

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b'data: {"choices": []}\n\n', "more_body": True})
        began.set()
        await asyncio.Event().wait()

    exact.app = stuck
    asking = asyncio.create_task(ask(exact, CHAT, chat(QUESTION, stream=True)))
    await began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await exact.close()
    assert (await store.stats())["entries"] == 0


async def test_a_stream_of_garbage_passes_and_is_not_stored(exact: CacheMiddleware, store: RedisCacheStore) -> None:
    """What cannot be read is the caller's to judge."""
    body = b"data: {nonsense\n\ndata: [DONE]\n\n"

    async def garbage(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    exact.app = garbage
    assert (await ask(exact, CHAT, chat(QUESTION, stream=True))).body == body
    await exact.close()
    assert (await store.stats())["entries"] == 0


async def test_saved_money(provider: Provider, store: RedisCacheStore) -> None:
    """A hit says what the stored usage would have cost with the model that answered."""
    asked: list[tuple[str, Usage]] = []

    def price(model: str, usage: Usage) -> Money | None:
        asked.append((model, usage))
        return Money.from_usd(0.00125)

    app = CacheMiddleware(provider, store=store, mode="exact", price=price)
    first = await ask(app, CHAT, chat(QUESTION, stream=True))
    hit = await ask(app, CHAT, chat(QUESTION))
    assert "x-helix-saved-usd" not in first.headers
    assert hit.headers["x-helix-saved-usd"] == "0.00125"
    assert hit.record["saved_nano_usd"] == 1_250_000
    assert asked == [("openai/gpt-4o", Usage(input_tokens=11, output_tokens=7))]


async def test_the_answers_own_model_where_no_header_names_it(exact: CacheMiddleware, provider: Provider) -> None:
    """Before another upstream than Helix's, the answer says which model it is from."""
    provider.headers = []
    await ask(exact, CHAT, chat(QUESTION))
    assert (await ask(exact, CHAT, chat(QUESTION))).headers["x-helix-model"] == "gpt-4o-2024-08-06"


async def test_a_models_name_ends_no_header(exact: CacheMiddleware, provider: Provider) -> None:
    """A provider's word for its model that is no header is left out of them."""
    provider.headers = []
    provider.answer = lambda path, number: {**answer_of(path, "yes"), "model": "m\r\nset-cookie: a=b"}
    await ask(exact, CHAT, chat("Is it?"))
    hit = await ask(exact, CHAT, chat("Is it?"))
    assert hit.cache == "exact"
    assert "x-helix-model" not in hit.headers


async def test_large_answers_are_not_stored(provider: Provider, store: RedisCacheStore) -> None:
    """Beyond `max_answer_bytes` nothing is kept."""
    app = CacheMiddleware(provider, store=store, mode="exact", max_answer_bytes=100)
    for _ in range(2):
        assert (await ask(app, CHAT, chat(QUESTION))).cache == "miss"


async def test_what_is_not_ours_passes(exact: CacheMiddleware) -> None:
    """Other paths and websockets are left alone."""
    seen: list[str] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    exact.app = other
    await exact({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)  # type: ignore[arg-type]
    await exact({"type": "websocket", "path": CHAT, "headers": []}, None, None)  # type: ignore[arg-type]
    assert seen == ["http", "websocket"]


async def test_requests_whose_answer_changes_with_each_are_left_alone(
    exact: CacheMiddleware, provider: Provider
) -> None:
    """A conversation that the provider keeps is another one after each answer."""
    for _ in range(2):
        assert (await ask(exact, RESPONSES, {**REQUESTS[RESPONSES], "conversation": "c_1"})).cache == "bypass"


async def test_long_numbers_survive(exact: CacheMiddleware, provider: Provider) -> None:
    """A number beyond 64 bits in an answer is replayed as it was."""
    from .conftest import Reply

    long = b'{"id":1%s,"choices":[{"index":0,"message":{"role":"assistant","content":"y"},"finish_reason":"stop"}]}' % (
        b"0" * 30
    )

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": long, "more_body": False})

    exact.app = answers
    replies: list[Reply] = [await ask(exact, CHAT, chat(QUESTION)) for _ in range(2)]
    assert [reply.cache for reply in replies] == ["miss", "exact"]
    assert replies[1].body == long


async def test_the_observer_is_told_once(provider: Provider, store: RedisCacheStore) -> None:
    """Each request is told once, without text."""
    told: list[tuple[str, Any]] = []
    app = CacheMiddleware(provider, store=store, mode="exact", observe=lambda stage, facts: told.append((stage, facts)))
    await ask(app, CHAT, chat(QUESTION))
    await ask(app, CHAT, chat(QUESTION))
    assert [(stage, facts["status"]) for stage, facts in told] == [("cache", "miss"), ("cache", "exact")]
    assert QUESTION not in repr(told)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "fuzzy"},
        {"threshold": 0},
        {"threshold": 1.5},
        {"ttl_seconds": 0},
        {"on_outage": "explode"},
        {"semantic_timeout_seconds": -1},
        {"max_answer_bytes": 0},
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], provider: Provider) -> None:
    """The constructor names the argument that is wrong."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CacheMiddleware(provider, store="redis://127.0.0.1:1", **wrong)
