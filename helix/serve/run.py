"""Starting Ray Serve with what Helix wants of it, and stopping it again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from helix.config import Config
from helix.kernel.errors import BackendUnavailable

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


@contextmanager
def running(config: Config, say: Callable[[str], None]) -> Iterator[None]:
    """Ray (a cluster that RAY_ADDRESS names, else one of our own) with both applications on it, until the block ends.

    `say` is told what is being waited for. Raises BackendUnavailable where a deployment does not come up.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray
    from ray import serve

    from helix.serve.app import build, build_console

    server = config.helix.server
    options: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
    # What is going on is said here; what goes wrong is in Ray's logs and in the errors raised.
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    say("Ray")
    ray.init(logging_level="ERROR", log_to_driver=False, **options)
    try:
        serve.start(http_options={"host": server.host, "port": server.port})
        try:
            say("gateway, detector, embedder and the embedded servers")
            serve.run(build(config.raw), name="helix", route_prefix="/")
            if config.helix.console.enabled:
                say("console")
                serve.run(build_console(config.raw), name="helix-console", route_prefix="/console")
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise BackendUnavailable(f"a deployment did not come up: {reason}; Ray's logs say why") from None
        yield
    finally:
        serve.shutdown()
        ray.shutdown()
