"""Hours of the day, on some days of the week, in which a model is cheaper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["Hours"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Hours:
    """(first minute of the day, first one after, days or None for all), in UTC; the days are those of `calendar`."""

    windows: tuple[tuple[int, int, frozenset[int] | None], ...]
    calendar: tzinfo = UTC

    @classmethod
    def of(cls, block: Mapping[str, Any]) -> Hours:
        """Read LiteLLM's `off_peak_pricing`: `hours_utc` of "HH:MM-HH:MM", and `windows` of such on `weekdays`.

        Raises ValueError for hours, days or a time zone that are none.
        """
        windows: list[tuple[int, int, frozenset[int] | None]] = [
            (*minutes, None) for minutes in _hours(block.get("hours_utc"))
        ]
        for rule in block.get("windows") or ():
            days = rule.get("weekdays")
            on = None if days is None else frozenset(_day(day) for day in days)
            windows += [(*minutes, on) for minutes in _hours(rule.get("hours_utc"))]
        zone = block.get("weekday_timezone")
        try:
            return cls(tuple(windows), ZoneInfo(zone) if zone else UTC)
        except (ZoneInfoNotFoundError, TypeError) as error:
            raise ValueError("'weekday_timezone' must name a time zone") from error

    def includes(self, at: float) -> bool:
        """Whether a Unix time lies in one of the windows. One may pass midnight; its day is that of the time itself."""
        now = datetime.fromtimestamp(at, UTC)
        minute, day = now.hour * 60 + now.minute, now.astimezone(self.calendar).isoweekday()
        return any(
            (first <= minute < end if first < end else minute >= first or minute < end)
            for first, end, days in self.windows
            if days is None or day in days
        )


def _hours(value: str | Sequence[str] | None) -> list[tuple[int, int]]:
    found = []
    for window in (value,) if isinstance(value, str) else value or ():
        try:
            first, end = (datetime.strptime(text.strip(), "%H:%M") for text in window.split("-"))
        except (ValueError, AttributeError, TypeError):
            raise ValueError("'hours_utc' must be like '16:30-00:30'") from None
        found.append((first.hour * 60 + first.minute, end.hour * 60 + end.minute))
    return found


def _day(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 7:
        return value
    if isinstance(value, str) and value.strip().lower()[:3] in _DAYS:
        return _DAYS.index(value.strip().lower()[:3]) + 1
    raise ValueError("'weekdays' must be numbers from 1 (Monday) to 7, or names")
