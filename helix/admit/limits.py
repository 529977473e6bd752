"""Limits on requests: so many a minute, so many at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from helix.kernel.errors import Headers, RateLimited
from helix.kernel.types import Principal

__all__ = ["WINDOW_SECONDS", "Grant", "RequestLimiter"]

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Grant:
    """What a limiter says to one request.

    `refused_by` is "rpm", "parallel" or empty. `remaining` requests may follow within the minute; `wait_seconds`
    from now the oldest one leaves it, which makes room for one more.
    """

    refused_by: str
    remaining: int
    wait_seconds: float

    def headers(self, principal: Principal) -> Headers:
        """The x-ratelimit headers; none for a key without a limit on requests a minute."""
        if principal.rpm is None:
            return ()
        return (
            ("x-ratelimit-limit-requests", str(principal.rpm)),
            ("x-ratelimit-remaining-requests", str(self.remaining)),
            ("x-ratelimit-reset-requests", f"{self.wait_seconds:.3f}s"),
        )

    def refusal(self, principal: Principal) -> RateLimited | None:
        """The error to answer with; None where the request may go on."""
        if not self.refused_by:
            return None
        if self.refused_by == "parallel":
            message = f"this key allows {principal.parallel} requests at once, and as many are running"
            wait_seconds = 1
        else:
            message = f"this key allows {principal.rpm} requests a minute, and as many were made"
            wait_seconds = max(1, -int(-self.wait_seconds // 1))
        return RateLimited(message, None, (*self.headers(principal), ("retry-after", str(wait_seconds))))


class RequestLimiter(Protocol):
    """Counts requests by key. Every method may raise BackendUnavailable."""

    async def acquire(self, principal: Principal, request_id: str) -> Grant:
        """Count a request against both of a key's limits, or, where one refuses, against neither."""
        ...

    async def release(self, principal: Principal, request_id: str) -> None:
        """Say that a request is over, so that another may run."""
        ...
