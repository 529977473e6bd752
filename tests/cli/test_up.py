"""`helix up --no-ray`, from the first start to the second."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.cli.command import LEAN, Up, environment, is_running

pytestmark = pytest.mark.slow


def test_first_start_and_second(tmp_path: Path) -> None:
    """From nothing to an answered request by the line that is printed; the next start finds all of it again."""
    data = tmp_path / "my data"  # a name with a space, as many people have
    with Up(data, "--no-ray") as up:
        up.wait()
        assert "\x1b" not in up.output + up.errors
        assert up.key.startswith("sk-hx-master-")
        assert up.output.count(up.key) == 1
        assert (data / "master.key").stat().st_mode & 0o777 == 0o600

        tried = subprocess.run(["bash", "-c", up.curl], env=environment(), capture_output=True, text=True, check=True)
        assert "ann@example.com" in json.loads(tried.stdout)["choices"][0]["message"]["content"]
        assert up.ask("/health/ready")[0] == 200
        page = urllib.request.Request(f"{up.url}/console/", headers={"accept": "text/html"})
        with urllib.request.urlopen(page) as login:
            assert b"<form" in login.read()
        _, made = up.ask("/helix/keys", {"name": "before"})
        redis = up.redis_pid
        assert is_running(redis)
        assert up.end(signal.SIGTERM) == 0
        assert not is_running(redis)
        assert "Traceback" not in up.errors

    lean = tmp_path / "lean.yaml"
    lean.write_text(LEAN)
    with Up(data, "--no-ray", "-c", str(lean)) as up:
        up.wait()
        assert up.key not in up.output
        assert up.chat("Does my old key open?", key=made["key"])[0] == 200
        _, recorded = up.ask("/helix/requests")
        # What was asked before the end was written as well.
        assert [row["entities"] for row in recorded["data"] if row["entities"]], recorded


def test_ctrl_c(data: Path, lean: str) -> None:
    """SIGINT to the terminal's whole process group is an ordinary end as well, and leaves nothing behind."""
    with Up(data, "--no-ray", "-c", lean) as up:
        up.wait()
        redis = up.redis_pid
        assert up.end(signal.SIGINT) == 0
        assert not is_running(redis)
        assert "Traceback" not in up.errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_starting(data: Path, number: int, code: int) -> None:
    """One who cannot wait gets the shell's exit code for the signal, no traceback, and no server left."""
    with Up(data, "--no-ray") as up:
        pid_file = data / "redis" / "redis.pid"
        while not pid_file.exists() or not pid_file.read_text().strip():
            assert up.process.poll() is None, up.errors
        redis = up.redis_pid
        assert up.end(number) == code
        assert not is_running(redis)
        assert "Traceback" not in up.errors


def test_a_request_in_flight_is_answered_first(data: Path, tmp_path: Path) -> None:
    """A stream that runs when SIGTERM comes is sent to its end, and its row is written."""
    slow = tmp_path / "slow.yaml"
    slow.write_text(LEAN.replace("demo/echo", "demo/slow"))
    body = {"model": "demo/slow", "stream": True, "messages": [{"role": "user", "content": "one two three four five"}]}
    with Up(data, "--no-ray", "-c", str(slow)) as up:
        up.wait()
        request = urllib.request.Request(
            f"{up.url}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"authorization": f"Bearer {up.key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as stream:
            assert stream.readline().startswith(b"data: ")
            up.process.send_signal(signal.SIGTERM)
            assert stream.read().rstrip().endswith(b"data: [DONE]")
        assert up.process.wait() == 0
    with Up(data, "--no-ray", "-c", str(slow)) as up:
        up.wait()
        assert [row["status"] for row in up.ask("/helix/requests")[1]["data"]] == [200]
