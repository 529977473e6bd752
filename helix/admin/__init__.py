"""The administration API: keys, budgets, spending, cache, the record of requests, redaction on trial, and health.

    app = helix.admin.build(authorize=..., keys=..., ledger=..., cache=..., log=..., redact=..., checks={"redis": ping})

The app answers /helix/... and /health/...; everything behind it is asked by async methods only, so that it may live in
this process or behind a Ray Serve handle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from helix import __version__
from helix.admin.answers import Document
from helix.admin.backends import Cache, Check, Keys, Redaction, Redactor, RequestLog, Spending, StoredKey
from helix.admin.budgets import Named, budget_endpoints
from helix.admin.cache import cache_endpoints
from helix.admin.endpoint import Answer, Authorize, Call, Endpoint, refusal, routes
from helix.admin.health import health_endpoints
from helix.admin.keys import key_endpoints
from helix.admin.openapi import document
from helix.admin.redaction import redact_endpoints
from helix.admin.requests import request_endpoints
from helix.kernel.errors import HelixError, InvalidRequest, NotFound
from helix.kernel.types import Limit

__all__ = [
    "Authorize",
    "Cache",
    "Check",
    "Keys",
    "Redaction",
    "Redactor",
    "RequestLog",
    "Spending",
    "StoredKey",
    "build",
]

T = TypeVar("T")


class MethodNotAllowed(InvalidRequest):
    """The path is right, the method is not."""

    status = 405
    code = "method_not_allowed"


def build(
    *,
    authorize: Authorize,
    keys: Keys | None = None,
    ledger: Spending | None = None,
    limits: Sequence[Limit] = (),
    named: Named = lambda kind, of: (),
    cache: Cache | None = None,
    log: RequestLog | None = None,
    redact: Redactor | None = None,
    checks: Mapping[str, Check] | None = None,
) -> Starlette:
    """The administration API as an app over its backends; the routes of one that is None answer 404 and say why.

    `authorize` tells who is calling by the ASGI scope; only administrators are let in. `limits` are the budgets
    that the configuration names, and `named` gives those of one scope. `checks` maps a part's name to what
    /health/ready asks it.
    """
    endpoints = [
        *_over(keys, key_endpoints, "virtual keys are", "helix.admit.enabled"),
        *_over(
            ledger, lambda found: budget_endpoints(found, keys, limits, named), "budgets are", "helix.budget.enabled"
        ),
        *_over(log, request_endpoints, "the record of requests is", "helix.telemetry.enabled"),
        *_over(cache, cache_endpoints, "the cache is", "helix.cache.enabled"),
        *_over(redact, redact_endpoints, "redaction is", "helix.redact.enabled"),
        *health_endpoints(checks or {}),
    ]

    async def openapi(call: Call) -> Document:
        """This document."""
        return description

    endpoints.append(Endpoint("GET", "/helix/openapi.json", openapi, Document, is_public=True))
    description = Document.model_validate(document(endpoints, version=__version__))
    handlers = {404: _not_found, 405: _not_allowed, Exception: _failed}
    return Starlette(routes=routes(endpoints, authorize), exception_handlers=handlers)


def _over(backend: T | None, endpoints: Callable[[T], list[Endpoint]], what: str, setting: str) -> list[Endpoint]:
    if backend is not None:
        return endpoints(backend)
    # The declarations stay, so that the document is the same whatever is switched on.
    reason = f"{what} switched off; the setting is {setting}"
    return [_switched_off(endpoint, reason) for endpoint in endpoints(None)]  # type: ignore[arg-type]


def _switched_off(endpoint: Endpoint, reason: str) -> Endpoint:
    @wraps(endpoint.call)
    async def call(call: Call) -> Answer:
        raise NotFound(reason)

    return replace(endpoint, call=call)


async def _not_found(request: Request, error: Exception) -> Response:
    return refusal(NotFound("there is no such path; GET /helix/openapi.json lists them"), request.scope)


async def _not_allowed(request: Request, error: Exception) -> Response:
    allowed = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    message = f"the method is not allowed here; allowed: {allowed}"
    return refusal(MethodNotAllowed(message, None, (("allow", allowed),)), request.scope)


async def _failed(request: Request, error: Exception) -> Response:
    # Starlette raises the error on to the server, which logs it.
    return refusal(HelixError("the administration API failed; the server's log says where"), request.scope)
