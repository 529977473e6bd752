"""The gateway on Ray Serve, both by `helix up` and by `serve run serve_configs/local.yaml`: one start each."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from openai import APIStatusError, OpenAI

from helix.embedded import EmbeddedRedis
from tests.cli.command import Up, free_port, helix, is_running
from tests.serve.gateway import ServeRun, interrupt, titles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TEXT = "I am ann@example.com and my card is 4111 1111 1111 1111. {} Why?"
ENTITIES = "CREDIT_CARD=1,EMAIL_ADDRESS=1"


@pytest.fixture(scope="module", params=["helix up", "serve run"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    data = tmp_path_factory.mktemp("ray") / "data"
    with Up(data) if request.param == "helix up" else ServeRun(data) as up:
        yield up.wait()


@contextmanager
def calling(up: Up, key: str | None = None) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{up.url}/v1", api_key=key or up.key, max_retries=0) as client:
        yield client


def test_ready(gateway: Up) -> None:
    """Every part is ready when it is said to be up, and the console shows its login page."""
    status, health = gateway.ask("/health/ready")
    assert (status, health["not_ready"]) == (200, [])
    assert set(health["checks"]) == {"redis", "clickhouse", "detector", "embedder"}
    with urlopen(Request(f"{gateway.url}/console/", headers={"accept": "text/html"})) as page:
        assert b"<form" in page.read()


def test_whole_and_recorded(gateway: Up) -> None:
    """A whole answer has the caller's own values, the provider saw placeholders, and its row is in ClickHouse."""
    with calling(gateway) as client:
        reply = client.chat.completions.with_raw_response.create(
            model="demo/echo", messages=[{"role": "user", "content": TEXT.format("Whole.")}]
        )
    assert TEXT.format("Whole.") in (reply.parse().choices[0].message.content or "")
    assert sorted(reply.headers["x-helix-redactions"].replace(" ", "").split(",")) == ENTITIES.split(",")
    wanted = reply.headers["x-helix-request-id"]
    while not (row := [row for row in gateway.ask("/helix/requests")[1]["data"] if row["request_id"] == wanted]):
        pass  # written in batches
    assert row[0]["entities"] == {"EMAIL_ADDRESS": 1, "CREDIT_CARD": 1}
    assert row[0]["restored"] == 2


def test_streamed(gateway: Up) -> None:
    """So has a streamed one, whose values come back across the borders of its events."""
    with calling(gateway) as client:
        stream = client.chat.completions.create(
            model="demo/echo", stream=True, messages=[{"role": "user", "content": TEXT.format("Streamed.")}]
        )
        said = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert TEXT.format("Streamed.") in "".join(said)
    assert len(said) > 5


def test_hits(gateway: Up) -> None:
    """The same question is an exact hit, one that means the same a semantic one, with each caller's own values."""

    def ask(client: OpenAI, text: str) -> tuple[str, str]:
        reply = client.chat.completions.with_raw_response.create(
            model="demo/echo", messages=[{"role": "user", "content": text}]
        )
        return reply.headers["x-helix-cache"], reply.parse().choices[0].message.content or ""

    with calling(gateway) as client:
        assert ask(client, "How do I reset my password? I am ann@example.com")[0] == "miss"
        while (hit := ask(client, "How do I reset my password? I am bob@example.com"))[0] == "miss":
            pass  # stored off the caller's path
        assert hit[0] == "exact"
        assert "bob@example.com" in hit[1]
        hit = ask(client, "How can I reset my password? I am eve@example.com")
    assert hit[0] == "semantic"
    assert "eve@example.com" in hit[1]


def test_streams_stay_streams(gateway: Up) -> None:
    """When the first event of a slow stream is here, the request still holds its budget: its last was not made yet."""
    _, made = gateway.ask("/helix/keys", {"name": "slow", "budgets": [{"limit_usd": 1, "window": "total"}]})

    def reserved() -> float:
        (mine,) = [row for row in gateway.ask("/helix/budgets")[1]["data"] if row["scope"] == f"key:{made['id']}"]
        return float(mine["reserved_usd"])

    words = " ".join(f"word{number}" for number in range(60))  # six seconds' worth
    with calling(gateway, made["key"]) as client:
        stream = client.chat.completions.create(
            model="demo/slow", stream=True, messages=[{"role": "user", "content": words}]
        )
        first = next(iter(stream))
        assert first.choices[0].finish_reason is None
        assert reserved() > 0
        assert [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1] == "stop"
    while reserved():
        pass  # settled off the caller's path


def test_a_killed_detector(gateway: Up) -> None:
    """While the detector is gone requests are refused; none is sent unredacted, and it comes back by itself."""
    (detector,) = [pid for pid, title in titles(gateway.process.pid).items() if ":helix:detect" in title]
    os.kill(detector, signal.SIGKILL)
    with calling(gateway) as client:
        for attempt in range(1_000_000):
            text = TEXT.format(f"Attempt {attempt}.")
            try:
                reply = client.chat.completions.with_raw_response.create(
                    model="demo/echo", messages=[{"role": "user", "content": text}]
                )
            except APIStatusError as refused:
                if refused.status_code == 503:
                    continue
                raise
            assert reply.headers["x-helix-redactions"]
            if not is_running(detector):
                return


def test_ctrl_c(gateway: Up) -> None:
    """Ctrl-C ends all that was started: Ray, HAProxy, Redis. The last test of each start."""
    started = titles(gateway.process.pid)
    for part in ("raylet", "haproxy", "redis-server", ":helix:gateway"):
        assert any(part in title for title in started.values()), part
    code = interrupt(gateway)
    left = {pid: title for pid, title in started.items() if is_running(pid)}
    if isinstance(gateway, ServeRun):  # its exit code, and Ray's dashboard, are Serve's affair
        left = {pid: title for pid, title in left.items() if "dashboard" not in title}
    else:
        assert code == 0
        assert "Traceback" not in gateway.errors
    assert left == {}


def test_what_a_deployment_raises_is_told(tmp_path: Path) -> None:
    """A replica that cannot start ends `helix up` with the replica's own sentence, exit code 2 for a folder in use."""
    data = tmp_path / "data"

    async def run() -> subprocess.CompletedProcess[str]:
        server = EmbeddedRedis(data / "redis")
        await server.open()
        try:
            return await asyncio.to_thread(helix, "up", "--data", str(data), "--port", str(free_port()))
        finally:
            await server.close()

    told = asyncio.run(run())
    assert told.returncode == 2, told.stderr
    assert f"the data folder {data / 'redis'} is in use by another Redis" in told.stderr
    assert "Traceback" not in told.stderr
