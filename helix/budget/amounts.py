"""Amounts of money as a price table writes them, floats of USD, and as they are reckoned with: integers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

__all__ = ["PER_NANO_USD", "Row", "exact", "rate", "tokens", "usd"]

Row: TypeAlias = Mapping[str, Any]
"""A row of LiteLLM's price table, or the `model_info` of a deployment in the same form."""

PER_NANO_USD: Final = 10**15
"""Rates are integers of 1e-24 USD: of a nano-USD 15 digits, as many as a float holds."""
_DIGITS: Final = 15


@lru_cache(16_384)
def exact(amount_usd: float) -> int:
    """An amount in USD as an integer of 1e-24 USD, by its decimal form of 15 digits."""
    return int(Decimal(f"{amount_usd:.{_DIGITS}g}").scaleb(24))


def usd(row: Row, key: str) -> float | None:
    """The price under a key, None where there is none. Raises ValueError, naming the key, where it is not one."""
    value = row.get(key)
    if value is None:
        return None
    try:
        amount = float(value)  # YAML reads "3e-7" as a string
    except (TypeError, ValueError):
        raise ValueError(f"'{key}' must be a number of USD") from None
    if not 0.0 <= amount < float("inf"):
        raise ValueError(f"'{key}' must be a number of USD of zero or more")
    return amount


def rate(row: Row, key: str, otherwise: int | None = None) -> int | None:
    """The price under a key as an integer. Raises ValueError."""
    amount = usd(row, key)
    return otherwise if amount is None else exact(amount)


def tokens(row: Row, key: str) -> int | None:
    """A size in tokens; None where it is not known."""
    value = row.get(key)
    return int(value) if isinstance(value, int | float) and value > 0 else None
