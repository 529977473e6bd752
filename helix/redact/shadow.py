"""What a text reads like, character by character, when what only disguises it is taken away.

Zero-width characters and soft hyphens inside a value, digits of other scripts and widths, look-alike letters of another
alphabet inside a Latin word, marks that are piled on Latin letters and digits: people read past them, and so does a
model that is sent them; patterns do not. A shadow is made of texts alone that are not plain ASCII, and only where it is
another text. What is found in it stands, by its offsets, for characters of the original.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache

import regex  # type: ignore[import-untyped]

from helix.kernel.types import Span

__all__ = ["Shadow", "shadow_of", "whole"]

# Format characters, fillers and variation selectors; marks, where they stand on ASCII.
_UNSEEN = r"\p{Cf}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef"
_DROPPED = regex.compile(rf"(?<=[!-~])[\p{{Mn}}\p{{Me}}{_UNSEEN}]++|[{_UNSEEN}]++")

# Letters that cannot be told from Latin ones (Unicode's confusables.txt, Cyrillic, Greek and Armenian part).
_LOOK_ALIKE = str.maketrans(
    "аеорсухіјѕһԁԛԝѵӏАВЕКМНОРСТУХІЈЅԌԚԜΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαινυρհոսց",
    "aeopcyxijshdqwvlABEKMHOPCTYXIJSGQWABEZHIKMNOPTYXoaivuphnug",
)
_LETTERS = "".join(map(chr, _LOOK_ALIKE))
# One that touches what an address or an identifier is made of, and the word it is in.
_TOUCHING = re.compile(rf"[{_LETTERS}](?:(?=[\w@.+-](?<=[!-~]))|(?<=[!-~].)(?<=[\w@.+-].))")
_WORD = r"[^\s!-*,/:-?\[-^`{-~]*+"
_WORD_BEFORE, _WORD_AFTER = regex.compile(f"(?r){_WORD}"), re.compile(_WORD)
_LATIN = re.compile("[A-Za-z]")
# What separates the labels of a domain (RFC 3490) beside the full stop.
_DOTS = re.compile(r"[\u3002\uff61](?<=[0-9A-Za-z].)(?=[0-9A-Za-z])")

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def _plain(character: str) -> str:
    """The ASCII character that another one is by another name; itself where it is none."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Pd" or character == "\u2212":
        return "-"
    if category == "Zs":
        return " "
    if unicodedata.decomposition(character).startswith(("<wide>", "<font>", "<circle>", "<small>")):
        folded = unicodedata.normalize("NFKC", character)
        if len(folded) == 1 and folded.isascii():
            return folded
    return character


@cache
def _other_names() -> dict[int, str]:
    """The characters that are others by another name, for `str.translate`."""
    every = ((code, _plain(chr(code))) for code in range(0x80, 0x20000))
    return {code: plain for code, plain in every if chr(code) != plain}


class Shadow:
    """A shadow, and where its characters stand in the original."""

    def __init__(self, text: str, starts: list[int], deltas: list[int]) -> None:
        self.text = text
        self._starts = starts
        self._deltas = deltas

    def original(self, span: Span) -> Span:
        """The same characters of the original, with what is hidden between them."""
        return Span(self._at(span.start), self._at(span.end - 1) + 1, *_rest(span))

    def _at(self, place: int) -> int:
        return place + self._deltas[bisect_right(self._starts, place) - 1]


def shadow_of(text: str) -> Shadow | None:
    """The shadow of a text; None for a text that is its own."""
    if text.isascii():
        return None
    pieces: list[str] = []
    starts, deltas = [0], [0]
    at = length = 0
    for dropped in _DROPPED.finditer(text):
        start, end = dropped.span()
        pieces.append(text[at:start])
        length += start - at
        at = end
        starts.append(length)
        deltas.append(end - length)
    pieces.append(text[at:])
    names = _other_names()
    # `str.translate` looks up every character of a text; most are ASCII.
    seen = _BEYOND_ASCII.sub(lambda run: run.group().translate(names), "".join(pieces))
    if not seen.isascii():
        seen = _latin(_DOTS.sub(".", seen))
    return None if seen == text else Shadow(seen, starts, deltas)


def _latin(text: str) -> str:
    """A text with Latin letters in place of those of other alphabets that look alike, in words that hold Latin ones."""
    pieces: list[str] = []
    at = end = 0
    while (touching := _TOUCHING.search(text, end)) is not None:
        start = _WORD_BEFORE.match(text, end, touching.start()).start()
        end = _WORD_AFTER.match(text, touching.end()).end()  # type: ignore[union-attr]
        if _LATIN.search(text, start, end):
            pieces += (text[at:start], text[start:end].translate(_LOOK_ALIKE))
            at = end
    return "".join((*pieces, text[at:]))


_CLUSTER = regex.compile(r"\X")
_FAR = 64


def whole(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """The spans, wider where one would cut in half what is shown as one character: a letter with marks, an emoji."""
    for span in spans:
        start, end = _border(text, span.start, after=False), _border(text, span.end, after=True)
        yield span if (start, end) == (span.start, span.end) else Span(start, end, *_rest(span))


def _border(text: str, place: int, *, after: bool) -> int:
    """The next border of a grapheme cluster at a place, behind it or before."""
    if place in (0, len(text)) or text[place].isascii():
        return place
    # A place before which an ASCII character stands is a border, but for a mark on it.
    first = max(0, place - 1)
    while first > 0 and place - first < _FAR and not text[first].isascii():
        first -= 1
    for match in _CLUSTER.finditer(text, first):
        start, end = match.span()
        if end == place:
            break
        if end > place:
            return int(end if after else start)
    return place


def _rest(span: Span) -> tuple[str, float, str, str]:
    return span.kind, span.score, span.recognizer, span.reason
