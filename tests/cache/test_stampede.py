"""Equal requests at once. `Slow` is a provider that says one event after the other, when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.cache.stampede import Sharing
from helix.kernel.types import Receive, Scope, Send
from helix.kernel.wire import dialect_of

from .conftest import (
    CHAT,
    COMPLETIONS,
    MESSAGES,
    RESPONSES,
    Reply,
    answer_of,
    ask,
    assembled,
    cached,
    chat,
)

QUESTION = "Where is the Louvre?"
TEXT = "It stands in Paris, by the river."
REQUESTS: dict[str, dict[str, Any]] = {
    CHAT: chat(QUESTION),
    COMPLETIONS: {"model": "gpt-3.5-turbo-instruct", "prompt": QUESTION},
    RESPONSES: {"model": "gpt-4o", "input": QUESTION},
    MESSAGES: {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": QUESTION}]},
}
USAGE = {"stream_options": {"include_usage": True}}


class Slow:
    """Answers when `go` is set, the first half of a stream at once; `half` is set when that is out.
    `two` is set when two calls are in flight.

    `fails` (statuses, one a call) fail first; `cuts` streams end after their first half.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0
        self.go = asyncio.Event()
        self.asked = asyncio.Event()
        self.half = asyncio.Event()
        self.two = asyncio.Event()
        self.fails: list[int] = []
        self.cuts = 0
        self.ends: list[str] = []
        self.text = TEXT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.at_once == 2:
            self.two.set()
        request = orjson.loads((await receive())["body"])
        gone = asyncio.ensure_future(receive())
        answering = asyncio.ensure_future(self._answer(scope["path"], request, send, self.calls))
        try:
            await asyncio.wait((gone, answering), return_when=asyncio.FIRST_COMPLETED)
            self.ends.append("answered" if answering.done() else "left")
            if answering.done():
                answering.result()
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        finally:
            self.at_once -= 1
            for task in (gone, answering):
                task.cancel()
            await asyncio.wait((gone, answering))

    async def _answer(self, path: str, request: dict[str, Any], send: Send, number: int) -> None:
        dialect = dialect_of("POST", path)
        assert dialect is not None
        answer = {**answer_of(path, self.text), "id": "a_1"}
        streams = request.get("stream") is True
        self.asked.set()
        status = self.fails.pop(0) if self.fails else 200
        if not streams or status != 200:
            await self.go.wait()
            body = answer if status == 200 else {"error": {"message": f"no. {number}", "code": "no"}}
            head = [(b"content-type", b"application/json"), (b"x-helix-model", b"openai/gpt-4o"), (b"x-own", b"1")]
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": orjson.dumps(body), "more_body": False})
            return
        head = [(b"content-type", b"text/event-stream"), (b"x-helix-model", b"openai/gpt-4o"), (b"x-own", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        events = list(dialect.stream(answer, include_usage=dialect.asks_usage(request)))
        for at, event in enumerate(events):
            if at == len(events) // 2:
                self.half.set()
                await self.go.wait()
                if self.cuts:
                    self.cuts -= 1
                    break
            await send({"type": "http.response.body", "body": event.raw, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest_asyncio.fixture
async def stores(redis_url: str, redis_prefix: str) -> AsyncIterator[list[RedisCacheStore]]:
    """Two stores of one Redis, as two processes have them."""
    opened = [RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30.0) for _ in range(2)]
    yield opened
    await opened[0].flush()
    for store in opened:
        await store.close()


@pytest_asyncio.fixture
async def apps(slow: Slow, stores: list[RedisCacheStore]) -> AsyncIterator[list[CacheMiddleware]]:
    """Two processes' caches before one provider."""
    made = [CacheMiddleware(slow, store=store, mode="exact", stampede=Sharing(lease_seconds=2.0)) for store in stores]
    yield made
    for app in made:
        await app.close()


@pytest.fixture(params=["one process", "two processes"])
def app_of(request: pytest.FixtureRequest, apps: list[CacheMiddleware]) -> Any:
    """Gives the n-th request's app."""
    return (lambda number: apps[0]) if request.param == "one process" else (lambda number: apps[number % 2])


def start(app: Any, path: str, payload: dict[str, Any], **more: Any) -> asyncio.Task[Reply]:
    return asyncio.create_task(ask(app, path, payload, **more))


async def settled() -> None:
    """Let everything that can go on go on, Redis included."""
    for _ in range(40):
        await asyncio.sleep(0.005)


async def both_ask(slow: Slow) -> None:
    """Wait until two calls are in flight, before either has an answer that the other could find; then answer them."""
    async with asyncio.timeout(30.0):
        await slow.two.wait()
    slow.go.set()


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("first_streams", [False, True])
async def test_one_call_for_all(path: str, first_streams: bool, slow: Slow, app_of: Any) -> None:
    """Streaming and whole requests share one call, each gets its own form, its usage marked as cached."""
    first = start(app_of(0), path, {**REQUESTS[path], "stream": first_streams})
    await slow.asked.wait()
    rest = [start(app_of(n), path, {**REQUESTS[path], "stream": n % 3 == 0}) for n in range(1, 13)]
    await settled()
    slow.go.set()
    replies = await asyncio.gather(*rest)
    assert (await first).cache == "miss"
    assert slow.calls == 1
    want = {**cached(path, answer_of(path, TEXT)), "id": "a_1"}
    for number, reply in enumerate(replies, 1):
        assert reply.cache == "shared"
        assert reply.ended
        assert reply.headers["x-helix-model"] == "openai/gpt-4o"
        assert "x-own" not in reply.headers  # what the provider says to the first caller alone
        got: Any = reply.json if number % 3 else assembled(path, reply.events)
        shown = {key: value for key, value in want.items() if key != "usage"} if "usage" not in got else want
        assert got == shown


async def test_usage_as_each_asked(slow: Slow, app_of: Any) -> None:
    """The event of usage goes to those who asked for it, whatever the first caller wants."""
    first = start(app_of(0), CHAT, chat(QUESTION, stream=True))
    await slow.half.wait()
    wants = start(app_of(1), CHAT, chat(QUESTION, stream=True, **USAGE))
    not_ = start(app_of(1), CHAT, chat(QUESTION, stream=True))
    await settled()
    slow.go.set()
    with_usage, without = assembled(CHAT, (await wants).events), assembled(CHAT, (await not_).events)
    assert with_usage is not None
    assert without is not None
    assert with_usage["usage"]["prompt_tokens_details"] == {"cached_tokens": 11}
    assert "usage" not in without
    assert "usage" not in (assembled(CHAT, (await first).events) or {})


async def test_streams_are_fanned_out_live(slow: Slow, app_of: Any) -> None:
    """A follower has what came so far before the rest is there."""
    first = start(app_of(0), CHAT, chat(QUESTION, stream=True))
    await slow.half.wait()
    ear = Ear(app_of(1), b"It ")
    follower = start(ear, CHAT, chat(QUESTION, stream=True))
    await ear.heard.wait()
    assert not follower.done()
    slow.go.set()
    assert assembled(CHAT, (await follower).events) is not None
    await first


class Ear:
    """An app, and whether it has said something."""

    def __init__(self, app: Any, word: bytes) -> None:
        self.app, self.word, self.heard = app, word, asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def listening(message: Any) -> None:
            if self.word in message.get("body", b""):
                self.heard.set()
            await send(message)

        await self.app(scope, receive, listening)


@pytest.mark.parametrize("streams", [False, True])
async def test_others_try_where_the_first_failed(streams: bool, slow: Slow, app_of: Any) -> None:
    """An error that may be the first caller's own is his alone; the others ask one at a time, until one is answered."""
    slow.fails = [429, 500, 503]
    slow.go.set()
    request = chat(QUESTION, stream=streams)
    replies = await asyncio.gather(*(start(app_of(n), CHAT, request) for n in range(12)))
    assert sorted(reply.status for reply in replies) == [200] * 9 + [429, 500, 503]
    assert (slow.calls, slow.most_at_once) == (4, 1)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_wrong_request_is_told_so_once(status: int, slow: Slow, app_of: Any) -> None:
    """Where the provider says that the request itself is wrong, equal ones are told the same."""
    slow.fails = [status] * 12
    first = start(app_of(0), CHAT, chat(QUESTION))
    await slow.asked.wait()
    rest = [start(app_of(n), CHAT, chat(QUESTION, stream=n % 2 == 0)) for n in range(1, 6)]
    await settled()
    slow.go.set()
    replies = [await first, *await asyncio.gather(*rest)]
    assert {(reply.status, reply.json["error"]["message"]) for reply in replies} == {(status, "no. 1")}
    assert slow.calls == 1


async def test_a_stream_that_breaks_is_no_whole_answer(slow: Slow, app_of: Any) -> None:
    """Who has had a part of it is told that it broke; who waited for a whole answer asks again. Nothing is stored."""
    slow.cuts = 1
    first = start(app_of(0), CHAT, chat(QUESTION, stream=True))
    await slow.half.wait()
    ear = Ear(app_of(1), b"It ")
    streaming = start(ear, CHAT, chat(QUESTION, stream=True))
    await ear.heard.wait()
    whole = start(app_of(1), CHAT, chat(QUESTION))
    await settled()
    slow.go.set()
    broken = await streaming
    assert assembled(CHAT, broken.events) is None
    assert broken.events[-1].json()["error"]["code"] == "upstream_unreachable"
    assert assembled(CHAT, (await first).events) is None
    assert (await whole).json["choices"][0]["message"]["content"] == TEXT
    assert slow.calls == 2


async def leave(task: asyncio.Task[Reply]) -> None:
    """Be cancelled, as a server that notices a disconnect does."""
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()


@pytest.mark.parametrize("streams", [False, True])
async def test_the_first_caller_leaves(streams: bool, slow: Slow, app_of: Any) -> None:
    """The call goes on for the others."""
    first = start(app_of(0), CHAT, chat(QUESTION, stream=streams))
    await slow.asked.wait()
    rest = [start(app_of(n), CHAT, chat(QUESTION, stream=n % 2 == 0)) for n in range(1, 5)]
    await settled()
    await leave(first)
    slow.go.set()
    replies = await asyncio.gather(*rest)
    assert {reply.cache for reply in replies} == {"shared"}
    assert (slow.calls, slow.ends) == (1, ["answered"])


@pytest.mark.parametrize("polite", [False, True])
async def test_all_leave(polite: bool, slow: Slow, apps: list[CacheMiddleware]) -> None:
    """When the last one leaves, by a disconnect or cancelled, the provider is asked no longer."""
    callers = [Caller() for _ in range(3)]
    tasks = [asyncio.create_task(caller.ask(apps[0], chat(QUESTION, stream=True))) for caller in callers]
    await slow.half.wait()
    await settled()
    for caller, task in zip(callers, tasks, strict=True):
        assert slow.ends == []
        if polite:
            caller.left.set()
        else:
            task.cancel()
        await settled()
    await asyncio.wait(tasks)
    assert slow.calls == 1
    assert slow.ends == ["left" if polite else "cancelled"]


class Caller:
    """Sends a request and hangs up when `left` is set."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.messages: list[Any] = []

    async def ask(self, app: Any, payload: dict[str, Any]) -> None:
        given = iter([{"type": "http.request", "body": orjson.dumps(payload), "more_body": False}])

        async def receive() -> Any:
            message = next(given, None)
            if message is None:
                await self.left.wait()
            return message or {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.messages.append(message)

        headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer sk-test")]
        scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": headers}
        await app(scope, receive, send)


async def test_a_follower_leaves(slow: Slow, app_of: Any) -> None:
    """Nobody else notices."""
    first = start(app_of(0), CHAT, chat(QUESTION, stream=True))
    await slow.half.wait()
    goes, stays = (start(app_of(1), CHAT, chat(QUESTION, stream=True)) for _ in range(2))
    await settled()
    await leave(goes)
    slow.go.set()
    for reply in await asyncio.gather(first, stays):
        assert assembled(CHAT, reply.events) is not None
    assert slow.calls == 1


@pytest.mark.parametrize("stuck", ["first", "follower"])
async def test_who_reads_nothing_delays_nobody(stuck: str, slow: Slow, app_of: Any) -> None:
    """A caller whose connection takes nothing more holds up neither the call nor the others."""
    slow.text = "word " * 2_000
    frozen = Frozen(app_of(0))
    first = start(frozen if stuck == "first" else app_of(0), CHAT, chat(QUESTION, stream=True))
    await slow.asked.wait()
    second = start(frozen if stuck == "follower" else app_of(1), CHAT, chat(QUESTION, stream=True))
    third = start(app_of(1), CHAT, chat(QUESTION, stream=True))
    await settled()
    slow.go.set()
    waiting = [third, second if stuck == "first" else first]
    for reply in await asyncio.gather(*waiting):
        got = assembled(CHAT, reply.events)
        assert got is not None
        assert got["choices"][0]["message"]["content"] == slow.text
    assert slow.calls == 1
    await leave(first if stuck == "first" else second)


class Frozen:
    """An app whose caller reads the beginning of the reply and nothing more."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stuck(message: Any) -> None:
            if message["type"] != "http.response.start":
                await asyncio.Event().wait()
            await send(message)

        await self.app(scope, receive, stuck)


async def test_an_answer_of_a_megabyte(slow: Slow, app_of: Any) -> None:
    """Large answers are shared whole."""
    slow.text = ("word" * 500 + " ") * 500
    first = start(app_of(0), CHAT, chat(QUESTION))
    await slow.asked.wait()
    rest = [start(app_of(n), CHAT, chat(QUESTION, stream=n == 2)) for n in range(1, 4)]
    await settled()
    slow.go.set()
    for number, reply in enumerate(await asyncio.gather(first, *rest)):
        got: Any = assembled(CHAT, reply.events) if number == 2 else reply.json
        assert got["choices"][0]["message"]["content"] == slow.text
    assert slow.calls == 1


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0.5},
        {"model": "gpt-4o-mini"},
        {"user": "somebody"},
        {"messages": [{"role": "user", "content": QUESTION + " "}]},
    ],
)
async def test_other_requests_do_not_share(other: dict[str, Any], slow: Slow, app_of: Any) -> None:
    """Whatever is part of the key keeps requests apart."""
    first, second = start(app_of(0), CHAT, chat(QUESTION)), start(app_of(1), CHAT, {**chat(QUESTION), **other})
    await both_ask(slow)
    assert {(await first).status, (await second).status} == {200}


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer sk-other"},
        {"x-helix-cache-namespace": "blue"},
        {"cache-control": "no-store"},
        {"cache-control": "no-cache"},
        {"cache-control": "max-age=0"},
    ],
)
async def test_other_callers_and_wishes_do_not_share(headers: dict[str, str], slow: Slow, app_of: Any) -> None:
    """Neither another partition nor one who wants no earlier answer is given somebody else's."""
    first, second = start(app_of(0), CHAT, chat(QUESTION)), start(app_of(1), CHAT, chat(QUESTION), headers=headers)
    await both_ask(slow)
    assert {(await first).status, (await second).status} == {200}


async def test_it_can_be_turned_off(slow: Slow, store: RedisCacheStore) -> None:
    """With `stampede=False` each makes its own call."""
    app = CacheMiddleware(slow, store=store, mode="exact", stampede=False)
    slow.go.set()
    await asyncio.gather(*(start(app, CHAT, chat(QUESTION)) for _ in range(3)))
    assert slow.calls == 3
    await app.close()


async def test_one_that_waits_too_long_asks_for_itself(slow: Slow, stores: list[RedisCacheStore]) -> None:
    """After `wait_seconds` without a word a request makes a call of its own."""
    app = CacheMiddleware(slow, store=stores[0], mode="exact", stampede=Sharing(wait_seconds=0.1))
    first = start(app, CHAT, chat(QUESTION))
    await slow.asked.wait()
    second = start(app, CHAT, chat(QUESTION))
    while slow.calls < 2:
        await settled()
    slow.go.set()
    assert {(await first).status, (await second).status} == {200}
    await app.close()


@pytest.mark.parametrize("wrong", [{"lease_seconds": 0}, {"wait_seconds": -1}])
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    """What must be positive is named."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sharing(**wrong)
