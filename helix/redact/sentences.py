"""A text of a stream, sentence by sentence."""

from __future__ import annotations

import re

__all__ = ["Everything", "Sentences"]

_CONTEXT_CHARS = 200
# A sentence ends where a blank, or nothing Latin, follows its mark: so neither "3.14" nor "10.0.0.1" has an end in it.
_END = re.compile(r"""[.!?…][\])}"'*_`»”’]*\s+|[。！？]|\n""")
_LAST_BLANK = re.compile(r"\s(?=\S*\Z)")


class Sentences:
    """Holds a text back until a sentence of it is whole, or `max_chars` characters are.

    `context` is what was said last before what `feed` and `flush` return.
    """

    __slots__ = ("_held", "_max_chars", "_said", "context")

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._held = ""
        self._said = ""
        self.context = ""

    @property
    def is_holding(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)

    def feed(self, piece: str) -> str:
        """Take the next piece; return the sentences that are whole now, or as many words as may not wait longer."""
        # A mark that ended nothing before may end a sentence now that a blank follows.
        begins = max(0, len(self._held) - 8)
        self._held += piece
        end = 0
        for match in _END.finditer(self._held, begins):
            end = match.end()
        if not end and len(self._held) > self._max_chars:
            blank = _LAST_BLANK.search(self._held)
            end = blank.end() if blank else len(self._held)
        return self._let_go(end)

    def flush(self) -> str:
        """The text ends, or may not wait longer: return what was held back."""
        return self._let_go(len(self._held))

    def _let_go(self, end: int) -> str:
        now, self._held = self._held[:end], self._held[end:]
        if now:
            self.context = self._said
            self._said = (self._said + now)[-_CONTEXT_CHARS:]
        return now


class Everything:
    """Holds a text back to its end."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[str] = []

    @property
    def is_holding(self) -> bool:
        """Whether something is held back."""
        return bool(self._pieces)

    def feed(self, piece: str) -> str:
        """Take the next piece; return nothing."""
        self._pieces.append(piece)
        return ""

    def flush(self) -> str:
        """The text has ended: return it."""
        text, self._pieces = "".join(self._pieces), []
        return text
