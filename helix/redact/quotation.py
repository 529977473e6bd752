"""How deep in the strings of JSON a place in a text is."""

from __future__ import annotations

import json

__all__ = ["Quotation"]


class Quotation:
    """Reads a text as it grows and can say how often what is put in next must be quoted.

    A text that does not begin as an array or object does is no JSON, and neither is such a string in JSON.
    """

    __slots__ = ("_escape", "_in_string", "_inner", "_is_json")

    def __init__(self) -> None:
        self._is_json: bool | None = None
        self._in_string = False
        self._escape = ""
        self._inner: Quotation | None = None

    @property
    def depth(self) -> int:
        """How many strings, one in another, the end of the text is in."""
        return 1 + self._inner.depth if self._in_string and self._inner is not None else 0

    @property
    def is_bare(self) -> bool:
        """Whether the text is JSON and ends outside of strings, where only a JSON value may stand."""
        if self._in_string and self._inner is not None:
            return self._inner.is_bare
        return bool(self._is_json) and not self._in_string

    def feed(self, text: str) -> None:
        """Take the next piece of the text."""
        if self._is_json is None:
            text = text.lstrip()
            if not text:
                return
            self._is_json = text[0] in "{["
        if self._is_json:
            for character in text:
                self._take(character)

    def quoted(self, value: str) -> str:
        """A value as it must be spelled where the text ends."""
        for _ in range(self.depth):
            value = json.dumps(value, ensure_ascii=False)[1:-1]
        return value

    def _take(self, character: str) -> None:
        if not self._in_string or self._inner is None:
            if character == '"':
                self._in_string, self._inner, self._escape = True, Quotation(), ""
        elif self._escape:
            self._escape += character
            if self._escape[1] != "u" or len(self._escape) == 6:
                self._inner.feed(_decoded(self._escape))
                self._escape = ""
        elif character == "\\":
            self._escape = character
        elif character == '"':
            self._in_string = False
        else:
            self._inner.feed(character)


def _decoded(escape: str) -> str:
    try:
        return str(json.loads(f'"{escape}"'))
    except ValueError:  # not JSON after all
        return escape[1:]
