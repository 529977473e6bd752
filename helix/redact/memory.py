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
    found are kept. At most `entries` are, the least recently used going first.
    """

    def __init__(self, detector: Detector, *, entries: int) -> None:
        self._detector = detector
        self._entries = entries
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[Span, ...]] = OrderedDict()

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        """The spans of each text. Raises what the detector raises."""
        digests = [self._digest(text, language) for text in texts]
        found = {digest: self._known[digest] for digest in digests if digest in self._known}
        new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in found}
        if new:
            results = await self._detector.detect(list(new.values()), language=language)
            found.update(zip(new, map(tuple, results), strict=True))
        for digest, spans in found.items():
            self._known[digest] = spans
            self._known.move_to_end(digest)
        while len(self._known) > self._entries:
            self._known.popitem(last=False)
        return [found[digest] for digest in digests]

    def _digest(self, text: str, language: str | None) -> bytes:
        data = f"{language or ''}\0{text}".encode("utf-8", "surrogatepass")
        return blake2b(data, key=self._key, digest_size=16).digest()
