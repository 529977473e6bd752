"""What people read first."""

from __future__ import annotations

import pytest

from helix import __version__
from tests.cli.command import helix

WORDS = {
    "": ("up", "migrate", "doctor", "keys", "budgets", "cache", "helix up"),
    "up": ("--config", "--host", "127.0.0.1", "--port", "8000", "--data", ".helix", "--no-ray", "HELIX_AUTH"),
    "migrate": ("ClickHouse",),
    "doctor": ("installed",),
    "keys create": ("--model", "--rpm", "--budget", "5/day", "--url", "HELIX_URL", "--json"),
    "keys list": ("--json",),
    "keys revoke": ("id",),
    "budgets list": ("spent",),
    "redact decrypt": ("HELIX_REDACT_KEY", "--config", "standard input"),
    "cache stats": ("--url",),
    "cache flush": ("--namespace", "--entry", "--all"),
}


@pytest.mark.parametrize("command", WORDS)
def test_help(command: str) -> None:
    """Each command says what it is for, its options, their defaults and variables, on stdout, without colours."""
    told = helix(*command.split(), "--help")
    assert (told.returncode, told.stderr) == (0, "")
    for word in WORDS[command]:
        assert word in told.stdout
    assert "\x1b" not in told.stdout


def test_version() -> None:
    """The version, and nothing else."""
    assert helix("version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    ["bogus", "up --bogus", "up --port 0", "up --port many", "keys create", "keys create a --budget much"]
    + [f"keys create a --budget {amount}/day" for amount in ("nan", "inf", "-1")],
)
def test_wrong_arguments(arguments: str) -> None:
    """Exit code 2, and what is wrong on stderr."""
    told = helix(*arguments.split())
    assert (told.returncode, told.stdout) == (2, "")
    assert "Error" in told.stderr
    assert "Traceback" not in told.stderr
