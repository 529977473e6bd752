"""Each of redact, cache and budget alone, in the four ways that somebody else's app takes a middleware."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from helix import BudgetMiddleware, CacheMiddleware, RedactMiddleware
from helix.kernel.types import ASGIApp, Limit, Money, Receive, Scope, Send
from tests.conftest import Serve

PATH = "/v1/chat/completions"

Factory = Callable[..., ASGIApp]


class Made:
    """Makes middlewares as an app would, and keeps them: where no lifespan reaches them, somebody has to close them."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def __call__(self, kind: Factory) -> Factory:
        """The same constructor, with what it returns kept."""

        def make(app: ASGIApp, **options: Any) -> ASGIApp:
            self.all.append(kind(app, **options))
            return self.all[-1]  # type: ignore[no-any-return]

        return make


@pytest_asyncio.fixture(name="made")
async def _made() -> AsyncIterator[Made]:
    made = Made()
    yield made
    for middleware in made.all:
        await middleware.close()


class Model:
    """Somebody's endpoint: answers by repeating the last message, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """A chat completion."""
        question = request["messages"][-1]["content"]
        self.asked.append(question)
        message = {"role": "assistant", "content": f"You said: {question}"}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000},
        }

    async def endpoint(self, request: Request) -> JSONResponse:
        """The answer, as Starlette and FastAPI take an endpoint."""
        return JSONResponse(self.answer(await request.json()))

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer, as a bare ASGI callable that knows nothing of lifespan."""
        if scope["type"] != "http":
            raise RuntimeError("this app speaks HTTP only")
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        reply = json.dumps(self.answer(json.loads(body))).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply})


Build = Callable[[Model, Factory, dict[str, Any]], tuple[ASGIApp, str]]


def starlette(model: Model, middleware: Factory, options: dict[str, Any]) -> tuple[ASGIApp, str]:
    """A bare Starlette app that lists it."""
    routes = [Route(PATH, model.endpoint, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(middleware, **options)]), PATH


def fastapi(model: Model, middleware: Factory, options: dict[str, Any]) -> tuple[ASGIApp, str]:
    """A FastAPI app, by add_middleware."""
    app = FastAPI()
    app.post(PATH, response_model=None)(model.endpoint)
    app.add_middleware(middleware, **options)
    return app, PATH


def mounted(model: Model, middleware: Factory, options: dict[str, Any]) -> tuple[ASGIApp, str]:
    """On a sub-app that is mounted, which sees no lifespan."""
    inner, _ = starlette(model, middleware, options)
    return Starlette(routes=[Mount("/ai", app=inner)]), f"/ai{PATH}"


def by_hand(model: Model, middleware: Factory, options: dict[str, Any]) -> tuple[ASGIApp, str]:
    """Wrapped by hand round a callable."""
    return middleware(model.asgi, **options), PATH


WAYS = pytest.mark.parametrize("build", [starlette, fastapi, mounted, by_hand])


async def asked(serve: Serve, app: ASGIApp, path: str, *questions: str) -> list[httpx.Response]:
    """Serve the app for real and ask it some questions, one after the other."""
    base = await serve(app, lifespan="auto")
    async with httpx.AsyncClient(base_url=base) as client:
        return [
            await client.post(
                path,
                json={"model": "gpt-4o-mini", "max_tokens": 1000, "messages": [{"role": "user", "content": question}]},
            )
            for question in questions
        ]


@WAYS
async def test_redact(serve: Serve, made: Made, build: Build) -> None:
    """The endpoint sees a placeholder, the caller their own value."""
    model = Model()
    app, path = build(model, made(RedactMiddleware), {})
    (reply,) = await asked(serve, app, path, "Write to ann@example.com")
    assert model.asked == ["Write to <EMAIL_ADDRESS_1>"]
    assert reply.json()["choices"][0]["message"]["content"] == "You said: Write to ann@example.com"
    assert reply.headers["x-helix-redactions"] == "EMAIL_ADDRESS=1"


@WAYS
async def test_cache(serve: Serve, made: Made, build: Build, clean_redis_url: str) -> None:
    """The endpoint is asked once, and the second caller gets the same answer."""
    model = Model()
    app, path = build(model, made(CacheMiddleware), {"store": clean_redis_url, "mode": "exact"})
    first, second = await asked(serve, app, path, "What is rain?", "What is rain?")
    assert model.asked == ["What is rain?"]
    assert (first.headers["x-helix-cache"], second.headers["x-helix-cache"]) == ("miss", "exact")
    assert second.json()["usage"]["prompt_tokens_details"] == {"cached_tokens": first.json()["usage"]["prompt_tokens"]}
    assert {**second.json(), "usage": None} == {**first.json(), "usage": None}


@WAYS
async def test_budget(serve: Serve, made: Made, build: Build, clean_redis_url: str) -> None:
    """What the budget pays for goes through, the next is refused, and the refusal names the budget."""
    model = Model()
    limit = Limit("everybody", "total", Money.from_usd(0.0015), "pocket money")
    options = {"ledger": clean_redis_url, "limits": [limit], "min_output_tokens": 100_000}
    app, path = build(model, made(BudgetMiddleware), options)
    first, second = await asked(serve, app, path, "one", "two")
    assert (first.status_code, second.status_code) == (200, 429)
    assert float(first.headers["x-helix-cost-usd"]) == pytest.approx(0.00075)
    assert second.json()["error"]["code"] == "budget_exceeded"
    assert "pocket money" in second.json()["error"]["message"]
    assert model.asked == ["one"]


async def test_stacked_by_hand(serve: Serve, made: Made, clean_redis_url: str) -> None:
    """Redact round cache: two callers with different values share one answer, and each gets their own value back."""
    model = Model()
    app = made(RedactMiddleware)(
        made(CacheMiddleware)(model.asgi, store=clean_redis_url, mode="exact", partition=lambda exchange: "everyone")
    )
    first, second = await asked(serve, app, PATH, "Write to ann@example.com", "Write to bob@example.org")
    assert model.asked == ["Write to <EMAIL_ADDRESS_1>"]
    assert second.headers["x-helix-cache"] == "exact"
    assert first.json()["choices"][0]["message"]["content"] == "You said: Write to ann@example.com"
    assert second.json()["choices"][0]["message"]["content"] == "You said: Write to bob@example.org"
