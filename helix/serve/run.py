"""Starting Ray Serve with what Helix wants of it, and stopping it again."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from helix.config import Config
from helix.kernel.errors import BackendUnavailable, ConfigError, HelixError

__all__ = ["SETTINGS", "running"]

# Read by Ray when it starts, so they are set before it is imported. HAProxy takes 0.4 ms a request where Serve's own
# proxy takes 8; usage statistics would go out to the internet.
SETTINGS = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A replica that stops waits this long for load balancers to notice; ours is HAProxy, which is told. Default 30.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
}

# What HAProxy also listens on. Ray's defaults are fixed (9101, 8404): a second Serve on a machine would not start.
_PORTS = ("RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_HAPROXY_STATS_PORT")

_RAISED = re.compile(r"helix\.kernel\.errors\.(\w+): (.+)")


@contextmanager
def running(config: Config, part: Callable[[str], AbstractContextManager[None]]) -> Iterator[None]:
    """Ray (a cluster that RAY_ADDRESS names, else one of our own) with both applications on it, until the block ends.

    `part` shows people what is being waited for. Raises ConfigError or BackendUnavailable where a deployment does not
    come up.
    """
    for name, value in {**SETTINGS, **_free_ports()}.items():
        os.environ.setdefault(name, value)
    with ExitStack() as stack:
        with part("Ray"):
            import ray
            from ray import serve

            # What is going on is said here; what goes wrong is in Ray's logs and in the errors raised.
            for name in ("ray", "ray.serve"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            server = config.helix.server
            try:
                ray.init(logging_level="CRITICAL", log_to_driver=False, **_cluster())
                stack.callback(ray.shutdown)
                serve.start(http_options={"host": server.host, "port": server.port})
                stack.callback(serve.shutdown)
            except (RuntimeError, ConnectionError, OSError) as error:
                raise BackendUnavailable(f"Ray did not start: {_reason(error)}") from None
        with part("gateway, detector, embedder, console and the embedded servers"):
            from helix.serve.app import build, build_console

            targets = [serve.RunTarget(build(config.raw), name="helix", route_prefix="/")]
            if config.helix.console.enabled:
                console = build_console(config.raw)
                targets.append(serve.RunTarget(console, name="helix-console", route_prefix="/console"))
            try:
                serve.run_many(targets)
            except RuntimeError as error:
                applications = serve.status().applications.values()
                deployments = [found for application in applications for found in application.deployments.values()]
                raise _explained(error, [found.message for found in deployments]) from None
        yield


def _cluster() -> dict[str, Any]:
    return {} if os.environ.get("RAY_ADDRESS") else {"address": "local", "include_dashboard": False}


def _free_ports() -> dict[str, str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in _PORTS]
        for item in sockets:
            item.bind(("", 0))
        return {name: str(item.getsockname()[1]) for name, item in zip(_PORTS, sockets, strict=True)}


def _explained(error: RuntimeError, messages: list[str]) -> HelixError:
    """What a replica raised, found in the tracebacks that Serve gives as its deployments' messages."""
    raised = _RAISED.findall("\n".join(messages))
    if not raised:
        return BackendUnavailable(f"a deployment did not come up: {_reason(error)}; Ray's logs say more")
    kind, message = raised[-1]
    return ConfigError(message) if kind == ConfigError.__name__ else BackendUnavailable(message)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
