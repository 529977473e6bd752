"""The innermost app's paths, its start and stop, and what it notes of a request."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from helix.kernel.exchange import attach
from helix.kernel.types import Message, Principal, Receive, Scope, Send
from helix.upstream import Router, Upstream

from .fakes import Provider, chat, deployment, hangs, hangs_after, refuses

ECHO = [{"model_name": "demo/echo", "litellm_params": {"model": "demo/echo"}}]


def client_of(app: Any) -> httpx.AsyncClient:
    """A client that calls the app directly: no server, and no lifespan."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://helix")


class Noting:
    """A stage in front that knows the caller, and keeps what the upstream notes."""

    def __init__(self, app: Any, principal: Principal | None = None) -> None:
        self.app = app
        self.principal = principal
        self.notes: dict[str, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = attach(scope, receive)
        exchange.principal = self.principal
        await self.app(scope, receive, send)
        self.notes = exchange.record.upstream


async def test_it_works_without_a_lifespan(provider: Provider) -> None:
    """Opened by the first request, as on a mounted sub-app."""
    upstream = Upstream(Router([deployment(provider)]))
    async with client_of(upstream) as client:
        assert (await client.post("/v1/chat/completions", json=chat())).status_code == 200
    await upstream.router.close()


async def test_it_starts_and_stops_with_the_server() -> None:
    """Both are confirmed, and it may be started again."""
    upstream = Upstream(Router(ECHO))
    for _ in range(2):
        sent: list[Message] = []
        given = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive(given: Any = given) -> Message:
            message: Message = next(given)
            return message

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        await upstream({"type": "lifespan"}, receive, send)
        assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_provider_that_cannot_be_had_stops_the_server() -> None:
    """The server is told why it cannot start."""
    upstream = Upstream(Router([{"model_name": "m", "litellm_params": {"model": "nosuch/m"}}]))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    await upstream({"type": "lifespan"}, receive, send)
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "nosuch/m" in sent[0]["message"]
    await upstream.router.close()


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nothing", "/v1/chat", "/v1/modelsx", "/models", "/models/gpt", "/x/models", "/xv1/models"]
)
async def test_a_path_that_is_nothing(path: str) -> None:
    """404 that names the paths that there are."""
    async with client_of(Upstream(Router(ECHO))) as client:
        reply = await client.post(path, json={})
    assert reply.status_code == 404
    assert "POST /v1/chat/completions" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/v1/chat/completions", "POST"), ("DELETE", "/v1/messages", "POST"), ("POST", "/v1/models", "GET, HEAD")],
)
async def test_a_method_that_a_path_does_not_take(method: str, path: str, allow: str) -> None:
    """405 that says which it takes."""
    async with client_of(Upstream(Router(ECHO))) as client:
        reply = await client.request(method, path)
    assert reply.status_code == 405
    assert reply.headers["allow"] == allow
    assert reply.json()["error"]["code"] == "method_not_allowed"


async def test_a_malformed_body() -> None:
    """400 before anybody is asked."""
    async with client_of(Upstream(Router(ECHO))) as client:
        reply = await client.post("/v1/chat/completions", content=b"{")
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "malformed_json")
        missing = await client.post("/v1/chat/completions", json={"messages": []})
        assert missing.status_code == 400
        assert missing.json()["error"]["param"] == "model"


async def test_models_are_listed_in_openais_form() -> None:
    """Patterns are no models."""
    models = [*ECHO, {"model_name": "openai/*", "litellm_params": {"model": "openai/*"}}]
    async with client_of(Upstream(Router(models))) as client:
        reply = await client.get("/v1/models")
    assert reply.json()["object"] == "list"
    (model,) = reply.json()["data"]
    assert (model["id"], model["object"], model["owned_by"]) == ("demo/echo", "model", "demo")
    assert isinstance(model["created"], int)


async def test_one_model_by_a_name_with_a_slash() -> None:
    """Found, or 404."""
    async with client_of(Upstream(Router(ECHO))) as client:
        assert (await client.get("/v1/models/demo/echo")).json()["id"] == "demo/echo"
        assert (await client.get("/v1/models/demo/none")).status_code == 404


@pytest.mark.parametrize(
    ("allowed", "seen"),
    [((), ["a", "b/1", "b/2"]), (("a",), ["a"]), (("b/*",), ["b/1", "b/2"]), (("none",), [])],
)
async def test_a_caller_sees_the_models_that_the_key_allows(allowed: tuple[str, ...], seen: list[str]) -> None:
    """All of them where the key names none."""
    models = [{"model_name": name, "litellm_params": {"model": "demo/echo"}} for name in ("a", "b/1", "b/2")]
    app = Noting(Upstream(Router(models)), Principal("k", models=allowed))
    async with client_of(app) as client:
        reply = await client.get("/v1/models")
        assert [model["id"] for model in reply.json()["data"]] == seen
        assert (await client.get("/v1/models/a")).status_code == (200 if "a" in seen else 404)


async def test_what_is_noted_of_an_answer(provider: Provider, gateway: Any) -> None:
    """Who answered, after how many attempts, in what time; of the address the host alone."""
    provider.plan.append(refuses(500, headers={"retry-after-ms": "1"}))
    app = Noting(Upstream(Router([deployment(provider, "fast", info={"id": "d-1"})])))
    async with client_of(app) as client:
        await client.post("/v1/chat/completions", json=chat(model="fast"))
    await app.app.router.close()
    notes = app.notes
    assert (notes["provider"], notes["model"], notes["deployment"]) == ("openai", "openai/gpt-4o", "d-1")
    assert (notes["attempts"], notes["fallbacks"], notes["status"], notes["api_base"]) == (2, 0, 200, "127.0.0.1")
    assert 0 < notes["first_ms"] <= notes["ms"]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_noted_of_a_failure(provider: Provider, stream: bool) -> None:
    """The last status, also when a stream breaks off after its start."""
    provider.otherwise = hangs_after(b'data: {"choices": []}\n\n') if stream else hangs()
    app = Noting(Upstream(Router([deployment(provider, timeout=0.05)], {"num_retries": 0})))
    async with client_of(app) as client:
        await client.post("/v1/chat/completions", json=chat(stream=stream))
    await app.app.router.close()
    assert (app.notes["status"], app.notes["attempts"]) == (504, 1)
    assert ("first_ms" in app.notes) is stream


async def test_an_observer_is_told_once() -> None:
    """With the notes, which hold no text."""
    told: list[tuple[str, Any]] = []
    upstream = Upstream(Router(ECHO), observe=lambda stage, facts: told.append((stage, facts)))
    async with client_of(upstream) as client:
        await client.post("/v1/chat/completions", json=chat("secret", model="demo/echo"))
    ((stage, facts),) = told
    assert stage == "upstream"
    assert facts["model"] == "demo/echo"
    assert "secret" not in str(facts)


async def test_a_websocket_is_closed() -> None:
    """There is nothing to talk to."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Upstream(Router(ECHO))({"type": "websocket", "path": "/"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
