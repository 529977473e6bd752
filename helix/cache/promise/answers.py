"""Whether two answers say the same: by their words, by their meaning, and where that leaves a doubt by a judge."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import TypeAlias

import orjson

from helix.cache.promise.learning import Verdict
from helix.kernel.types import Embedder, Entry, Vector
from helix.kernel.wire import DIALECTS

__all__ = ["Answers", "Judge", "digest_of", "text_of"]

Judge: TypeAlias = Callable[[str, str, str], Awaitable[Verdict]]
"""Asked with a question and two answers to it; UNSURE where it cannot tell. Raises nothing."""

SAME_LEAST, OTHER_MOST = 0.9, 0.7
"""Cosines of answers from which they are the same, and below which they are not; between, a judge decides."""
_PIECE_CHARS = 700
_MOST_PIECES = 12
_DIALECTS = {dialect.name: dialect for dialect in DIALECTS}
_WORDS = re.compile(r"\w+")
_NUMBERS = re.compile(r"\d+(?:[.,:]\d+)*")
_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")


def text_of(entry: Entry) -> str:
    """What an entry answers, in words; empty for an answer of another kind, or one that is damaged."""
    dialect = _DIALECTS.get(entry.dialect)
    try:
        answer = orjson.loads(entry.body)
    except ValueError:
        return ""
    if dialect is None or not isinstance(answer, dict):
        return ""
    return "\n".join(text.value for text in dialect.answer_texts(answer))


def digest_of(text: str) -> str:
    """The same for answers of the same words, whatever their case, spacing and punctuation."""
    return blake2b(" ".join(_WORDS.findall(text.casefold())).encode("utf-8", "replace"), digest_size=12).hexdigest()


class Answers:
    """Compares answers. Without an embedder or a judge, what has other words is UNSURE."""

    def __init__(self, judge: Judge | None = None) -> None:
        self._judge = judge

    async def verdict(self, question: str, left: str, right: str, embedder: Embedder | None) -> Verdict:
        """Whether two answers to a question are the same. Raises BackendUnavailable, of the embedder."""
        if not left or not right:
            return Verdict.UNSURE
        if digest_of(left) == digest_of(right):
            return Verdict.SAME
        found = Verdict.UNSURE
        if embedder is not None:
            found = await _by_meaning(left, right, embedder)
        if found is Verdict.UNSURE and self._judge is not None:
            found = await self._judge(question, left, right)
        return found


async def _by_meaning(left: str, right: str, embedder: Embedder) -> Verdict:
    ours, theirs = _pieces(left), _pieces(right)
    if max(len(ours), len(theirs)) > _MOST_PIECES:
        return Verdict.UNSURE
    # One at a time: in integers, what else is in a batch changes a vector.
    vectors = [[(await embedder.embed([piece]))[0] for piece in pieces] for pieces in (ours, theirs)]
    if not all(vector for side in vectors for vector in side):
        return Verdict.UNSURE
    # Each piece of the one must be said somewhere in the other: Hausdorff's distance, in cosines.
    alike = min(_least(vectors[0], vectors[1]), _least(vectors[1], vectors[0]))
    if alike < OTHER_MOST:
        return Verdict.OTHER
    same_numbers = sorted(_NUMBERS.findall(left)) == sorted(_NUMBERS.findall(right))
    return Verdict.SAME if alike >= SAME_LEAST and same_numbers else Verdict.UNSURE


def _least(side: list[Vector], other: list[Vector]) -> float:
    return min(max(sum(a * b for a, b in zip(one, two, strict=True)) for two in other) for one in side)


def _pieces(text: str) -> list[str]:
    """A text in pieces of whole sentences that fit an embedder's window; a longer sentence is cut."""
    found = [""]
    for sentence in _ENDS.split(text.strip()):
        for at in range(0, len(sentence), _PIECE_CHARS):
            part = sentence[at : at + _PIECE_CHARS]
            if len(found[-1]) + len(part) > _PIECE_CHARS:
                found.append("")
            found[-1] = f"{found[-1]} {part}".strip()
    return [piece for piece in found if piece]
