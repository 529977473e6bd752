"""Texts that make a regular expression backtrack, derived from how it is written.

A repeat goes wrong where a long run of what it takes is followed by what it does not take: then every way of sharing
the run among nested or neighbouring repeats is tried. So, for each repeat of a pattern: a text that leads up to it, a
long run of what it takes, something it does not take, and what the rest of the pattern asks for.
"""

from __future__ import annotations

import re
import re._parser as parser  # type: ignore[import-not-found]  # the only parser of patterns that Python has
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import permutations
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any, NamedTuple

__all__ = ["Hostile", "hostile_texts", "is_empty_possible"]

_MANY = 8
"""A repeat of fewer times multiplies the work by no more than what it repeats takes."""
_COMMON = "a1 A-_.@:/,\n'\"é"
_BREAKS = ("", "\0", "!")
_FEW = 4
_MOST_REPEATS = 50


def is_empty_possible(regex: str, flags: int) -> bool | None:
    """Whether a pattern may take nothing at all; None where it is of a form that only the regex module knows."""
    tree = _parsed(regex, flags)
    return None if tree is None else tree.getwidth()[0] == 0


class Hostile(NamedTuple):
    """A kind of hostile text: what leads up to a repeat, the piece that it takes over and over, and what follows."""

    before: str
    piece: str
    after: str

    def text(self, length: int) -> str:
        """A text whose run is about so many characters long."""
        return self.before + self.piece * (length // len(self.piece)) + self.after


def hostile_texts(regex: str, flags: int) -> tuple[list[Hostile], list[Hostile]]:
    """The kinds of hostile texts for a pattern: of one character or a sample repeated, and of two characters."""
    tree = _parsed(regex, flags)
    # A form that only the regex module knows: all that is written in it may be what it repeats.
    repeats = [("", regex[:64], _distinct(regex), "")] if tree is None else list(_repeats(tree, "", ""))
    single: dict[Hostile, None] = {}
    double: dict[Hostile, None] = {}
    for before, taken, characters, after in repeats[:_MOST_REPEATS]:
        for end in _ends(after):
            single.update((Hostile(before, piece, end), None) for piece in (*characters, taken) if piece)
            double.update((Hostile(before, piece, end), None) for piece in _pairs(characters))
    return list(single), list(double)


def _ends(after: str) -> Iterator[str]:
    """What a run may be followed by, so that it all was in vain.

    What the rest asks for comes after that, since a pattern is not even tried on a text that lacks a character of it.
    """
    for stop in _BREAKS:
        yield stop + after
    for stop in _BREAKS if after else ():
        yield after[:1] + stop + after
        yield after[:-1] + stop
    if len(after) > 1:
        yield after[::-1]


# What the regex module knows and Python's parser does not, as something near to it that both do.
_FOREIGN = re.compile(
    r"\\[pP]\{[^}]*\}|\[\[:\^?\w+:\]\]|\\[X]|(?P<position>\\[KGmMRhz])|\(\?(?P<name><(?=[A-Za-z_]))|(?P<group>\(\?\|)"
)


def _near(match: re.Match[str]) -> str:
    if match["position"]:
        return ""
    return "(?P<" if match["name"] else "(?:" if match["group"] else r"\w"


def _parsed(regex: str, flags: int) -> Any:
    try:
        return parser.parse(_FOREIGN.sub(_near, regex), flags)
    except (parser.error, OverflowError, RecursionError, ValueError):
        return None


def _repeats(nodes: Sequence[Any], before: str, after: str) -> Iterator[tuple[str, str, str, str]]:
    """Every long repeat: what leads up to it, what it takes, the characters it takes, and what must follow."""
    for index, (kind, value) in enumerate(nodes):
        ahead = before + _sample(nodes[:index])
        rest = _sample(nodes[index + 1 :]) + after
        if kind in _REPEATS:
            _, most, inner = value
            if most >= _MANY:
                # What stands next to the repeat is told too: there it competes with its neighbour.
                yield ahead, _sample(inner), _distinct(_characters(nodes[index : index + 2])), rest
            yield from _repeats(inner, ahead, rest)
        else:
            for inner in _inside(kind, value):
                yield from _repeats(inner, ahead, rest)


_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)


def _inside(kind: Any, value: Any) -> list[Sequence[Any]]:
    """The sequences that a node other than a repeat holds."""
    if kind is op.SUBPATTERN:
        return [value[3]]
    if kind is op.BRANCH:
        return list(value[1])
    if kind is op.ATOMIC_GROUP:
        return [value]
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [value[1]]
    if kind is op.GROUPREF_EXISTS:
        return [inner for inner in value[1:] if inner is not None]
    return []


def _sample(nodes: Sequence[Any]) -> str:
    """A short text that the nodes take, near enough: references back are left out."""
    parts: list[str] = []
    for kind, value in nodes:
        if kind in _REPEATS:
            parts.append(_sample(value[2]) * min(max(value[0], 1), 64))
        elif kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            parts.append(next(iter(_of_one(kind, value)), ""))
        elif kind not in (op.ASSERT, op.ASSERT_NOT):
            parts += [_sample(inner) for inner in _inside(kind, value)[:1]]
    return "".join(parts)


def _characters(nodes: Sequence[Any]) -> str:
    """Characters that stand for all that the nodes take."""
    parts: list[str] = []
    for kind, value in nodes:
        if kind in _REPEATS:
            parts.append(_characters(value[2]))
        elif kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            parts += _of_one(kind, value)
        else:
            parts += [_characters(inner) for inner in _inside(kind, value)]
    return "".join(parts)


def _of_one(kind: Any, value: Any) -> list[str]:
    """Characters of those that a node of one character takes."""
    if kind is op.LITERAL:
        return [chr(value)]
    if kind is op.NOT_LITERAL:
        return [character for character in _COMMON if ord(character) != value]
    if kind is op.ANY:
        return list(_COMMON[:_FEW])
    negated = bool(value) and value[0][0] is op.NEGATE
    written = [chr(of[0] if what is op.RANGE else of) for what, of in value if what in (op.LITERAL, op.RANGE)]
    likely = [character for character in _COMMON if _is_in(value, ord(character)) != negated]
    return likely if negated else [*written[: _FEW * 2], *likely]


def _is_in(members: Iterable[Any], code: int) -> bool:
    return any(
        (what is op.LITERAL and of == code)
        or (what is op.RANGE and of[0] <= code <= of[1])
        or (what is op.CATEGORY and _CATEGORIES[of](chr(code)))
        for what, of in members
    )


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_NOT_DIGIT: lambda character: not character.isdigit(),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda character: not character.isspace(),
    op.CATEGORY_WORD: _is_word,
    op.CATEGORY_NOT_WORD: lambda character: not _is_word(character),
}


def _distinct(characters: str) -> str:
    return "".join(dict.fromkeys(characters))[: _FEW * 2]


def _pairs(characters: str) -> list[str]:
    return ["".join(pair) for pair in permutations(characters[:_FEW], 2)]
