"""/helix/cache over the real store: what is meant, dry runs, similar texts, longer lives, carrying, and bad input."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from helix.cache import CacheMiddleware
from helix.cache.contents import CacheContents
from helix.cache.redis import RedisCacheStore
from helix.cache.whose import Whose
from helix.kernel.types import Receive, Scope, Selection, Send

from .conftest import Api
from .entries import Letters, put

SECRET = "a secret of this test"
WHOSE = Whose(SECRET)


@pytest_asyncio.fixture
async def cache(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisCacheStore]:
    cache = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30)
    yield cache
    await cache.flush()
    await cache.close()


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest_asyncio.fixture
async def client(api: Api, cache: RedisCacheStore, letters: Letters) -> httpx.AsyncClient:
    async def redact(text: str) -> str:
        return text.replace("ada@example.com", "<EMAIL_ADDRESS_1>")

    return await api(cache=CacheContents(cache.catalog, secret=SECRET, embedder=letters, redact=redact))


async def ids(client: httpx.AsyncClient, **query: Any) -> list[str]:
    reply = await client.get("/helix/cache/entries", params=query)
    assert reply.status_code == 200, reply.text
    return [row["id"] for row in reply.json()["data"]]


async def test_what_is_meant_is_counted_then_removed(client: httpx.AsyncClient, cache: RedisCacheStore) -> None:
    """Each parameter, users and partitions by name or by the digest that a list shows; a dry run removes nothing."""
    about: list[dict[str, Any]] = [
        {"tags": ("a",)},
        {"tags": ("a", "b"), "namespace": "faq"},
        {"users": (WHOSE.user("ada"),)},
        {"partition": WHOSE.partition("team:search")},
        {"model": "demo/echo"},
        {"text": "Where is it?"},
        {},
        {"users": (WHOSE.user("bob"), WHOSE.user("ada's"))},
    ]
    stored = [await put(cache, number, **one) for number, one in enumerate(about)]
    assert await ids(client) == stored
    for said, numbers in (
        ({"tag": "b"}, [1]),
        ({"tag": "a", "namespace": ""}, [0]),
        ({"user": WHOSE.user("ada")}, [2]),
        ({"user": "bob"}, [7]),
        ({"partition": "team:search"}, [3]),
        ({"model": "demo/echo"}, [4]),
        ({"scope": "s"}, [5]),
        ({"entry": stored[6]}, [6]),
    ):
        assert await ids(client, **said) == [stored[number] for number in numbers]
        for dry_run in (True, False):
            reply = await client.delete("/helix/cache", params={**said, "dry_run": dry_run})
            assert reply.json() == {"removed": len(numbers), "dry_run": dry_run}, said
        assert await ids(client, **said) == []
    assert (await client.get("/helix/cache")).json()["entries"] == 0


async def test_an_entry_tells_nothing_of_its_answer(client: httpx.AsyncClient, cache: RedisCacheStore) -> None:
    """What it is about, whose as digests, how often it was given."""
    id = await put(cache, 1, text="Where is <ORDER_ID_1>?", users=(WHOSE.user("ada"),), tags=("a",))
    await cache.catalog.used({(id, ""): 3})
    reply = await client.get("/helix/cache/entries")
    assert "secret" not in reply.text
    assert "ada" not in reply.text
    (row,) = reply.json()["data"]
    assert (row["text"], row["hits"], row["tags"], row["asked_model"]) == ("Where is <ORDER_ID_1>?", 3, ["a"], "smart")
    assert (row["model"], row["dialect"], row["namespace"], row["similarity"]) == ("openai/gpt-4o", "chat", "", None)
    assert row["bytes"] > 0
    assert await ids(client, sort="used") == [id]


async def test_entries_page(client: httpx.AsyncClient, cache: RedisCacheStore) -> None:
    """By cursor, each once."""
    stored = [await put(cache, number) for number in range(5)]
    found: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/helix/cache/entries", params=query)).json()
        found += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == stored


async def test_similar_to_a_text(client: httpx.AsyncClient, cache: RedisCacheStore, letters: Letters) -> None:
    """Redacted first, then listed with the similarity, then removed; what is not like it stays."""
    near = await put(cache, 1, text="Where is the order of <EMAIL_ADDRESS_1>?")
    far = await put(cache, 2, text="zzz")
    exact_alone = await put(cache, 3)
    given: dict[str, Any] = {"text": "Where is the order of ada@example.com?", "min_similarity": 0.95}
    told = (await client.post("/helix/cache/similar", json=given)).json()
    assert letters.asked == ["Where is the order of <EMAIL_ADDRESS_1>?"]
    assert [row["id"] for row in told["data"]] == [near]
    assert told["data"][0]["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert told["removed"] == 0
    assert await ids(client) == [near, far, exact_alone]
    elsewhere = await client.post("/helix/cache/similar", json={**given, "namespace": "faq", "remove": True})
    assert elsewhere.json() == {"data": [], "removed": 0}
    assert (await client.post("/helix/cache/similar", json={**given, "remove": True})).json()["removed"] == 1
    assert await ids(client) == [far, exact_alone]


async def test_marked_wrong(api: Api, cache: RedisCacheStore, letters: Letters) -> None:
    """By its entry an answer goes; what is not known is 404 and says what could be meant; nothing was checked yet."""

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("nobody is asked")

    stage = CacheMiddleware(inside, store=cache, embedder=letters)
    client = await api(cache=CacheContents(cache.catalog, stage=lambda: stage))
    entry = await put(cache, 1, text="Where is it?")
    body = {"verdict": "wrong", "entry": entry}
    told = await client.post("/helix/cache/feedback", json=body)
    assert told.json() == {"entry": entry, "evicted": True, "counted": False}
    assert await ids(client) == []
    assert (await client.post("/helix/cache/feedback", json=body)).status_code == 404
    reply = await client.post("/helix/cache/feedback", json={"verdict": "right", "request_id": "hx-1 ☃"})
    assert (reply.status_code, "x-helix-request-id" in reply.text) == (404, True)
    found = (await client.get("/helix/cache/precision")).json()
    assert (found["hits"], found["precision"]) == (0, None)
    await stage.close()


async def test_similar_needs_what_embeds(api: Api, cache: RedisCacheStore) -> None:
    """Without a semantic tier there is nothing to be near to; a text beyond the window is refused, not cut."""
    none = await api(cache=CacheContents(cache.catalog))
    reply = await none.post("/helix/cache/similar", json={"text": "a"})
    assert (reply.status_code, "helix.cache.mode" in reply.text) == (404, True)
    some = await api(cache=CacheContents(cache.catalog, embedder=Letters()))
    reply = await some.post("/helix/cache/similar", json={"text": "word " * 101})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "text")
    assert "word" not in reply.text


async def test_a_longer_life(client: httpx.AsyncClient, cache: RedisCacheStore) -> None:
    """The most used, and named ones."""
    used, named, _ = [await put(cache, number) for number in range(3)]
    await cache.catalog.used({(used, ""): 1})
    body = {"ttl_seconds": 9000, "most_used": 10, "entries": [named, "0" * 7]}
    assert (await client.post("/helix/cache/extend", json=body)).json() == {"extended": 2}
    page, _ = await cache.catalog.page(Selection(everything=True), limit=9)
    assert sorted(one.id for one in page if one.expires_at > time.time() + 8000) == sorted([used, named])


async def test_carried_to_another_cache(
    api: Api, client: httpx.AsyncClient, cache: RedisCacheStore, redis_url: str
) -> None:
    """An export goes into an import; what is there already stays, what is broken is refused, and counted."""
    for number in range(3):
        await put(cache, number, text=f"text {number}", tags=("odd",) if number % 2 else ())
    page = (await client.get("/helix/cache/export")).json()
    assert len((await client.get("/helix/cache/export", params={"tag": "odd"})).json()["data"]) == 1
    assert page["next_cursor"] is None
    page["data"][0]["fields"]["answer"] = "AAAA"
    body = {"layout": page["layout"], "entries": page["data"]}
    other = RedisCacheStore(redis_url, prefix=f"test:{secrets.token_hex(6)}:", timeout_seconds=30)
    there = await api(cache=CacheContents(other.catalog, secret=SECRET))
    try:
        for stored, present in ((2, 0), (0, 2)):
            reply = await there.post("/helix/cache/import", json=body)
            assert reply.json() == {"stored": stored, "present": present, "expired": 0, "refused": 1}
        strange = await api(cache=CacheContents(other.catalog, secret="another secret"))
        reply = await strange.post("/helix/cache/import", json=body)
        assert (reply.status_code, "helix.cache.secret" in reply.text) == (400, True)
        reply = await there.post("/helix/cache/import", json={**body, "layout": "redis/99 x"})
        assert (reply.status_code, "another version" in reply.text) == (400, True)
    finally:
        await other.flush()
        await other.close()


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("DELETE", "", {"namespace": "a", "all": "true"}),
        ("DELETE", "", {"entry": "a", "tag": "b"}),
        ("DELETE", "", {"dry_run": "true"}),
        ("DELETE", "", {"tag": ""}),
        ("DELETE", "", {"tga": "a"}),
        ("DELETE", "", {"tag": "a", "dry_run": "perhaps"}),
        ("DELETE", "", {"user": "x" * 301}),
        ("GET", "/entries", {"limit": 0}),
        ("GET", "/entries", {"limit": 501}),
        ("GET", "/entries", {"cursor": "x"}),
        ("GET", "/entries", {"sort": "size"}),
        ("GET", "/entries", {"sort": "used", "tag": "a"}),
        ("GET", "/export", {"limit": 101}),
        ("GET", "/export", {"all": "true"}),
        ("POST", "/similar", {}),
        ("POST", "/similar", {"text": ""}),
        ("POST", "/similar", {"text": "a", "min_similarity": 2}),
        ("POST", "/similar", {"text": "a", "limit": 0}),
        ("POST", "/similar", {"text": "x" * 20_001}),
        ("POST", "/similar", {"text": ["a"]}),
        ("POST", "/extend", {"ttl_seconds": 60}),
        ("POST", "/extend", {"ttl_seconds": 0, "most_used": 1}),
        ("POST", "/extend", {"ttl_seconds": 1e300, "most_used": 1}),
        ("POST", "/feedback", {"verdict": "wrong"}),
        ("POST", "/feedback", {"verdict": "wrong", "entry": "a", "request_id": "b"}),
        ("POST", "/feedback", {"verdict": "perhaps", "entry": "a"}),
        ("POST", "/feedback", {"entry": "a"}),
        ("POST", "/feedback", {"verdict": "wrong", "request_id": ""}),
        ("POST", "/import", {"layout": "x", "entries": []}),
        ("POST", "/import", {"layout": "x", "entries": [{"id": "a", "expires_at": 1, "fields": {"answer": "%"}}]}),
        ("POST", "/import", {"layout": "x", "entries": [{"id": "a", "expires_at": -1, "fields": {}}]}),
        ("POST", "/import", {"layout": "x", "entries": [{"id": "a"}]}),
    ],
)
async def test_bad_input(
    client: httpx.AsyncClient, cache: RedisCacheStore, method: str, path: str, given: dict[str, Any]
) -> None:
    """A wrong call is 400 in OpenAI's form, names the place, and changes nothing."""
    await put(cache, 1, tags=("a",))
    options = {"json": given} if method == "POST" else {"params": given}
    reply = await client.request(method, f"/helix/cache{path}", **options)  # type: ignore[arg-type]
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert (await client.get("/helix/cache")).json()["entries"] == 1


@pytest.mark.parametrize("name", ["*", "a|b", "}", "a} | @about:{n", "\\", "' or 1=1", "\u2028", "a\x00b"])
async def test_hostile_names_are_names(client: httpx.AsyncClient, cache: RedisCacheStore, name: str) -> None:
    """Whatever is said for a name selects what is called so, and nothing else."""
    await put(cache, 1, tags=("a",))
    for what in ("tag", "model", "user", "partition", "scope", "namespace", "entry"):
        reply = await client.delete("/helix/cache", params={what: name})
        assert reply.json() == {"removed": 0, "dry_run": False}, what
    assert (await client.get("/helix/cache")).json()["entries"] == 1
