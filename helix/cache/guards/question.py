"""What is asked for: a person, a place, a time, a reason, a number."""

from __future__ import annotations

from functools import lru_cache

from helix.cache.guards.align import Alignment
from helix.cache.guards.grammar import AUXILIARIES, FILLERS
from helix.cache.guards.reading import Reading

__all__ = ["same_question"]

_WORDS = {"who": "who", "whom": "who", "whose": "who", "when": "when", "where": "where", "why": "why", "how": "how"}
_ALIKE = ({"when", "duration"}, {"where", "how"})  # "when will it arrive", "how long will it take"


def same_question(one: Reading, other: Reading, _: Alignment) -> bool:
    """Both ask for the same kind of thing, where both say which."""
    mine, theirs = _kinds(one), _kinds(other)
    if not mine or not theirs:
        return True
    return not mine.isdisjoint(theirs) or any({kind, contrary} in _ALIKE for kind in mine for contrary in theirs)


@lru_cache(maxsize=4096)
def _kinds(reading: Reading) -> frozenset[str]:
    found = set(reading.asks) - {"whether"}
    words = list(reading.words())
    for at, word in enumerate(words):
        kind = _WORDS.get(word)
        if kind is not None and kind not in ("how",) and _asks(words, at):
            found.add(kind)
    return frozenset(found)


def _asks(words: list[str], at: int) -> bool:
    """Whether a question word asks and does not join: first of the text, or before a verb that its subject follows."""
    before = [word for word in words[:at] if word not in FILLERS and word not in ("and", "so", "but")]
    if not before:
        return True
    following = words[at + 1] if at + 1 < len(words) else ""
    return (following in AUXILIARIES and words[at] not in ("who", "when")) or before[-1] in ("know", "me", "wondering")
