"""What is asked for: a person, a place, a time, a reason, a number."""

from __future__ import annotations

from functools import lru_cache

from helix.cache.guards.align import Alignment
from helix.cache.guards.grammar import AUXILIARIES, FILLERS
from helix.cache.guards.reading import REMEMBERED, Reading

__all__ = ["same_question"]

_WORDS = {"who": "who", "whom": "who", "whose": "who", "when": "when", "where": "where", "why": "why", "how": "how"}
_WEAK = frozenset(("whether", "which"))
# Kinds that ask for much the same: "when will it arrive", "how long will it take".
_ALIKE = (
    {"when", "duration"},
    {"where", "how"},
    {"which", "where"},
    {"which", "when"},
    {"which", "who"},
    {"case", "how"},
)


def same_question(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """Both ask for the same kind of thing, where both say which; whether and why differ where all else is the same."""
    mine, theirs = _kinds(one), _kinds(other)
    if pairs.overlap < 1.0:
        mine, theirs = mine - _WEAK, theirs - _WEAK
    if not mine or not theirs or not mine.isdisjoint(theirs):
        return True
    if "whether" in mine | theirs:
        return "why" not in mine | theirs
    return any({kind, contrary} in _ALIKE for kind in mine for contrary in theirs)


@lru_cache(maxsize=REMEMBERED)
def _kinds(reading: Reading) -> frozenset[str]:
    found = set(reading.asks)
    words = list(reading.words())
    for at, word in enumerate(words):
        kind = _WORDS.get(word)
        if kind is not None and kind != "how" and _asks(words, at):
            found.add(kind)
    if not found:
        is_question = reading.text.rstrip().endswith("?")
        first = next((token for token in reading.tokens if not token.is_empty), None)
        if is_question and first is not None and first.lower in AUXILIARIES:
            found.add("whether")
        for at, token in enumerate(reading.tokens[:-1]):
            if token.lower in ("what", "which") and reading.tokens[at + 1].is_content:
                found.add("which")
    return frozenset(found)


def _asks(words: list[str], at: int) -> bool:
    """Whether a question word asks and does not join: first of the text, or before a verb that its subject follows."""
    before = [word for word in words[:at] if word not in FILLERS and word not in ("and", "so", "but")]
    following = words[at + 1] if at + 1 < len(words) else ""
    if not before:
        return words[at] != "when" or following in AUXILIARIES
    return (following in AUXILIARIES and words[at] not in ("who", "when")) or before[-1] in ("know", "me", "wondering")
