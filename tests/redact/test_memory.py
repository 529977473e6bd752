"""What is remembered of texts: findings by digest, bounded, never the texts."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence

from helix.kernel.types import Span
from helix.redact.memory import RememberingDetector

from .apps import FixedDetector


async def test_known_texts_are_not_asked_about() -> None:
    """Neither those of earlier calls nor a text that occurs twice in one."""
    inner = FixedDetector(X=["ab"])
    detector = RememberingDetector(inner, entries=10)
    first = await detector.detect(["ab", "c", "ab"])
    assert [len(spans) for spans in first] == [1, 0, 1]
    assert await detector.detect(["c", "ab"]) == [first[1], first[0]]
    assert inner.asked == ["ab", "c"]


async def test_another_language_is_another_text() -> None:
    """Recognizers differ by language."""
    inner = FixedDetector()
    detector = RememberingDetector(inner, entries=10)
    await detector.detect(["a"])
    await detector.detect(["a"], language="de")
    assert inner.asked == ["a", "a"]


async def test_the_least_recently_used_goes_first() -> None:
    """No more than so many are kept."""
    inner = FixedDetector()
    detector = RememberingDetector(inner, entries=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await detector.detect([text])
    assert inner.asked == ["a", "b", "c", "b"]
    assert len(detector._known) == 2


async def test_no_text_is_kept() -> None:
    """A dump of the memory holds digests and offsets alone."""
    detector = RememberingDetector(FixedDetector(X=["secret"]), entries=2)
    await detector.detect(["a secret text"])
    assert b"secret" not in pickle.dumps(detector._known)
    other = RememberingDetector(FixedDetector(X=["secret"]), entries=2)
    await other.detect(["a secret text"])
    assert set(detector._known) != set(other._known)


async def test_what_is_held_is_bounded() -> None:
    """By the findings as well: a text that is full of them counts for many, and goes when others come."""
    inner = FixedDetector(X=["x"])
    detector = RememberingDetector(inner, entries=100, spans=10)
    for text in ("x" * 6, "x" * 4, "plain", "xx", "x" * 50, "plain"):
        await detector.detect([text])
        assert sum(map(len, detector._known.values())) == detector._held <= 10
    assert inner.asked == ["x" * 6, "x" * 4, "plain", "xx", "x" * 50, "plain"]


async def test_two_calls_at_once_keep_the_count() -> None:
    """Each finds the same text new, and it is held once."""

    class Slow(FixedDetector):
        async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
            await asyncio.sleep(0)
            return await super().detect(texts, language=language)

    inner = Slow(X=["x"])
    detector = RememberingDetector(inner, entries=100, spans=10)
    await asyncio.gather(*(detector.detect(["xx"]) for _ in range(3)))
    assert inner.asked == ["xx"] * 3
    assert detector._held == 2
