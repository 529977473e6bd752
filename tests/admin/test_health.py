"""Liveness and readiness."""

from __future__ import annotations

import asyncio

import pytest

from helix.admin import health
from helix.kernel.errors import BackendUnavailable

from .conftest import Api


@pytest.mark.parametrize("path", ["/health/live", "/health/liveliness"])
async def test_a_living_process_says_so_to_anybody(api: Api, path: str) -> None:
    """No credential, no backend asked."""

    async def broken() -> None:
        raise BackendUnavailable("Redis cannot be reached")

    client = await api(checks={"redis": broken})
    reply = await client.get(path, headers={"authorization": ""})
    assert (reply.status_code, reply.json()) == (200, {"status": "alive"})
    assert (await client.head(path)).status_code == 200


@pytest.mark.parametrize("path", ["/health/ready", "/health/readiness"])
async def test_ready_when_every_part_is(api: Api, path: str) -> None:
    """200, with all parts listed."""

    async def fine() -> str:
        return "PONG"

    client = await api(checks={"redis": fine, "detector": fine})
    reply = await client.get(path, headers={"authorization": ""})
    assert reply.status_code == 200
    assert reply.json() == {"status": "ready", "not_ready": [], "checks": {"redis": "ready", "detector": "ready"}}


async def test_what_is_not_ready_is_named_without_its_secrets(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """503; of an error that is not Helix's own only the type is told, and nobody waits for a part that hangs."""
    monkeypatch.setattr(health, "CHECK_TIMEOUT_SECONDS", 0.05)

    async def fine() -> None:
        return None

    async def down() -> None:
        raise BackendUnavailable("Redis cannot be reached")

    async def odd() -> None:
        raise OSError("redis://user:hunter2@host")

    async def hanging() -> None:
        await asyncio.Event().wait()

    async def loading() -> bool:
        return False

    checks = {"fine": fine, "redis": down, "odd": odd, "clickhouse": hanging, "detector": loading}
    reply = await (await api(checks=checks)).get("/health/ready")
    assert reply.status_code == 503
    body = reply.json()
    assert body["status"] == "not_ready"
    assert body["not_ready"] == ["redis", "odd", "clickhouse", "detector"]
    assert body["checks"] == {
        "fine": "ready",
        "redis": "Redis cannot be reached",
        "odd": "failed with OSError",
        "clickhouse": "did not answer within 0.05 s",
        "detector": "not ready",
    }
