"""Who is signed in to the console, and who has guessed too often."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Sessions", "Throttle"]


class Sessions:
    """Signed tokens that say until when somebody is signed in.

    A token holds no key: it is `<expires>.<nonce>.<signature>`. The signing key comes from the master key by scrypt, so
    that tokens outlive a restart, end when the master key changes, and do not help in guessing it.
    """

    def __init__(self, master_key: str, *, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.seconds = seconds
        self._clock = clock
        self._master = _digest(master_key)
        # n = 2**14, r = 8: 16 MiB and some 50 ms, once (RFC 7914, section 2).
        self._signing_key = hashlib.scrypt(master_key.encode(), salt=b"helix.console.session", n=2**14, r=8, p=1)
        self._ended: dict[str, float] = {}

    def is_master(self, key: str) -> bool:
        """Whether this is the master key, in constant time."""
        return hmac.compare_digest(_digest(key), self._master)

    def start(self) -> str:
        """A new token."""
        token = f"{int(self._clock() + self.seconds)}.{secrets.token_urlsafe(16)}"
        return f"{token}.{self._signature(token)}"

    def is_open(self, token: str) -> bool:
        """Whether this token was given here, has not expired and was not ended."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(signed).encode(), signature.encode()):
            return False
        expires, _, nonce = signed.partition(".")
        return float(expires) > self._clock() and nonce not in self._ended

    def end(self, token: str) -> None:
        """Make a token worthless before it expires, in this process."""
        if not self.is_open(token):
            return
        now = self._clock()
        self._ended = {nonce: expires for nonce, expires in self._ended.items() if expires > now}
        expires, nonce, _ = token.split(".")
        self._ended[nonce] = float(expires)

    def _signature(self, text: str) -> str:
        return hmac.new(self._signing_key, text.encode(), hashlib.sha256).hexdigest()


class Throttle:
    """At most so many failures in a window per caller, the last ones remembered for a bounded number of callers."""

    def __init__(
        self, *, failures: int, seconds: float, callers: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures = failures
        self._seconds = seconds
        self._callers = callers
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def wait_seconds(self, caller: str) -> float:
        """How long this caller must wait before it may try again; 0 where it need not."""
        times = self._times.get(caller)
        if times is None or len(times) < self._failures:
            return 0.0
        return max(0.0, times[0] + self._seconds - self._clock())

    def failed(self, caller: str) -> None:
        """Note a failure."""
        times = self._times.pop(caller, None) or deque(maxlen=self._failures)
        times.append(self._clock())
        self._times[caller] = times  # last in the order, so that the longest quiet caller is forgotten first
        while len(self._times) > self._callers:
            del self._times[next(iter(self._times))]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
