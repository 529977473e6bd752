"""What one process learns, another one knows; and one wrong answer is shut off by itself."""

from __future__ import annotations

import asyncio
import time
from random import Random

from helix.cache import CacheMiddleware
from helix.cache.guards import compare
from helix.cache.memory import MemoryCacheStore
from helix.cache.promise.checks import CheckBudget
from helix.cache.promise.learning import Decision, Learning, Promise, Verdict
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.types import Candidate, Money
from tests.cache.conftest import CHAT, Provider, answer_of, ask, chat

NEAR = Candidate("e", "How do I get my lost card replaced?", 0.93)
ASKED = "What must I do to have a new card sent?"


def decided(learning: Learning) -> Decision:
    return learning.decide("s", ASKED, [NEAR])


async def test_processes_learn_together(redis_url: str, redis_prefix: str) -> None:
    """Neither of two processes has seen enough to serve, both together have; what one finds wrong stops the other."""
    stores = [RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30.0) for _ in range(2)]
    processes = [Learning(Promise(), None, compare, random=Random(0)) for _ in stores]
    one, other = processes
    for learning, store in zip(processes, stores, strict=True):
        await learning.recall("s", store)
        for _ in range(250):
            learning.checked(decided(learning), Verdict.SAME, was_served=False)
    assert not decided(one).serves
    await one.flush(stores[0])
    assert not decided(one).serves
    await other.flush(stores[1])
    assert decided(other).serves
    await one.flush(stores[0])
    assert decided(one).serves
    for _ in range(20):
        one.checked(decided(one), Verdict.OTHER, was_served=True)
    await one.flush(stores[0])
    assert decided(other).serves  # it has not heard of it yet
    await other.flush(stores[1])
    assert not decided(other).serves
    for store in stores:
        await store.close()


async def test_the_days_money_is_that_of_all_processes(store: RedisCacheStore) -> None:
    """What two processes spend adds up, and is there again the next day."""
    now = time.time()
    budgets = [CheckBudget(usd_per_day=1.0, clock=lambda: now) for _ in range(2)]
    for budget in budgets:
        assert await budget.affords(store)
        await budget.spend(Money.from_usd(0.5), store)
    assert [await budget.affords(store) for budget in budgets] == [False, False]
    now += 86_400.0
    assert await budgets[0].affords(store)


async def test_a_bad_apple_is_shut_off_by_a_check(provider: Provider, embedder: SentenceTransformerEmbedder) -> None:
    """A wrong answer is given until a check sees it, and then no more, while other answers of its scope still are."""
    right = {"password": "Press the red button.", "Paris": "It has two million people."}

    def answer(path: str, number: int) -> dict[str, object]:
        text = provider.asked[-1]["messages"][0]["content"]
        if number == 1:
            return answer_of(path, "Our shop is open from nine to five on all days but Sundays.")
        return answer_of(path, next(said for word, said in right.items() if word in text))

    provider.answer = answer
    checked = asyncio.Event()
    app = CacheMiddleware(
        provider,
        store=MemoryCacheStore(),
        embedder=embedder,
        promise=Promise(check_share=1.0),
        checks=CheckBudget(per_minute=6000.0),
        observe=lambda stage, facts: checked.set() if stage == "cache.check" else None,
        semantic_timeout_seconds=60.0,
        stampede=False,
    )
    await ask(app, CHAT, chat("How do I reset my password?"))
    await ask(app, CHAT, chat("How many people live in Paris?"))
    fillers = ["Hi,", "Hello,", "Please tell me:", "Just wondering,", "Um,", "Hey,", "Good morning,", "Excuse me,"]
    given = []
    for filler in fillers:
        if checked.is_set():
            break
        reply = await ask(app, CHAT, chat(f"{filler} how do I reset my password?"))
        given.append(reply.json["choices"][0]["message"]["content"])
        for _ in range(100):  # whether a hit is checked is up to chance
            await asyncio.sleep(0)
        if provider.calls > 2:
            await checked.wait()
    assert checked.is_set()
    assert given[0].startswith("Our shop")
    reply = await ask(app, CHAT, chat("How do I reset my password, thanks?"))
    assert reply.json["choices"][0]["message"]["content"] == right["password"]
    reply = await ask(app, CHAT, chat("Hi, how many people live in Paris?"))
    assert reply.cache == "semantic"
    await app.close()
