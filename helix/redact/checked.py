"""A detector's answers, looked at before anything is cut by them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Detector, Span
from helix.redact.spans import resolve

__all__ = ["CheckedDetector"]

_KIND = re.compile(r"\w[\w .:/-]{0,63}", re.ASCII)


class CheckedDetector:
    """A detector before another whose answers need not fit: what lies outside a text is an outage.

    Spans that overlap or come in no order, as anybody's detector may give them, are resolved.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        """The spans of each text, in order, without overlap. Raises BackendUnavailable, and what the detector does."""
        found = await self._detector.detect(texts, language=language)
        try:
            if len(found) != len(texts):
                raise BackendUnavailable("the detector of personal data did not answer for every text")
            return [_checked(text, spans) for text, spans in zip(texts, found, strict=True)]
        except (TypeError, AttributeError):
            raise BackendUnavailable("the detector of personal data gave something that is no span") from None


def _checked(text: str, spans: Sequence[Span]) -> Sequence[Span]:
    last, in_order = 0, True
    for span in spans:
        if not 0 <= span.start <= span.end <= len(text) or not 0 <= span.score <= 1:
            raise BackendUnavailable("the detector of personal data gave spans that do not fit the text")
        # Kinds are told in headers, errors and records; whole numbers are what texts are cut by.
        if not (isinstance(span.start, int) and isinstance(span.end, int) and _KIND.fullmatch(span.kind)):
            raise BackendUnavailable("the detector of personal data gave something that is no span")
        in_order = in_order and span.start >= last
        last = span.end
    return spans if in_order else resolve(spans)
