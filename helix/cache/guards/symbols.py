"""Signs that are neither letters nor punctuation: C++ is not C#, `<` is not `>`, one flag is not another."""

from __future__ import annotations

import re
from unicodedata import category

from helix.cache.guards.align import Alignment
from helix.cache.guards.reading import Reading

__all__ = ["are_same_symbols", "same_symbols"]

# Placeholders, tags and links in angles are read as words.
_IN_ANGLES = re.compile(r"<[^<>\s]{1,200}>")
# Beside what Unicode calls symbols; `&` is "and", `-` a dash, `/`, `*` and `_` are how people write.
_ASCII = re.compile(r"[+=<>|~^#@\\]|&&|\[\]|\{\}")
# Numbers and units have a guard of their own; marks of trade say nothing.
_LEFT_OUT = frozenset("°©®™№`´¨¯¸")
_FACES = re.compile("[\U0001f600-\U0001f64f\U0001f910-\U0001f92f\u2639\u263a\u2764]")


def same_symbols(one: Reading, other: Reading, _: Alignment) -> bool:
    """The same signs in the same order; a face, which somebody may add to anything, only where both have one."""
    return are_same_symbols(one.text, other.text)


def are_same_symbols(one: str, other: str) -> bool:
    """Whether two texts have the same signs in the same order, and the same faces if both have any."""
    (signs, faces), (other_signs, other_faces) = _symbols(one), _symbols(other)
    return signs == other_signs and (faces == other_faces or not faces or not other_faces)


def _symbols(text: str) -> tuple[list[str], list[str]]:
    text = _IN_ANGLES.sub(" ", text)
    signs = _ASCII.findall(text)
    if text.isascii():
        return signs, []
    found = [char for char in text if char > "\x7f" and category(char) in ("So", "Sm") and char not in _LEFT_OUT]
    faces = [char for char in found if _FACES.match(char)]
    return signs + [char for char in found if not _FACES.match(char)], faces
