"""The stretches of a request's texts that are looked through one by one, and how to write a changed one back.

A plain text is one segment. A text that is JSON (tool-call arguments, many a tool's result) has a segment for each
string and each long number in it, keys too, so that it stays valid JSON and everything between keeps its very
characters; a string in it that is itself JSON is taken apart in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from helix.kernel.wire import Text

__all__ = ["Segment", "rewritten", "segments"]

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[:{}\[\],]')
_INTEGER = re.compile(r"0|[1-9][0-9]*")
# A shorter number is nobody's card, account or telephone.
_LEAST_DIGITS = 6
_JSON_START = re.compile(r"\s*[{\[]")
# JSON inside a string inside JSON, and so on; what lies deeper is looked through as the text that it is.
_MAX_DEPTH = 6
_WORD_BORDER = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
# Names of the wire's own fields, which say nothing about what stands in them.
_WIRE_FIELDS = frozenset(
    (
        *("content", "text", "input", "output", "arguments", "instructions", "prompt", "system", "url", "image_url"),
        *("file_url", "description", "stop", "stop_sequences", "thinking", "reasoning", "reasoning_content"),
    )
)
_HINT_CHARS = 64
_BLANK = re.compile(r"\s+")
_HALF = re.compile("[\ud800-\udfff]")
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~"

Spelling = Literal["plain", "name", "url", "signed", "string", "number", "negative"]


class Segment(NamedTuple):
    """A stretch [start, end) of the text with this index, and the value that it spells.

    `hint` are words that a context word may be among, such as the name of the field that holds the value. `within` is
    the string that the stretch is a part of, where JSON stands in a string; `start` and `end` are then places in it.
    """

    source: int
    start: int
    end: int
    value: str
    hint: str = ""
    spelling: Spelling = "plain"
    within: Segment | None = None

    @property
    def shown(self) -> str:
        """What a detector is given: the hint, then the value; nothing where only what is known may go."""
        return "" if self.spelling == "signed" else self.hint + self.value

    @property
    def is_number(self) -> bool:
        """Whether a JSON number stands here, so that only another number keeps its type; its value has no sign."""
        return self.spelling in ("number", "negative")

    def spelled(self, value: str) -> str:
        """Another value in this segment's spelling; in a number's place, what is no number becomes a string."""
        if self.spelling == "string":
            return _quoted(value)
        if self.is_number:
            sign = "" if self.spelling == "number" else "-"
            return sign + value if _INTEGER.fullmatch(value) else json.dumps(value, ensure_ascii=False)
        if self.spelling in ("name", "url"):  # no angles in either, and blanks in a name only where it has some
            value = value.replace("<", "").replace(">", "")
            if self.spelling == "url":
                return quote(value, safe=_URL_SAFE)
            return value if _BLANK.search(self.value) else _BLANK.sub("_", value)
        return value


def segments(texts: Sequence[Text]) -> list[Segment]:
    """The segments of some texts, in order."""
    found: list[Segment] = []
    for source, text in enumerate(texts):
        if text.form in ("name", "url", "signed"):
            value = unquote(text.value) if text.form == "url" else text.value
            found.append(Segment(source, 0, len(text.value), value, "", text.form))
        elif text.is_json or _JSON_START.match(text.value):
            found += _of_json(source, text.value, _hint(_field(text)), None, 0, lone=text.is_json)
        else:
            found.append(Segment(source, 0, len(text.value), text.value, _hint(_field(text))))
    return found


def rewritten(text: str, changes: Sequence[tuple[Segment, str]]) -> str:
    """A text with other values in some of its segments, which are in order."""
    return _written(text, [(_chain(segment), value) for segment, value in changes], 0)


def _chain(segment: Segment) -> list[Segment]:
    """A segment after the strings that it lies in, the outermost first."""
    chain = [segment]
    while chain[0].within is not None:
        chain.insert(0, chain[0].within)
    return chain


def _written(text: str, changes: Sequence[tuple[list[Segment], str]], depth: int) -> str:
    parts: list[str] = []
    at = 0
    for _, group in groupby(changes, lambda change: id(change[0][depth])):
        inside = list(group)
        chain, value = inside[0]
        segment = chain[depth]
        if len(chain) > depth + 1:
            value = _written(segment.value, inside, depth + 1)
        parts += (text[at : segment.start], segment.spelled(value))
        at = segment.end
    return "".join((*parts, text[at:]))


def _of_json(
    source: int, text: str, hint: str, within: Segment | None, depth: int, *, lone: bool = False
) -> Iterator[Segment]:
    """The segments of a text that seems to be JSON; one plain segment where it is not."""
    if not _is_json(text):
        if within is None:
            yield Segment(source, 0, len(text), text, "" if lone else hint)
        else:
            yield within
        return
    key = ""
    tokens = list(_TOKEN.finditer(text))
    for index, match in enumerate(tokens):
        token = match.group()
        if token[0] == '"':
            is_key = index + 1 < len(tokens) and tokens[index + 1].group() == ":"
            value = _unquoted(token)
            if value:
                segment = Segment(source, *match.span(), value, "" if is_key else _hint(key), "string", within)
                if depth < _MAX_DEPTH and not is_key and _JSON_START.match(value):
                    yield from _of_json(source, value, "", segment, depth + 1)
                else:
                    yield segment
            if is_key:
                key = value
        elif (digits := token.lstrip("-")).isdigit() and len(digits) >= _LEAST_DIGITS:
            yield Segment(
                source, *match.span(), digits, _hint(key), "number" if digits == token else "negative", within
            )


def _quoted(value: str) -> str:
    # Half of a pair of surrogates, which an escape may spell, stays an escape: no encoding has a place for it.
    return json.dumps(value, ensure_ascii=not value.isascii() and _HALF.search(value) is not None)


def _unquoted(token: str) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token[1:-1]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _field(text: Text) -> str:
    name = next((step for step in reversed(text.path) if isinstance(step, str)), "")
    return "" if name in _WIRE_FIELDS else name


def _hint(name: str) -> str:
    return " ".join(_WORD_BORDER.split(name[:_HINT_CHARS])) + ": " if name else ""
