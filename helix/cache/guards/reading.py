"""A text as the guards read it, made once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from helix.cache.guards.calendars import find_dates
from helix.cache.guards.grammar import ARTICLES, CARRIERS, CONTRACTIONS, FILLERS, FUNCTION
from helix.cache.guards.lexicon import bases, entry
from helix.cache.guards.numerals import Number, find_numbers
from helix.cache.guards.spelling import is_usual, reseated, right_spelling

__all__ = ["REMEMBERED", "Reading", "Token", "read"]

REMEMBERED = 2048
"""How many texts are kept as they were read, about 4 KB each for questions of 15 words."""

# Writing systems without spaces are read sign by sign.
_SIGN = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af"
_TOKEN = re.compile(
    r"(?P<placeholder><[A-Z][A-Z0-9_]*_\d+>)"
    r"|(?P<number>(?:(?<![\w.])[-\u2212\u2013](?=[.\d]))?(?:\d+(?:[.,:\u202f']\d+)*|(?<![\w.])\.\d+))"
    rf"|(?P<sign>[{_SIGN}])"
    rf"|(?P<word>(?:(?![{_SIGN}])[^\W\d_])+(?:['\u2019](?:(?![{_SIGN}])[^\W\d_])+)*)"
    r"|(?P<mark>\.\.\.|[^\w\s])"
)
_STOPS = frozenset('.!?;:\n\u3002\uff1f\uff01\u2026"\u201c(')
_HYPHENS = frozenset("-\u2010\u2011")


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A word, number, placeholder or mark.

    `bases`: the base forms that a word may be of, itself where it is unknown. `is_content`: says what the text is
    about. `name`: 2 for what is written or known as a name, 1 for an unknown word, which may be one, else 0.
    """

    text: str
    lower: str
    kind: str
    bases: frozenset[str]
    is_content: bool
    name: int = 0
    is_capital: bool = False
    is_empty: bool = False
    """Whether nothing is lost without it: an article, a filler, a turn of phrase."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The tokens of a text, contractions written out.

    `content`: the places of the tokens that say what it is about, numbers and dates left out, which stand apart. `asks`
    says what kinds of question it puts.
    """

    text: str
    tokens: tuple[Token, ...]
    content: tuple[int, ...]
    numbers: tuple[Number, ...]
    dates: frozenset[tuple[str, str]]
    asks: frozenset[str]
    is_english: bool

    def words(self) -> Iterator[str]:
        """The words in lower case."""
        return (token.lower for token in self.tokens if token.kind == "word")


@lru_cache(maxsize=REMEMBERED)
def read(text: str) -> Reading:
    """Read a text; what was read lately is remembered."""
    pieces = _respelled(list(_pieces(text)))
    shouts = _shouts(pieces)
    carried, asks = _carried([piece.lower for piece in pieces])
    numbers, taken = find_numbers([(piece.kind, piece.lower) for piece in pieces])
    dates, also_taken = find_dates([(piece.kind, piece.lower, piece.surface[0].isupper()) for piece in pieces])
    apart = taken | also_taken
    tokens = []
    words = known = 0
    for at, (surface, lower, kind, starts) in enumerate(pieces):
        if kind != "word":
            tokens.append(
                Token(surface, lower, kind, frozenset((lower,)), kind == "placeholder", is_empty=kind == "mark")
            )
            continue
        found = bases(lower)
        # "Does A imply B?": a letter that stands for something
        is_letter = (surface == "A" and not starts and not shouts) or (lower == "a" and _is_among_letters(pieces, at))
        is_function = lower in FUNCTION and not is_letter
        words += 1
        known += bool(found) or is_function
        capital = surface != lower
        content = not is_function and at not in carried and at not in apart
        name = _name(lower, found, capital and not shouts, starts) if content else 0
        empty = at in carried or (is_function and (lower in ARTICLES or lower in FILLERS))
        tokens.append(Token(surface, lower, kind, found or frozenset((lower,)), content, name, capital, empty))
    content_at = tuple(at for at, token in enumerate(tokens) if token.is_content)
    return Reading(text, tuple(tokens), content_at, numbers, dates, asks, known * 2 >= words)


def _is_among_letters(pieces: list[_Piece], at: int) -> bool:
    """Whether an "a" that no word of content follows stands for something: "from a to b"."""
    following = pieces[at + 1] if at + 1 < len(pieces) else None
    if following is not None and following.kind == "word" and following.lower not in FUNCTION:
        return False
    return any(len(piece.lower) == 1 and piece.kind == "word" and piece.lower not in ("a", "i") for piece in pieces)


def _shouts(pieces: list[_Piece]) -> bool:
    """Whether capitals say nothing: they stand on function words too, and no content word is without."""
    inner = [piece for piece in pieces if piece.kind == "word" and not piece.starts]
    if any(piece.surface.islower() and piece.lower not in FUNCTION for piece in inner):
        return False
    return any(piece.lower in FUNCTION and piece.lower != "i" and piece.surface[0].isupper() for piece in inner)


def _name(lower: str, found: frozenset[str], is_capital: bool, starts: bool) -> int:
    if not found:
        return 2 if is_capital else 1
    if all(known is not None and known.proper for known in map(entry, found)):
        return 2
    return 2 if is_capital and not starts else 0


class _Piece(NamedTuple):
    surface: str
    lower: str
    kind: str
    starts: bool
    """Whether it begins a sentence."""


def _pieces(text: str) -> Iterator[_Piece]:
    """What stands in a text, contractions as their words, hyphens left out."""
    starts = True
    for match in _TOKEN.finditer(text):
        kind, surface = str(match.lastgroup), match.group()
        if kind == "sign":
            kind = "word"
        if kind != "word":
            if surface not in _HYPHENS:
                yield _Piece(surface, surface, kind, False)
                starts = starts or surface in _STOPS
            continue
        lower = surface.lower().replace("\u2019", "'")
        full = CONTRACTIONS.get(lower) or CONTRACTIONS.get(lower.replace("'", ""))
        if full is not None:
            for word in full:
                yield _Piece(word.capitalize() if starts else word, word, kind, starts)
                starts = False
        elif lower.endswith("'s"):
            yield _Piece(surface[:-2], lower[:-2], kind, starts)
            yield _Piece("'s", "'s", "mark", False)
        else:
            yield _Piece(surface, lower.replace("'", ""), kind, starts)
        starts = False


def _respelled(pieces: list[_Piece]) -> list[_Piece]:
    """Put right what is no word: a closed-class word misspelt, a letter on the wrong side of a gap."""
    for at, piece in enumerate(pieces):
        if piece.kind != "word" or not piece.lower.isascii() or not _is_odd(piece.lower):
            continue
        may_be_name = piece.surface[0].isupper() and not piece.starts and not piece.surface.isupper()
        right = None if may_be_name else right_spelling(piece.lower)
        if right is not None:
            pieces[at] = piece._replace(surface=right.capitalize() if piece.starts else right, lower=right)
            continue
        for first in (at - 1, at):
            if first >= 0 and first + 1 < len(pieces) and pieces[first].kind == pieces[first + 1].kind == "word":
                left, next_one = pieces[first], pieces[first + 1]
                cut = reseated(left.lower, next_one.lower)
                if cut is not None:
                    pieces[first] = left._replace(surface=cut[0].capitalize() if left.starts else cut[0], lower=cut[0])
                    pieces[first + 1] = next_one._replace(surface=cut[1], lower=cut[1])
                    break
    return pieces


def _is_odd(lower: str) -> bool:
    known = entry(lower)
    return lower not in FUNCTION and not is_usual(lower) and (known is None or not known.proper)


def _carried(words: list[str]) -> tuple[frozenset[int], frozenset[str]]:
    """The places of words that belong to a turn of phrase without content, and the kinds of question those put."""
    line = " ".join(words)
    starts = {}
    at = 0
    for index, word in enumerate(words):
        starts[at] = index
        at += len(word) + 1
    carried: set[int] = set()
    asks = set()
    for match in CARRIERS.finditer(line):
        first = starts[match.start()]
        carried.update(range(first, first + match.group().count(" ") + 1))
        if match.lastgroup != "nothing":
            asks.add(str(match.lastgroup))
    return frozenset(carried), frozenset(asks)
