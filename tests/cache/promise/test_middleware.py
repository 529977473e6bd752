from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from helix.cache import CacheMiddleware
from helix.cache.memory import MemoryCacheStore
from helix.cache.promise.calibration import Calibration
from helix.cache.promise.checks import CheckBudget
from helix.cache.promise.fit import LabelledPair
from helix.cache.promise.learning import Promise
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.types import Vector
from tests.cache.conftest import CHAT, Provider, answer_of, ask, chat

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


class Noted(list[tuple[str, dict[str, Any]]]):
    """What the stage told its observer."""

    def __call__(self, stage: str, facts: Any) -> None:
        self.append((stage, dict(facts)))

    def of(self, stage: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self if name == stage]


@pytest.fixture
def noted() -> Noted:
    """Nothing noted yet."""
    return Noted()


def checking(provider: Provider, embedder: SentenceTransformerEmbedder, noted: Noted, **budget: Any) -> CacheMiddleware:
    return CacheMiddleware(
        provider,
        store=MemoryCacheStore(),
        embedder=embedder,
        promise=Promise(check_share=1.0),
        checks=CheckBudget(**budget),
        observe=noted,
        semantic_timeout_seconds=60.0,
        stampede=False,
    )


@pytest_asyncio.fixture
async def app(
    provider: Provider, embedder: SentenceTransformerEmbedder, noted: Noted
) -> AsyncIterator[CacheMiddleware]:
    """A cache that checks half of its hits, which is the most it does."""
    made = checking(provider, embedder, noted, per_minute=6000.0)
    yield made
    await made.close()


async def checked(app: CacheMiddleware, noted: Noted) -> dict[str, Any]:
    """Ask again until a hit was checked; the verdict."""
    while not noted.of("cache.check"):
        reply = await ask(app, CHAT, chat(AGAIN), {"x-helix-cache-namespace": "n"})
        assert reply.cache in ("semantic", "exact")
        await asyncio.sleep(0.01)
        if reply.cache == "exact" and not noted.of("cache.check"):
            await asyncio.sleep(0.01)
    return noted.of("cache.check")[0]


async def test_a_check_is_sent_inside_and_judged(app: CacheMiddleware, provider: Provider, noted: Noted) -> None:
    """A hit is answered from the cache; a check asks the provider the same in the background, as the same caller."""
    provider.answer = lambda path, number: answer_of(path, "Press the button.")
    await ask(app, CHAT, chat(ASKED), {"x-helix-cache-namespace": "n"})
    found = await checked(app, noted)
    assert found["verdict"] == "same"
    assert provider.calls == 2
    assert provider.asked[1]["messages"][0]["content"] == AGAIN
    assert "stream" not in provider.asked[1]


async def test_another_answer_is_noted_as_wrong(app: CacheMiddleware, provider: Provider, noted: Noted) -> None:
    """Where the provider now says something else, the check says so, and the precision falls."""
    said = ["Press the red button.", "Our shop is open from nine to five on all days but Sundays."]
    provider.answer = lambda path, number: answer_of(path, said[number - 1])
    await ask(app, CHAT, chat(ASKED), {"x-helix-cache-namespace": "n"})
    found = await checked(app, noted)
    assert found["verdict"] == "other"
    summary = await app.precision()
    assert (summary["checks"], summary["wrong"]) == (1, 1)
    assert summary["precision_high"] < 1


async def test_what_was_compared_is_kept_for_calibration(
    app: CacheMiddleware, provider: Provider, noted: Noted
) -> None:
    """Outcomes are numbers and digests: misses for themselves, a checked hit for all that were as likely."""
    said = ["Press the red button.", "Press the red button.", "Our shop is open from nine to five."]
    provider.answer = lambda path, number: answer_of(path, said[min(number, 3) - 1])
    await ask(app, CHAT, chat(ASKED), {"x-helix-cache-namespace": "n"})
    assert (await checked(app, noted))["verdict"] == "same"
    embedder, found = await app.outcomes()
    (hit,) = found
    assert embedder.startswith("all-MiniLM-L6-v2@")
    assert (hit.same, hit.overlap, hit.weight) == (True, 1.0, 2.0)  # half of the hits are checked
    assert 0.6 < hit.similarity < 1
    assert re.fullmatch("n:[0-9a-f]{40}", hit.cluster)
    reply = await ask(app, CHAT, chat("How do I reset the radio in the kitchen?"), {"x-helix-cache-namespace": "n"})
    assert reply.cache == "miss"
    later: list[LabelledPair] = []
    while not later:
        await asyncio.sleep(0.01)
        later = (await app.outcomes())[1][:-1]
    assert {(one.same, one.weight) for one in later} == {(False, 1.0)}


async def test_without_money_nothing_is_checked(
    provider: Provider, embedder: SentenceTransformerEmbedder, noted: Noted
) -> None:
    """A budget of nothing, a minute or a day, means no checks; hits stay hits."""
    for budget in ({"per_minute": 0.0}, {"usd_per_day": 0.0}):
        app = checking(provider, embedder, noted, **budget)
        before = provider.calls
        await ask(app, CHAT, chat(ASKED))
        for _ in range(8):
            assert (await ask(app, CHAT, chat(AGAIN))).cache == "semantic"
        await app.close()
        assert provider.calls == before + 1
    assert not noted.of("cache.check")


async def test_a_wrong_answer_goes_and_is_asked_anew(provider: Provider, embedder: SentenceTransformerEmbedder) -> None:
    """Sent again with the header, a request gets a new answer; the old one is gone, and counts as wrong."""
    app = CacheMiddleware(
        provider, store=MemoryCacheStore(), embedder=embedder, promise=Promise(check_share=0.0), stampede=False,
        semantic_timeout_seconds=60.0,
    )  # fmt: skip
    await ask(app, CHAT, chat(ASKED))
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "semantic"
    reply = await ask(app, CHAT, chat(AGAIN), {"x-helix-cache-feedback": "wrong"})
    assert (reply.cache, provider.calls) == ("refresh", 2)
    assert (await app.precision())["wrong"] == 1
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "exact"
    again = await ask(app, CHAT, chat(ASKED))
    assert again.json["id"] != "chatcmpl-answer 1"
    await app.close()


async def test_feedback_of_another_kind(app: CacheMiddleware) -> None:
    """The header says "wrong" or the request is refused."""
    reply = await ask(app, CHAT, chat(ASKED), {"x-helix-cache-feedback": "fine"})
    assert reply.status == 400


async def test_a_refusal_in_the_place_of_a_hit_counts_against_the_promise(
    app: CacheMiddleware, provider: Provider, noted: Noted
) -> None:
    """What the provider would have refused to answer is no right hit, though there is no answer to compare."""
    provider.answer = lambda path, number: answer_of(path, "Press the button.")
    await ask(app, CHAT, chat(ASKED))
    refusal = answer_of(CHAT, "")
    refusal["choices"][0]["finish_reason"] = "content_filter"
    provider.answer = lambda path, number: refusal
    while provider.calls < 2:
        assert (await ask(app, CHAT, chat(AGAIN))).cache == "semantic"
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    summary = await app.precision()
    assert (summary["checks"], summary["wrong"]) == (1, 1)


async def test_an_exact_answer_called_wrong_is_replaced_by_one_found_by_nearness(
    app: CacheMiddleware, provider: Provider
) -> None:
    """The new answer is given to near questions as the old one was."""
    await ask(app, CHAT, chat(ASKED))
    assert (await ask(app, CHAT, chat(ASKED), {"x-helix-cache-feedback": "wrong"})).cache == "refresh"
    await asyncio.sleep(0.2)
    again = await ask(app, CHAT, chat(AGAIN))
    assert again.cache == "semantic"
    assert again.json["choices"][0]["message"]["content"] == "answer 2"


@pytest.mark.parametrize(("per_minute", "asked"), [(6000.0, 1), (0.0, 0)])
async def test_the_judge_is_inside_the_budget(
    per_minute: float, asked: int, provider: Provider, embedder: SentenceTransformerEmbedder
) -> None:
    """A miss whose answer leaves a doubt asks the judge, as long as there is money for it."""
    said = {"m": "You can take it with milk.", "judge": "yes"}
    provider.answer = lambda path, number: answer_of(path, said[provider.asked[-1]["model"]])
    app = CacheMiddleware(
        provider,
        store=MemoryCacheStore(),
        embedder=embedder,
        checks=CheckBudget(per_minute=per_minute),
        judge="judge",
        semantic_timeout_seconds=60.0,
    )
    await ask(app, CHAT, {**chat("Can I take this medicine with milk?"), "model": "m"})
    await asyncio.sleep(0.2)
    said["m"] = "You cannot take it with milk."
    await ask(app, CHAT, {**chat("Can I take that pill with some cold milk?"), "model": "m"})
    await app.close()
    assert sum(request["model"] == "judge" for request in provider.asked) == asked


async def test_another_embedders_calibration_is_left_aside(
    provider: Provider, embedder: SentenceTransformerEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    """What vouches for one model's similarities does not for another's."""
    found = Calibration.packaged(embedder.name)
    assert found is not None
    app = CacheMiddleware(
        provider,
        store=MemoryCacheStore(),
        embedder=Renamed(embedder),
        calibration=replace(found, embedder="another"),
        semantic_timeout_seconds=60.0,
    )
    await ask(app, CHAT, chat(ASKED))
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "miss"
    await app.close()
    assert "another" in caplog.text


class Renamed:
    """An embedder under a name that nobody calibrated."""

    def __init__(self, inner: SentenceTransformerEmbedder) -> None:
        self.inner, self.name, self.dim = inner, "renamed", inner.dim

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        return await self.inner.embed(texts)
