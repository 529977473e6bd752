"""When a deployment is left alone, for how long; and what a failure means."""

from __future__ import annotations

import email.utils
import random
import time
from typing import Any

import pytest

from helix.kernel.errors import UpstreamError, UpstreamGarbled, UpstreamStatus, UpstreamTimeout, UpstreamUnreachable
from helix.kernel.sse import Event
from helix.upstream.deployment import Deployment, read_model_list
from helix.upstream.failure import Fate, backoff_seconds, error_in, fate_of, kind_of, retry_after_seconds
from helix.upstream.health import Health
from helix.upstream.settings import read_settings

A, B = read_model_list([{"model_name": "m", "litellm_params": {"model": "openai/m"}} for _ in "ab"])
(WILD,) = read_model_list([{"model_name": "openai/*", "litellm_params": {"model": "openai/*"}}])
(OWN,) = read_model_list([{"model_name": "m", "litellm_params": {"model": "openai/m", "cooldown_time": 99}}])


def status(code: int, **headers: str) -> UpstreamStatus:
    return UpstreamStatus("", code, headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def health(clock: Clock | None = None, **settings: Any) -> Health:
    return Health(read_settings(settings), clock=clock or Clock())


def cools(found: Health, deployment: Deployment = A) -> bool:
    return deployment not in found.well([deployment])


@pytest.mark.parametrize("code", [401, 402, 403, 404, 429])
def test_cools_at_once_where_there_is_another(code: int) -> None:
    """Its limit or its credential will not be better in a moment."""
    found = health()
    found.failed(A, status(code), alone=False)
    assert list(found.well([A, B])) == [B]


@pytest.mark.parametrize("error", [status(429), status(401), UpstreamTimeout("")])
def test_the_only_one_is_not_left_alone(error: UpstreamError) -> None:
    """However often it fails."""
    found = health()
    for _ in range(20):
        found.failed(A, error, alone=True)
    assert not cools(found)


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_faulty_request_is_not_the_deployments_failure(code: int) -> None:
    """Even where no failure is allowed."""
    found = health(allowed_fails=0)
    found.failed(A, status(code), alone=False)
    assert not cools(found)


def test_more_than_half_of_five_failures_cool_down() -> None:
    """LiteLLM's rule by failure rate."""
    found = health()
    for _ in range(2):
        found.succeeded(A)
    for _ in range(2):
        found.failed(A, status(500), alone=False)
    assert not cools(found)
    found.failed(A, UpstreamUnreachable(""), alone=False)
    assert cools(found)


def test_failures_are_counted_by_the_minute() -> None:
    """What was long ago does not count."""
    clock = Clock()
    found = health(clock, allowed_fails=1)
    found.failed(A, status(500), alone=False)
    clock.now += 61
    found.failed(A, status(500), alone=False)
    assert not cools(found)
    found.failed(A, status(500), alone=False)
    assert cools(found)


def test_allowed_fails_by_kind() -> None:
    """A policy's entry stands in the place of the general number."""
    found = health(allowed_fails=9, allowed_fails_policy={"TimeoutErrorAllowedFails": 1})
    for _ in range(2):
        assert not cools(found)
        found.failed(A, UpstreamTimeout(""), alone=False)
    assert cools(found)


@pytest.mark.parametrize(
    ("deployment", "error", "seconds"),
    [
        (A, status(429), 5),
        (A, status(429, retry_after="30"), 30),
        (A, status(429, retry_after="999999"), 3600),
        (OWN, status(429, retry_after="30"), 99),
    ],
)
def test_how_long(deployment: Deployment, error: UpstreamError, seconds: float) -> None:
    """The deployment's own time, else what the provider asks for (an hour at most), else the router's."""
    clock = Clock()
    found = health(clock)
    found.failed(deployment, error, alone=False)
    assert found.seconds_until_well([deployment]) == pytest.approx(seconds)
    clock.now += seconds + 1
    assert not cools(found, deployment)


def test_a_model_that_a_pattern_let_through_but_is_not_there() -> None:
    """Under a pattern the caller chose it, and could otherwise cool the provider down for everybody."""
    found = health(allowed_fails=0)
    found.failed(WILD, status(404), alone=False)
    assert not cools(found, WILD)


def test_cool_downs_can_be_switched_off() -> None:
    """disable_cooldowns."""
    found = health(disable_cooldowns=True, allowed_fails=0)
    found.failed(A, status(429), alone=False)
    assert not cools(found)


@pytest.mark.parametrize(
    ("error", "fate", "kind"),
    [
        (UpstreamUnreachable(""), Fate.AGAIN, "InternalServerError"),
        (UpstreamTimeout(""), Fate.AGAIN, "TimeoutError"),
        (UpstreamGarbled(""), Fate.AGAIN, "InternalServerError"),
        (status(408), Fate.AGAIN, "TimeoutError"),
        (status(409), Fate.AGAIN, "BadRequestError"),
        (status(429), Fate.AGAIN, "RateLimitError"),
        (status(500), Fate.AGAIN, "InternalServerError"),
        (status(502), Fate.AGAIN, "BadGatewayError"),
        (status(503), Fate.AGAIN, "ServiceUnavailableError"),
        (status(529), Fate.AGAIN, "InternalServerError"),
        (status(401), Fate.ELSEWHERE, "AuthenticationError"),
        (status(403), Fate.ELSEWHERE, "AuthenticationError"),
        (status(404), Fate.ELSEWHERE, "NotFoundError"),
        (status(400), Fate.FINAL, "BadRequestError"),
        (status(422), Fate.FINAL, "BadRequestError"),
        (UpstreamStatus("", 400, b'{"error":{"code":"content_filter"}}'), Fate.FINAL, "ContentPolicyViolationError"),
    ],
)
def test_what_a_failure_means(error: UpstreamError, fate: str, kind: str) -> None:
    """Whether it may be tried again, and LiteLLM's name for it."""
    assert (fate_of(error), kind_of(error)) == (fate, kind)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (Event.of({"type": "error", "error": {"type": "overloaded_error"}}, "error"), 529),
        (Event.of({"error": {"message": "m", "code": 503}}), 503),
        (Event.of({"error": {"message": "m", "code": "429"}}), 429),
        (Event.of({"error": {"type": "insufficient_quota", "code": None}}), 429),
        (Event.of({"type": "response.failed", "response": {"error": {"code": "server_error"}}}), 500),
        (Event.of({"type": "error", "code": "rate_limit_exceeded", "message": "m"}), 429),
        (Event.of({"error": "overloaded"}), 502),
    ],
)
def test_the_status_that_an_error_event_stands_for(event: Event, code: int) -> None:
    """In each dialect's form."""
    assert error_in(event).status == code


def test_when_to_come_back() -> None:
    """Milliseconds, seconds, a date; none of it where it is not understood."""
    assert retry_after_seconds(status(429, retry_after_ms="250", retry_after="9")) == 0.25
    assert retry_after_seconds(status(429, retry_after="9")) == 9
    date = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert retry_after_seconds(status(429, retry_after=date)) == pytest.approx(20, abs=2)
    assert retry_after_seconds(status(429, retry_after="soon")) is None
    assert retry_after_seconds(status(429, retry_after="Wed, 21 Oct 99999 07:28:00 GMT")) is None
    assert retry_after_seconds(status(429, retry_after="nan")) is None
    assert retry_after_seconds(status(429)) is None


def test_waiting_doubles_with_jitter_up_to_eight_seconds() -> None:
    """OpenAI's and LiteLLM's own numbers; never less than retry_after."""
    chance = random.Random(1)
    for retry, most in enumerate([0.5, 1.0, 2.0, 4.0, 8.0, 8.0]):
        found = [backoff_seconds(retry, status(500), 0.0, chance) or 0.0 for _ in range(50)]
        assert most * 0.75 <= min(found) < max(found) <= most
    assert backoff_seconds(0, status(500), 3.0, chance) == 3.0


def test_waiting_as_long_as_the_provider_asks() -> None:
    """A little longer at random; not at all where it asks for more than a minute."""
    chance = random.Random(1)
    assert 10 <= (backoff_seconds(0, status(429, retry_after="10"), 0.0, chance) or 0) <= 11
    assert backoff_seconds(0, status(429, retry_after="61"), 0.0, chance) is None
