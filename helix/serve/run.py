"""Starting Ray Serve with what Helix wants of it, and stopping it again."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Self

from helix.config import Config
from helix.datadir import DataDir
from helix.kernel.errors import BackendUnavailable, ConfigError, HelixError
from helix.serve.haproxy import ending_with_parent, free_ports

__all__ = ["SETTINGS", "running"]

# Read by Ray when it starts, so they are set before it is imported. HAProxy takes 0.4 ms a request where Serve's own
# proxy takes 8; usage statistics would go out to the internet.
SETTINGS = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A replica that stops waits this long for load balancers to notice; ours is HAProxy, which is told. Default 30.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
    # Serve's controller ends under the very call that ends it, which Ray would show people as an error.
    "RAY_DEDUP_LOGS_SKIP_REGEX": r"Task ServeController\.graceful_shutdown failed",
}

_RAISED = re.compile(r"helix\.kernel\.errors\.(\w+): (.+)")


@contextmanager
def running(config: Config, part: Callable[[str], AbstractContextManager[None]]) -> Iterator[None]:
    """Ray (a cluster that RAY_ADDRESS names, else one of our own) with both applications on it, until the block ends.

    `part` shows people what is being waited for. Raises ConfigError or BackendUnavailable where a deployment does not
    come up.
    """
    wanted = {**SETTINGS, **free_ports()}
    if not os.environ.get("RAY_ADDRESS"):
        wanted |= ending_with_parent(DataDir(config.helix.data_dir).path / "run")
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    with ExitStack() as stack:
        signals = stack.enter_context(_Signals())
        with part("Ray"):
            import ray
            from ray import serve

            # What is going on is said here; what goes wrong is in Ray's logs and in the errors raised.
            for name in ("ray", "ray.serve"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            server = config.helix.server
            try:
                with _without_rays_handler():
                    ray.init(logging_level="CRITICAL", log_to_driver=False, **_cluster())
                stack.callback(ray.shutdown)
                signals.arm()
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


class _Signals:
    """SIGINT and SIGTERM end the block by SystemExit (128 and the signal's number, as shells count), once.

    A first one before `arm` waits for it, since what it would interrupt could not be undone; a second does not. While
    the block is left they are ignored.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._armed = False
        self._ending = False
        self._before: dict[int, Any] = {}

    def arm(self) -> None:
        """From now on a signal need not wait."""
        for number in self._before:
            signal.signal(number, self._seen)  # Ray's native code put a handler of its own there, which aborts
        self._armed = True
        if self._first is not None:
            self._end(self._first)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._before = {number: signal.signal(number, self._seen) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _seen(self, number: int, _: object) -> None:
        if self._ending:
            return
        if self._armed or self._first is not None:
            self._end(number)
        self._first = number

    def _end(self, number: int) -> None:
        self._ending = True
        raise SystemExit(128 + number)


@contextmanager
def _without_rays_handler() -> Iterator[None]:
    """Keep Ray from handling SIGTERM while it starts, by stopping its processes under whatever is being called."""
    from ray._private import utils

    theirs = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = theirs


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
