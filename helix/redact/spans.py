"""Spans of one text: overlaps resolved, and long texts cut into windows so that detection stays linear in length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from helix.kernel.types import Span

__all__ = ["resolve", "windows"]

WINDOW_CHARS = 4096
OVERLAP_CHARS = 256
"""Longer than anything that a pattern describes, so that whatever a border cuts stands whole in the next window."""


def resolve(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Sorted spans without overlap.

    Spans that overlap become one over all they cover, so that no part of either stays readable; its kind is that of
    the highest score, then the longest, then the earliest.
    """
    found: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if not found or span.start >= found[-1].end:
            found.append(span)
            continue
        last = found[-1]
        best = max(last, span, key=lambda s: (s.score, s.end - s.start, -s.start))
        found[-1] = Span(last.start, max(last.end, span.end), best.kind, best.score, best.recognizer, best.reason)
    return tuple(found)


def windows(text: str) -> Iterator[tuple[int, str]]:
    """A text as overlapping windows, each with its offset; cut at white space where there is some near."""
    start, length = 0, len(text)
    while length - start > WINDOW_CHARS:
        end = start + WINDOW_CHARS
        for mark in ("\n", " "):
            at = text.rfind(mark, end - OVERLAP_CHARS, end)
            if at > 0:
                end = at
                break
        yield start, text[start:end]
        start = end - OVERLAP_CHARS
    yield start, text[start:]
