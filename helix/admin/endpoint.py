"""One declaration a route: what it takes, what it gives, who may call. Validation and the OpenAPI document share it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from helix.kernel.errors import Forbidden, HelixError, InvalidRequest
from helix.kernel.exchange import Exchange
from helix.kernel.reply import error_reply
from helix.kernel.types import Principal, Scope

__all__ = ["Answer", "Authorize", "Call", "Endpoint", "Given", "Sparse", "read", "refusal", "routes"]

Authorize: TypeAlias = Callable[[Scope], Awaitable[Principal]]
"""Who is calling. Raises Unauthenticated or Forbidden."""

MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_SECONDS = 15.0

# A place is echoed only where it looks like a field's name, for a key of a JSON object may hold anything.
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

M = TypeVar("M", bound=BaseModel)


class Given(BaseModel):
    """What a caller sends: unknown fields are refused, and values never show in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Answer(BaseModel):
    """What a caller gets: backends may know more than is declared, so other fields are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, ser_json_inf_nan="null")


class Sparse(Answer):
    """An answer in which what is at its default is left out."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = serialize(self)
        fields = type(self).model_fields
        return {name: value for name, value in told.items() if getattr(self, name) != fields[name].default}


@dataclass(frozen=True, slots=True)
class Call:
    """One validated call: `query` and `body` are instances of what the endpoint declares."""

    query: Any
    body: Any
    path: Mapping[str, str]
    caller: str = ""
    """The id of whoever calls, where the endpoint is not public."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route of the administration API.

    `call` returns the answer, or a pair of the HTTP status and the answer where that is not always `status`; its name
    and its docstring are the operation's.
    """

    method: str
    path: str
    call: Callable[[Call], Awaitable[Answer | tuple[int, Answer]]]
    answer: type[Answer]
    query: type[Given] | None = None
    body: type[Given] | None = None
    status: int = 200
    other_statuses: tuple[int, ...] = ()
    """Further statuses with the same form of answer."""
    errors: tuple[int, ...] = ()
    """Statuses of error replies, beside those that follow from the rest of the declaration."""
    is_public: bool = False
    alias: str = ""
    """Another path for the same."""
    max_body_bytes: int = MAX_BODY_BYTES

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.call.__name__

    @property
    def paths(self) -> tuple[str, ...]:
        """The path and its alias."""
        return (self.path, self.alias) if self.alias else (self.path,)


def routes(endpoints: Iterable[Endpoint], authorize: Authorize) -> list[Route]:
    """Starlette routes, one per path with all its methods, so that a 405 names every method that is allowed."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        for path in endpoint.paths:
            by_path.setdefault(path, {})[endpoint.method] = endpoint
    return [_route(path, methods, authorize) for path, methods in by_path.items()]


def _route(path: str, methods: Mapping[str, Endpoint], authorize: Authorize) -> Route:
    async def respond(request: Request) -> Response:
        endpoint = methods["GET" if request.method == "HEAD" else request.method]
        try:
            return await _respond(endpoint, request, authorize)
        except HelixError as error:
            return refusal(error, request.scope)

    return Route(path, respond, methods=list(methods), name=next(iter(methods.values())).name)


async def _respond(endpoint: Endpoint, request: Request, authorize: Authorize) -> Response:
    caller = ""
    if not endpoint.is_public:
        who = await authorize(request.scope)
        if not who.is_admin:
            raise Forbidden("this needs the master key or the key of an administrator")
        caller = who.key_id
    query = read(endpoint.query, dict(request.query_params), "query parameter") if endpoint.query else None
    body = read(endpoint.body, await _payload(request, endpoint.max_body_bytes), "field") if endpoint.body else None
    result = await endpoint.call(Call(query, body, request.path_params, caller))
    status, answer = result if isinstance(result, tuple) else (endpoint.status, result)
    return Response(answer.model_dump_json(), status, {"cache-control": "no-store"}, "application/json")


async def _payload(request: Request, max_body_bytes: int) -> dict[str, Any]:
    # A browser sends JSON to another site only when that site allows it, plain text always.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequest("the content-type must be application/json", "content-type")
    exchange = Exchange(request.scope, request.receive)
    exchange.max_body_bytes = max_body_bytes
    exchange.body_timeout_seconds = BODY_TIMEOUT_SECONDS
    await exchange.read()
    return exchange.payload


def refusal(error: HelixError, scope: Scope) -> Response:
    """The reply for an error, in OpenAI's form."""
    status, headers, body = error_reply(error, scope)
    response = Response(body, status)
    response.raw_headers = headers
    return response


def read(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """The values as a model. Raises InvalidRequest that names the first wrong place and what is allowed there."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=True, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or _FIELD_NAME.fullmatch(part))
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(sorted(model.model_fields)) if len(first["loc"]) == 1 else "the documented ones"
        raise InvalidRequest(f"there is no {what} '{place}'; allowed: {allowed}", place or None)
    if first["type"] == "missing":
        raise InvalidRequest(f"the {what} '{place}' is required", place)
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    raise InvalidRequest(f"the {what} '{place}' is wrong: {reason}" if place else reason, place or None)
