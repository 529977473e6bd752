"""The other gateways, installed once beside the project, in folders of their own that git does not know."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from perf.process import ROOT, Unavailable

__all__ = ["LITELLM_VERSION", "PORTKEY_VERSION", "litellm", "portkey"]

LITELLM_VERSION = "1.106.2"
PORTKEY_VERSION = "1.15.2"
# With a newer one it answers every stream with 500: https://github.com/Portkey-AI/gateway/issues/1389
_PORTKEY_OVERRIDES = {"@hono/node-server": "1.14.1"}
_INSTALL_SECONDS = 900.0


def folder() -> Path:
    """Where the peers are installed: HELIX_PERF_PEERS, else perf/peers."""
    return Path(os.environ.get("HELIX_PERF_PEERS") or ROOT / "perf" / "peers").absolute()


def litellm() -> tuple[Path, str]:
    """LiteLLM's proxy in a virtual environment of its own: the command and its version. Raises Unavailable."""
    home = folder() / "litellm"
    command = home / "bin" / "litellm"
    if not command.exists():
        _run([sys.executable, "-m", "venv", str(home)])
        _run([str(home / "bin" / "pip"), "install", "--quiet", f"litellm[proxy]=={LITELLM_VERSION}"])
    asked = "import importlib.metadata as m; print(m.version('litellm'))"
    return command, _run([str(home / "bin" / "python"), "-c", asked]).strip()


def portkey() -> tuple[Path, str]:
    """Portkey's gateway from npm: its start script and its version. Raises Unavailable."""
    if shutil.which("node") is None:
        raise Unavailable("node is not installed")
    home = folder() / "portkey"
    package = home / "node_modules" / "@portkey-ai" / "gateway"
    script = package / "build" / "start-server.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        wanted = {
            "private": True,
            "dependencies": {"@portkey-ai/gateway": PORTKEY_VERSION},
            "overrides": _PORTKEY_OVERRIDES,
        }
        (home / "package.json").write_text(json.dumps(wanted))
        _run(["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(home)])
    return script, str(json.loads((package / "package.json").read_text())["version"])


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{Path(command[0]).name}: {error}") from None
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Unavailable(f"{Path(command[0]).name} {command[1]}: {' '.join(last)[:300]}")
    return done.stdout
