"""Whether two answers say the same: by their words, by their meaning, and where that leaves a doubt by a judge."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import TypeAlias
from unicodedata import category

import orjson

from helix.cache.guards import compare
from helix.cache.guards.grammar import NEGATIONS
from helix.cache.guards.reading import read
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
# Words with the marks that are part of them (C#, -5, 3/4, 5%), and each sign that may be a symbol.
_WORDS = re.compile(r"(\w+|(?<=\w)#|(?<!\w)[-\u2212](?=\d)|(?<=\w)[*/](?=\w)|%)|([^\w\s`])")
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
    """The same for answers of the same words and symbols, whatever their case, spacing and punctuation."""
    found = [word or sign for word, sign in _WORDS.findall(text.casefold()) if word or category(sign)[0] == "S"]
    return blake2b(" ".join(found).encode("utf-8", "replace"), digest_size=12).hexdigest()


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
    mine, others = [[(await embedder.embed([piece]))[0] for piece in pieces] for pieces in (ours, theirs)]
    if not all((*mine, *others)):
        return Verdict.UNSURE
    # Each piece of the one must be said somewhere in the other: Hausdorff's distance, in cosines.
    alike = min(_least(mine, others), _least(others, mine))
    if alike < OTHER_MOST:
        return Verdict.OTHER
    if alike < SAME_LEAST or sorted(_NUMBERS.findall(left)) != sorted(_NUMBERS.findall(right)):
        return Verdict.UNSURE
    met = [*_met(ours, theirs, mine, others), *_met(theirs, ours, others, mine)]
    return Verdict.SAME if all(map(_agree, *zip(*met, strict=True))) else Verdict.UNSURE


def _agree(one: str, other: str) -> bool:
    """Whether two near pieces may say the same: "it is not safe" is as near to "it is safe" as a rewording is.

    Negations are counted: in answers, unlike in questions, two of them ("No, you cannot") seldom cancel out.
    """
    denials, others = ([word for word in read(piece).words() if word in NEGATIONS] for piece in (one, other))
    return len(denials) == len(others) and compare(one, other).veto is None


def _met(ours: list[str], theirs: list[str], side: list[Vector], other: list[Vector]) -> list[tuple[str, str]]:
    """Each piece with the nearest of the other text."""
    near = (max(range(len(other)), key=lambda at: _cosine(one, other[at])) for one in side)
    return [(piece, theirs[at]) for piece, at in zip(ours, near, strict=True)]


def _least(side: list[Vector], other: list[Vector]) -> float:
    return min(max(_cosine(one, two) for two in other) for one in side)


def _cosine(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


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
