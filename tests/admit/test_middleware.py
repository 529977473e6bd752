from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from helix.admit import AdmitMiddleware, Authority
from helix.admit.keys import new_key
from helix.admit.limits import Grant
from helix.admit.redis import RedisKeyStore, RedisLimiter
from helix.embedded.redis import EmbeddedRedis
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Principal, Receive, Scope, Send

from .asgi import CHAT, call, ok


async def test_a_known_key_is_let_in_and_noted(store: RedisKeyStore) -> None:
    """The exchange says who it is, for the stages inside; no header is added for a key without limits."""
    stored, key = await store.create(Principal("", "ci", user="u1", team="t1", organization="o1", tags=("a",)))
    seen: list[Any] = []
    reply = await call(
        AdmitMiddleware(ok, keys=store, observe=lambda stage, facts: seen.append((stage, facts))), key=key
    )
    assert reply.status == 200
    assert reply.exchange is not None
    assert reply.exchange.principal == stored.principal
    facts = {
        "key_id": stored.principal.key_id,
        "key_name": "ci",
        "user": "u1",
        "team": "t1",
        "organization": "o1",
        "tags": ["a"],
    }
    assert reply.exchange.record.admit == facts
    assert seen == [("admit", facts)]
    assert list(reply.headers) == ["content-type"]


@pytest.mark.parametrize("header", [b"x-api-key", b"x-goog-api-key"])
async def test_a_key_may_come_in_another_header(store: RedisKeyStore, header: bytes) -> None:
    """As Anthropic's and Google's clients send it."""
    _, key = await store.create(Principal(""))
    assert (await call(AdmitMiddleware(ok, keys=store), headers=((header, key.encode()),))).status == 200


async def test_a_stranger_is_refused_before_the_body_is_read(store: RedisKeyStore) -> None:
    """401 in the dialect's form, with what was refused on record."""
    admit = AdmitMiddleware(ok, keys=store)
    for key in ("", "sk-wrong", new_key()):
        reply = await call(admit, key=key)
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.body_was_read is False
        assert reply.exchange is not None
        assert reply.exchange.record.admit == {"refused": "invalid_api_key"}
    reply = await call(admit, path="/v1/messages")
    assert reply.error["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 401),
        ("GET", "/v1/models/gpt", 401),
        ("GET", "/proxy/v1/models", 401),
        ("POST", "/chat/completions", 401),
        ("POST", "/proxy/v1/responses", 401),
        ("POST", "/v1/anything", 401),
        ("GET", "/health/live", 200),
        ("GET", "/helix/keys", 200),
        ("GET", "/", 200),
    ],
)
async def test_what_is_guarded(store: RedisKeyStore, method: str, path: str, status: int) -> None:
    """Everything under /v1 and every dialect; administration guards itself."""
    assert (await call(AdmitMiddleware(ok, keys=store), path=path, method=method)).status == status


async def test_a_listing_knows_its_caller(store: RedisKeyStore) -> None:
    """GET /v1/models has no body, and still a principal."""
    stored, key = await store.create(Principal("", models=("gpt",)))
    reply = await call(AdmitMiddleware(ok, keys=store), b"", "/v1/models", method="GET", key=key)
    assert reply.status == 200
    assert reply.exchange is not None
    assert reply.exchange.principal == stored.principal


async def test_a_model_that_the_key_does_not_allow_is_refused(store: RedisKeyStore) -> None:
    """403 that lists the allowed ones and does not repeat what was asked for."""
    _, key = await store.create(Principal("", models=("small", "large")))
    admit = AdmitMiddleware(ok, keys=store)
    reply = await call(admit, {**CHAT, "model": "secret-model"}, key=key)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (403, "model_not_allowed", "model")
    assert reply.error["message"] == "this key may use: small, large"
    assert (await call(admit, {**CHAT, "model": "large"}, key=key)).status == 200


async def test_a_malformed_body_is_refused_and_not_counted(store: RedisKeyStore) -> None:
    """400, and the minute is still whole."""
    _, key = await store.create(Principal("", rpm=1))
    admit = AdmitMiddleware(ok, keys=store)
    assert (await call(admit, b"{", key=key)).status == 400
    assert (await call(admit, key=key)).status == 200


async def test_requests_a_minute(store: RedisKeyStore) -> None:
    """Headers on every reply, and 429 with the time to wait."""
    _, key = await store.create(Principal("", rpm=2))
    admit = AdmitMiddleware(ok, keys=store)
    replies = [await call(admit, key=key) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert [reply.headers["x-ratelimit-limit-requests"] for reply in replies] == ["2"] * 3
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["1", "0", "0"]
    assert all(0 < float(reply.headers["x-ratelimit-reset-requests"].rstrip("s")) <= 60 for reply in replies)
    assert replies[2].error["code"] == "rate_limit_exceeded"
    assert 1 <= int(replies[2].headers["retry-after"]) <= 60


async def test_a_place_is_given_back_when_the_caller_leaves(store: RedisKeyStore) -> None:
    """Cancelled in mid-stream, or failed inside: the next request runs."""
    _, key = await store.create(Principal("", parallel=1))
    begun = asyncio.Event()

    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await asyncio.Event().wait()

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    inner = hangs
    admit = AdmitMiddleware(lambda scope, receive, send: inner(scope, receive, send), keys=store)
    task = asyncio.create_task(call(admit, key=key))
    await begun.wait()
    refused = await call(admit, key=key)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    inner = fails
    await admit._places.drained()
    with pytest.raises(RuntimeError, match="broken"):
        await call(admit, key=key)
    inner = ok
    await admit._places.drained()
    assert (await call(admit, key=key)).status == 200
    await admit.close()


async def test_the_master_key_and_auth_off(store: RedisKeyStore) -> None:
    """Both need no key in the store."""
    reply = await call(AdmitMiddleware(ok, keys=store, master_key="sk-master"), key="sk-master")
    assert reply.exchange is not None
    assert reply.exchange.record.admit["key_id"] == "master"
    reply = await call(AdmitMiddleware(ok, keys=store, auth=False))
    assert reply.exchange is not None
    assert reply.exchange.record.admit["key_id"] == "anonymous"


class Slow:
    """A limiter whose Redis does what it is told, but whose first replies get lost."""

    def __init__(self, inner: RedisLimiter) -> None:
        self.inner = inner
        self.lost = {"acquire": 1, "release": 2}

    async def acquire(self, principal: Principal, request_id: str) -> Grant:
        grant = await self.inner.acquire(principal, request_id)
        self._lose("acquire")
        return grant

    async def release(self, principal: Principal, request_id: str) -> None:
        self._lose("release")
        await self.inner.release(principal, request_id)

    def _lose(self, what: str) -> None:
        self.lost[what] -= 1
        if self.lost[what] >= 0:
            raise BackendUnavailable("Redis did not answer within 2 s")


@pytest.mark.parametrize(("on_outage", "status"), [("refuse", 503), ("pass", 200)])
async def test_a_place_taken_by_a_request_that_redis_did_not_confirm_is_given_back(
    store: RedisKeyStore, on_outage: Any, status: int
) -> None:
    """The write may have been done though nobody heard of it; giving it back is tried until it works."""
    _, key = await store.create(Principal("", parallel=1))
    store._limiter = Slow(store.limiter)  # type: ignore[assignment]
    admit = AdmitMiddleware(ok, keys=store, on_outage=on_outage)
    assert (await call(admit, key=key)).status == status
    await admit._places.drained()
    assert (await call(admit, key=key)).status == 200
    await admit.close()


@pytest.mark.parametrize(("on_outage", "status"), [("refuse", 503), ("pass", 200)])
async def test_redis_gone(tmp_path: Path, on_outage: Any, status: int) -> None:
    """Known keys without limits go on; with limits by configuration; unknown ones cannot be let in."""
    server = EmbeddedRedis(tmp_path / "redis")
    store = RedisKeyStore(await server.open(), secret="a secret of this server")
    _, free = await store.create(Principal(""))
    _, limited = await store.create(Principal("", rpm=100, parallel=100))
    _, unseen = await store.create(Principal(""))
    admit = AdmitMiddleware(ok, keys=Authority(store, cache_seconds=0), on_outage=on_outage)
    for key in (free, limited):
        assert (await call(admit, key=key)).status == 200
    await server.close()
    assert (await call(admit, key=free)).status == 200
    assert (await call(admit, key=limited)).status == status
    assert (await call(admit, key=unseen)).status == 503
    await admit._places.close(timeout_seconds=0.1)
    await admit.close()
    await store.close()


async def test_keys_by_url_are_opened_and_closed_with_the_app(redis_url: str) -> None:
    """What is built from a URL is owned."""
    secret = "a secret of this server"
    store = RedisKeyStore(redis_url, secret=secret)
    stored, key = await store.create(Principal(""))
    admit = AdmitMiddleware(ok, keys=redis_url, secret=secret)
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(admit({"type": "lifespan"}, inbox.get, outbox.put))
    inbox.put_nowait({"type": "lifespan.startup"})
    await outbox.get()
    assert (await call(admit, key=key)).status == 200
    inbox.put_nowait({"type": "lifespan.shutdown"})
    assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
    await task
    assert admit._authority.value is None
    await store.revoke(stored.principal.key_id)
    await store.close()


@pytest.mark.parametrize("wrong", [{"keys": "redis://127.0.0.1:1"}, {"on_outage": "maybe"}, {"cache_seconds": -1}])
def test_wrong_constructor_values_are_said_at_once(store: RedisKeyStore, wrong: dict[str, Any]) -> None:
    """ValueError, before anything is opened."""
    with pytest.raises(ValueError, match=r"must|need"):
        AdmitMiddleware(ok, **{"keys": store, **wrong})
