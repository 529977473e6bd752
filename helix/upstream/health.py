"""Which deployments are left alone for a while because they have failed.

The rules are LiteLLM's. Where `allowed_fails` (or an entry of `allowed_fails_policy`) is set, a deployment cools down
when it has failed more often than that within a minute. Where it is not: at once after a 429 or a refused credential,
and when more than half of at least five requests of the last minute failed; and then only if the model has another
deployment to go to, since leaving the only one alone helps nobody. A 400 or the like never counts: the request was at
fault. Unlike LiteLLM, a refused connection counts as a failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from helix.kernel.errors import UpstreamError, UpstreamStatus
from helix.upstream.deployment import Deployment
from helix.upstream.failure import Fate, fate_of, kind_of, retry_after_seconds
from helix.upstream.settings import Settings

__all__ = ["Health"]

WINDOW_SECONDS = 60.0
FAILURE_RATE = 0.5  # litellm.constants.DEFAULT_FAILURE_THRESHOLD_PERCENT
FAILURE_REQUESTS = 5  # litellm.constants.DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS
LONGEST_COOLDOWN_SECONDS = 3600.0  # a provider's word alone must not take a deployment away for good


class _State:
    __slots__ = ("cooling_until", "failures", "kinds", "since", "successes")

    def __init__(self) -> None:
        self.cooling_until = 0.0
        self.since = 0.0
        self.successes = 0
        self.failures = 0
        self.kinds: dict[str, int] = {}


class Health:
    """Counts what succeeded and failed, a deployment and minute at a time, and says who is cooling down."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._states: dict[str, _State] = {}

    def succeeded(self, deployment: Deployment) -> None:
        """Note that a deployment answered."""
        self._state(deployment).successes += 1

    def failed(self, deployment: Deployment, error: UpstreamError, *, alone: bool) -> None:
        """Note a failure, and perhaps leave the deployment alone for a while; `alone` if its model has no other."""
        if self._settings.disable_cooldowns or fate_of(error) == Fate.FINAL:
            return
        # Under a pattern the model is the caller's choice, and so is its not being there.
        if deployment.is_wildcard and isinstance(error, UpstreamStatus) and error.status == 404:
            return
        state = self._state(deployment)
        state.failures += 1
        if self._has_had_enough(state, error, alone):
            seconds = self._cooldown_seconds(deployment, error)
            state.cooling_until = max(state.cooling_until, self._clock() + seconds)
            state.successes = state.failures = 0
            state.kinds.clear()

    def well(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Those that are not cooling down."""
        states = self._states
        now = self._clock()
        for deployment in deployments:
            state = states.get(deployment.id)
            if state is not None and state.cooling_until > now:
                return [d for d in deployments if (s := states.get(d.id)) is None or s.cooling_until <= now]
        return deployments

    def seconds_until_well(self, deployments: Sequence[Deployment]) -> float:
        """How long until the first of them may be asked again."""
        now = self._clock()
        waits = [s.cooling_until - now for d in deployments if (s := self._states.get(d.id)) is not None]
        return max(0.0, min(waits, default=0.0))

    def _state(self, deployment: Deployment) -> _State:
        state = self._states.get(deployment.id)
        if state is None:
            state = self._states[deployment.id] = _State()
        now = self._clock()
        if now - state.since >= WINDOW_SECONDS:
            state.since, state.successes, state.failures = now, 0, 0
            state.kinds.clear()
        return state

    def _has_had_enough(self, state: _State, error: UpstreamError, alone: bool) -> bool:
        kind = kind_of(error)
        state.kinds[kind] = state.kinds.get(kind, 0) + 1
        by_kind = self._settings.allowed_fails_policy.get(kind)
        if by_kind is not None:
            return state.kinds[kind] > by_kind
        if self._settings.allowed_fails is not None:
            return state.failures > self._settings.allowed_fails
        if alone:
            return False
        if fate_of(error) == Fate.ELSEWHERE or (isinstance(error, UpstreamStatus) and error.status == 429):
            return True
        total = state.failures + state.successes
        return total >= FAILURE_REQUESTS and state.failures > FAILURE_RATE * total

    def _cooldown_seconds(self, deployment: Deployment, error: UpstreamError) -> float:
        if deployment.cooldown_seconds is not None:
            return deployment.cooldown_seconds
        asked = retry_after_seconds(error)
        return self._settings.cooldown_time if asked is None else min(asked, LONGEST_COOLDOWN_SECONDS)
