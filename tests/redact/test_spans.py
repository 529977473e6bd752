"""Overlaps, and the windows of long texts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from helix.kernel.types import Span
from helix.redact.spans import OVERLAP_CHARS, WINDOW_CHARS, resolve, windows


def test_the_surest_names_the_whole() -> None:
    """What overlaps becomes one span over all of it, of the kind that is surest."""
    spans = [Span(0, 5, "URL", 0.5), Span(3, 12, "EMAIL_ADDRESS", 1.0), Span(20, 22, "URL", 0.5)]
    assert resolve(spans) == (Span(0, 12, "EMAIL_ADDRESS", 1.0), Span(20, 22, "URL", 0.5))


def test_equally_sure_the_longest_names_it_then_the_earliest() -> None:
    """Ties go to length, then to place."""
    assert resolve([Span(0, 4, "A", 0.5), Span(2, 9, "B", 0.5)])[0].kind == "B"
    assert resolve([Span(0, 4, "A", 0.5), Span(2, 6, "B", 0.5)])[0].kind == "A"


def test_touching_spans_stay_apart() -> None:
    """An end is exclusive."""
    assert len(resolve([Span(0, 4, "A", 0.5), Span(4, 8, "A", 0.5)])) == 2


_spans = st.builds(
    lambda start, length, kind, score: Span(start, start + length, kind, score),
    st.integers(0, 60),
    st.integers(1, 20),
    st.sampled_from("ABC"),
    st.sampled_from([0.4, 0.5, 1.0]),
)


@given(st.lists(_spans))
def test_resolved_spans_cover_the_same_without_overlap(spans: list[Span]) -> None:
    """Not one character that some span covers stays readable, and none else is hidden."""
    resolved = resolve(spans)
    assert all(a.end <= b.start for a, b in itertools.pairwise(resolved))
    assert {i for s in spans for i in range(s.start, s.end)} == {i for s in resolved for i in range(s.start, s.end)}


@given(st.text(st.sampled_from("a \n"), max_size=3 * WINDOW_CHARS))
def test_windows_cover_the_text(text: str) -> None:
    """Each window is a piece of the text at its offset, they overlap, and together they are all of it."""
    at = 0
    for offset, window in windows(text):
        assert offset <= at
        assert text[offset : offset + len(window)] == window
        assert len(window) <= WINDOW_CHARS
        assert offset == 0 or at - offset == OVERLAP_CHARS
        at = offset + len(window)
    assert at == len(text)
