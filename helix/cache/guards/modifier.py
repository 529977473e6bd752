"""Words put in that narrow a question down: "an actor" is not "a fake actor"."""

from __future__ import annotations

from helix.cache.guards.align import Alignment
from helix.cache.guards.lexicon import entry
from helix.cache.guards.reading import Reading

__all__ = ["same_modifiers"]


def same_modifiers(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """Where one text repeats the other word for word, it puts nothing of substance in."""
    if pairs.window is None or bool(pairs.rest) == bool(pairs.other_rest):
        return True
    reading, rest, replaced = (
        (one, pairs.rest, pairs.window[1]) if pairs.rest else (other, pairs.other_rest, pairs.window[0])
    )
    return bool(replaced) or not any(_narrows(reading, at) for at in rest)


def _narrows(reading: Reading, at: int) -> bool:
    token = reading.tokens[at]
    if token.name == 2 and reading.tokens[at + 1 : at + 2] and reading.tokens[at + 1].name == 2:
        return False  # a first name, which the guard of names has judged
    if token.kind != "word" or token.name:
        return True
    known = [found for found in map(entry, token.bases) if found is not None]
    return any(not set(found.parts).isdisjoint("nvar") for found in known)
