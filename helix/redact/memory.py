"""What a detector found is remembered by text, so that a conversation that is sent again costs its newest turn."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from helix.kernel.types import Detector, Span

__all__ = ["RememberingDetector"]


class RememberingDetector:
    """A detector before another that asks it about new texts alone.

    Texts are known by a digest under a key that is random and never leaves the process; neither they nor the values
    found are kept. At most `entries` are, and `spans` findings in all of them, the least recently used going first.
    """

    def __init__(self, detector: Detector, *, entries: int, spans: int = 200_000) -> None:
        self._detector = detector
        self._entries = entries
        self._spans = spans  # 0.2 kB each
        self._held = 0
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[Span, ...]] = OrderedDict()

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        """The spans of each text. Raises what the detector raises."""
        digests = [self._digest(text, language) for text in texts]
        known = self._known
        found: dict[bytes, tuple[Span, ...]] = {}
        new: dict[bytes, str] = {}
        for digest, text in zip(digests, texts, strict=True):
            spans = known.get(digest)
            if spans is None:
                new[digest] = text
            else:
                known.move_to_end(digest)
                found[digest] = spans
        if new:
            results = await self._detector.detect(list(new.values()), language=language)
            for digest, result in zip(new, results, strict=True):
                self._keep(digest, tuple(result))
                found[digest] = tuple(result)
        return [found[digest] for digest in digests]

    def _keep(self, digest: bytes, spans: tuple[Span, ...]) -> None:
        # While it was looked for, another call may have found the same.
        self._held += len(spans) - len(self._known.pop(digest, ()))
        self._known[digest] = spans
        while len(self._known) > self._entries or self._held > self._spans:
            _, gone = self._known.popitem(last=False)
            self._held -= len(gone)

    def _digest(self, text: str, language: str | None) -> bytes:
        data = f"{language or ''}\0{text}".encode("utf-8", "surrogatepass")
        return blake2b(data, key=self._key, digest_size=16).digest()
