"""The load generator counts what it should: every answer, every error, and when events came."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perf.load import Load
from perf.measure import perform, ratio, summarize
from perf.peers import Place, bare, direct
from perf.process import Server, Unavailable, free_port, tree_of
from perf.readings import percentiles

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        place = Place(tmp_path_factory.mktemp("perf"), upstream_port=free_port())
        direct(place, stack)
        yield place


def _load(place: Place, questions: str, **more: Any) -> Load:
    load = Load(place.upstream_port, PATH, "m", questions, connections=2, seconds=0.5, warmup_seconds=0.0)
    return replace(load, **more)


def test_each_question_of_a_finite_set_is_asked_once(place: Place) -> None:
    """A finite set ends the run when each question has been answered."""
    report = perform(_load(place, "bases", seconds=30.0), place)
    assert (report["requests"], report["errors"]) == (8, {})


def test_an_error_status_is_an_error_and_no_request(place: Place) -> None:
    """A status other than 2xx is counted as an error, never as an answered request."""
    report = perform(_load(place, "bases", path="/nowhere"), place)
    assert (report["requests"], report["errors"]) == (0, {"status_404": 8})


def test_a_wrong_body_is_an_error(place: Place) -> None:
    """An answer that lacks what was expected is counted as an error; here paced streams that restate nothing."""
    report = perform(_load(place, "mixed", path=f"/paced{PATH}", max_tokens=1), place)
    assert set(report["errors"]) == {"wrong_body"}


def test_nobody_listening_is_an_error(place: Place) -> None:
    """A gateway that is gone makes a run with errors, not a run that crashes."""
    report = perform(_load(place, "bases", port=free_port()), place)
    assert (report["requests"], report["errors"]) == (0, {"connect": 1})


def test_events_of_a_stream_are_timed(place: Place) -> None:
    """Every stamped event is read, and none arrives before it was written."""
    report = perform(_load(place, "same", path=f"/paced{PATH}", stream=True, max_tokens=4), place)
    assert report["errors"] == {}
    assert report["events"] == 4 * report["requests"] > 0
    assert report["event_ms"]["p50"] > 0
    assert report["first_ms"]["p50"] <= report["ms"]["p50"]


def test_a_rate_is_kept(place: Place) -> None:
    """With a rate, about rate times seconds requests are sent, whatever the gateway could do."""
    report = perform(_load(place, "mixed", rate=40.0, seconds=1.0), place)
    assert 1 <= report["requests"] <= 41


def test_the_bare_proxy_passes_whole_answers_and_streams(place: Place) -> None:
    """The limit that others are compared with answers rightly itself."""
    with ExitStack() as stack:
        gateway = bare(place, stack)
        whole = perform(_load(place, "bases", port=gateway.plain.port), place)
        paced = _load(place, "same", port=gateway.paced.port, path=gateway.paced.path, stream=True, max_tokens=3)
        streamed = perform(paced, place)
    assert (whole["requests"], whole["errors"]) == (8, {})
    assert streamed["errors"] == {}
    assert streamed["requests"] > 0


def test_stopping_a_server_ends_what_it_started(tmp_path: Path) -> None:
    """No process of a server's tree outlives it."""
    port = free_port()
    child = "import time; time.sleep(600)"
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]);"
        f"import http.server; http.server.HTTPServer(('127.0.0.1', {port}), "
        "http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    with Server([sys.executable, "-c", parent], port=port, ready="/", log=tmp_path / "log") as server:
        tree = tree_of(server.process.pid)
        assert len(tree) == 2
        assert server.memory().total > 0
    assert all(tree_of(pid).get(pid) != started or _is_zombie(pid) for pid, started in tree.items())


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """What cannot be started is named with the end of its own output."""
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(Unavailable, match="no such model"), Server(command, port=1, ready="/", log=tmp_path / "log"):
        pass


def test_percentiles_of_readings() -> None:
    """Percentiles are in milliseconds, by nearest rank."""
    found = percentiles([index / 1000 for index in range(101)])
    assert (found["p50"], found["p99"], found["max"]) == (50.0, 99.0, 100.0)
    assert percentiles([]) == {}


def test_a_round_with_errors_makes_no_ratio_and_no_good_summary() -> None:
    """Figures of rounds with errors are shown but not called good, and not used for ratios."""
    fine = {"requests": 10, "rps": 100.0, "ms": {"p50": 1.0}, "errors": {}}
    bad = {"requests": 10, "rps": 900.0, "ms": {"p50": 1.0}, "errors": {"status_500": 3}}
    assert ratio([fine, bad], [fine, fine]) == 1.0
    assert ratio([bad], [fine]) is None
    assert summarize([fine, fine])["good"]
    assert not summarize([fine, bad])["good"]


def test_the_last_line_is_one_json_object() -> None:
    """A measurement that cannot run says why in the JSON of its last line, and the exit code is 1."""
    command = [sys.executable, "-m", "perf", "replay", "--json", "--base-url", "http://127.0.0.1:9", "--file", "/none"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "HELIX_MASTER_KEY": "sk-x"}
    )
    assert done.returncode == 1, done.stderr
    assert "/none" in json.loads(done.stdout.splitlines()[-1])["result"]["unavailable"]
