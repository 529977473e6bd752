"""Recognizers look in windows of a text: nothing is missed by it, and long or hostile texts are read once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix.redact.reading import Reading
from helix.redact.recognizers import Native, recognizers
from helix.redact.recognizers.base import Anchored, Clustered
from helix.redact.recognizers.email import is_domain
from helix.redact.recognizers.phone import Phone, RegionsMatcher

from .test_equality import PATTERN_KINDS
from .test_equality import generated as texts_of

EVERY = recognizers(PATTERN_KINDS, "en")
# What has patterns of its own, and looks in windows.
WINDOWED = [r for r in EVERY if isinstance(r, Anchored | Clustered) and not isinstance(r, Phone)]


def places(recognizer: Native, reading: Reading, windows: list[tuple[int, int]]) -> set[tuple[int, int]]:
    return {(f.start, f.end) for window in windows for f in recognizer.found(reading, *window, 0.0)}


_pieces = st.sampled_from(
    [
        *("4111 1111 1111 1111", "536-22-8721", "AB 12 34 56 C", "BB1388568", "943 476 5919", "A5631933", "912803456"),
        *("jane@example.com", "git@x.org", "@", "1.2.3.4", "::1", "2a00:1450:4001:81b::200e", "http://u:p@h.com/a"),
        *("12/31/2023", "12-JAN-2020", "2024-02-30", "00:1B:44:11:3A:B7", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
        *(" ", "  ", "-", ".", ",", "\n", "x", "_", "(", "12", "7", "ab", "é", "中", "+1", "x12", ":", "/", "JAN-24"),
    ]
)


@pytest.mark.parametrize("recognizer", WINDOWED, ids=lambda r: r.name)
@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(_pieces, max_size=12))
def test_windows_miss_nothing(recognizer: Native, pieces: list[str]) -> None:
    """What patterns find in the windows is what they find in the whole text."""
    reading = Reading("".join(pieces))
    in_windows = places(recognizer, reading, list(recognizer.windows(reading)))
    in_all = places(recognizer, reading, [(0, len(reading.text))])
    assert in_all <= in_windows
    # A pattern that found something goes on behind it; a window that begins there may find more.
    assert all(any(s < end and start < e for s, e in in_all) for start, end in in_windows - in_all)


@pytest.mark.parametrize("recognizer", EVERY, ids=lambda r: r.name)
def test_a_text_that_cannot_hold_anything_is_passed(recognizer: Native) -> None:
    """What a recognizer says it needs is in all that it finds something in."""
    for text in texts_of(1500):
        reading = Reading(text)
        if any(list(recognizer.found(reading, *window, 0.0)) for window in recognizer.windows(reading)):
            assert reading.holds(recognizer.needs)


HOSTILE = (
    *("a", "1", "1 ", "12-", "123456 ", "a@", "@", "a.", "://", "a:", "::", "1.", "1/", "(1", "+1 ", "GB82", "e\u0301"),
    *("2024-01-01 12", "ffff:", "JAN-", "driver 12", "4111111111111111 ", "中1", "sk-", "token=a1"),
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_windows_of_hostile_texts_are_no_longer_than_the_texts(piece: str) -> None:
    """All windows of a recognizer together, with what they reach beyond, grow as the text does."""
    for length in (1000, 20_000):
        reading = Reading((piece * length)[:length])
        for recognizer in EVERY:
            reach = recognizer.tail + (2 * Phone._MARGIN if isinstance(recognizer, Phone) else 2)
            windows = list(recognizer.windows(reading))
            assert sum(end - start for start, end in windows) <= length + 4 * len(windows)
            assert len(windows) * reach <= 12 * length + reach


def test_phone_numbers_of_many_regions_in_one_pass() -> None:
    """The same numbers as phonenumbers' own matcher finds, asked region by region."""
    from phonenumbers import PhoneNumberMatcher

    for text in texts_of(1500):
        each = {(m.start, m.end) for r in Phone._REGIONS for m in PhoneNumberMatcher(text, r, leniency=1)}
        widest = {a for a in each if not any(a != b and b[0] <= a[0] and a[1] <= b[1] for b in each)}
        assert {(m.start, m.end) for m in RegionsMatcher(text, Phone._REGIONS)} == widest, text


@pytest.mark.parametrize(
    "host",
    [
        *(
            "example.com",
            "a.b.co.uk",
            "co.uk",
            "com",
            "x.ck",
            "www.ck",
            "a.x.ck",
            "city.kobe.jp",
            "x.kobe.jp",
            "a.x.kobe.jp",
        ),
        *("münchen.de", "xn--mnchen-3ya.de", "a.xn--p1ai", "xn--p1ai", "foo.bar", "foo.invalid", "1.2.3.4", "A.COM"),
        *("github.io", "me.github.io", "v1.2.3", "x.рф", "a.公司.cn"),
    ],
)
def test_a_domain_is_one_by_the_public_suffix_list(host: str) -> None:
    """As tldextract, which takes fifty times as long, says."""
    from tldextract import TLDExtract

    extract = TLDExtract(cache_dir=None, suffix_list_urls=())
    assert is_domain(host) == (extract("x@" + host).fqdn != "")
