"""A Presidio that all tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from helix.redact import PresidioDetector


@pytest.fixture(scope="session")
def presidio() -> Iterator[PresidioDetector]:
    """The real detector with its default kinds, open."""
    detector = PresidioDetector()
    asyncio.run(detector.open())
    yield detector
    asyncio.run(detector.close())
