"""What a stage sees of a deployment's failures, on a real small Serve application."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    """What `tests.serve.small` saw."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.serve.small"],
        env=environment(),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout.splitlines()[-1]))


def test_results_come_through(outcomes: dict[str, Any]) -> None:
    """Arguments go there and results come back, by position and by name."""
    assert outcomes["echo"] == "hello"
    assert outcomes["detect"] == [["a", "de"], ["b", "de"]]


def test_our_own_errors_come_through(outcomes: dict[str, Any]) -> None:
    """A HelixError is raised here as it was there, with its parameter and headers."""
    assert outcomes["refuse"] == ["BudgetExceeded", "the day's budget is spent", "budget", [["retry-after", "9"]]]


def test_other_errors_are_an_outage(outcomes: dict[str, Any]) -> None:
    """Any other error is BackendUnavailable and told by its type alone: its message may hold text."""
    assert outcomes["stumble"] == ["BackendUnavailable", "the small part failed with ValueError", None, []]


def test_a_time_out_is_an_outage(outcomes: dict[str, Any]) -> None:
    """One that does not answer in time is BackendUnavailable."""
    assert outcomes["hang"] == ["BackendUnavailable", "the small part did not answer within 0.2 s", None, []]


def test_a_deployment_that_is_gone_is_an_outage(outcomes: dict[str, Any]) -> None:
    """So is one that is not there any more."""
    assert outcomes["gone"][0] == "BackendUnavailable"
