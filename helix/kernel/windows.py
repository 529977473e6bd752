"""Windows: the stretches of time over which a limit counts, and which of them a moment belongs to.

A window of the calendar is a row of periods, each with sums of its own in the ledger. A rolling window is one row of
`STEPS` + 1 buckets, so that what is counted leaves it between one length and one length and a 60th later: any stretch
of that length holds the limit, and no log of single requests is kept.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["ALLOWED", "CALENDAR", "STEPS", "Period", "Window", "window_of"]

STEPS = 60
"""Buckets to the length of a rolling window; the ledger's scripts say the same."""

CALENDAR = {
    "minute": "a minute",
    "hour": "an hour",
    "day": "a day",
    "week": "a week",
    "month": "a month",
    "quarter": "a quarter",
    "year": "a year",
    "total": "in all",
}
"""The windows that have a name, and how people say them."""

ALLOWED = f"one of {str(list(CALENDAR))[1:-1]}, or a length from 1m to 366d such as 90m, 24h or 30d"
"""What a window can be, in words."""

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MAX_SECONDS = 366 * 86_400
_SPAN = re.compile(r"([1-9][0-9]{0,6})([mhdw])")
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_WEEK_MS = 604_800_000
_HOUR_MS = 3_600_000
_FORMS = {"minute": "%Y-%m-%dT%H%MZ", "hour": "%Y-%m-%dT%H%MZ", "day": "%Y-%m-%d", "week": "%G-W%V", "year": "%Y"}


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time, [start_ms, end_ms) in Unix milliseconds, in which a window's sums are the same ones."""

    name: str
    """Tells the sums of one period from another's; empty for a rolling window, whose buckets share one place."""
    start_ms: int
    end_ms: int
    bucket: int | None = None
    forget_ms: int | None = None
    """When the sums are of no use to anybody any more; for a rolling window, when to look whether they are."""


_ALWAYS = Period("total", 0, 2**53)


class Window:
    """One window; `window_of` makes them and checks what it is given.

    `stem` is how the ledger writes it: the same for windows that are the same, whatever they were called.
    """

    def __init__(self, name: str, zone: zoneinfo.ZoneInfo, length_seconds: int | None) -> None:
        self._name, self._zone = name, zone
        self.length_ms = None if length_seconds is None else length_seconds * 1000
        """Of a rolling window; None for the others."""
        self.step_ms = 0 if length_seconds is None else length_seconds * 1000 // STEPS
        if length_seconds is not None:
            self.stem, self.phrase = f"{length_seconds}s", f"in any {name}"
        else:
            local = name != "total" and zone.key != "UTC"
            self.stem = f"{name}@{zone.key}" if local else name
            self.phrase = f"{CALENDAR[name]} ({zone.key})" if local else CALENDAR[name]
        self._present = _ALWAYS if name == "total" else Period("", 0, 0)

    def at(self, now_ms: int) -> Period:
        """The period that a moment belongs to."""
        if not self._present.start_ms <= now_ms < self._present.end_ms:
            self._present = self._rolling(now_ms) if self.length_ms is not None else self._calendar(now_ms)
        return self._present

    def leaves_ms(self, bucket: int) -> int:
        """When the last of a rolling window's bucket leaves it."""
        return (bucket + STEPS + 1) * self.step_ms

    def _rolling(self, now_ms: int) -> Period:
        bucket = now_ms // self.step_ms
        start_ms = bucket * self.step_ms
        forget_ms = start_ms + (self.length_ms or 0) + _WEEK_MS
        return Period("", start_ms, start_ms + self.step_ms, bucket, forget_ms)

    def _calendar(self, now_ms: int) -> Period:
        moment = datetime.fromtimestamp(now_ms / 1000, self._zone)
        if self._name in ("minute", "hour"):
            # By arithmetic, since a local time can come twice.
            length_ms = 60_000 if self._name == "minute" else _HOUR_MS
            offset = moment.utcoffset()
            offset_ms = 0 if offset is None else round(offset.total_seconds() * 1000)
            start_ms = (now_ms + offset_ms) // length_ms * length_ms - offset_ms
            name = datetime.fromtimestamp(start_ms / 1000, UTC).strftime(_FORMS[self._name])
            end_ms = start_ms + length_ms
            return Period(name, start_ms, end_ms, forget_ms=end_ms + 2 * _HOUR_MS)
        if self._name in _MONTHS:
            span = _MONTHS[self._name]
            month = (moment.month - 1) // span * span
            start_ms, end_ms = self._first(moment.year, month), self._first(moment.year, month + span)
            name = f"{moment.year:04d}" if span == 12 else f"{moment.year:04d}-{month + 1:02d}"
            name = f"{moment.year:04d}-Q{month // 3 + 1}" if span == 3 else name
        else:
            days = 7 if self._name == "week" else 1
            day = moment.toordinal() - (moment.weekday() if days == 7 else 0)
            start_ms, end_ms = self._midnight(day), self._midnight(day + days)
            name = datetime.fromordinal(day).strftime(_FORMS[self._name])
        return Period(name, start_ms, end_ms, forget_ms=end_ms + _WEEK_MS)

    def _first(self, year: int, months: int) -> int:
        return self._midnight(datetime(year + months // 12, months % 12 + 1, 1).toordinal())

    def _midnight(self, day: int) -> int:
        # Where clocks skip midnight, this is the moment at which they do.
        return round(datetime.fromordinal(day).replace(tzinfo=self._zone).timestamp() * 1000)


@lru_cache(maxsize=1024)
def window_of(window: str, time_zone: str = "UTC") -> Window:
    """The window of these names (see `Limit`). Raises ValueError for one that there is not."""
    try:
        zone = zoneinfo.ZoneInfo(time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"a budget's time zone must be one of the IANA database, for example Europe/Berlin, not {time_zone!r}"
        ) from None
    if window in CALENDAR:
        return Window(window, zone, None)
    span = _SPAN.fullmatch(window)
    seconds = int(span[1]) * _SECONDS[span[2]] if span is not None else 0
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(f"a budget's window must be {ALLOWED}, not {window!r}")
    return Window(window, zone, seconds)
