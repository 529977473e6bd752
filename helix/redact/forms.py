"""The forms in which a model may give a placeholder back: as it was, or altered in ways that leave no doubt.

Between angles of any kind (`<`, `&lt;`, `\\<`, full width) case, blanks, stars and the dashes between words do not
matter: `< Person 1 >`. Without angles the placeholder must be spelled as it was, `PERSON_1`, but for the backslash that
Markdown puts before an underscore; bold type or an apostrophe may then stand around it. `person_1` and `Person 1` are
what people write in programs and in prose, so without angles they are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["PLAIN", "Forms"]

PLAIN = frozenset("<>&＜＞〈〉")
"""Characters that a placeholder is told by, and that JSON may spell as escapes."""

# Angles as texts spell them; in JSON a backslash is two. Then the beginnings of those that have several characters.
_OPEN, _CLOSE = r"(?:\\{0,2}<|&lt;|&#60;|＜|〈)", r"(?:\\{0,2}>|&gt;|&#62;|＞|〉)"
_OPENING, _CLOSING = r"(?:\\{1,2}|&(?:l(?:t)?|#(?:6(?:0)?)?)?)", r"(?:\\{1,2}|&(?:g(?:t)?|#(?:6(?:2)?)?)?)"
_PAD = r"[ \t\u00a0*`]{0,3}"
_GAP, _SOME_GAP = r"[\\_ \u00a0\u2010-\u2013-]{0,4}", r"[\\_ \u00a0\u2010-\u2013-]{1,4}"
_NUMBER = r"[1-9][0-9]{0,8}"
_BACKSLASHES, _UNDERSCORE = r"\\{0,2}", r"\\{0,2}_"
# What a placeholder without angles must not touch: a longer word, or half of a pair of angles.
_BEFORE, _BEHIND = r"(?<![\w<＜〈])", r"(?![\w>＞〉])"

_WORDS = rf"[A-Za-z](?:{_GAP}[A-Za-z0-9]){{0,79}}?"
_FOUND = re.compile(
    # A backslash before the first angle is a Markdown's escape only where there is one before the last: else it may be
    # the caller's, as in a path.
    rf"(?:(?P<escaped>\\{{1,2}}<)|<|&lt;|&#60;|＜|〈){_PAD}(?P<loose>{_WORDS}){_SOME_GAP}(?P<loose_number>{_NUMBER})"
    rf"{_PAD}(?(escaped)\\{{1,2}}>|{_CLOSE})"
    rf"|{_BEFORE}(?P<strict>[A-Z](?:{_UNDERSCORE}?[A-Z0-9]){{0,39}}?){_UNDERSCORE}(?P<number>{_NUMBER}){_BEHIND}"
)
# Without one of these there is none, and none begins.
_MAY_BE = re.compile(r"[<&＜〈]|[A-Z0-9]\\{0,2}_")
_MAY_BEGIN = re.compile(r"[<&\\＜〈]|[A-Z][A-Z0-9_]*\Z")
_OPENING_AT_END = re.compile(rf"{_OPENING}\Z")
# The last word of a string in an event's bytes, if it might be a placeholder's.
_LAST_WORD = re.compile(rb'[A-Z][A-Z_]*"')
_WIDE_ANGLES = ("＜".encode(), "〈".encode())


class Forms:
    """Finds placeholders of some kinds (`PERSON`, `EMAIL_ADDRESS`) in any of their forms."""

    __slots__ = ("_beginnings", "_kinds", "_loose", "longest")

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = [_Kind.of(kind) for kind in sorted(set(kinds))]
        self._loose: dict[str, _Kind | None] = {}
        for kind in self._kinds:  # of two kinds that differ in underscores alone, neither is told by an altered form
            self._loose[kind.letters] = None if kind.letters in self._loose else kind
        self._beginnings = frozenset(beginning for kind in self._kinds for beginning in kind.beginnings)
        self.longest = max((kind.longest for kind in self._kinds), default=0)
        """An upper bound of how long a placeholder may be, in characters."""

    def find(self, text: str, at: int) -> tuple[int, int, str] | None:
        """The first placeholder from some place on: where it begins and ends, and how it is given out, `<KIND_N>`."""
        if not _MAY_BE.search(text, at):
            return None
        while match := _FOUND.search(text, at):
            name = self._name(match)
            if name is not None:
                return *match.span(), name
            at = match.start() + 1
        return None

    def begun(self, text: str, at: int) -> int | None:
        """Where the end of a text begins that may yet become a placeholder, or is one if a word ends there."""
        at = max(at, len(text) - self.longest)
        if not _MAY_BEGIN.search(text, at):
            return None
        found = _OPENING_AT_END.search(text, at)
        first = found.start() if found else None
        for kind in self._kinds:
            found = kind.begun.search(text, at)
            if found and (first is None or found.start() < first):
                first = found.start()
        return first

    def may_stand_in(self, data: bytes) -> bool:
        """Whether an event's data, JSON, may hold a placeholder, or the beginning of one at the end of a string."""
        if b"<" in data or b"&" in data or b"\\" in data or _WIDE_ANGLES[0] in data or _WIDE_ANGLES[1] in data:
            return True
        for kind in self._kinds:
            if kind.head in data:
                return True
        return not self._beginnings.isdisjoint(_LAST_WORD.findall(data))

    def _name(self, match: re.Match[str]) -> str | None:
        strict, words, number = match["strict"], match["loose"], match["loose_number"]
        if strict:
            strict, words, number = strict.replace("\\", ""), strict, match["number"]
        else:
            strict = words
        kind = next((kind for kind in self._kinds if kind.name == strict), None)
        if kind is None and match["loose"]:
            kind = self._loose.get("".join(filter(str.isalnum, words)).upper())
        return f"<{kind.name}_{number}>" if kind is not None and kind.loose.fullmatch(words) else None


class _Kind:
    """The patterns of one kind."""

    __slots__ = ("beginnings", "begun", "head", "letters", "longest", "loose", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.letters = name.replace("_", "")
        self.head = f"{name}_".encode()
        self.loose = re.compile(_GAP.join(map(re.escape, name.split("_"))), re.IGNORECASE)
        either = [_GAP if letter == "_" else f"[{letter}{letter.lower()}]" for letter in name]
        strict = [part for letter in f"{name}_" for part in ((_BACKSLASHES, "_") if letter == "_" else (letter,))]
        angled = _begun([_OPEN, _PAD, *either, _SOME_GAP, _NUMBER, _PAD, _CLOSING])
        self.begun = re.compile(rf"(?:{angled}|{_BEFORE}{_begun([*strict, _NUMBER])})\Z")
        self.beginnings = [f'{name[:end]}"'.encode() for end in range(1, len(name) + 1)]
        self.longest = len(name) + 4 * name.count("_") + 30

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(name: str) -> _Kind:
        """The patterns of a kind, which are compiled once."""
        return _Kind(name)


def _begun(parts: list[str]) -> str:
    """A pattern for the first of some parts, and as many of the others, in order, as there are."""
    pattern = ""
    for part in reversed(parts):
        pattern = f"{part}(?:{pattern})?" if pattern else part
    return pattern
