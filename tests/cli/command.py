"""The `helix` command as people run it: a process of its own, with a data folder and a port of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

COMMAND = [sys.executable, "-m", "helix.cli"]
UP_SECONDS = 120.0
LAST_LINE = "  -d '"

LEAN = """
model_list:
  - model_name: demo/echo
    litellm_params: {model: demo/echo}
    model_info: {input_cost_per_token: 1.5e-7, output_cost_per_token: 6.0e-7}
helix:
  redact: {enabled: false}
  cache: {mode: exact}
  console: {enabled: false}
"""
"""All that needs no model and no Gradio, so that it is up in a second or two."""


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would configure Helix, and without colours."""
    ours = ("HELIX_", "REDIS_URL", "CLICKHOUSE_URL", "OPENAI_", "ANTHROPIC_", "RAY_", "FORCE_COLOR", "TTY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "HF_HUB_OFFLINE": "1", **more}


def helix(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(**env), capture_output=True, text=True, timeout=UP_SECONDS, check=False
    )


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Up:
    """A running `helix up`; leaving the block ends it."""

    def __init__(self, data: Path, *arguments: str, port: int | None = None, **env: str) -> None:
        self.data = data
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = ""
        data.parent.mkdir(parents=True, exist_ok=True)
        self._errors = (data.parent / f"{data.name}.stderr").open("w+")
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--port", str(self.port), "--data", str(data), *arguments],
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )

    @property
    def errors(self) -> str:
        """What it has written to stderr by now."""
        return Path(self._errors.name).read_text()

    @property
    def key(self) -> str:
        """The master key."""
        return (self.data / "master.key").read_text().strip()

    @property
    def curl(self) -> str:
        """The request that it says to try."""
        return self.output[self.output.index("curl ") :].strip()

    @property
    def redis_pid(self) -> int:
        """The embedded Redis's process."""
        return int((self.data / "redis" / "redis.pid").read_text())

    def wait(self) -> Up:
        """Until it says that it is up; the test's time-out is the limit."""
        for line in self._stdout():
            self.output += line
            if line.startswith(LAST_LINE):
                return self
        raise AssertionError(f"exit code {self.process.wait()}\n{self.output}\n{self.errors}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def ask(self, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """A request to it: status and parsed reply."""
        headers = {"authorization": f"Bearer {key or self.key}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def chat(self, text: str, *, key: str | None = None) -> tuple[int, Any]:
        """A question to the demo model."""
        body = {"model": "demo/echo", "messages": [{"role": "user", "content": text}]}
        return self.ask("/v1/chat/completions", body, key=key)

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._stdout().close()
        self._errors.close()

    def _stdout(self) -> IO[str]:
        if self.process.stdout is None:
            raise RuntimeError("stdout is not a pipe")
        return self.process.stdout


def is_running(pid: int) -> bool:
    """Whether there is such a process, not counting one that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
