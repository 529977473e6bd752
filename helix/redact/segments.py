"""The stretches of a request's texts that are looked through one by one, and how to write a changed one back.

A plain text is one segment. A text that is itself JSON (tool-call arguments) has a segment for each string and each
long integer in it, keys too, so that it stays valid JSON and everything between keeps its very characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from helix.kernel.wire import Text

__all__ = ["Segment", "rewritten", "segments"]

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[:{}\[\],]')
# A shorter number is nobody's card or account.
_LEAST_DIGITS = 7
_WORD_BORDER = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
# Names of the wire's own fields, which say nothing about what stands in them.
_WIRE_FIELDS = frozenset({"content", "text", "input", "output", "arguments", "instructions", "prompt", "system"})
_HINT_CHARS = 64


class Segment(NamedTuple):
    """A stretch [start, end) of the text with this index, and the value that it spells.

    `hint` are words that a context word may be among, such as the name of the field that holds the value.
    """

    source: int
    start: int
    end: int
    value: str
    hint: str = ""
    spelling: Literal["plain", "name", "string", "number"] = "plain"

    @property
    def shown(self) -> str:
        """What a detector is given: the hint, then the value."""
        return self.hint + self.value

    def spelled(self, value: str) -> str:
        """Another value in this segment's spelling; a number that was replaced becomes a string."""
        if self.spelling == "name":  # OpenAI's pattern for names: no blanks, no angle brackets
            return value.replace("<", "").replace(">", "")
        return value if self.spelling == "plain" else json.dumps(value, ensure_ascii=False)


def segments(texts: Sequence[Text]) -> list[Segment]:
    """The segments of some texts, in order."""
    found: list[Segment] = []
    for source, text in enumerate(texts):
        if text.is_json and _is_json(text.value):
            found += _json_segments(source, text.value)
        else:
            spelling: Literal["plain", "name"] = "name" if text.form == "name" else "plain"
            found.append(Segment(source, 0, len(text.value), text.value, _hint(_field(text)), spelling))
    return found


def rewritten(text: str, changes: Sequence[tuple[Segment, str]]) -> str:
    """A text with other values in some of its segments, which are in order."""
    parts: list[str] = []
    at = 0
    for segment, value in changes:
        parts += (text[at : segment.start], segment.spelled(value))
        at = segment.end
    return "".join((*parts, text[at:]))


def _json_segments(source: int, text: str) -> Iterator[Segment]:
    key = ""
    tokens = list(_TOKEN.finditer(text))
    for index, match in enumerate(tokens):
        token = match.group()
        if token[0] == '"':
            is_key = index + 1 < len(tokens) and tokens[index + 1].group() == ":"
            value = _unquoted(token)
            if value:
                yield Segment(source, *match.span(), value, "" if is_key else _hint(key), "string")
            if is_key:
                key = value
        elif len(token) >= _LEAST_DIGITS and token.lstrip("-").isdigit():
            yield Segment(source, *match.span(), token, _hint(key), "number")


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
