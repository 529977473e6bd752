"""Limits on spending: which are possible, and how a refusal is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from helix.kernel.errors import BudgetExceeded, Headers
from helix.kernel.types import Limit, Money

__all__ = ["MAX_LIMIT", "WINDOWS", "checked", "exceeded"]

WINDOWS = {"day": "a day", "month": "a month", "total": "in all"}

MAX_LIMIT = Money(2**53 - 1)
"""About 9 million USD: the largest amount that the ledger's scripts, which compute in doubles, hold exactly."""

MAX_RETRY_AFTER_SECONDS = 3600
"""A caller told to wait longer would rather be told why; the message says when the budget is fresh again."""


def checked(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """The limits, of two over the same scope and window only the smaller. Raises ValueError for an impossible one."""
    kept: dict[tuple[str, str], Limit] = {}
    for limit in limits:
        if limit.window not in WINDOWS:
            raise ValueError(f"a budget's window must be one of {', '.join(WINDOWS)}, not {limit.window!r}")
        if not 0 <= limit.limit.nano_usd <= MAX_LIMIT.nano_usd:
            raise ValueError(f"a budget's limit must be from 0 to {MAX_LIMIT} USD, not {limit.limit}")
        if not limit.scope or "\n" in limit.scope:
            raise ValueError("a budget's scope must be a line of text, for example 'key:k_7f3a'")
        other = kept.get((limit.scope, limit.window))
        if other is None or limit.limit < other.limit:
            kept[limit.scope, limit.window] = limit
    return tuple(kept.values())


def exceeded(limit: Limit, *, settled: Money, reserved: Money, amount: Money, resets: int, now: int) -> BudgetExceeded:
    """The refusal that says which budget decides, what of it is used and held, and when it resets.

    `resets` and `now` are in Unix seconds, `resets` 0 for never. The error's `param` is the budget's name.
    """
    when = f"resets at {datetime.fromtimestamp(resets, UTC):%Y-%m-%dT%H:%M:%SZ}" if resets else "does not reset"
    message = (
        f"budget '{limit.name or limit.scope}' of {limit.limit} USD {WINDOWS[limit.window]} cannot pay for this "
        f"request: {settled} USD used, {reserved} USD reserved by requests in flight, up to {amount} USD needed; "
        f"it {when}"
    )
    headers: Headers
    if settled.nano_usd + amount.nano_usd <= limit.limit.nano_usd:
        headers = (("retry-after", "1"),)  # what is in flight will cost less than it holds
    elif amount > limit.limit or not resets:
        headers = (("x-should-retry", "false"),)  # understood by the OpenAI and Anthropic clients
    else:
        wait = min(max(resets - now, 1), MAX_RETRY_AFTER_SECONDS)
        headers = (("retry-after", str(wait)), ("x-should-retry", "false"))
    return BudgetExceeded(message, limit.name or limit.scope, headers)
