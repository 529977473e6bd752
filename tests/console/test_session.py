"""Sessions of the console, and the throttle of its login."""

from __future__ import annotations

import pytest

from helix.console.session import Sessions, Throttle

KEY = "sk-hx-master-of-the-test"


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_opens_until_it_expires() -> None:
    """A session lasts as long as it was made for."""
    clock = Clock()
    sessions = Sessions(KEY, seconds=60, clock=clock)
    token = sessions.start()
    clock.now += 59
    assert sessions.is_open(token)
    clock.now += 2
    assert not sessions.is_open(token)


def test_a_token_holds_no_key() -> None:
    """Neither the key nor any digest of the key alone is part of a token, and two tokens differ."""
    sessions = Sessions(KEY, seconds=60)
    first, second = sessions.start(), sessions.start()
    assert KEY not in first
    assert first != second


def test_a_token_outlives_a_restart_but_not_a_new_master_key() -> None:
    """The signing key follows from the master key alone."""
    token = Sessions(KEY, seconds=60).start()
    assert Sessions(KEY, seconds=60).is_open(token)
    assert not Sessions(KEY + "2", seconds=60).is_open(token)


@pytest.mark.parametrize("token", ["", ".", "..", "9999999999.abc", "9999999999.abc.", "9999999999.abc.00", "é.é.é"])
def test_what_was_not_signed_here_opens_nothing(token: str) -> None:
    """Malformed and forged tokens are refused, none with an error."""
    assert not Sessions(KEY, seconds=60).is_open(token)


def test_a_token_cannot_be_prolonged() -> None:
    """The expiry is part of what is signed."""
    sessions = Sessions(KEY, seconds=60)
    expires, nonce, signature = sessions.start().split(".")
    assert not sessions.is_open(f"{int(expires) + 3600}.{nonce}.{signature}")


def test_an_ended_token_stays_closed_and_others_open() -> None:
    """Signing out ends one session."""
    sessions = Sessions(KEY, seconds=60)
    mine, other = sessions.start(), sessions.start()
    sessions.end(mine)
    assert not sessions.is_open(mine)
    assert sessions.is_open(other)


def test_a_throttle_counts_failures_per_caller_in_a_window() -> None:
    """After so many failures a caller waits until the oldest of them is out of the window."""
    clock = Clock()
    throttle = Throttle(failures=2, seconds=60, clock=clock)
    throttle.failed("a")
    assert throttle.wait_seconds("a") == 0
    clock.now += 10
    throttle.failed("a")
    assert throttle.wait_seconds("a") == 50
    assert throttle.wait_seconds("b") == 0
    clock.now += 50
    assert throttle.wait_seconds("a") == 0


def test_a_throttle_forgets_the_longest_quiet_caller_first() -> None:
    """Memory is bounded, whoever comes."""
    throttle = Throttle(failures=1, seconds=60, callers=2)
    for caller in ("a", "b", "a", "c"):
        throttle.failed(caller)
    assert throttle.wait_seconds("b") == 0
    assert throttle.wait_seconds("a") > 0
    assert throttle.wait_seconds("c") > 0
