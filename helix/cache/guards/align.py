"""Which words of two texts account for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from helix.cache.guards.kinship import against, contrary, meanings
from helix.cache.guards.reading import Reading, Token
from helix.cache.guards.spelling import is_slip, is_usual

__all__ = ["Alignment", "align"]

_SYNONYM = 0.9
"""How much of a word its synonym accounts for: few are one in every sense."""
_MOST_COMPARED = 400
"""Beyond so many pairs of words without a partner, no slip of the hand makes two texts one."""
_SHADE = 0.5
"""How much of a word another degree or particle leaves unaccounted for."""
_PARTICLES = frozenset("up down off on out in over through".split())
_CONTEXT_WORDS = 20
"""Texts that share so many words at their ends are judged by what differs as well."""
_WINDOW_WORDS = 4
"""A verbatim repeat differs in no more words than this, in one place."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs of places in two readings' tokens, and the content that has no partner.

    `overlap` is the share of both texts' content that is accounted for, 0 to 1. `window`: where one text repeats the
    other word for word but in one place (articles, fillers and turns of phrase aside), what stands there in each; None
    for a free rewording, in which other words follow from another construction.
    """

    pairs: dict[int, int]
    opposites: tuple[tuple[int, int], ...]
    rest: tuple[int, ...]
    other_rest: tuple[int, ...]
    overlap: float
    window: tuple[tuple[int, ...], tuple[int, ...]] | None

    @property
    def is_verbatim(self) -> bool:
        """Whether one text repeats the other but in one place."""
        return self.window is not None


def align(one: Reading, other: Reading) -> Alignment:
    """Pair equal words, then opposites, synonyms, words of one root, and words one slip of the hand apart."""
    rest, others = list(one.content), list(other.content)
    pairs: dict[int, int] = {}
    total = len(rest) + len(others)
    if not total:
        return _align_functions(one, other)
    _pair_equal(one.tokens, other.tokens, rest, others, pairs)
    credit = 2.0 * len(pairs) - sum(_shade(one.tokens, at, other.tokens, there) for at, there in pairs.items())
    opposites: list[tuple[int, int]] = []
    if rest and others:
        mine, theirs = one.tokens, other.tokens
        opposites = _pair_by(rest, others, lambda at: against(mine[at].lower), lambda at: contrary(theirs[at].lower))
        pairs.update(opposites)
        if len(opposites) % 2 == 0:
            credit += 2 * _SYNONYM * len(opposites)
        synonyms = _pair_by(rest, others, lambda at: _meanings(mine[at]), lambda at: _meanings(theirs[at]))
        pairs.update(synonyms)
        credit += 2 * _SYNONYM * len(synonyms)
    if (rest or others) and len(rest) * len(others) <= _MOST_COMPARED:
        credit += _pair_stretches(one, other, rest, others, pairs)
        misspelt = _pair_misspelt(one.tokens, other.tokens, rest, others)
        pairs.update(misspelt)
        credit += 2 * len(misspelt)
    return _judged(one, other, pairs, opposites, rest, others, credit / total)


def _judged(
    one: Reading,
    other: Reading,
    pairs: dict[int, int],
    opposites: list[tuple[int, int]],
    rest: list[int],
    others: list[int],
    overlap: float,
) -> Alignment:
    here, there, shared, least = _differing(one, other, pairs)
    if shared >= _CONTEXT_WORDS:
        overlap = min(overlap, _within(one, other, here, there, pairs))
    is_verbatim = 2 * shared >= least and max(len(here), len(there)) <= _WINDOW_WORDS
    window = (here, there) if is_verbatim else None
    return Alignment(pairs, tuple(opposites), tuple(rest), tuple(others), min(1.0, overlap), window)


def _pair_equal(
    one: Sequence[Token], other: Sequence[Token], rest: list[int], others: list[int], pairs: dict[int, int]
) -> None:
    by_base: dict[str, list[int]] = {}
    for there in others:
        for base in other[there].bases:
            by_base.setdefault(base, []).append(there)
    taken = set()
    for at in rest:
        near = [there for base in one[at].bases for there in by_base.get(base, ()) if there not in taken]
        if near:
            there = min(near, key=lambda there: (other[there].lower != one[at].lower, there))
            taken.add(there)
            pairs[at] = there
    rest[:] = [at for at in rest if at not in pairs]
    others[:] = [there for there in others if there not in taken]


def _shade(mine: Sequence[Token], at: int, theirs: Sequence[Token], there: int) -> float:
    """What equal words lack: another degree ("high", "highest") or another particle ("pay in", "pay off")."""
    here, other = mine[at], theirs[there]
    differs = here.lower != other.lower and _degree(here) != _degree(other)
    particle, other_particle = _particle(mine, at), _particle(theirs, there)
    return _SHADE * (differs + (bool(particle and other_particle) and particle != other_particle))


def _degree(token: Token) -> str:
    if token.lower in token.bases or token.lower[-3:] == "ers":
        return ""
    return "most" if token.lower.endswith("est") else "more" if token.lower.endswith("er") else ""


def _particle(tokens: Sequence[Token], at: int) -> str:
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    return following if following in _PARTICLES else ""


def _pair_by(
    rest: list[int],
    others: list[int],
    keys: Callable[[int], Iterable[str]],
    other_keys: Callable[[int], Iterable[str]],
) -> list[tuple[int, int]]:
    """Pair the words that have a key in common, in the order of the texts, and take them out."""
    by_key: dict[str, list[int]] = {}
    for there in others:
        for key in other_keys(there):
            by_key.setdefault(key, []).append(there)
    found: dict[int, int] = {}
    for at in rest if by_key else ():
        near = [there for key in keys(at) for there in by_key.get(key, ()) if there not in found]
        if near:
            found[min(near)] = at
    rest[:] = [at for at in rest if at not in found.values()]
    others[:] = [there for there in others if there not in found]
    return [(at, there) for there, at in found.items()]


def _pair_misspelt(
    one: Sequence[Token], other: Sequence[Token], rest: list[int], others: list[int]
) -> list[tuple[int, int]]:
    """Pair words of which one is the other, misspelt: one slip apart, and not both words of the language."""
    found = []
    odd = {there for there in others if not is_usual(other[there].lower)}
    for at in list(rest):
        for there in others if not is_usual(one[at].lower) else [there for there in others if there in odd]:
            slip = is_slip(one[at].lower, other[there].lower)
            # Names and unknown words differ by a letter ("Iran", "Iraq"): there, only swapped neighbours are a slip.
            if slip == "swapped" or (slip is not None and not (one[at].name and other[there].name)):
                found.append((at, there))
                rest.remove(at)
                others.remove(there)
                break
    return found


def _meanings(token: Token) -> frozenset[str]:
    return meanings(token.lower) if token.name < 2 else frozenset()


def _pair_stretches(one: Reading, other: Reading, rest: list[int], others: list[int], pairs: dict[int, int]) -> float:
    """Account for words run together or cut in two: "login" and "log in", "newyork" and "new york"; the credit."""
    credit = 0.0
    there = {_written(other, stretch): stretch for stretch in _stretches(other, others)}
    for stretch in _stretches(one, rest):
        alike = there.get(_written(one, stretch))
        if alike is not None:
            mine = [at for at in stretch if at in rest]
            theirs = [at for at in alike if at in others]
            credit += len(mine) + len(theirs)
            rest[:] = [at for at in rest if at not in mine]
            others[:] = [at for at in others if at not in theirs]
            pairs.update(zip(mine, theirs, strict=False))
    return credit


def _written(reading: Reading, stretch: range) -> str:
    return "".join(reading.tokens[at].lower for at in stretch)


def _stretches(reading: Reading, rest: list[int]) -> list[range]:
    """Each word that is left, alone and with its neighbour to the right or left."""
    tokens = reading.tokens
    found = []
    for at in rest:
        for first, last in ((at, at), (at, at + 1), (at - 1, at)):
            if first >= 0 and last < len(tokens) and tokens[first].kind == tokens[last].kind == "word":
                found.append(range(first, last + 1))
    return found


def _align_functions(one: Reading, other: Reading) -> Alignment:
    """Without any content the function words must do."""
    words, others = list(one.words()), list(other.words())
    total = len(words) + len(others)
    shared = sum(min(words.count(word), others.count(word)) for word in set(words))
    return _judged(one, other, {}, [], [], [], 2 * shared / total if total else float(one.text == other.text))


def _differing(
    one: Reading, other: Reading, pairs: dict[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    """What stands between the words that both texts begin and end with, how many those are, and of how many."""
    mine = [at for at, token in enumerate(one.tokens) if not token.is_empty]
    theirs = [at for at, token in enumerate(other.tokens) if not token.is_empty]

    def alike(at: int, there: int) -> bool:
        return one.tokens[at].lower == other.tokens[there].lower or pairs.get(at) == there

    least = min(len(mine), len(theirs))
    head = tail = 0
    while head < least and alike(mine[head], theirs[head]):
        head += 1
    while tail < least - head and alike(mine[-1 - tail], theirs[-1 - tail]):
        tail += 1
    here, there = mine[head : len(mine) - tail], theirs[head : len(theirs) - tail]
    return tuple(here), tuple(there), head + tail, least


def _within(
    one: Reading, other: Reading, here: tuple[int, ...], there: tuple[int, ...], pairs: dict[int, int]
) -> float:
    """The share accounted for of what differs: after a long context in common, another question is a small part."""
    mine = [at for at in here if one.tokens[at].is_content]
    theirs = [at for at in there if other.tokens[at].is_content]
    if not mine and not theirs:
        words = {one.tokens[at].lower for at in here}
        others = {other.tokens[at].lower for at in there}
        return len(words & others) / len(words | others) if words or others else 1.0
    paired = sum(pairs.get(at) in theirs for at in mine)
    return 2 * paired / (len(mine) + len(theirs))
