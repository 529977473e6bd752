"""Who is let in, and what bad input is told, on any route."""

from __future__ import annotations

import httpx
import pytest

from helix.admin import endpoint
from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Principal

from .conftest import CALLER, Api

JSON = {"content-type": "application/json"}


class Refusing:
    """Keys that cannot be reached: whatever passes validation ends here with 503."""

    async def create(self, principal: Principal) -> None:
        raise BackendUnavailable("Redis cannot be reached")

    async def list(self) -> None:
        raise BackendUnavailable("Redis cannot be reached")

    async def revoke(self, key_id: str) -> None:
        raise BackendUnavailable("Redis cannot be reached")


def _error(reply: httpx.Response) -> dict[str, str | None]:
    assert set(reply.json()) == {"error"}
    error: dict[str, str | None] = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in reply.text
    return error


async def test_without_a_credential_nothing_is_told(api: Api) -> None:
    """401 comes before validation, and before backends are asked."""
    client = await api(keys=Refusing())
    reply = await client.post("/helix/keys", content=b"{", headers={"authorization": ""})
    assert reply.status_code == 401
    assert _error(reply)["type"] == "authentication_error"


async def test_a_caller_who_is_no_administrator_is_refused(api: Api) -> None:
    """403 for a key that is known."""
    client = await api(keys=Refusing())
    reply = await client.get("/helix/keys", headers={"authorization": f"Bearer {CALLER}"})
    assert reply.status_code == 403
    assert _error(reply)["code"] == "permission_denied"


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ("{}", "name", "is required"),
        ('{"name": ""}', "name", "at least 1 character"),
        ('{"name": 5}', "name", "valid string"),
        ('{"name": "a", "colour": "red"}', "colour", "allowed: budgets, is_admin, metadata, models, name,"),
        ('{"name": "a", "rpm": 0}', "rpm", "greater than or equal to 1"),
        ('{"name": "a", "rpm": "secret-value"}', "rpm", "valid integer"),
        (
            '{"name": "a", "budgets": [{"limit_usd": 1, "window": "secret-value"}]}',
            "budgets.0.window",
            "'day', 'week', 'month'",
        ),
        ('{"name": "a", "budgets": [{"limit_usd": -1, "window": "day"}]}', "budgets.0.limit_usd", "greater than"),
        (
            '{"name": "a", "budgets": [{"limit_usd": 1, "window": "day"}, {"limit_usd": 2, "window": "day"}]}',
            None,
            "each window at most once",
        ),
        ('{"name": "a", "models": ["m", ""]}', "models.1", "at least 1 character"),
        ('{"name": "a", "secret value": 1}', None, "allowed: budgets"),
        ("[]", None, "must be a JSON object"),
        ("{", None, "not valid JSON"),
        ("", None, "not valid JSON"),
    ],
)
async def test_a_wrong_body_is_told_its_place_and_what_is_allowed(
    api: Api, body: str, param: str | None, says: str
) -> None:
    """400 in OpenAI's form; the value itself is not repeated."""
    client = await api(keys=Refusing())
    reply = await client.post("/helix/keys", content=body, headers=JSON)
    assert reply.status_code == 400
    error = _error(reply)
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert says in str(error["message"])
    assert "secret" not in reply.text


@pytest.mark.parametrize(
    ("path", "param", "says"),
    [
        ("/helix/keys?limit=0", "limit", "greater than or equal to 1"),
        ("/helix/keys?limit=501", "limit", "less than or equal to 500"),
        ("/helix/keys?limit=many", "limit", "valid integer"),
        ("/helix/keys?page=2", "page", "there is no query parameter 'page'; allowed: cursor, limit"),
        ("/helix/requests?status=9", "status", "greater than or equal to 100"),
        ("/helix/requests?cache=warm", "cache", "'exact', 'semantic', 'shared', 'miss', 'bypass' or 'refresh'"),
        ("/helix/requests?since=yesterday", "since", "15m, 24h or 7d"),
        ("/helix/requests?since=2026-11-01T00:00:00", "since", "with its zone"),
        ("/helix/requests?since=999999999w", "since", "15m, 24h or 7d"),
        ("/helix/spend?group_by=colour", "group_by", "'key', 'model', 'team' or 'day'"),
        ("/helix/overview?since=", "since", "15m, 24h or 7d"),
    ],
)
async def test_a_wrong_query_is_told_its_place_and_what_is_allowed(api: Api, path: str, param: str, says: str) -> None:
    """400 likewise, for every query parameter."""
    client = await api(keys=Refusing())
    reply = await client.get(path)
    assert reply.status_code == 400
    assert _error(reply)["param"] == param
    assert says in str(_error(reply)["message"])


async def test_a_body_over_the_cap_is_refused(api: Api) -> None:
    """413, by its declared length, before it is read."""
    client = await api(keys=Refusing())
    reply = await client.post("/helix/keys", content=b" " * (endpoint.MAX_BODY_BYTES + 1), headers=JSON)
    assert reply.status_code == 413
    assert _error(reply)["code"] == "body_too_large"


async def test_a_backend_that_is_down_is_named(api: Api) -> None:
    """503 with the backend's own sentence."""
    client = await api(keys=Refusing())
    reply = await client.post("/helix/keys", json={"name": "a"})
    assert reply.status_code == 503
    assert _error(reply)["message"] == "Redis cannot be reached"


async def test_what_is_switched_off_says_so(api: Api) -> None:
    """404 that names the setting, not an error of the server."""
    client = await api()
    for method, path, setting in (
        ("GET", "/helix/cache", "helix.cache.enabled"),
        ("GET", "/helix/requests", "helix.telemetry.enabled"),
        ("GET", "/helix/budgets", "helix.budget.enabled"),
        ("GET", "/helix/keys", "helix.admit.enabled"),
    ):
        reply = await client.request(method, path)
        assert reply.status_code == 404
        assert setting in str(_error(reply)["message"])


async def test_an_unknown_path_and_a_wrong_method(api: Api) -> None:
    """404 points to the document; 405 names every method that is allowed there."""
    client = await api()
    unknown = await client.get("/helix/nothing")
    assert unknown.status_code == 404
    assert "/helix/openapi.json" in str(_error(unknown)["message"])
    wrong = await client.put("/helix/keys")
    assert wrong.status_code == 405
    assert set(wrong.headers["allow"].replace(" ", "").split(",")) == {"GET", "HEAD", "POST"}
    assert _error(wrong)["code"] == "method_not_allowed"


async def test_a_zone_with_an_unescaped_plus_is_understood(api: Api) -> None:
    """In a query string "+" reads as a space; nobody escapes it."""
    given = endpoint.read(admin_query(), {"since": "2026-11-01T02:00:00 02:00"}, "query parameter")
    assert given.since.isoformat() == "2026-11-01T00:00:00+00:00"  # type: ignore[attr-defined]


def admin_query() -> type[endpoint.Given]:
    """The query of /helix/overview."""
    from helix.admin.given import OverviewQuery

    return OverviewQuery


async def test_what_a_foreign_page_can_send_is_refused(api: Api) -> None:
    """A browser sends plain text to any site unasked: a body that does not say it is JSON is not read."""
    client = await api(keys=Refusing())
    reply = await client.post("/helix/keys", content=b'{"name": "a"}', headers={"content-type": "text/plain"})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "content-type"
