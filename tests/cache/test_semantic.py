from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from helix.cache import CacheMiddleware
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.types import Candidate, Vector
from helix.kernel.wire import replaced

from .conftest import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Provider, ask, assembled, chat

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"
OTHER = "What is the tallest mountain on earth?"


@pytest.mark.parametrize("streams", [False, True])
async def test_a_rephrased_question(streams: bool, hybrid: CacheMiddleware, provider: Provider) -> None:
    """An equivalent question gets the earlier answer, with its similarity; another one does not."""
    await ask(hybrid, CHAT, chat(ASKED))
    reply = await ask(hybrid, CHAT, chat(AGAIN, stream=streams))
    assert (reply.cache, provider.calls) == ("semantic", 1)
    assert 0.92 <= float(reply.headers["x-helix-cache-similarity"]) < 1
    answer = assembled(CHAT, reply.events) if streams else reply.json
    assert answer is not None
    assert answer["choices"][0]["message"]["content"] == "answer 1"
    assert (await ask(hybrid, CHAT, chat(OTHER))).cache == "miss"


async def test_exact_comes_first(hybrid: CacheMiddleware) -> None:
    """The very same question is an exact hit, without a similarity."""
    await ask(hybrid, CHAT, chat(ASKED))
    reply = await ask(hybrid, CHAT, chat(ASKED))
    assert reply.cache == "exact"
    assert "x-helix-cache-similarity" not in reply.headers
    assert set(reply.record["tier_ms"]) == {"exact"}


async def test_exact_mode_has_no_semantic_tier(exact: CacheMiddleware) -> None:
    """In mode "exact" a rephrased question is a miss."""
    await ask(exact, CHAT, chat(ASKED))
    assert (await ask(exact, CHAT, chat(AGAIN))).cache == "miss"


async def test_semantic_mode_has_no_exact_tier(
    provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """In mode "semantic" the same question is a semantic hit, and what is not eligible is left alone."""
    app = CacheMiddleware(provider, store=store, embedder=embedder, mode="semantic", semantic_timeout_seconds=60)
    await ask(app, CHAT, chat(ASKED))
    await app.close()  # stored, even though no look-up in the store's own order follows
    reply = await ask(app, CHAT, chat(ASKED))
    assert reply.cache == "semantic"
    assert float(reply.headers["x-helix-cache-similarity"]) == pytest.approx(1.0, abs=1e-4)
    assert (await ask(app, CHAT, chat("Yes."))).cache == "bypass"
    await app.close()


async def test_a_refreshed_answer_is_found_by_nearness(hybrid: CacheMiddleware) -> None:
    """What was stored without having been looked for is embedded afterwards."""
    await ask(hybrid, CHAT, chat(ASKED), {"cache-control": "no-cache"})
    await hybrid.close()
    assert (await ask(hybrid, CHAT, chat(AGAIN))).cache == "semantic"


SCOPE: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "You help the customers of a bank."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello, what can I do for you?"},
        {"role": "user", "content": ASKED},
    ],
    "temperature": 0.2,
    "top_p": 0.9,
    "max_tokens": 100,
    "seed": 7,
    "stop": ["END"],
    "user": "u1",
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_logprobs": 2,
    "reasoning_effort": "low",
    "response_format": {"type": "json_object"},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
}
CHANGES: list[tuple[Any, ...]] = [
    (("model",), "gpt-4o-mini"),
    (("messages", 0, "content"), "You help the customers of a spa."),
    (("messages", 0, "role"), "developer"),
    (("messages", 1, "content"), "Hello there!"),
    (("messages", 2, "content"), "Hello."),
    (("messages", 3, "name"), "Ada"),
    (("temperature",), 0.3),
    (("top_p",), 0.8),
    (("max_tokens",), 101),
    (("seed",), 8),
    (("stop",), ["STOP"]),
    (("user",), "u2"),
    (("presence_penalty",), 0.2),
    (("frequency_penalty",), 0.2),
    (("logit_bias", "50256"), -99),
    (("logprobs",), False),
    (("top_logprobs",), 3),
    (("reasoning_effort",), "high"),
    (("response_format", "type"), "text"),
    (("tools", 0, "function", "name"), "g"),
    (("tools", 0, "function", "parameters", "type"), "string"),
    (("tool_choice",), "none"),
    (("parallel_tool_calls",), True),
    (("a_field_of_next_year",), 1),
]


@pytest.mark.parametrize("question", ["the same", "a rephrased"])
@pytest.mark.parametrize(("path", "value"), CHANGES, ids=repr)
async def test_no_hit_across_scopes(
    path: tuple[str | int, ...], value: Any, question: str, hybrid: CacheMiddleware, provider: Provider
) -> None:
    """With any field but the question changed, neither the same nor a rephrased question is answered from before."""
    await ask(hybrid, CHAT, SCOPE)
    rephrased = replaced(SCOPE, {("messages", 3, "content"): AGAIN})
    assert (await ask(hybrid, CHAT, rephrased)).cache == "semantic"
    request = {"the same": SCOPE, "a rephrased": rephrased}[question]
    parent: Any = request
    for step in path[:-1]:
        parent = parent[step]
    changed = replaced(request, {path[:-1]: {**parent, path[-1]: value}})
    assert (await ask(hybrid, CHAT, changed)).cache == "miss"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Bearer sk-other"}, b""),
        ({"x-helix-cache-namespace": "other"}, b""),
        ({"anthropic-beta": "other"}, b""),
        ({}, b"api-version=2"),
    ],
)
async def test_no_hit_across_callers(headers: dict[str, str], query: bytes, hybrid: CacheMiddleware) -> None:
    """Another credential, namespace, or version of the API is another scope."""
    await ask(hybrid, CHAT, chat(ASKED))
    assert (await ask(hybrid, CHAT, chat(AGAIN), headers, query)).cache == "miss"
    assert (await ask(hybrid, CHAT, chat(AGAIN))).cache == "semantic"


async def test_no_hit_across_embedders(
    hybrid: CacheMiddleware, provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """Vectors of a model with another name are never compared, though they have the same size."""

    class Renamed:
        name = "another model"
        dim = embedder.dim

        async def embed(self, texts: Any) -> Any:
            return await embedder.embed(texts)

    app = CacheMiddleware(provider, store=store, embedder=Renamed(), semantic_timeout_seconds=60)
    await ask(hybrid, CHAT, chat(ASKED))
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "miss"
    await app.close()


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        (COMPLETIONS, {"model": "m", "prompt": ASKED}, {"model": "m", "prompt": AGAIN}),
        (RESPONSES, {"model": "m", "input": ASKED}, {"model": "m", "input": AGAIN}),
        (
            MESSAGES,
            {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": ASKED}]},
            {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": AGAIN}]},
        ),
        (
            CHAT,
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}]},
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": AGAIN}]}]},
        ),
    ],
)
async def test_every_dialect_with_questions(
    path: str, first: dict[str, Any], second: dict[str, Any], hybrid: CacheMiddleware
) -> None:
    """Chat, completions, responses and messages have a semantic tier."""
    await ask(hybrid, path, first)
    assert (await ask(hybrid, path, second)).cache == "semantic"


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        (EMBEDDINGS, {"model": "m", "input": ASKED}, {"model": "m", "input": AGAIN}),
        (CHAT, chat(ASKED, n=2), chat(AGAIN, n=2)),
        (CHAT, chat("Thank you"), chat("Thank you!")),
        (CHAT, chat(ASKED + " please" * 400), chat(AGAIN + " please" * 400)),
        (
            CHAT,
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}, IMAGE]}]},
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": AGAIN}, IMAGE]}]},
        ),
        (
            CHAT,
            {"model": "m", "messages": [{"role": "user", "content": ASKED}, {"role": "tool", "content": "done"}]},
            {"model": "m", "messages": [{"role": "user", "content": AGAIN}, {"role": "tool", "content": "done"}]},
        ),
    ],
    ids=["embeddings", "n", "short", "beyond the window", "image", "tool result"],
)
async def test_what_is_not_eligible(
    path: str, first: dict[str, Any], second: dict[str, Any], hybrid: CacheMiddleware
) -> None:
    """These are answered by equal requests only."""
    await ask(hybrid, path, first)
    assert (await ask(hybrid, path, second)).cache == "miss"
    assert (await ask(hybrid, path, first)).cache == "exact"


@pytest.mark.parametrize(
    ("first", "second", "guard"),
    [
        ("How do I reset my password?", "How do I not reset my password?", "negation"),
        ("Give me 5 tips for a better sleep", "Give me 7 tips for a better sleep", "numbers"),
        ("When does <PERSON_1> arrive at the office?", "When does <PERSON_2> arrive at the office?", "placeholders"),
    ],
)
async def test_guards(first: str, second: str, guard: str, hybrid: CacheMiddleware, provider: Provider) -> None:
    """A neighbour that a guard forbids is a miss, and the reply says which guard and how near."""
    await ask(hybrid, CHAT, chat(first))
    reply = await ask(hybrid, CHAT, chat(second))
    assert (reply.cache, reply.headers["x-helix-cache-veto"], provider.calls) == ("miss", guard, 2)
    assert float(reply.headers["x-helix-cache-similarity"]) >= 0.92
    assert reply.record["veto"] == guard


async def test_the_next_neighbour_is_tried(hybrid: CacheMiddleware, provider: Provider) -> None:
    """If the nearest is forbidden, a hit may come from the next; the reply tells of both."""
    await ask(hybrid, CHAT, chat("Please give me 6 tips for a better sleep"))
    await ask(hybrid, CHAT, chat("Please could you give me 5 tips for a better sleep"))
    reply = await ask(hybrid, CHAT, chat("Please give me 5 tips for better sleep"), {"x-helix-cache-threshold": "0.92"})
    assert reply.cache == "semantic"
    assert reply.json["id"] == "chatcmpl-answer 2"


@pytest.mark.parametrize(("threshold", "status"), [("0.999", "miss"), ("0.1", "miss"), ("0.95", "semantic")])
async def test_a_caller_raises_the_threshold_but_never_lowers_it(
    threshold: str, status: str, hybrid: CacheMiddleware
) -> None:
    """Of two thresholds the higher one counts."""
    await ask(hybrid, CHAT, chat(ASKED))
    text = "I forgot my password, what now?" if threshold == "0.1" else AGAIN
    assert (await ask(hybrid, CHAT, chat(text), {"x-helix-cache-threshold": threshold})).cache == status


async def test_an_entry_that_goes_in_the_midst_of_a_look_up(
    hybrid: CacheMiddleware,
    store: RedisCacheStore,
    redis_url: str,
    redis_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A neighbour that Redis evicts between being found and being read is passed over."""
    from redis.asyncio import Redis

    await ask(hybrid, CHAT, chat(ASKED))
    near = store.near
    found: list[Candidate] = []

    async def found_and_evicted(scope: str, vector: Vector, *, count: int, embedder: str = "") -> Sequence[Candidate]:
        found.extend(await near(scope, vector, count=count, embedder=embedder))
        client = Redis.from_url(redis_url)
        for key in await client.keys(f"{redis_prefix}a:*"):
            await client.delete(key)
        await client.aclose()
        return found

    monkeypatch.setattr(store, "near", found_and_evicted)
    assert (await ask(hybrid, CHAT, chat(AGAIN))).cache == "miss"
    assert len(found) == 1


async def test_max_age_counts_for_neighbours(hybrid: CacheMiddleware, monkeypatch: pytest.MonkeyPatch) -> None:
    """A near answer that is too old is no hit."""
    import time

    await ask(hybrid, CHAT, chat(ASKED))
    later = time.time() + 100
    monkeypatch.setattr("helix.cache.tiers.time.time", lambda: later)
    assert (await ask(hybrid, CHAT, chat(AGAIN), {"cache-control": "max-age=50"})).cache == "miss"
    assert (await ask(hybrid, CHAT, chat(ASKED + "!"), {"cache-control": "max-age=500"})).cache == "semantic"
