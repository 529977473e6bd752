"""Answers marked wrong or right by the id of the request, or of the entry, in one process or another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from helix.cache import CacheMiddleware
from helix.cache.memory import MemoryCacheStore
from helix.cache.promise.feedback import Marked
from helix.cache.promise.learning import Promise
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.errors import BackendUnavailable, NotFound
from helix.kernel.exchange import open_exchange
from helix.kernel.types import ASGIApp, CacheStore, Receive, Scope, Send
from tests.cache.conftest import CHAT, Provider, Reply, ask, chat

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


@dataclass
class Numbered:
    """Knows the ids of the requests that went through, in order."""

    app: ASGIApp
    ids: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.ids.append((await open_exchange(scope, receive)).id)
        await self.app(scope, receive, send)


@pytest.fixture(params=["memory", "redis"])
def kept(request: pytest.FixtureRequest, store: RedisCacheStore) -> CacheStore:
    """Each store in turn."""
    return MemoryCacheStore() if request.param == "memory" else store


Make = Callable[[], CacheMiddleware]


@pytest_asyncio.fixture
async def make(provider: Provider, embedder: SentenceTransformerEmbedder, kept: CacheStore) -> AsyncIterator[Make]:
    """Stages over one store, as several processes have them; nothing is checked by chance."""
    made: list[CacheMiddleware] = []

    def one() -> CacheMiddleware:
        made.append(
            CacheMiddleware(
                provider,
                store=kept,
                embedder=embedder,
                promise=Promise(check_share=0.0),
                stampede=False,
                semantic_timeout_seconds=60.0,
            )
        )
        return made[-1]

    yield one
    for stage in made:
        await stage.close()


async def settled(stage: CacheMiddleware) -> None:
    """Wait until what the stage does behind the callers' backs is done."""
    while stage._storing:
        for task in list(stage._storing):
            await task


async def given(stage: CacheMiddleware) -> tuple[Numbered, Reply]:
    """A question, and a hit from near; the last of the ids is the hit's."""
    app = Numbered(stage)
    await ask(app, CHAT, chat(ASKED))
    await settled(stage)
    reply = await ask(app, CHAT, chat(AGAIN))
    assert reply.cache == "semantic"
    await settled(stage)
    return app, reply


async def test_a_wrong_answer_goes_and_counts_once(make: Make, kept: CacheStore) -> None:
    """As with the header: the entry is gone and a wrong one is counted; again, or by the entry, counts no more."""
    stage = make()
    app, reply = await given(stage)
    entry = reply.headers["x-helix-cache-entry"]
    assert await stage.mark("wrong", request=app.ids[-1]) == Marked(entry, evicted=True, counted=True)
    assert await kept.get(entry) is None
    assert await stage.mark("wrong", request=app.ids[-1]) == Marked(entry, evicted=False, counted=False)
    assert await stage.mark("wrong", entry=entry) == Marked(entry, evicted=False, counted=False)
    found = await stage.precision()
    assert (found["hits"], found["checks"], found["wrong"]) == (1, 1, 1)
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "miss"


async def test_another_process_marks_and_tells(make: Make) -> None:
    """A process that answered nothing yet marks what another one gave, and knows the precision."""
    stage = make()
    app, _ = await given(stage)
    other = make()
    assert (await other.mark("wrong", request=app.ids[-1])).counted
    assert (await other.precision())["wrong"] == (await make().precision())["wrong"] == 1


async def test_a_newer_answer_stays(make: Make, kept: CacheStore, provider: Provider) -> None:
    """An answer that came in the place of the marked one is another: marking the old request leaves it."""
    stage = make()
    app, reply = await given(stage)
    entry = reply.headers["x-helix-cache-entry"]
    await ask(app, CHAT, chat(ASKED), {"cache-control": "no-cache"})
    await settled(stage)
    assert provider.calls == 2
    assert await stage.mark("wrong", request=app.ids[1]) == Marked(entry, evicted=False, counted=True)
    assert await kept.get(entry) is not None
    assert await stage.mark("wrong", entry=entry) == Marked(entry, evicted=True, counted=False)


async def test_a_right_answer_speaks_for_its_entry_alone(make: Make, kept: CacheStore) -> None:
    """It stays, its entry has one for it, and no check is counted: nobody was chosen by chance to say so."""
    stage = make()
    app, reply = await given(stage)
    entry = reply.headers["x-helix-cache-entry"]
    assert await stage.mark("right", request=app.ids[-1]) == Marked(entry, evicted=False, counted=True)
    assert await kept.get(entry) is not None
    assert (await stage.precision())["checks"] == 0
    assert await stage.mark("wrong", request=app.ids[-1]) == Marked(entry, evicted=True, counted=False)
    assert (await stage.precision())["checks"] == 0


async def test_what_was_given_to_an_equal_question(make: Make, kept: CacheStore) -> None:
    """By its entry an answer goes too, and counts for nothing from near; its request is not known."""
    stage = make()
    app = Numbered(stage)
    await ask(app, CHAT, chat(ASKED))
    await settled(stage)
    reply = await ask(app, CHAT, chat(ASKED))
    assert reply.cache == "exact"
    entry = reply.headers["x-helix-cache-entry"]
    for request in (*app.ids, "hx-0"):
        with pytest.raises(NotFound, match="x-helix-request-id"):
            await stage.mark("wrong", request=request)
    assert await stage.mark("wrong", entry=entry) == Marked(entry, evicted=True, counted=False)
    with pytest.raises(NotFound, match="no such cached answer"):
        await stage.mark("wrong", entry=entry)


async def test_an_outage_is_said(provider: Provider, embedder: SentenceTransformerEmbedder) -> None:
    """Where the store cannot be reached, nothing is claimed to be marked."""
    stage = CacheMiddleware(provider, store="redis://127.0.0.1:1", embedder=embedder)
    with pytest.raises(BackendUnavailable):
        await stage.mark("wrong", entry="x")
    await stage.close()
