"""When and how it holds: was, is, will be, used to be; must or may."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from helix.cache.guards.align import Alignment
from helix.cache.guards.grammar import AUXILIARIES
from helix.cache.guards.reading import REMEMBERED, Reading

__all__ = ["same_tense"]

_FORMS = {
    **dict.fromkeys("is are am do does 's".split(), "present"),
    **dict.fromkeys("was were did had".split(), "past"),
    **dict.fromkeys("will shall".split(), "future"),
    **dict.fromkeys("has have".split(), "present"),
}
_VERBAL = AUXILIARIES | {"going", "about", "to"}  # "is going to", "is about to"
_PHASES = frozenset("become start begin stop quit cease continue keep remain resume still anymore longer".split())
_DUTIES = frozenset("must should ought shall".split())
_LEAVES = frozenset("can could may might".split())
_DUTY_VERBS = frozenset(("have", "need", "has", "had", "supposed", "required", "obliged"))
_GOTTEN = frozenset("is are was were am be been being get gets got getting".split())  # "is used to" is another thing
_LEAVE_VERBS = frozenset(("able", "allowed", "permitted", "free"))


class Mood(NamedTuple):
    """The tense of the first finite verb, whether it is a thing of the past habit, and duty or leave."""

    tense: str
    is_habit: bool
    duty: bool
    leave: bool


def same_tense(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """The same time, phase and modality, as far as everything else is the same."""
    mine, theirs = _mood(one), _mood(other)
    if mine.is_habit != theirs.is_habit:
        return False
    contrary = mine.duty != mine.leave and (mine.duty, mine.leave) == (theirs.leave, theirs.duty)
    if contrary and not one.asks and not other.asks:
        return False
    if (pairs.rest or pairs.other_rest) and _only_phases(one, pairs.rest) and _only_phases(other, pairs.other_rest):
        return False
    return (
        not mine.tense
        or not theirs.tense
        or mine.tense == theirs.tense
        or not _differ_in_verbs_alone(one, other, pairs)
    )


def _differ_in_verbs_alone(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """Whether the texts are the same word for word but for auxiliaries."""
    mine, theirs = _others(one), _others(other)
    return len(mine) == len(theirs) and all(
        one.tokens[at].lower == other.tokens[there].lower or pairs.pairs.get(at) == there
        for at, there in zip(mine, theirs, strict=True)
    )


@lru_cache(maxsize=REMEMBERED)
def _others(reading: Reading) -> list[int]:
    tokens = reading.tokens
    return [at for at, token in enumerate(tokens) if not token.is_empty and token.lower not in _VERBAL]


def _only_phases(reading: Reading, rest: tuple[int, ...]) -> bool:
    return all(not reading.tokens[at].bases.isdisjoint(_PHASES) for at in rest)


@lru_cache(maxsize=REMEMBERED)
def _mood(reading: Reading) -> Mood:
    words = [token.lower for token in reading.tokens if token.kind == "word" and not token.is_empty]
    tense = ""
    habit = duty = leave = False
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if following == "to" and (
            (word == "used" and words[at - 1] not in _GOTTEN) or (word == "use" and "did" in words)
        ):
            habit = True
        if word in ("going", "about") and following == "to" and tense == "present":
            tense = "future"
        tense = tense or _FORMS.get(word, "")
        duty = duty or word in _DUTIES or (word in _DUTY_VERBS and following == "to")
        leave = leave or word in _LEAVES or (word in _LEAVE_VERBS and following == "to")
    return Mood(tense, habit, duty, leave)
