"""Limits: which are possible, what a request takes from each, and how a refusal is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from helix.kernel.errors import BudgetExceeded, Headers
from helix.kernel.types import Limit, Money, Standing, Usage
from helix.kernel.windows import Window, window_of

__all__ = ["MAX_LIMIT", "UNITS", "checked", "exceeded", "said", "taken", "window"]

MAX_LIMIT = Money(2**53 - 1)
"""About 9 million USD: the largest amount that the ledger's scripts, which compute in doubles, hold exactly. Of tokens
and requests as many."""

MAX_RETRY_AFTER_SECONDS = 3600
"""A caller told to wait longer would rather be told why; the message says when the budget is fresh again."""

UNITS: dict[str, Callable[[Money, Usage], int]] = {
    "usd": lambda cost, usage: cost.nano_usd,
    "tokens": lambda cost, usage: usage.input_tokens + usage.output_tokens,
    "input_tokens": lambda cost, usage: usage.input_tokens,
    "output_tokens": lambda cost, usage: usage.output_tokens,
    "requests": lambda cost, usage: 1,
}
"""Unit → what a request that costs so much and has so many tokens takes of it."""


def taken(limit: Limit, cost: Money, usage: Usage) -> int:
    """What a request takes from a limit, in the smallest amount of its unit."""
    return UNITS[limit.unit](cost, usage)


@lru_cache(maxsize=16_384)
def window(limit: Limit) -> Window:
    """A limit's window. Raises ValueError where the limit is impossible, in whatever way."""
    if limit.unit not in UNITS:
        raise ValueError(f"a budget's unit must be one of {', '.join(UNITS)}, not {limit.unit!r}")
    if isinstance(limit.limit, Money) != (limit.unit == "usd"):
        raise ValueError("a budget's limit must be Money where its unit is usd, and a whole number where it is not")
    if not 0 <= limit.most <= MAX_LIMIT.nano_usd:
        most = f"{MAX_LIMIT} USD" if limit.unit == "usd" else str(MAX_LIMIT.nano_usd)
        raise ValueError(f"a budget's limit must be from 0 to {most}, not {limit.limit}")
    if not limit.scope or not limit.scope.isprintable():
        raise ValueError("a budget's scope must be a line of text, for example 'key:k_7f3a'")
    return window_of(limit.window, limit.time_zone)


def checked(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """The limits, of two on the same sum only the smaller. Raises ValueError for an impossible one."""
    kept: dict[tuple[str, str, str, bool], Limit] = {}
    for limit in limits:
        key = (limit.scope, window(limit).stem, limit.unit, limit.soft)
        other = kept.get(key)
        if other is None or limit.most < other.most:
            kept[key] = limit
    return tuple(kept.values())


def said(limit: Limit, amount: int) -> str:
    """An amount of a limit's unit as people read it."""
    return f"{Money(amount)} USD" if limit.unit == "usd" else f"{amount} {limit.unit.replace('_', ' ')}"


def exceeded(standing: Standing, amount: int, now_ms: int) -> BudgetExceeded:
    """The refusal that says which budget decides, what of it is used and held, and when there is room again.

    The error's `param` is the budget's name.
    """
    limit, resets_ms = standing.limit, standing.resets_ms
    name = limit.name or limit.scope
    if resets_ms is None:
        when = "does not reset" if window(limit).length_ms is None else "is smaller than that"
    else:
        verb = "resets" if window(limit).length_ms is None else "has room again"
        when = f"{verb} at {datetime.fromtimestamp(-(-resets_ms // 1000), UTC):%Y-%m-%dT%H:%M:%SZ}"
    message = (
        f"budget '{name}' of {said(limit, standing.most)} {window(limit).phrase} cannot pay for this request: "
        f"{said(limit, standing.settled)} used, {said(limit, standing.reserved)} reserved by requests in flight, up to "
        f"{said(limit, amount)} needed; it {when}"
    )
    headers: Headers
    if standing.settled + amount <= standing.most:
        headers = (("retry-after", "1"),)  # what is in flight will cost less than it holds
    elif amount > standing.most or resets_ms is None:
        headers = (("x-should-retry", "false"),)  # understood by the OpenAI and Anthropic clients
    else:
        wait = min(max(-(-(resets_ms - now_ms) // 1000), 1), MAX_RETRY_AFTER_SECONDS)
        headers = (("retry-after", str(wait)), ("x-should-retry", "false"))
    return BudgetExceeded(message, name, headers)
