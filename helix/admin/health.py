"""Liveness and readiness: the process answers; every part that requests need is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from helix.admin.answers import Alive, Readiness
from helix.admin.backends import Check
from helix.admin.endpoint import Call, Endpoint
from helix.kernel.errors import HelixError

__all__ = ["health_endpoints"]

CHECK_TIMEOUT_SECONDS = 2.0


def health_endpoints(checks: Mapping[str, Check]) -> list[Endpoint]:
    """The health routes, open to all: load balancers show no credential."""

    async def live(call: Call) -> Alive:
        """Whether the process answers."""
        return Alive()

    async def ready(call: Call) -> tuple[int, Readiness]:
        """Whether requests can be served; names what is not ready."""
        states = dict(zip(checks, await asyncio.gather(*map(_ask, checks.values())), strict=True))
        waiting = [name for name, state in states.items() if state != "ready"]
        readiness = Readiness(status="not_ready" if waiting else "ready", not_ready=waiting, checks=states)
        return 503 if waiting else 200, readiness

    return [
        Endpoint("GET", "/health/live", live, Alive, is_public=True, alias="/health/liveliness"),
        Endpoint(
            "GET", "/health/ready", ready, Readiness, other_statuses=(503,), is_public=True, alias="/health/readiness"
        ),
    ]


async def _ask(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            answer = await check()
    except TimeoutError:
        return f"did not answer within {CHECK_TIMEOUT_SECONDS:g} s"
    except HelixError as error:
        return error.message
    except Exception as error:  # a part may fail in any way; its own words may hold a secret, such as a URL's password
        return f"failed with {type(error).__name__}"
    return "not ready" if answer is False else "ready"
