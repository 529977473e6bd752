"""People, places, products: whom or what a question is about by name, in capitals or not."""

from __future__ import annotations

from helix.cache.guards.align import Alignment
from helix.cache.guards.lexicon import bases, entry
from helix.cache.guards.reading import Reading

__all__ = ["same_names"]

_ACRONYM_LETTERS = 5


def same_names(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """No name in one text that the other lacks, save a first name beside a surname that both have."""
    mine, theirs = _unpaired(one, pairs.rest), _unpaired(other, pairs.other_rest)
    if not mine and not theirs:
        return True
    if _abbreviate(one, mine, other, theirs):
        return True
    if mine and theirs:
        return False
    reading, lone = (one, mine) if mine else (other, theirs)
    paired = set(pairs.pairs if mine else pairs.pairs.values())
    return all(_may_be_left_out(reading, at, paired) for at in lone)


def _unpaired(reading: Reading, rest: tuple[int, ...]) -> list[int]:
    if not reading.is_english:
        return []
    return [at for at in rest if reading.tokens[at].kind == "word" and reading.tokens[at].name]


def _may_be_left_out(reading: Reading, at: int, paired: set[int]) -> bool:
    """Whether a word is no name after all (only unknown, or an everyday word with a capital), or a first name."""
    token = reading.tokens[at]
    if token.name == 1:
        return True
    known = [found for found in map(entry, bases(token.lower)) if found is not None]
    is_everyday = any(not found.proper for found in known)
    following = reading.tokens[at + 1] if at + 1 < len(reading.tokens) else None
    if following is not None and following.name == 2:
        return at + 1 in paired and not is_everyday
    if token.text.isupper() and len(token.text) <= _ACRONYM_LETTERS:
        return is_everyday
    return any(found.frequent and not found.proper for found in known)


def _abbreviate(one: Reading, mine: list[int], other: Reading, theirs: list[int]) -> bool:
    """Whether one side's names are the initials of the other's: "UK", "United Kingdom"."""
    for left, lefts, right, rights in ((one, mine, other, theirs), (other, theirs, one, mine)):
        if len(lefts) == 1 and len(rights) > 1:
            initials = "".join(right.tokens[at].lower[0] for at in rights)
            if left.tokens[lefts[0]].lower == initials:
                return True
    return False
