"""What a caller's directives do, line by line, and what the catalog then knows of an entry."""

from __future__ import annotations

import time
from dataclasses import replace

from helix.cache import CacheMiddleware
from helix.cache.catalog.quota import Quota
from helix.cache.redis import RedisCacheStore
from helix.cache.whose import Whose
from helix.kernel.exchange import open_exchange
from helix.kernel.types import Principal, Receive, Scope, Selection, Send
from tests.cache.conftest import CHAT, MESSAGES, Provider, ask, chat

QUESTION = "Which planet is the largest of all?"
EVERYTHING = Selection(everything=True)


async def test_only_if_cached(exact: CacheMiddleware, provider: Provider) -> None:
    """What is not cached is refused with 504, and the provider is not asked; what is cached is given."""
    only = {"cache-control": "only-if-cached"}
    refused = await ask(exact, CHAT, chat(QUESTION), only)
    assert (refused.status, refused.json["error"]["code"], provider.calls) == (504, "not_cached", 0)
    await ask(exact, CHAT, chat(QUESTION))
    assert (await ask(exact, CHAT, chat(QUESTION), only)).cache == "exact"
    nothing = await ask(exact, CHAT, chat(QUESTION), {"cache-control": "only-if-cached, no-cache"})
    assert (nothing.status, provider.calls) == (504, 1)
    stale = await ask(exact, CHAT, chat(QUESTION), {"cache-control": "only-if-cached, max-age=0"})
    assert (stale.status, provider.calls) == (504, 1)


async def test_only_if_cached_in_the_dialects_own_form(exact: CacheMiddleware) -> None:
    """Anthropic's clients read Anthropic's errors."""
    payload = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": QUESTION}]}
    refused = await ask(exact, MESSAGES, payload, {"cache-control": "only-if-cached"})
    assert (refused.status, refused.json["type"]) == (504, "error")


async def test_ttl_can_only_shorten(provider: Provider, store: RedisCacheStore) -> None:
    """A caller's time to live counts where it is the shorter one."""
    app = CacheMiddleware(provider, store=store, mode="exact", ttl_seconds=100)
    for number, (header, most) in enumerate((("30", 30), ("9999999", 100), ("", 100))):
        await ask(app, CHAT, chat(f"{QUESTION} {number}"), {"x-helix-cache-ttl": header} if header else {})
        await app.close()
        (latest, *_), _ = await store.catalog.page(EVERYTHING, limit=5)
        assert most - 20 < latest.expires_at - time.time() <= most


async def test_a_hit_says_which_entry_and_how_old(exact: CacheMiddleware, store: RedisCacheStore) -> None:
    """`x-helix-cache-entry` names what an administrator can look up and remove; `age` is in seconds."""
    await ask(exact, CHAT, chat(QUESTION))
    hit = await ask(exact, CHAT, chat(QUESTION))
    assert (hit.cache, hit.headers["age"]) == ("exact", "0")
    entry = await store.get(hit.headers["x-helix-cache-entry"])
    assert entry is not None
    await store.put(entry.id, replace(entry, stored_at=entry.stored_at - 100), ttl_seconds=60)
    assert (await ask(exact, CHAT, chat(QUESTION))).headers["age"] in ("100", "101")
    assert await store.catalog.remove(Selection(entries=(hit.headers["x-helix-cache-entry"],))) == 1
    assert (await ask(exact, CHAT, chat(QUESTION))).cache == "miss"


class Known:
    """An admit stage that knows one caller."""

    def __init__(self, app: CacheMiddleware, principal: Principal) -> None:
        self.app, self.principal = app, principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = await open_exchange(scope, receive)
        exchange.principal = self.principal
        await self.app(scope, exchange.receive, send)


async def test_the_catalog_knows_whose_an_entry_is(provider: Provider, store: RedisCacheStore) -> None:
    """Namespace, tags, both models, partition and users; the latter two as digests, so that nobody is named."""
    inner = CacheMiddleware(provider, store=store, mode="exact", secret="s")
    app = Known(inner, Principal("k_ada", user="ada@example.com"))
    headers = {"x-helix-cache-namespace": "faq", "x-helix-cache-tags": "a,b"}
    for _ in range(3):
        await ask(app, CHAT, chat(QUESTION, user="end-user-7"), headers)
    await inner.close()
    (one,), _ = await store.catalog.page(EVERYTHING, limit=5)
    whose = Whose("s")
    assert (one.namespace, one.tags, one.dialect) == ("faq", ("a", "b"), "chat")
    assert (one.asked_model, one.model) == ("gpt-4o", "openai/gpt-4o")
    assert one.partition == whose.partition("key:k_ada")
    assert one.users == (whose.user("ada@example.com"), whose.user("end-user-7"))
    assert one.hits == 2
    client = store._client
    assert client is not None
    kept = [await client.dump(key) for key in await client.keys(f"{store._prefix}*")]
    assert not [value for value in kept if value and (b"ada@" in value or b"end-user-7" in value or b"k_ada" in value)]


async def test_a_quota_takes_from_its_own_partition_alone(
    provider: Provider, redis_url: str, redis_prefix: str
) -> None:
    """Whoever stores more than its quota loses its own least recently used entries, and nobody else any."""
    store = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30, quota=Quota(entries=3))
    app = CacheMiddleware(provider, store=store, mode="exact")
    other, only = {"authorization": "Bearer sk-other"}, {"cache-control": "only-if-cached"}
    await ask(app, CHAT, chat("the other's"), other)
    for number in range(3):
        await ask(app, CHAT, chat(f"number {number}"))
    assert (await ask(app, CHAT, chat("number 0"))).cache == "exact"
    await app.close()  # the hit is told
    await ask(app, CHAT, chat("number 3"))
    await app.close()
    found = [(await ask(app, CHAT, chat(f"number {number}"), only)).cache for number in range(4)]
    assert found == ["exact", None, "exact", "exact"]
    assert (await ask(app, CHAT, chat("the other's"), {**other, **only})).cache == "exact"
    assert await store.catalog.count(EVERYTHING) == 4
    await app.close()
    await store.flush()
    await store.close()
