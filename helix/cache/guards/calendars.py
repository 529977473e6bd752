"""Dates and times of day in a text."""

from __future__ import annotations

from collections.abc import Sequence

from helix.cache.guards.lexicon import bases

__all__ = ["find_dates"]

_MONTHS = {
    form: number
    for number, forms in enumerate(
        (
            "january jan,february feb,march mar,april apr,may,june jun,july jul,august aug,september sep sept,"
            "october oct,november nov,december dec"
        ).split(","),
        start=1,
    )
    for form in forms.split()
}
_DAYS = {
    form: number
    for number, forms in enumerate(
        (
            "monday mondays mon,tuesday tuesdays tue tues,wednesday wednesdays wed,thursday thursdays thu thur thurs,"
            "friday fridays fri,saturday saturdays sat,sunday sundays sun"
        ).split(",")
    )
    for form in forms.split()
}
_EVERYDAY = frozenset("may march mar sat sun wed jan mon".split())
"""Words that are something else, too: dates only with a capital, and beside a number or a preposition."""
_RELATIVE = {
    **{word: word for word in "yesterday tomorrow midnight noon weekend weekends weekday weekdays".split()},
    **dict.fromkeys(("today", "tonight"), "today"),
    **dict.fromkeys(("morning", "mornings"), "morning"),
    **dict.fromkeys(("evening", "evenings"), "evening"),
    **dict.fromkeys(("night", "nights", "overnight"), "night"),
    **dict.fromkeys(("afternoon", "afternoons"), "afternoon"),
}
_PERIODS = frozenset("second minute hour day week weekend month quarter year decade century time".split())
_WHICH = {"last": "last", "past": "last", "previous": "last", "next": "next", "coming": "next", "this": "this"}
_BESIDE = frozenset("in on of since until till by next last this every before after from during".split())
_ANY = frozenset((*_MONTHS, *_DAYS, *_RELATIVE, *_WHICH, "am", "pm"))


def find_dates(words: Sequence[tuple[str, str, bool]]) -> tuple[frozenset[tuple[str, str]], frozenset[int]]:
    """The dates in a text's (kind, lower-case word, has a capital) triples, and the places that they take."""
    if _ANY.isdisjoint([word for _, word, _ in words]):
        return frozenset(), frozenset()
    found: set[tuple[str, str]] = set()
    taken: set[int] = set()
    for at, (_, word, is_capital) in enumerate(words):
        before = words[at - 1] if at else ("", "", False)
        following = words[at + 1] if at + 1 < len(words) else ("", "", False)
        if word in _MONTHS and _is_date(word, is_capital, before, following):
            found.add(("month", str(_MONTHS[word])))
        elif word in _DAYS and _is_date(word, is_capital, before, following):
            found.add(("weekday", str(_DAYS[word])))
        elif word in _RELATIVE:
            found.add(("relative", _RELATIVE[word]))
        elif word in ("am", "pm") and before[0] == "number":
            found.add((word, before[1].removesuffix(":00")))
        elif word in _WHICH and not _PERIODS.isdisjoint(bases(following[1])):
            found.add((_WHICH[word], min(bases(following[1]) & _PERIODS)))
            taken.add(at + 1)
        else:
            continue
        taken.add(at)
    return frozenset(found), frozenset(taken)


def _is_date(word: str, is_capital: bool, before: tuple[str, str, bool], following: tuple[str, str, bool]) -> bool:
    if word not in _EVERYDAY:
        return True
    return is_capital and (before[0] == "number" or before[1] in _BESIDE or following[0] == "number")
