"""What the measurement of redaction stands on: prompts with values, an upstream that tells, Presidio's own services."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from perf.measure import load_of, perform
from perf.peers import PERSONAL_KINDS, Place, Target, direct
from perf.personal import found_in
from perf.process import Server, free_port
from perf.questions import body_of, conversations


def test_conversations_send_their_history_again() -> None:
    """Every turn holds the earlier ones as they were; half of the prompts hold values."""
    questions = list(islice(conversations(1), 64))
    with_history = [question for question in questions if question.history]
    assert max(len(question.history) for question in with_history) == 3
    for before, after in pairwise(questions):
        if len(after.history) > 1:
            assert after.history[:-1] == before.history
            assert after.history[-1][0] == before.text
    holding = [question for question in questions if found_in(body_of(question, "m").decode())]
    assert len(holding) == len(questions) // 2


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        place = Place(tmp_path_factory.mktemp("perf"), upstream_port=free_port())
        direct(place, stack)
        yield place


def test_the_upstream_refuses_what_is_not_masked(place: Place) -> None:
    """Without a gateway every second prompt of the load is refused: what passes at a gateway was masked."""
    strict = Target(place.upstream_port, "/strict/v1/chat/completions")
    report = perform(load_of(strict, "conversations", connections=1, seconds=0.3, warmup_seconds=0.0), place)
    assert set(report["errors"]) == {"status_422"}
    assert report["requests"] > 0


@pytest.fixture(scope="module")
def presidio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    waiting = [sys.executable, "-c", "import time; time.sleep(600)"]
    command = [sys.executable, "-m", "perf.presidio", "--port", str(port), "--", *waiting]
    log = Path(tmp_path_factory.mktemp("presidio")) / "presidio.log"
    with Server(command, port=port, ready="/health", log=log):
        yield port


def ask(port: int, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_presidios_services(presidio: int) -> None:
    """The analyzer finds, and the anonymizer replaces, in the form of Presidio's own REST services."""
    text = "Write to ada.123456@example.com"
    found = ask(presidio, "/analyze", {"text": text, "language": "en", "entities": list(PERSONAL_KINDS)})
    (address,) = [item for item in found if item["entity_type"] == "EMAIL_ADDRESS"]
    assert text[address["start"] : address["end"]] == "ada.123456@example.com"
    done = ask(presidio, "/anonymize", {"text": text, "analyzer_results": [address]})
    assert done["text"] == "Write to <EMAIL_ADDRESS>"
    assert done["items"][0]["entity_type"] == "EMAIL_ADDRESS"
