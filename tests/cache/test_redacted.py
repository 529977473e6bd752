"""The redact stage around the cache, with the real detector, embedder and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from helix.cache import CacheMiddleware
from helix.cache.promise.learning import Promise
from helix.cache.redis import RedisCacheStore
from helix.cache.value import Codec
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.types import ASGIApp
from helix.kernel.wire import dialect_of
from helix.redact import Policy, RedactMiddleware
from helix.redact.presidio import PresidioDetector

from .conftest import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Provider, Reply, answer_of, ask, assembled

ANN = ("Ann Porter", "ann.porter@example.com")
BOB = ("Bob Miller", "bob.miller@example.org")
SENTENCE = "My name is {0} and my email address is {1}. How do I reset my password?"
NEARLY = "My name is {0} and my email address is {1}. How can I reset my password?"
PATHS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)


@pytest.fixture(scope="module")
def presidio() -> Iterator[PresidioDetector]:
    """The real detector, of people too."""
    detector = PresidioDetector(entities=["PERSON", "EMAIL_ADDRESS"])
    asyncio.run(detector.open())
    yield detector
    asyncio.run(detector.close())


def request_of(path: str, text: str, **more: Any) -> dict[str, Any]:
    if path == COMPLETIONS:
        return {"model": "m", "prompt": text, **more}
    if path == RESPONSES:
        return {"model": "m", "input": text, **more}
    return {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": text}], **more}


def said(path: str, reply: Reply) -> str:
    """The text of a reply, whole or streamed."""
    streamed = reply.headers["content-type"].startswith("text/event-stream")
    answer = assembled(path, reply.events) if streamed else reply.json
    dialect = dialect_of("POST", path)
    assert dialect is not None
    assert answer is not None
    return "".join(text.value for text in dialect.answer_texts(answer) if text.role == "assistant")


class Echo(Provider):
    """A provider that answers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = self._echo

    def _echo(self, path: str, number: int) -> dict[str, Any]:
        dialect = dialect_of("POST", path)
        assert dialect is not None
        question = dialect.question(self.asked[-1])
        assert question is not None
        return answer_of(path, f"Dear <PERSON_1>, number {number} asked: {question.text}")


async def kept(redis_url: str, prefix: str) -> bytes:
    """Everything that Redis keeps, as it is kept and as it reads."""
    found, codec = [], Codec()
    async with Redis.from_url(redis_url) as redis:
        async for key in redis.scan_iter(match="*"):
            found.append(key)
            kind = await redis.type(key)
            if kind == b"hash":
                fields: dict[Any, Any] = await redis.hgetall(key)
                found += [part for field in fields.items() for part in field]
                id, scope = key.decode().removeprefix(f"{prefix}a:"), fields.get(b"scope", b"").decode()
                entry = codec.unpack(id, fields.get(b"answer", b""))
                text = codec.unpack_text(id, scope, fields.get(b"text", b""))
                found += [entry.body] if entry is not None else []
                found += [text.encode()] if text is not None else []
            elif kind == b"string":
                found.append(await redis.get(key))
    return b"\n".join(found)


def app_of(
    provider: ASGIApp,
    store: RedisCacheStore,
    embedder: SentenceTransformerEmbedder,
    detector: PresidioDetector,
    policy: Policy | None = None,
) -> tuple[CacheMiddleware, RedactMiddleware]:
    cache = CacheMiddleware(
        provider,
        store=store,
        embedder=embedder,
        promise=Promise(check_share=0.0),  # the provider is asked by callers alone
        share="everyone",
        semantic_timeout_seconds=60.0,
    )
    return cache, RedactMiddleware(cache, detector=detector, policy=policy, timeout_seconds=60.0)


@pytest.mark.parametrize("streams", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize(("second", "hit"), [(SENTENCE, "exact"), (NEARLY, "semantic")])
@pytest.mark.parametrize("path", PATHS)
async def test_each_caller_gets_his_own_values(
    path: str,
    second: str,
    hit: str,
    streams: tuple[bool, bool],
    redis_url: str,
    redis_prefix: str,
    store: RedisCacheStore,
    embedder: SentenceTransformerEmbedder,
    presidio: PresidioDetector,
) -> None:
    """Two callers share one answer; it holds placeholders only, and neither is told of the other."""
    provider = Echo()
    cache, app = app_of(provider, store, embedder, presidio)
    first = await ask(app, path, request_of(path, SENTENCE.format(*ANN), stream=streams[0]))
    assert said(path, first) == f"Dear {ANN[0]}, number 1 asked: {SENTENCE.format(*ANN)}"
    await cache.close()  # stored, too
    other = await ask(app, path, request_of(path, second.format(*BOB), stream=streams[1]))
    assert (other.cache, provider.calls) == (hit, 1)
    assert said(path, other) == f"Dear {BOB[0]}, number 1 asked: {SENTENCE.format(*BOB)}"
    assert not any(value.encode() in other.body for value in ANN)
    await cache.close()
    memory = await kept(redis_url, redis_prefix)
    assert b"<PERSON_1>" in memory
    assert b"<EMAIL_ADDRESS_1>" in memory
    for words in (*ANN, *BOB, "Porter", "Miller", "ann.porter", "bob.miller"):
        assert words.encode() not in memory


ROLES = [
    ("Does {a} report to {b}, or the other way round?", "Does {b} report to {a}, or the other way round?", "exact"),
    ("Does {a} report to {b}, or the other way round?", "Does {a} report to {a}, or the other way round?", "miss"),
    ("My name is {a}. How do I reset my password?", "My email is {m}. How do I reset my password?", "miss"),
    ("My name is {a}. How do I reset my password?", "My name is {a}, or {b}. How do I reset my password?", "miss"),
    (
        "My name is {a}, email {m}. How do I reset my password?",
        "My email is {m}, name {a}. How do I reset my password?",
        "miss",
    ),
]


@pytest.mark.parametrize(("asked", "again", "outcome"), ROLES)
async def test_kinds_and_roles(
    asked: str,
    again: str,
    outcome: str,
    store: RedisCacheStore,
    embedder: SentenceTransformerEmbedder,
    presidio: PresidioDetector,
) -> None:
    """A hit has the same kinds of values in the same roles, whoever they are."""
    cache, app = app_of(Echo(), store, embedder, presidio)
    names = {"a": ANN[0], "b": BOB[0], "m": ANN[1]}
    await ask(app, CHAT, request_of(CHAT, asked.format(**names)))
    await cache.close()
    assert (await ask(app, CHAT, request_of(CHAT, again.format(**names)))).cache == outcome
    await cache.close()


async def test_values_of_earlier_turns_count(
    store: RedisCacheStore, embedder: SentenceTransformerEmbedder, presidio: PresidioDetector
) -> None:
    """Whether a name is the one of the earlier turn decides, not what it is."""
    cache, app = app_of(Echo(), store, embedder, presidio)
    first, again = "What should {} do to reset the password?", "What must {} do to reset the password?"

    def request(earlier: str, question: str) -> dict[str, Any]:
        turns = [f"My colleague is {earlier}.", "I see. What about it?", question]
        roles = ("user", "assistant", "user")
        return {"model": "m", "messages": [{"role": r, "content": t} for r, t in zip(roles, turns, strict=True)]}

    await ask(app, CHAT, request(ANN[0], first.format(ANN[0])))
    await cache.close()
    for text, hit in ((first, "exact"), (again, "semantic")):
        same = await ask(app, CHAT, request(BOB[0], text.format(BOB[0])))
        assert same.cache == hit
        assert BOB[0] in said(CHAT, same)
        assert (await ask(app, CHAT, request(BOB[0], text.format(ANN[0])))).cache == "miss"
        await cache.close()
        await store.flush()
        await ask(app, CHAT, request(ANN[0], first.format(ANN[0])))
        await cache.close()
    await cache.close()


@pytest.mark.parametrize("typed", ["<PERSON_1>", "<person_1>", "< PERSON_1 >"])
async def test_a_placeholder_that_the_caller_typed(
    typed: str, store: RedisCacheStore, embedder: SentenceTransformerEmbedder, presidio: PresidioDetector
) -> None:
    """Who types what stands for another's value is told nothing of him, and gets his own words back."""
    cache, app = app_of(Echo(), store, embedder, presidio)
    await ask(app, CHAT, request_of(CHAT, SENTENCE.format(*ANN)))
    await cache.close()
    for sentence in (SENTENCE, NEARLY):
        reply = await ask(app, CHAT, request_of(CHAT, sentence.format(typed, BOB[1])))
        assert reply.status == 200
        assert not any(value.encode() in reply.body for value in (*ANN, "Porter"))
        assert typed in said(CHAT, reply)
        assert BOB[1] in said(CHAT, reply)
    await cache.close()


STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "surrogate": {"PERSON": "surrogate", "EMAIL_ADDRESS": "surrogate"},
    "hash": {"PERSON": "hash", "EMAIL_ADDRESS": "hash"},
    "encrypt": {"PERSON": "encrypt", "EMAIL_ADDRESS": "encrypt"},
    "mask": {"PERSON": "mask", "EMAIL_ADDRESS": "mask"},
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("path", PATHS)
async def test_what_stands_for_values_parts_their_owners(
    path: str,
    strategy: str,
    streams: bool,
    redis_url: str,
    redis_prefix: str,
    store: RedisCacheStore,
    embedder: SentenceTransformerEmbedder,
    presidio: PresidioDetector,
) -> None:
    """With surrogates, hashes, ciphertexts or masks two callers' texts differ; neither is answered with the other's."""
    provider = Echo()
    provider.answer = lambda path, number: {
        **provider._echo(path, number),
        "system_fingerprint": None,
    }
    policy = Policy(STRATEGIES[strategy], secret="a secret of some length", encryption_key="0123456789abcdef")
    cache, app = app_of(provider, store, embedder, presidio, policy)
    first = await ask(app, path, request_of(path, SENTENCE.format(*ANN), stream=streams))
    await cache.close()
    for text, outcome in ((SENTENCE, "miss"), (NEARLY, "semantic")):
        reply = await ask(app, path, request_of(path, text.format(*BOB), stream=streams))
        await cache.close()
        # What is near is his own: another's is not even looked at, however the guards read a name.
        assert (reply.cache, provider.calls, reply.record.get("nearest") is None) == (outcome, 2, outcome == "miss")
        assert not any(value.encode() in reply.body for value in ANN)
        if strategy == "surrogate":
            assert BOB[0] in said(path, reply)
            assert BOB[1] in said(path, reply)
    assert ANN[0] in said(path, first) or strategy != "surrogate"
    same = await ask(app, path, request_of(path, SENTENCE.format(*ANN), stream=streams))
    assert same.cache == "exact"
    assert said(path, same) == said(path, first)
    memory = await kept(redis_url, redis_prefix)
    for words in (*ANN, *BOB):
        assert words.encode() not in memory


async def test_values_in_labels_are_not_kept(
    redis_url: str,
    redis_prefix: str,
    store: RedisCacheStore,
    embedder: SentenceTransformerEmbedder,
    presidio: PresidioDetector,
) -> None:
    """Nor what a response repeats of its request, nor tags and users."""
    cache, app = app_of(Echo(), store, embedder, presidio)
    request = request_of(RESPONSES, SENTENCE.format(*ANN), instructions=f"You work for {BOB[0]}.", user=ANN[1])
    request["metadata"] = {"owner": BOB[1]}
    await ask(app, RESPONSES, request)
    assert (await ask(app, RESPONSES, request)).cache == "exact"
    await cache.close()
    memory = await kept(redis_url, redis_prefix)
    for words in (*ANN, *BOB):
        assert words.encode() not in memory
