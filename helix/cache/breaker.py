"""Sparing requests the wait for a backend that is down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from helix.kernel.errors import BackendUnavailable

__all__ = ["Breaker"]

log = logging.getLogger("helix.cache")


class Breaker:
    """After a failure, lets one call in every `pause_seconds` try whether the backend is back; the others go without.

    `name` is what the log, which hears of the first failure and of the recovery, calls the backend.
    """

    __slots__ = ("_clock", "_failing", "_name", "_pause_seconds", "_retry_at")

    def __init__(self, name: str, *, pause_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._failing = False
        self._retry_at = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._failing

    def admits(self) -> bool:
        """Whether a call may be made now. While failing, a True counts as the one try of this pause."""
        if not self._failing:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._pause_seconds
        return True

    def succeeded(self) -> None:
        """Note that a call went well."""
        if self._failing:
            self._failing = False
            log.info("%s is back", self._name)

    def failed(self, error: BackendUnavailable) -> None:
        """Note that a call failed."""
        self._retry_at = self._clock() + self._pause_seconds
        if not self._failing:
            self._failing = True
            log.warning("%s is out, requests go without until it is back: %s", self._name, error.message)
