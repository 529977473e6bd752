"""Hits that look like misses. Time is a clock of the tests' own, which pauses and the provider put forward."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from helix.cache import CacheMiddleware
from helix.cache.flight import Flight
from helix.cache.flight import flight as flights
from helix.cache.flight.lease import Echo
from helix.cache.memory import MemoryCacheStore
from helix.cache.redis import RedisCacheStore
from helix.cache.veil import ENOUGH, Latency, Veil
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.sse import Event
from helix.kernel.types import ASGIApp, Entry, Message, Receive, Scope, Send
from helix.kernel.wire import dialect_of
from helix.telemetry import TelemetryMiddleware
from helix.telemetry.row import NAMES

from .conftest import CHAT, EMBEDDINGS, Provider, Reply, answer_of, ask, chat
from .test_stampede import REQUESTS, Slow, settled, start

BEN = {"authorization": "Bearer sk-ben"}
USAGE = {"stream_options": {"include_usage": True}}


class Clock:
    """A clock that pauses put forward, and the pauses."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def pause(self, task: asyncio.Task[None], seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Timed:
    """Answers with as many tokens as the question's last word says, in a time that grows with them."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self.clock = clock
        self.draws = random.Random(seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = orjson.loads((await receive())["body"])
        tokens = int(request["messages"][0]["content"].split()[-1])
        answer = answer_of(CHAT, "word " * min(tokens, 40))
        answer["usage"] = {"prompt_tokens": 11, "completion_tokens": tokens, "total_tokens": 11 + tokens}
        dialect = dialect_of("POST", CHAT)
        assert dialect is not None
        if request.get("stream") is not True:
            self.clock.now += tokens / 50 * self.draws.lognormvariate(0, 0.4)
            await send(_start("application/json"))
            await send({"type": "http.response.body", "body": orjson.dumps(answer), "more_body": False})
            return
        self.clock.now += self.draws.lognormvariate(-1, 0.6)
        await send(_start("text/event-stream"))
        events = list(dialect.stream(answer, include_usage=True))
        each = tokens / 50 * self.draws.lognormvariate(0, 0.4) / (len(events) - 1)
        for at, event in enumerate(events):
            for _ in range(4):  # what was sent has gone out before time goes on
                await asyncio.sleep(0)
            self.clock.now += each if at else 0.0
            await send({"type": "http.response.body", "body": event.raw, "more_body": at < len(events) - 1})


def _start(form: str) -> Message:
    headers = [(b"content-type", form.encode()), (b"x-helix-model", b"openai/gpt-4o")]
    return {"type": "http.response.start", "status": 200, "headers": headers}


class Rows:
    """Where telemetry's rows go: a list."""

    is_open = True

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def put(self, row: Sequence[Any]) -> None:
        self.rows.append(dict(zip(NAMES, row, strict=True)))


class Stopwatch:
    """An app, and when the parts of its reply went out, in seconds after the request."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self.app, self.clock, self.times = app, clock, [0.0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, self.times = self.clock.now, []

        async def seen(message: Message) -> None:
            if message.get("body") != b"":
                self.times.append(self.clock.now - began)
            await send(message)

        await self.app(scope, receive, seen)


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """The two-sample Kolmogorov-Smirnov statistic."""

    def below(values: Sequence[float], at: float) -> float:
        return sum(value <= at for value in values) / len(values)

    return max(abs(below(one, at) - below(other, at)) for at in (*one, *other))


def veiled(app: ASGIApp, clock: Clock | None = None, **more: Any) -> CacheMiddleware:
    """The exact tier, shared by everyone, under a veil."""
    clock = clock or Clock()
    veil = more.pop("veil", None) or Veil(clock=clock, pause=clock.pause, draws=random.Random(7))
    options: dict[str, Any] = {"store": MemoryCacheStore(), "mode": "exact", "share": "everyone", **more}
    return CacheMiddleware(app, veil=veil, **options)


@pytest.mark.parametrize("streams", [False, True])
async def test_hits_take_the_time_of_misses(streams: bool) -> None:
    """Of every size apart, and of streams headers and end, hits' times are those of misses: they cannot be told."""
    clock = Clock()
    veil = Veil(most_seconds=600.0, clock=clock, pause=clock.pause, draws=random.Random(7))
    cache = veiled(Timed(clock, 11), veil=veil)
    app = Stopwatch(cache, clock)
    questions = [(f"question {number} {tokens}", tokens) for number in range(150) for tokens in (10, 100, 1000)]
    took: dict[tuple[str, int], list[list[float]]] = {}
    for caller in ("sk-ann", "sk-ben"):
        for question, tokens in questions:
            reply = await ask(app, CHAT, chat(question, stream=streams), {"authorization": f"Bearer {caller}"})
            assert reply.record["status"] == ("miss" if caller == "sk-ann" else "exact")
            took.setdefault((caller, tokens), []).append(app.times)
    for tokens in (10, 100, 1000):
        misses, hits = took["sk-ann", tokens], took["sk-ben", tokens]
        for part in (0, -1):
            # 1.95 is the statistic's critical value at 0.001; hits are drawn from 128 of the misses.
            bound = 1.95 * (1 / len(hits) + 1 / 128) ** 0.5
            assert distance([times[part] for times in misses], [times[part] for times in hits]) < bound
    await cache.close()


async def test_a_miss_is_not_delayed() -> None:
    """Nothing pauses before a hit does."""
    clock = Clock()
    app = veiled(Timed(clock, 1), clock)
    for number in range(50):
        await ask(app, CHAT, chat(f"question {number} 10", stream=number % 2 == 0))
    assert clock.pauses == []


async def test_a_stream_goes_at_its_pace() -> None:
    """Each event is a message of its own, later than the one before, and all together say the same."""
    clock = Clock()
    app = Stopwatch(veiled(Timed(clock, 3), clock), clock)
    first = await ask(app, CHAT, chat("question 1 100", stream=True, **USAGE))
    again = await ask(app, CHAT, chat("question 1 100", stream=True, **USAGE), BEN)
    assert again.record["status"] == "exact"
    assert len(app.times) == 1 + len(again.events) > 40
    assert app.times[0] == app.times[1] > 0
    assert len(set(app.times[1:])) == len(again.events)
    assert sorted(app.times) == app.times
    text = [
        "".join(e.json()["choices"][0]["delta"].get("content") or "" for e in r.events if _says(e))
        for r in (first, again)
    ]
    assert text[0] == text[1]
    assert again.ended


def _says(event: Event) -> bool:
    payload = event.json()
    return bool(payload and payload["choices"])


@pytest.mark.parametrize(
    ("path", "streams"), [(EMBEDDINGS, False), *((path, streams) for path in REQUESTS for streams in (False, True))]
)
async def test_nothing_else_tells_a_hit(path: str, streams: bool, provider: Provider) -> None:
    """Headers, usage, the time of making, metadata in the body: a hit has what a miss has, and no more."""
    provider.headers += [(b"x-helix-cost-usd", b"0.1"), (b"openai-processing-ms", b"812"), (b"x-ratelimit-limit", b"9")]
    sink: Any = Rows()
    app = TelemetryMiddleware(veiled(provider), sink=sink)
    request = dict(REQUESTS.get(path, {"model": "embed", "input": "Where is the Louvre?"}))
    if streams:
        request["stream"] = True
    began = int(time.time())
    headers = {"x-helix-metadata": "body"}
    replies = [await ask(app, path, request, headers | by) for by in ({}, BEN)]
    assert [reply.record["status"] for reply in replies] == ["miss", "exact"]
    assert provider.calls == 1
    seen = [{name: v for name, v in reply.headers.items() if name != "x-helix-request-id"} for reply in replies]
    if streams:
        assert seen[0] == seen[1]
        times = [int(found) for reply in replies for found in _MADE.findall(reply.body)]
        assert all(at >= began for at in times)
        assert _MADE.sub(b"", replies[0].body) == _MADE.sub(b"", replies[1].body)
    else:
        assert [name for name in replies[0].headers] == [name for name in replies[1].headers]
        assert seen[0] == seen[1]
        bodies = [reply.json for reply in replies]
        for body in bodies:
            assert body.pop("helix_metadata").keys() == {"request_id", "redactions", "restored"}
            for name in {"created", "created_at"} & body.keys():
                assert body.pop(name) >= began
        assert bodies[0] == bodies[1]
        assert bodies[0]["usage"] == provider.answer(path, 1)["usage"]
    assert not [name for name in seen[1] if "cache" in name.replace("cache-control", "")]
    assert not seen[1].keys() & {"age", "x-helix-saved-usd", "x-helix-overhead-ms", "x-helix-cost-usd"}


_MADE = re.compile(rb'"(?:created|created_at)":(\d+)')


async def test_the_operator_still_knows(provider: Provider) -> None:
    """Telemetry and the record tell a hit, its entry, its age, what it saved, and count its input as cached."""
    sink: Any = Rows()
    app = TelemetryMiddleware(veiled(provider), sink=sink)
    for by in ({}, BEN):
        reply = await ask(app, CHAT, chat("Where is the Louvre?"), by)
    assert {"entry", "age_seconds", "waited_ms"} <= reply.record.keys()
    miss, hit = sink.rows
    assert (miss["cache_status"], miss["cache_read_input_tokens"]) == ("miss", 0)
    assert (hit["cache_status"], hit["cache_read_input_tokens"], hit["input_tokens"]) == ("exact", 11, 11)


async def test_a_near_question_is_veiled_too(
    provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """Semantic hits wait, and tell neither their similarity nor a veto."""
    clock = Clock()
    app = veiled(provider, clock, store=store, mode="hybrid", embedder=embedder, semantic_timeout_seconds=60.0)
    await ask(app, CHAT, chat("How do I reset my password?"))
    assert clock.pauses == []
    reply = await ask(app, CHAT, chat("How can I reset my password?"), BEN)
    assert reply.record["status"] == "semantic"
    assert sum(clock.pauses) > 0
    assert set(reply.headers) == {"content-type", "content-length", "x-helix-model"}
    await app.close()


async def test_only_if_cached_is_not_answered(provider: Provider) -> None:
    """The directive that asks whether there is an answer is told that there is none."""
    app = veiled(provider)
    await ask(app, CHAT, chat("Where is the Louvre?"))
    reply = await ask(app, CHAT, chat("Where is the Louvre?"), {"cache-control": "only-if-cached"})
    assert (reply.status, reply.json["error"]["code"]) == (504, "not_cached")


async def test_who_shares_with_nobody_is_not_veiled(provider: Provider) -> None:
    """Under `share="key"` a hit comes at once and says so, whatever is configured."""
    clock = Clock()
    app = veiled(provider, clock, share="key")
    await ask(app, CHAT, chat("Where is the Louvre?"))
    reply = await ask(app, CHAT, chat("Where is the Louvre?"))
    assert (reply.cache, clock.pauses) == ("exact", [])
    assert reply.json["usage"]["prompt_tokens_details"] == {"cached_tokens": 11}


async def test_a_rule_of_ones_own_says_who_is_veiled(provider: Provider) -> None:
    """With `partition=` all are, or those that `shared` names."""
    clock = Clock()
    own = Veil(clock=clock, pause=clock.pause, shared=lambda partition: partition == "many")
    for veil, names in ((Veil(clock=clock, pause=clock.pause), "a many"), (own, "many")):
        for name in ("a", "many"):
            app = veiled(provider, veil=veil, partition=lambda exchange, name=name: name)
            await ask(app, CHAT, chat("Where is the Louvre?"))
            reply = await ask(app, CHAT, chat("Where is the Louvre?"))
            assert reply.record["status"] == "exact"
            assert (reply.cache is None) == (name in names.split())


async def test_without_a_veil_hits_come_at_once(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default costs nothing: no task, no draw, no tap."""
    app = CacheMiddleware(provider, store=MemoryCacheStore(), mode="exact", share="everyone")
    await ask(app, CHAT, chat("Where is the Louvre?"))

    def fail(*given: Any, **more: Any) -> Any:
        raise AssertionError("not wanted")

    for name in ("Cover", "Pace", "Watch"):
        monkeypatch.setattr(f"helix.cache.middleware.{name}", fail)
    assert (await ask(app, CHAT, chat("Where is the Louvre?"))).cache == "exact"
    assert (await ask(app, CHAT, chat("Where is the Prado?"))).cache == "miss"


# How long


def test_before_enough_was_seen_the_default_counts() -> None:
    """About the default: half of the draws are over it. Then what was seen, of that model and form alone."""
    veil = Veil(default_seconds=3.0, draws=random.Random(5))
    kind, other = ("chat", "m", False), ("chat", "m", True)
    for _ in range(ENOUGH):
        drawn = [veil.draw(kind, 0).last for _ in range(400)]
        assert 0.4 < sum(seconds > 3.0 for seconds in drawn) / 400 < 0.6
        veil.saw(kind, Latency(9.0, 9.0, 9.0, 0))
    assert all(8.7 < veil.draw(kind, 0).last < 9.3 for _ in range(400))
    assert veil.draw(other, 0).last < 8.7


def test_nothing_waits_beyond_the_most() -> None:
    """Neither by default nor by what was seen; of a stream neither its beginning nor its end."""
    veil = Veil(most_seconds=0.5, default_seconds=100.0)
    assert veil.draw(("chat", "m", True), 10**6)[:3] == (0.5, 0.5, 0.5)
    for _ in range(ENOUGH):
        veil.saw(("chat", "m", True), Latency(0.2, 60.0, 90.0, 5))
    start, first, last, _ = veil.draw(("chat", "m", True), 50)
    assert start == pytest.approx(0.2, rel=0.05)
    assert (first, last) == (0.5, 0.5)


def test_models_that_are_made_up_do_not_fill_the_memory() -> None:
    """Those that were not asked for longest are forgotten."""
    veil = Veil(default_seconds=1.0)
    for number in range(1000):
        for _ in range(ENOUGH):
            veil.saw(("chat", f"m{number}", False), Latency(20.0, 20.0, 20.0, 0))
    assert veil.draw(("chat", "m999", False), 0).last > 18
    assert veil.draw(("chat", "m0", False), 0).last < 18


@pytest.mark.parametrize("wrong", [{"most_seconds": 0.0}, {"default_seconds": -1.0}, {"most_seconds": float("nan")}])
def test_wrong_times_are_refused(wrong: dict[str, Any]) -> None:
    """With the setting's name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Veil(**wrong)


async def test_a_slow_reader_does_not_slow_the_others() -> None:
    """The time for which a caller does not read what he asked for is no part of what is learned."""
    clock = Clock()
    veil = Veil(clock=clock, pause=clock.pause)
    app = veiled(Timed(clock, 3), veil=veil)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        async def late(message: Message) -> None:
            await send(message)
            clock.now += 10_000.0

        await app(scope, receive, late)

    for number in range(ENOUGH):  # "no-cache" is asked alone, without others who might join
        await ask(slow, CHAT, chat(f"question {number} 10", stream=True), {"cache-control": "no-cache"})
    assert veil.draw(("chat", "gpt-4o", True), 10).last < 30


# Leaving


@pytest.mark.parametrize("streams", [False, True])
async def test_who_leaves_waits_no_longer(streams: bool, provider: Provider) -> None:
    """At once, with nothing sent and no task left; the pause is a real one, of an hour."""
    app = veiled(provider, veil=Veil(most_seconds=3600.0, default_seconds=3600.0))
    await ask(app, CHAT, chat("Where is the Louvre?"))
    await app.close()
    gone, asked, sent = asyncio.Event(), asyncio.Event(), []
    body = orjson.dumps(chat("Where is the Louvre?", stream=streams))

    async def receive() -> Message:
        if not asked.is_set():
            asked.set()
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    before = asyncio.all_tasks()
    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": []}
    waiting = asyncio.create_task(app(scope, receive, send))
    await settled()
    assert not waiting.done()
    gone.set()
    await waiting
    await settled()
    assert sent == []
    assert asyncio.all_tasks() == before


async def test_a_cancelled_request_leaves_nothing(provider: Provider) -> None:
    """A server that cancels a request ends the wait, and the task that watched for the caller."""
    app = veiled(provider, veil=Veil(most_seconds=3600.0, default_seconds=3600.0))
    await ask(app, CHAT, chat("Where is the Louvre?"))
    await app.close()
    before = asyncio.all_tasks()
    waiting = start(app, CHAT, chat("Where is the Louvre?"))
    await settled()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await settled()
    assert asyncio.all_tasks() == before


# Those who ask at the same time


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of flights, to be set."""
    times = [100.0]
    monkeypatch.setattr(flights, "_now", lambda: times[0])
    return times


def event(text: str) -> Event:
    return Event(orjson.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}))


async def test_a_follower_is_as_late_as_the_leader_was(now: list[float]) -> None:
    """Who asks five seconds later is shown everything five seconds later; at the most so late as is configured."""
    dialect = dialect_of("POST", CHAT)
    assert dialect is not None
    flight = Flight("key", dialect)
    places = [
        flight.join(lambda: None),
        flight.join(lambda: None, asked_at=flight.began_at + 5, most_behind_seconds=30),
        flight.join(lambda: None, asked_at=flight.began_at + 5, most_behind_seconds=2),
    ]
    flight.begin(200, "m")
    flight.say([one := event("a")])
    now[0] = 101.0
    flight.say([two := event("b"), done := Event(b"[DONE]")])
    flight.end({})
    seen = []
    for now[0] in (101.0, 102.5, 104.0, 105.5, 106.5):
        seen.append([(flight.events(place), flight.outcome_seen(place)) for place in places])
    assert [row[0] for row in seen[:2]] == [([one, two, done], "whole"), ([], "whole")]
    assert [row[1] for row in seen] == [([], None)] * 3 + [([one], None), ([two, done], "whole")]
    assert [row[2] for row in seen[:3]] == [([], None), ([one], None), ([two, done], "whole")]
    for place in places:
        flight.leave(place)


async def test_a_leader_elsewhere_asked_when_he_says_so(now: list[float]) -> None:
    """In another process the time to be late by is counted from the leader's asking, not from the first follower's."""
    dialect = dialect_of("POST", CHAT)
    assert dialect is not None
    flight = Flight("key", dialect)
    place = flight.join(lambda: None, asked_at=flight.began_at, most_behind_seconds=30)
    said = Entry(
        "key", dialect.name, "m", event("a").raw, flight.began_at - 7, headers=(("form", "stream"), ("status", "200"))
    )
    Echo(flight).take(said)
    now[0] = 106.0
    assert flight.events(place) == []
    now[0] = 107.0
    assert flight.events(place)
    flight.leave(place)


async def test_what_is_not_shared_is_known_at_once(now: list[float]) -> None:
    """A call that failed, before it said anything, delays nobody who then asks for himself."""
    dialect = dialect_of("POST", CHAT)
    assert dialect is not None
    flight = Flight("key", dialect)
    woken: list[int] = []
    place = flight.join(lambda: woken.append(1), asked_at=flight.began_at + 5, most_behind_seconds=30)
    flight.fail()
    assert (woken, flight.outcome_seen(place)) == ([1], "broken")


@pytest.fixture(params=["one process", "two processes"])
async def pair(
    request: pytest.FixtureRequest, slow: Slow, redis_url: str, redis_prefix: str
) -> AsyncIterator[list[CacheMiddleware]]:
    """Two apps under a veil that share a Redis, or one app twice."""
    stores = [RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30.0) for _ in range(2)]
    apps = [veiled(slow, store=store, veil=Veil(most_seconds=0.3)) for store in stores]
    yield [apps[0]] * 2 if request.param == "one process" else apps
    for app in apps:
        await app.close()
    await stores[0].flush()
    for store in stores:
        await store.close()


@pytest.fixture
def slow() -> Slow:
    """A provider that waits to be told."""
    return Slow()


@pytest.mark.parametrize("streams", [False, True])
async def test_followers_look_like_the_leader(streams: bool, pair: list[CacheMiddleware], slow: Slow) -> None:
    """Others' equal requests make no call of their own, and their replies are those of a miss."""
    request = chat("Where is the Louvre?", stream=streams)
    tasks = [start(pair[0], CHAT, request)]
    await slow.asked.wait()
    tasks += [start(pair[1], CHAT, request, headers=BEN) for _ in range(3)]
    await settled()
    slow.go.set()
    replies: list[Reply] = await asyncio.gather(*tasks)
    assert slow.calls == 1
    assert [reply.record["status"] for reply in replies] == ["miss", "shared", "shared", "shared"]
    assert all(reply.headers == replies[0].headers and reply.ended for reply in replies)
    bodies = [
        [_ageless(event.json()) for event in r.events if event.data != b"[DONE]"] if streams else [_ageless(r.json)]
        for r in replies
    ]
    assert all(body == bodies[0] for body in bodies)


def _ageless(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "created"}


async def test_streams_share_with_streams_alone(slow: Slow) -> None:
    """A stream that would have to wait for the whole of an answer would not look like one."""
    app = veiled(slow)
    tasks = [start(app, CHAT, chat("Where is the Louvre?", stream=streams)) for streams in (False, True)]
    while slow.calls < 2:
        await slow.asked.wait()
        await settled()
    slow.go.set()
    await asyncio.gather(*tasks)
    assert slow.calls == 2
