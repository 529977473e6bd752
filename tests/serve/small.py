"""A small Serve application and what `call` makes of its failures; writes one JSON object. Run as a process."""

from __future__ import annotations

import asyncio
import json
import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import serve

from helix.kernel.errors import BudgetExceeded, HelixError
from helix.serve.remote import RemoteDetector, call


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Small:
    """Fails in each of the ways a backend may."""

    async def echo(self, text: str) -> str:
        return text

    async def refuse(self) -> None:
        raise BudgetExceeded("the day's budget is spent", "budget", (("retry-after", "9"),))

    async def stumble(self) -> None:
        raise ValueError("a message with a caller's text in it")

    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def detect(self, texts: list[str], language: str) -> list[list[str]]:
        return [[text, language] for text in texts]


async def outcomes() -> dict[str, object]:
    """What a caller sees of each."""
    handle = serve.get_app_handle("small")
    found: dict[str, object] = {}
    for method, arguments, seconds in (
        ("echo", ("hello",), 30.0),
        ("refuse", (), 30.0),
        ("stumble", (), 30.0),
        ("hang", (), 0.2),
    ):
        try:
            found[method] = await call(handle, method, *arguments, what="small part", timeout_seconds=seconds)
        except HelixError as error:
            found[method] = [type(error).__name__, error.message, error.param, error.headers]
    found["detect"] = await RemoteDetector(handle, timeout_seconds=30.0).detect(["a", "b"], language="de")
    serve.delete("small")
    try:
        await call(handle, "echo", "anybody?", what="small part", timeout_seconds=5.0)
    except HelixError as error:
        found["gone"] = [type(error).__name__, error.message, error.param, error.headers]
    return found


def main() -> None:
    ray.init(address="local", include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    serve.start(proxy_location="Disabled")
    serve.run(Small.bind(), name="small", route_prefix=None)  # type: ignore[attr-defined]
    found = asyncio.run(outcomes())
    serve.shutdown()
    ray.shutdown()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
