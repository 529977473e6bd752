"""How `helix up` on Ray ends when it is not let end by itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from helix.serve.haproxy import PORTS, ending_with_parent, free_ports, listeners
from tests.cli.command import Up, free_port, is_running
from tests.serve.gateway import titles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_ports_of_its_own() -> None:
    """Every port that Serve takes besides the gateway's is chosen, and no two are the same."""
    ports = free_ports()
    assert set(ports) == set(PORTS)
    assert len(set(ports.values())) == len(PORTS)
    ray = find_spec("ray")  # its variables are read as text: importing it sets up much
    assert ray is not None
    assert ray.origin is not None
    known = (Path(ray.origin).parent / "serve" / "_private" / "constants.py").read_text()
    for name in PORTS:
        assert f'"{name}"' in known


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """What HAProxy needs to listen on a port."""
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        "defaults\n  mode http\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\n"
        f"frontend a\n  bind 127.0.0.1:{free_port()}\n  http-request return status 200\n"
    )
    return file


def test_haproxy_ends_with_its_parent(tmp_path: Path, configuration: Path) -> None:
    """Killed, the process that started HAProxy takes it along, also the one that a reload put in its place."""
    script = ending_with_parent(tmp_path / "run")["RAY_SERVE_HAPROXY_BINARY_PATH"]
    port = int(configuration.read_text().split("127.0.0.1:")[1].split()[0])
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "first = subprocess.Popen(sys.argv[1:])\n"
            "sys.stdin.readline()\n"
            "second = subprocess.Popen([*sys.argv[1:], '-sf', str(first.pid)])\n"
            "first.wait()\n"
            "print(second.pid, flush=True)\n"
            "time.sleep(1000)\n",
            script,
            "-db",
            "-f",
            str(configuration),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent:
        while not _listens(port):
            assert parent.poll() is None
        parent.stdin.write("\n")
        parent.stdin.flush()
        second = int(parent.stdout.readline())
        assert listeners(port) == [second]
        parent.kill()
    while is_running(second):
        time.sleep(0.01)
    assert listeners(port) == []


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("when", ["✓ Ray", "redis.pid"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_while_starting(when: str, number: int, code: int, data: Path, lean: str) -> None:
    """The shell's exit code for the signal, no traceback or dump of Ray's, and nothing left."""
    with Up(data, "--ray", "-c", lean) as up:
        while when not in up.errors and not (data / "redis" / when).exists():
            assert up.process.poll() is None, up.errors
            time.sleep(0.05)
        started = titles(up.process.pid)
        assert up.end(number) == code, up.errors
        assert "Traceback" not in up.errors
        assert "SIGTERM" not in up.errors
        assert not [title for pid, title in started.items() if is_running(pid)]


def test_signal_while_ray_starts(data: Path, lean: str) -> None:
    """A signal that comes in the middle of Ray's own start waits for its end."""
    with Up(data, "--ray", "-c", lean) as up:
        while not any("raylet" in title for title in titles(up.process.pid).values()):
            assert up.process.poll() is None, up.errors
        assert up.end(signal.SIGTERM) == 143, up.errors
        assert "Traceback" not in up.errors


def test_killed_and_started_anew(data: Path, lean: str) -> None:
    """After kill -9 nothing holds the port or the folder, so that the next start finds both free.

    Ray's own agents, which hold neither, notice after a minute.
    """
    with Up(data, "--ray", "-c", lean) as up:
        up.wait()
        started = titles(up.process.pid)
        assert any("haproxy" in title for title in started.values())
        os.kill(up.process.pid, signal.SIGKILL)
        up.process.wait()
        while any(is_running(pid) for pid, title in started.items() if "Agent" not in title):
            time.sleep(0.1)
    with Up(data, "--ray", "-c", lean, port=up.port) as up:
        up.wait()
        assert up.chat("Back again?")[0] == 200
        assert up.end(signal.SIGTERM) == 0
        assert "raylet" not in up.errors + up.output + (up.process.stdout.read() if up.process.stdout else "")
