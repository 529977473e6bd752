"""Values put back in the place of what stands for them, in whole texts and in pieces of one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal

from helix.redact.vault import PLACEHOLDER, Vault

__all__ = ["Restorer", "RunningText"]

Form = Literal["text", "json"]

# Escapes of JSON text, taken in pairs from its start so that an escaped backslash is not taken for one that escapes.
_ESCAPE = re.compile(r"\\(?:u003([cCeE])|.)", re.DOTALL)
_UNFINISHED_ESCAPE = re.compile(r"(?:^|[^\\])(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")


class Restorer:
    """Replaces what stands for the values of one vault by the values, and nothing else.

    Counts what it `restored`, and the `unknown`: placeholders of a kind it knows that were neither given out nor
    written by the caller; they are left as they are. Surrogates and numbers are words of their own, or nothing.
    """

    __slots__ = (
        "_beginnings",
        "_heads",
        "_literals",
        "_pattern",
        "_values",
        "has_words",
        "longest",
        "restored",
        "unknown",
    )

    def __init__(self, vault: Vault) -> None:
        self._values = vault.values
        self._literals = vault.literals
        words = [stand_in for stand_in in vault.values if not PLACEHOLDER.fullmatch(stand_in)]
        placeholders = vault.values.keys() - set(words)
        self._heads = sorted({placeholder.rpartition("_")[0] + "_" for placeholder in placeholders})
        self._beginnings = frozenset(word[:length] for word in words for length in range(1, len(word) + 1))
        self.has_words = bool(words)
        """Whether something other than placeholders stands for values."""
        either = [f"(?:{'|'.join(self._heads)})[0-9]+>"] if self._heads else []
        if words:
            longest_first = sorted(map(re.escape, words), key=len, reverse=True)
            either.append(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")
        self._pattern = re.compile("|".join(either))
        self.longest = max(map(len, vault.values), default=0)
        """Length in characters of the longest placeholder: an upper bound of what is held back."""
        self.restored = 0
        self.unknown = 0

    def found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where a text says what would be put back: start, end, and the kind that the placeholder names."""
        for match in self._pattern.finditer(text) if self._values else ():
            known = PLACEHOLDER.fullmatch(match.group())
            if known is not None and match.group() in self._values:
                yield match.start(), match.end(), known.group(1)

    def whole(self, text: str, form: Form = "text", *, counts: bool = True) -> str:
        """A whole text with its values; `counts` is False for a repetition of what was counted before."""
        before = self.restored, self.unknown
        if form == "json":
            text = _plain_angles(text)
        text = self.replace(text, form)
        if not counts:
            self.restored, self.unknown = before
        return text

    def replace(self, text: str, form: Form, before: str = "") -> str:
        """The text with values for what is complete in it; `before` is the character that stands before it."""
        if not self._values or not (self.has_words or "<" in text):
            return text

        def value_of(match: re.Match[str]) -> str:
            stand_in = match.group()
            value = self._values.get(stand_in)
            if value is None:
                if len(stand_in) <= self.longest and stand_in not in self._literals:
                    self.unknown += 1
                return stand_in
            self.restored += 1
            return json.dumps(value, ensure_ascii=False)[1:-1] if form == "json" else value

        return self._pattern.sub(value_of, before + text).removeprefix(before)

    def held_from(self, text: str, before: str = "") -> int:
        """Where the end of a text begins that may yet become a stand-in; its length where there is none."""
        at = text.rfind("<", max(0, len(text) - self.longest + 1))
        if at >= 0:
            end = text[at:]
            for head in self._heads:
                if head.startswith(end):
                    return at
                digits = end.removeprefix(head)
                if len(digits) < len(end) and digits.isascii() and digits.isdigit():
                    return at
        if self.has_words:
            for at in range(max(0, len(text) - self.longest), len(text)):
                if text[at:] in self._beginnings and not _is_word(text[at - 1] if at else before):
                    return at
        return len(text)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


class RunningText:
    """One text of a stream: gives out at once what cannot be part of a placeholder, and holds back the rest.

    What is held back is shorter than the longest placeholder; in JSON, half an escape may stand before it.
    """

    __slots__ = ("_before", "_escape", "_form", "_held", "_restorer")

    def __init__(self, restorer: Restorer, form: Form = "text") -> None:
        self._restorer = restorer
        self._form: Form = form
        self._before = ""
        self._held = ""
        self._escape = ""

    @property
    def is_holding(self) -> bool:
        """Whether something is held back."""
        return bool(self._held or self._escape)

    def feed(self, piece: str) -> str:
        """Take the next piece; return what can be said now."""
        if self._form == "json":
            piece = self._escape + piece
            unfinished = _UNFINISHED_ESCAPE.search(piece) if "\\" in piece else None
            self._escape = unfinished.group(1) if unfinished else ""
            piece = _plain_angles(piece.removesuffix(self._escape) if self._escape else piece)
        text = self._held + piece
        at = self._restorer.held_from(text, self._before)
        self._held = text[at:]
        before, self._before = self._before, text[at - 1] if at else self._before
        return self._restorer.replace(text[:at], self._form, before)

    def flush(self) -> str:
        """The text has ended: return what was held back."""
        rest, self._held = self._restorer.replace(self._held, self._form, self._before), ""
        escape, self._escape = self._escape, ""
        return rest + escape


def _plain_angles(text: str) -> str:
    """JSON text in which angles are not spelled as escapes, as Go's encoder spells them; it means the same."""
    if "\\u003" not in text:
        return text
    return _ESCAPE.sub(lambda match: _ANGLES.get(match.group(1) or "", match.group()), text)


_ANGLES = {"c": "<", "C": "<", "e": ">", "E": ">"}
