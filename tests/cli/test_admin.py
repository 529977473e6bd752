"""`helix keys`, `helix budgets`, `helix cache` against a running gateway, and without one."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.command import Up, free_port, helix


def at(up: Up, *arguments: str, code: int = 0) -> str:
    """Run a command against a gateway; what it says: on stdout, or on stderr where it fails."""
    told = helix(*arguments, "--url", up.url, "--data", str(up.data))
    assert told.returncode == code, told.stderr
    assert "Traceback" not in told.stderr
    return told.stdout if code == 0 else told.stderr


def test_a_key_from_making_to_revoking(gateway: Up) -> None:
    """`create` prints the key alone on stdout, `list` never shows it, and once revoked it opens nothing."""
    key = at(gateway, "keys", "create", "ann's [laptop]", "--model", "demo/echo", "--budget", "5/day", "--rpm", "60")
    assert key.startswith("sk-hx-")
    assert key.count("\n") == 1
    key = key.strip()
    assert gateway.chat("Open?", key=key)[0] == 200
    table = at(gateway, "keys", "list")
    assert "ann's [laptop]" in table
    assert key not in table
    listed = json.loads(at(gateway, "keys", "list", "--json"))
    (mine,) = [row for row in listed if row["name"] == "ann's [laptop]"]
    assert (mine["models"], mine["rpm"], mine["revoked"]) == (["demo/echo"], 60, False)
    assert mine["id"] in table

    assert mine["id"] in at(gateway, "keys", "revoke", mine["id"])
    assert [row["revoked"] for row in json.loads(at(gateway, "keys", "list", "--json"))] == [True]
    # Its record may be remembered for seconds; to the one who revoked it in this gateway, it is gone at once or soon.
    while gateway.chat("Open?", key=key)[0] != 401:
        pass


def test_create_as_json(gateway: Up) -> None:
    """With --json, the whole reply for a script."""
    made = json.loads(at(gateway, "keys", "create", "script", "--json"))
    assert made["key"].startswith("sk-hx-")
    at(gateway, "keys", "revoke", made["id"])


def test_budgets(gateway: Up) -> None:
    """What is spent and left of each key's budget, as a table and as JSON."""
    made = json.loads(at(gateway, "keys", "create", "spender", "--budget", "5/month", "--json"))
    gateway.chat("What does it cost?", key=made["key"])
    assert "5" in at(gateway, "budgets", "list")
    while not (rows := [row for row in json.loads(at(gateway, "budgets", "list", "--json")) if row["used_usd"]]):
        pass  # settled off the caller's path
    assert (rows[0]["limit_usd"], rows[0]["window"]) == (5.0, "month")


def test_a_budget_is_raised(gateway: Up) -> None:
    """A key's own, in tokens over a length, until a time; the list says so."""
    made = json.loads(at(gateway, "keys", "create", "raised", "--budget", "5000 tokens/24h", "--json"))
    assert "limit_tokens=5000 window=24h" in at(gateway, "keys", "list")
    whose = ("--scope", "key", "--of", made["id"], "--until", "2100-01-01T00:00:00Z", "--reason", "the launch")
    assert "raised from 5000 to 9000 until 2100-01-01" in at(gateway, "budgets", "raise", "9000 tokens/24h", *whose)
    rows = json.loads(at(gateway, "budgets", "list", "--json"))
    assert [row["limit"] for row in rows if row["scope"] == f"key:{made['id']}"] == [9000]


def test_cache(gateway: Up) -> None:
    """`stats` counts what is stored, `flush --all` removes it."""
    gateway.chat("Are you in the cache?")
    while not (entries := json.loads(at(gateway, "cache", "stats"))["entries"]):
        pass  # stored off the caller's path
    assert entries >= 1
    at(gateway, "cache", "flush", "--all")
    assert json.loads(at(gateway, "cache", "stats"))["entries"] == 0


def test_flush_says_what(gateway: Up) -> None:
    """A flush that names nothing, or two things, is a wrong argument."""
    assert "--all" in at(gateway, "cache", "flush", code=2)
    assert "--all" in at(gateway, "cache", "flush", "--all", "--namespace", "a", code=2)


def test_refusals_come_through(gateway: Up) -> None:
    """What the gateway refuses is one sentence, exit code 1."""
    assert at(gateway, "keys", "revoke", "k_nobody", code=1).startswith("helix: ")
    told = helix("keys", "list", "--url", gateway.url, HELIX_MASTER_KEY="sk-hx-not-this")
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "sk-hx-not-this" not in told.stderr


@pytest.mark.parametrize("command", ["keys list", "keys create a", "keys revoke a", "budgets list", "cache stats"])
def test_no_gateway(command: str) -> None:
    """Where nothing listens: what was tried and what to do, exit code 1."""
    url = f"http://127.0.0.1:{free_port()}"
    told = helix(*command.split(), HELIX_URL=url, HELIX_MASTER_KEY="sk-hx-x")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith(f"helix: no gateway answers at {url} ")
    assert "helix up" in told.stderr


def test_port_of_the_environment() -> None:
    """HELIX_PORT, by which a gateway was started, is where it is looked for; a proxy is not asked for it."""
    port = free_port()
    told = helix("keys", "list", HELIX_PORT=str(port), HELIX_MASTER_KEY="sk-hx-x", http_proxy="http://127.0.0.1:1")
    assert f"http://127.0.0.1:{port} " in told.stderr


def test_no_master_key(tmp_path: Path) -> None:
    """Without a master key, where it was looked for; exit code 2."""
    told = helix("keys", "list", "--data", str(tmp_path))
    assert told.returncode == 2
    assert str(tmp_path / "master.key") in told.stderr
    assert "HELIX_MASTER_KEY" in told.stderr


def test_somebody_else_answers() -> None:
    """What answers is no Helix: said so, exit code 1."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            told = helix("keys", "list", HELIX_URL=f"http://127.0.0.1:{server.server_port}", HELIX_MASTER_KEY="sk-hx-x")
        finally:
            server.shutdown()
            thread.join()
    assert told.returncode == 1
    assert "is no Helix gateway" in told.stderr


def test_wrong_url() -> None:
    """An address that is no URL is a wrong argument."""
    assert helix("keys", "list", "--url", "localhost:8000", HELIX_MASTER_KEY="sk-hx-x").returncode == 2
