"""Who does what to whom: "A hurt B" is not "B hurt A", but it is "B was hurt by A"."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple

from helix.cache.guards.align import Alignment
from helix.cache.guards.grammar import CONJUNCTIONS, FUNCTION, PREPOSITIONS, PRONOUNS, QUESTION_WORDS
from helix.cache.guards.lexicon import bases, entry
from helix.cache.guards.reading import REMEMBERED, Reading, Token

__all__ = ["same_roles"]

_BE = frozenset("am is are was were be been being get gets got getting".split())
_SUBORDINATORS = frozenset(
    "if when because while although though that who which whether unless until where why".split()
)
# Relations that hold both ways, so that their ends may change places.
_MUTUAL = frozenset(
    "date dating engage engaged marry married friend friends relate related next near close adjacent similar same "
    "different equal identical compare compared difference differ between versus vs meet together combine mix "
    "acquaintance colleague colleagues partner partners sibling siblings cousin cousins neighbor neighbors neighbour "
    "neighbours roommate roommates twin twins spouse spouses match".split()
)
_JOINTS = frozenset(("and", "or", "nor", "&", ",", "/", "vs", "versus"))
_ALIKE = 0.75
"""Roles are compared where so much is the same: between freer wordings, places say little."""
_PERSONS = frozenset(("he", "she", "they"))
_SPEAKERS = frozenset(("i", "you"))


class Role(NamedTuple):
    """The part a word plays: in which clause, and as what, a preposition or a place in the order of the clause."""

    clause: int
    part: str | int


class Cast(NamedTuple):
    """The roles of a reading's words by place, and those of its pronouns by word."""

    words: dict[int, Role]
    pronouns: dict[str, Role]
    mutual: frozenset[int]


def same_roles(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """No two words, in one clause in either text, have changed places."""
    if pairs.overlap < _ALIKE and one.content:
        return True
    if _change_neighbours(one, other, pairs) or _change_places(one, other) or _change_sides(one, other):
        return False
    if _speaker_changes_sides(one, other, pairs):
        return False
    mine, theirs = _cast(one), _cast(other)
    together: dict[
        tuple[int, int, bool], list[tuple[str | int, str | int]]
    ] = {}  # the parts of words, by their clauses
    roles = [
        (role, theirs.words[pairs.pairs[at]], False)
        for at, role in mine.words.items()
        if pairs.pairs.get(at) in theirs.words
    ]
    shared = mine.pronouns.keys() & theirs.pronouns.keys()
    roles += [(mine.pronouns[word], theirs.pronouns[word], word in _SPEAKERS) for word in sorted(shared)]
    for role, now, speaks in roles:
        if role.clause not in mine.mutual and now.clause not in theirs.mutual:
            together.setdefault((role.clause, now.clause, speaks), []).append((role.part, now.part))
    return not any(
        _have_swapped(here, there, now_here, now_there)
        for parts in together.values()
        for (here, now_here), (there, now_there) in combinations(parts, 2)
    )


def _change_neighbours(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """Whether two words stand where the other stood: "a French ship, a British crew", "a British ship, a French crew".

    Compared are the content words next before (or next after) them, themselves left out: in "tea and coffee" and
    "coffee and tea" each stands beside the other.
    """
    for step in (-1, 1):
        beside, beside_other = _beside(one, step), _beside(other, step)
        moves = {}
        for at, there in pairs.pairs.items():
            was, now = pairs.pairs.get(beside.get(at, -1), -1), beside_other.get(there, -1)
            if was != now and was >= 0 and now >= 0:
                moves[was, now] = there
        for (was, now), there in moves.items():
            back = moves.get((now, was))
            if back is not None and not {there, back} & {was, now}:
                return True
    return False


def _change_places(one: Reading, other: Reading) -> bool:
    """Whether the texts are the same word for word but for two, apart or both names, that have changed places."""
    if len(one.tokens) != len(other.tokens):
        return False
    moved = [
        at for at, (mine, theirs) in enumerate(zip(one.tokens, other.tokens, strict=True)) if mine.lower != theirs.lower
    ]
    if len(moved) != 2:
        return False
    left, right = (one.tokens[at] for at in moved)
    if moved[1] - moved[0] == 1 and not (_is_proper(left) and _is_proper(right)):  # "River Po", but not "Paris London"
        return False
    between = one.tokens[moved[0] + 1 : moved[1]]
    return (
        (left.lower, right.lower) == (other.tokens[moved[1]].lower, other.tokens[moved[0]].lower)
        and left.is_content
        and right.is_content
        and not any(token.lower in _JOINTS for token in between)
        and all(token.bases.isdisjoint(_MUTUAL) for token in one.tokens)
    )


def _is_proper(token: Token) -> bool:
    return all(known is not None and known.proper for known in map(entry, token.bases))


def _change_sides(one: Reading, other: Reading) -> bool:
    """Whether who did it is asked in one and to whom in the other: "who sued Apple", "who did Apple sue"."""
    return {_side_asked(one), _side_asked(other)} == {"subject", "object"}


@lru_cache(maxsize=REMEMBERED)
def _side_asked(reading: Reading) -> str:
    """As what a text that begins with "who" asks for somebody; "" for another text."""
    tokens = [token for token in reading.tokens if not token.is_empty]
    if len(tokens) < 3 or tokens[0].lower not in ("who", "whom"):
        return ""
    if tokens[0].lower == "whom":
        return "object"
    if tokens[1].lower in ("do", "does", "did"):
        return "" if _is_verb_only(tokens[2]) else "object"
    return "subject" if tokens[1].is_content and _is_verb_only(tokens[1]) else ""


def _speaker_changes_sides(one: Reading, other: Reading, pairs: Alignment) -> bool:
    """Whether the speaker does in one what is done to him in the other: "can I fire my boss", "can my boss fire me".

    The words change places too, or it is another clause's; a passive ("was I fired by my boss") says the same.
    """
    sides = {_speaker_side(one), _speaker_side(other)}
    places = [there for _, there in sorted(pairs.pairs.items())]
    return sides == {"subject", "object"} and places != sorted(places) and _has_agent(one) == _has_agent(other)


@lru_cache(maxsize=REMEMBERED)
def _speaker_side(reading: Reading) -> str:
    """As what a text has its speaker, if he is one thing alone."""
    said = {token.lower for token in reading.tokens}
    is_subject, is_object = not said.isdisjoint(("i", "we")), not said.isdisjoint(("me", "us"))
    return "" if is_subject == is_object else "subject" if is_subject else "object"


def _has_agent(reading: Reading) -> bool:
    return any(token.lower == "by" for token in reading.tokens)


@lru_cache(maxsize=2 * REMEMBERED)
def _beside(reading: Reading, step: int) -> dict[int, int]:
    """The place of the content word before (-1) or after (1) each content word of the same sentence."""
    places = reading.content if step > 0 else reading.content[::-1]
    return {
        at: following
        for at, following in pairwise(places)
        if not any(token.text in ".?!;" for token in reading.tokens[min(at, following) : max(at, following)])
    }


def _have_swapped(here: str | int, there: str | int, now_here: str | int, now_there: str | int) -> bool:
    if here == there or now_here == now_there:
        return False
    if all(isinstance(part, int) for part in (here, there, now_here, now_there)):
        return (here < there) != (now_here < now_there)  # type: ignore[operator]
    return _kind(here) == _kind(now_there) and _kind(there) == _kind(now_here) and _kind(here) != _kind(there)


def _kind(part: str | int) -> str:
    return "core" if isinstance(part, int) else part


@lru_cache(maxsize=REMEMBERED)
def _cast(reading: Reading) -> Cast:
    tokens = reading.tokens
    words: dict[int, Role] = {}
    pronouns: dict[str, Role] = {}
    mutual = set()
    clause, order = 0, 1
    preposition = ""
    joined: Role | None = None
    last: Role | None = None
    for at, token in enumerate(tokens):
        lower = token.lower
        if token.kind == "mark":
            if lower in ".?!;:" or (lower == "," and _begins_clause(tokens, at + 1)):
                clause, order, preposition, last = clause + 1, 1, "", None
            elif lower == "'s" and at - 1 in words:
                words[at - 1] = Role(clause, "of")
            elif lower == ",":
                joined = last
            continue
        if lower in _SUBORDINATORS and at and tokens[at - 1].kind != "mark":
            clause, order, preposition = clause + 1, 1, ""
        if not token.bases.isdisjoint(_MUTUAL):
            mutual.add(clause)
        if lower in ("and", "or"):
            joined = last
            continue
        if lower in PREPOSITIONS:
            preposition = _preposition(tokens, at)
            continue
        is_pronoun = PRONOUNS.get(lower) in _PERSONS | _SPEAKERS and lower not in ("my", "your", "their", "his")
        if not is_pronoun and not (token.is_content and _is_noun(tokens, at)):
            if token.is_content and _is_verb_only(token):
                preposition, joined = "", None
            continue
        if joined is not None and joined.clause == clause:
            role = joined
        elif preposition:
            role = Role(clause, 0 if preposition == "agent" else preposition)
        else:
            role = Role(clause, order)
            order += 1
        if is_pronoun:
            pronouns.setdefault(PRONOUNS[lower], role)
        else:
            words[at] = role
        last = role
        if not _continues(tokens, at):
            preposition, joined = "", None
        else:
            joined = role
    return Cast(words, pronouns, frozenset(mutual))


def _continues(tokens: tuple[Token, ...], at: int) -> bool:
    """Whether the next word is of the same name or compound."""
    return at + 1 < len(tokens) and bool(tokens[at].name and tokens[at + 1].name)


def _begins_clause(tokens: tuple[Token, ...], at: int) -> bool:
    if at >= len(tokens):
        return True
    lower = tokens[at].lower
    return lower in FUNCTION - PREPOSITIONS - (CONJUNCTIONS - _SUBORDINATORS) or lower in QUESTION_WORDS


def _preposition(tokens: tuple[Token, ...], at: int) -> str:
    """The preposition at a place; "agent" for the "by" of a passive, "" for a particle or an infinitive's "to"."""
    following = next((token for token in tokens[at + 1 :] if token.lower not in FUNCTION), None)
    if following is None:
        return ""
    if (
        tokens[at].lower == "to"
        and following.lower in following.bases
        and _is_verb_only(following)
        and not (following.lower.endswith("ing"))
    ):
        return ""
    if tokens[at].lower == "by" and at and _is_participle(tokens[at - 1].lower):
        return "agent" if any(token.lower in _BE for token in tokens[:at]) else "by"
    return tokens[at].lower


def _is_participle(lower: str) -> bool:
    if lower in _UNCHANGED:
        return True
    verbs = (base for base in bases(lower) if (known := entry(base)) is not None and "v" in known.parts)
    return not lower.endswith("ing") and any(base != lower for base in verbs)


_UNCHANGED = frozenset("hit hurt cut put let set shut cost beat bet bid burst cast quit read rid shed spread".split())


def _is_noun(tokens: tuple[Token, ...], at: int) -> bool:
    token = tokens[at]
    if token.kind != "word" or token.name:
        return True
    known = [found for found in map(entry, token.bases) if found is not None]
    if not any("n" in found.parts for found in known):
        return False
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    if following is not None and following.is_content and following.kind == "word" and not following.name:
        nouns = [found for found in map(entry, following.bases) if found is not None]
        if any("n" in found.mostly for found in nouns):
            return False  # the first part of a compound, or an adjective
        if nouns and all(found.mostly in ("a", "r", "ar") for found in nouns):
            return True  # "silver heavier"
    if at and tokens[at - 1].lower in PREPOSITIONS:
        return True
    return any("n" in (found.mostly or found.parts[:1]) for found in known)


def _is_verb_only(token: Token) -> bool:
    known = [found for found in map(entry, token.bases) if found is not None]
    return (
        bool(known)
        and any("v" in (found.mostly or found.parts) for found in known)
        and not any("n" in found.mostly for found in known)
    )
