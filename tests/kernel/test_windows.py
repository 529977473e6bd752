"""Which period a moment belongs to, against calendars known by heart."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from helix.kernel.windows import STEPS, window_of


def ms(at: str) -> int:
    """Unix milliseconds of an ISO 8601 time; UTC where it has no zone."""
    moment = datetime.fromisoformat(at)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("window", "zone", "at", "name", "start", "end"),
    [
        ("minute", "UTC", "2026-11-22T18:30:59.999", "2026-11-22T1830Z", "2026-11-22T18:30", "2026-11-22T18:31"),
        ("hour", "UTC", "2026-11-22T18:30", "2026-11-22T1800Z", "2026-11-22T18:00", "2026-11-22T19:00"),
        # Kolkata's hours begin at half past of UTC's.
        ("hour", "Asia/Kolkata", "2026-11-22T18:10", "2026-11-22T1730Z", "2026-11-22T17:30", "2026-11-22T18:30"),
        ("day", "UTC", "2026-11-22T23:59:59.999", "2026-11-22", "2026-11-22", "2026-11-23"),
        ("day", "Europe/Berlin", "2026-11-22T23:30", "2026-11-23", "2026-11-22T23:00", "2026-11-23T23:00"),
        # Days of 23 and of 25 hours.
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00", "2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00"),
        # In Santiago clocks go from 23:59 to 01:00: the day begins an hour late.
        ("day", "America/Santiago", "2026-09-06T12:00", "2026-09-06", "2026-09-06T04:00", "2026-09-07T03:00"),
        # The local hour that comes twice is two hours.
        ("hour", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T0000Z", "2026-10-25T00:00", "2026-10-25T01:00"),
        ("hour", "Europe/Berlin", "2026-10-25T01:30", "2026-10-25T0100Z", "2026-10-25T01:00", "2026-10-25T02:00"),
        # Weeks begin on Monday; the last days of a year may be of the next year's first week.
        ("week", "UTC", "2026-11-22T12:00", "2026-W47", "2026-11-16", "2026-11-23"),
        ("week", "UTC", "2024-12-31T12:00", "2025-W01", "2024-12-30", "2025-01-06"),
        ("month", "UTC", "2028-02-29T12:00", "2028-02", "2028-02-01", "2028-03-01"),
        ("month", "Asia/Tokyo", "2026-12-31T15:00", "2027-01", "2026-12-31T15:00", "2027-01-31T15:00"),
        ("quarter", "UTC", "2026-11-22", "2026-Q4", "2026-10-01", "2027-01-01"),
        ("year", "America/New_York", "2027-01-01T04:59", "2026", "2026-01-01T05:00", "2027-01-01T05:00"),
    ],
)
def test_a_period_of_the_calendar(window: str, zone: str, at: str, name: str, start: str, end: str) -> None:
    """Its name, its first moment and the first of the next."""
    period = window_of(window, zone).at(ms(at))
    assert (period.name, period.start_ms, period.end_ms) == (name, ms(start), ms(end))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("window", ["hour", "day", "week", "month", "quarter", "year"])
def test_periods_follow_each_other_without_a_gap(window: str, zone: str) -> None:
    """Three years of them, each with a name of its own; but for Lord Howe, where half an hour comes twice."""
    one = window_of(window, zone)
    names: set[str] = set()
    at = ms("2025-01-01")
    while at < ms("2028-01-01"):
        period = one.at(at)
        assert period.start_ms <= at < period.end_ms
        assert period.start_ms == at or not names or (zone, window) == ("Australia/Lord_Howe", "hour")
        assert period.name not in names or (zone, window) == ("Australia/Lord_Howe", "hour")
        names.add(period.name)
        at = period.end_ms


def test_what_is_counted_leaves_a_rolling_window_after_its_length_and_at_most_a_step_more() -> None:
    """Any stretch of the length holds what was counted in it."""
    day = window_of("24h")
    step = 86_400_000 // STEPS
    for at in (ms("2026-11-22T18:30"), ms("2026-11-22T18:30") // step * step):
        bucket = day.at(at).bucket
        assert bucket is not None
        assert 86_400_000 < day.leaves_ms(bucket) - at <= 86_400_000 + step


def test_windows_of_the_same_length_are_the_same() -> None:
    """However they are written; a time zone says nothing about them."""
    assert window_of("60m").stem == window_of("1h", "Europe/Berlin").stem == "3600s"
    assert window_of("total", "Europe/Berlin").stem == "total"
    assert window_of("day", "Europe/Berlin").stem != window_of("day").stem


@pytest.mark.parametrize("wrong", ["fortnight", "", "0m", "-1h", "30s", "1.5h", "367d", "99999999h", "1y", "DAY"])
def test_an_unknown_window_is_an_error_that_names_what_is_known(wrong: str) -> None:
    """Too short, too long, or no window at all."""
    with pytest.raises(ValueError, match=r"window must be one of 'minute', .* or a length from 1m to 366d"):
        window_of(wrong)


@pytest.mark.parametrize("wrong", ["Europe/Atlantis", "", "Europe", "../etc/passwd", "/etc/localtime", "CEST?"])
def test_an_unknown_time_zone_is_an_error(wrong: str) -> None:
    """Nothing but names of the database, and no files."""
    with pytest.raises(ValueError, match="time zone must be one of the IANA database"):
        window_of("day", wrong)
