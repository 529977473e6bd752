"""A gateway on Ray Serve as people start it, in a process of its own with everything it starts below it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from helix.serve.haproxy import free_ports
from helix.serve.run import SETTINGS
from tests.cli.command import Up, environment, free_port

SERVE = Path(sys.executable).with_name("serve")
CONFIGURATION = Path(__file__).parents[2] / "serve_configs" / "local.yaml"


class ServeRun(Up):
    """`serve run serve_configs/local.yaml`, with ports and a data folder of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = ""
        raw = yaml.safe_load(CONFIGURATION.read_text())
        raw["http_options"]["port"] = self.port
        for application in raw["applications"]:
            application["args"]["helix"] |= {"data_dir": str(data), "server": {"host": "127.0.0.1", "port": self.port}}
        file = data.parent / "serve.yaml"
        file.write_text(yaml.safe_dump(raw))
        self._errors = (data.parent / "serve.stderr").open("w+")
        # What README says to set (and less waiting at the end), and ports that nobody else has.
        variables = {**SETTINGS, **free_ports()}
        self.process = subprocess.Popen(
            [SERVE, "run", str(file)],
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            cwd=CONFIGURATION.parents[1],
        )

    def wait(self) -> ServeRun:
        """Until both applications answer: Serve deploys them in the background and does not say when."""
        for line in self._stdout():
            self.output += line
            if "Submitted deploy config" in line:
                break
        else:
            raise AssertionError(f"exit code {self.process.wait()}\n{self.output}")
        # Nobody reads on, and a full pipe would stop it.
        threading.Thread(target=self._stdout().read, daemon=True).start()
        while not (self._answers("/health/ready") and self._answers("/console/")):
            time.sleep(0.2)
        return self

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers={"accept": "text/html"})):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False


def interrupt(up: Up) -> int:
    """Ctrl-C in a terminal: SIGINT to the whole process group."""
    os.killpg(up.process.pid, signal.SIGINT)
    return up.process.wait(120)


def titles(root: int) -> dict[int, str]:
    """The processes below one, itself included: their ids and command lines, of which Ray's say what they hold."""
    parents, found = {}, {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            parents[int(folder.name)], found[int(folder.name)] = int(parent), title
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return {pid: found[pid] for pid in below if pid in found}
