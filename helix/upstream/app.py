"""The innermost app: the API's paths, answered by the router."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from helix.kernel.errors import (
    ConfigError,
    HelixError,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    UpstreamBroke,
    UpstreamError,
    UpstreamGarbled,
    UpstreamTimeout,
)
from helix.kernel.exchange import KEY, Exchange, open_exchange
from helix.kernel.lifecycle import Resource
from helix.kernel.reply import Guard, json_reply, refuse
from helix.kernel.sse import Event
from helix.kernel.types import ASGIApp, Observer, Receive, Scope, Send
from helix.kernel.wire import DIALECTS, Dialect, dialect_of
from helix.upstream.answer import Answer
from helix.upstream.caller import Caller
from helix.upstream.router import Router

__all__ = ["Upstream"]

_NEXT = "the provider's next event"
_MODELS = re.compile(r"/v1/models(?:/(?P<id>.+))?$")  # under /v1, which the admit stage guards
_PATHS = ", ".join([*(f"POST {dialect.path}" for dialect in DIALECTS), "GET /v1/models"])


class Upstream:
    """Answers the API's requests by asking providers; what every stage stands in front of."""

    def __init__(self, router: Router, *, observe: Observer | None = None) -> None:
        self.router = router
        self._observe = observe
        self._by_id = {deployment.id: deployment for deployment in router.deployments}
        self._hosts = {deployment.id: deployment.host for deployment in router.deployments}
        self._opened: Resource[Router] = Resource(self._open, Router.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's start and stop."""
        if scope["type"] == "http":
            dialect = dialect_of(scope["method"], scope["path"])
            if dialect is None:
                await self._other(scope)(scope, receive, send)
            else:
                await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            exchange = await open_exchange(scope, receive)
            if self._opened.value is None:
                await self._opened.open()
        except HelixError as error:
            await refuse(error)(scope, receive, send)
            return
        guard = Guard(send)
        began = time.perf_counter()
        record = exchange.record.upstream
        caller = Caller(exchange.receive)
        try:
            answer = await self.router.ask(exchange, caller)
            record["first_ms"] = (time.perf_counter() - began) * 1000
            record["status"] = 200
            if answer.events is None:
                await self._send_whole(answer, exchange, guard)
            else:
                await self._send_stream(answer, exchange, guard, caller)
        except HelixError as error:
            record["status"] = error.status
            await guard.fail(error, exchange)
        finally:
            caller.close()
            record["ms"] = (time.perf_counter() - began) * 1000
            record["api_base"] = self._hosts.get(record.get("deployment", ""), "")
            if self._observe is not None:
                self._observe("upstream", dict(record))

    async def _send_whole(self, answer: Answer, exchange: Exchange, send: Send) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-helix-model", exchange.record.upstream["model"].encode("latin-1", "replace")),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})

    async def _send_stream(self, answer: Answer, exchange: Exchange, send: Send, caller: Caller) -> None:
        events, dialect = answer.events, exchange.dialect
        if events is None or dialect is None:
            raise RuntimeError("not a stream")
        deployment = self._by_id[exchange.record.upstream["deployment"]]
        timeout_seconds = self.router.timeout_seconds(deployment, stream=True)
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            (b"x-helix-model", exchange.record.upstream["model"].encode("latin-1", "replace")),
            *answer.headers,
        ]
        last: list[Event] = []
        waited_seconds = 0.0
        found: list[Event] | None = answer.first
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while found is not None:
                for index, event in enumerate(found):
                    try:
                        event.json()  # whoever reads the event finds it parsed
                    except UpstreamGarbled:  # what is not JSON must not reach a caller; what came before it may
                        if index:
                            await send(exchange.message(found[:index], more_body=True))
                        raise
                last = [*last, *found][-2:]
                await send(exchange.message(found, more_body=True))
                if any(event.data is not None for event in found):  # comments alone say nothing
                    waited_seconds = 0.0
                asked = time.perf_counter()
                left_seconds = max(0.0, timeout_seconds - waited_seconds)
                try:
                    found = await caller.waits(anext(events, None), left_seconds, _NEXT)
                except UpstreamTimeout:
                    raise UpstreamTimeout(f"{_NEXT} did not come within {timeout_seconds:g} s") from None
                waited_seconds += time.perf_counter() - asked
            _check_end(dialect, last)
        except UpstreamError as error:
            self.router.failed(deployment, error)
            raise
        finally:
            await events.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    # Models, and paths that are nothing

    def _other(self, scope: Scope) -> ASGIApp:
        path, method = scope["path"], scope["method"]
        match = _MODELS.search(path)
        if match is not None:
            if method not in ("GET", "HEAD"):
                return refuse(MethodNotAllowed("this path takes GET only", None, (("allow", "GET, HEAD"),)))
            return self._models(scope, match["id"])
        if dialect_of("POST", path) is not None:
            return refuse(MethodNotAllowed("this path takes POST only", None, (("allow", "POST"),)))
        return refuse(NotFound(f"there is nothing at this path; there are: {_PATHS}"))

    def _models(self, scope: Scope, wanted: str | None) -> ASGIApp:
        allowed = _allowed(scope)
        models = [model for model in self.router.models() if allowed is None or _is_allowed(model["id"], allowed)]
        anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
        if wanted is not None:
            found = next((model for model in models if model["id"] == wanted), None)
            if found is None:
                return refuse(ModelNotFound("there is no such model here; GET /v1/models lists them", "model"))
            return json_reply(200, _anthropic_form(found) if anthropic else found)
        if not anthropic:
            return json_reply(200, {"object": "list", "data": models})
        data = [_anthropic_form(model) for model in models]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
        return json_reply(200, {"data": data, "has_more": False, **ends})

    # Start and stop

    async def _open(self) -> Router:
        await self.router.open()
        return self.router

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._opened.open()
                except ConfigError as error:
                    await send({"type": "lifespan.startup.failed", "message": error.message})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.shield(self._opened.close())
                await send({"type": "lifespan.shutdown.complete"})
                return


def _check_end(dialect: Dialect, last: list[Event]) -> None:
    """Raise UpstreamBroke unless the stream's last events are those of one that came to its end.

    A provider that forgets the closing event is forgiven if the answer itself has said why it ended.
    """
    for event in last:
        payload = event.json()
        if dialect.is_end(event) or dialect.is_error(event) or (payload and dialect.event_finish_reason(payload)):
            return
    raise UpstreamBroke("the provider's stream broke off")


def _allowed(scope: Scope) -> Sequence[str] | None:
    """The model names, or patterns of them, that the caller may use; None for all."""
    exchange: Exchange | None = scope.get(KEY)
    if exchange is None or exchange.principal is None or exchange.principal.is_admin:
        return None
    return exchange.principal.models or None


def _is_allowed(model: str, allowed: Sequence[str]) -> bool:
    return any(name == model or ("*" in name and fnmatchcase(model, name)) for name in allowed)


def _anthropic_form(model: dict[str, Any]) -> dict[str, Any]:
    created = datetime.fromtimestamp(model["created"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": model["id"], "display_name": model["id"], "created_at": created}
