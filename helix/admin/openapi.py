"""The OpenAPI 3.1 document, made from the very declarations that validate."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from helix.admin.answers import ErrorAnswer
from helix.admin.endpoint import Endpoint

__all__ = ["document"]

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_REASONS = {
    200: "Done.",
    400: "The request is wrong; the error names the place and what is allowed.",
    401: "No credential, or one that is unknown or revoked.",
    403: "The credential is not an administrator's.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    503: "Something that this stands on is not ready.",
}


def document(endpoints: Iterable[Endpoint], *, version: str) -> dict[str, Any]:
    """Describe the endpoints."""
    endpoints = list(endpoints)
    answers = {endpoint.answer for endpoint in endpoints} | {ErrorAnswer}
    bodies = {endpoint.body for endpoint in endpoints if endpoint.body is not None}
    inputs: list[Any] = [
        *((model, "serialization") for model in sorted(answers, key=lambda m: m.__name__)),
        *((model, "validation") for model in sorted(bodies, key=lambda m: m.__name__)),
    ]
    references, definitions = models_json_schema(inputs, ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        for path in endpoint.paths:
            operation = _operation(endpoint, references)
            if path != endpoint.path:
                operation["operationId"] += "_" + re.sub(r"\W+", "_", path).strip("_")
                operation["description"] = f"The same as `{endpoint.path}`."
            paths.setdefault(path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Helix administration",
            "version": version,
            "description": "Keys, budgets, spending, cache, requests and health. Lists page by `cursor`.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The master key or an administrator's."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same."},
            },
        },
    }


def _operation(endpoint: Endpoint, references: Mapping[Any, Any]) -> dict[str, Any]:
    answer = {"application/json": {"schema": references[(endpoint.answer, "serialization")]}}
    error = {"application/json": {"schema": references[(ErrorAnswer, "serialization")]}}
    responses = {
        str(status): {"description": _REASONS.get(status, "Done."), "content": answer}
        for status in (endpoint.status, *endpoint.other_statuses)
    }
    for status in _error_statuses(endpoint):
        responses[str(status)] = {"description": _REASONS[status], "content": error}
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": (inspect.getdoc(endpoint.call) or "").rstrip("."),
        "tags": ["health" if endpoint.path.startswith("/health/") else endpoint.path.split("/")[2]],
        "responses": responses,
        "security": [] if endpoint.is_public else [{"bearer": []}, {"apiKey": []}],
    }
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        schema = references[(endpoint.body, "validation")]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _error_statuses(endpoint: Endpoint) -> list[int]:
    statuses = set(endpoint.errors)
    if not endpoint.is_public:
        statuses |= {401, 403, 503}
    if endpoint.query is not None or endpoint.body is not None:
        statuses.add(400)
    if endpoint.body is not None:
        statuses |= {408, 413}
    return sorted(statuses)


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    names = _PATH_PARAMETER.findall(endpoint.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = endpoint.query.model_json_schema(mode="validation")
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": part.get("description", ""),
            "schema": {key: value for key, value in part.items() if key not in ("description", "title")},
        }
        for name, part in schema["properties"].items()
    ]
