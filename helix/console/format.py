"""Numbers as people read them: units, thin spaces between thousands, no more digits than mean something."""

from __future__ import annotations

from datetime import datetime
from math import floor, log10

__all__ = ["count", "duration", "moment", "percent", "short_count", "usd"]

THIN = "\u2009"
NONE = "\u2013"


def count(value: int) -> str:
    """1 234 567, with thin spaces."""
    return f"{value:,}".replace(",", THIN)


def short_count(value: int) -> str:
    """735 k or 1.23 M from a hundred thousand on, in three digits; the whole number below."""
    if value < 100_000:
        return count(value)
    for size, unit in ((1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        # 999 500 reads as 1 M, not as 1000 k
        if value >= 0.9995 * size:
            return f"{_three(value / size)}{THIN}{unit}"
    return count(value)


def usd(value: float) -> str:
    """$12.34; three digits below a cent, since a single answer may cost a thousandth of one."""
    if value == 0:
        return "$0"
    if value >= 0.01:
        return f"${value:,.2f}".replace(",", THIN)
    if value < 5e-10:
        return "<$0.000000001"
    decimals = min(2 - floor(log10(value)), 9)  # three digits, but no finer than a nano-USD
    return f"${value:.{decimals}f}".rstrip("0")


def duration(milliseconds: float | None) -> str:
    """0.42 ms, 312 ms, 1.24 s, 2 min 5 s; a dash where nothing was measured."""
    if milliseconds is None:
        return NONE
    if milliseconds < 999.5:
        return f"{_three(milliseconds)}{THIN}ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{_three(seconds)}{THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{count(minutes)}{THIN}min {rest}{THIN}s"


def percent(ratio: float | None) -> str:
    """42.3 %; a dash where there is no ratio."""
    if ratio is None:
        return NONE
    if ratio in (0, 1):
        return f"{ratio * 100:.0f}{THIN}%"
    return f"{ratio * 100:.1f}{THIN}%"


def moment(at: datetime) -> str:
    """Time of day in UTC, to the second."""
    return at.strftime("%H:%M:%S")


def _three(value: float) -> str:
    """Three significant digits at most, none invented: 0.042, 4.2, 42, 420."""
    if value == 0:
        return "0"
    if value < 0.01:
        return "<0.01"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
