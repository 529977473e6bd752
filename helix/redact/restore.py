"""Values put back in the place of the placeholders that a request was given, in whole texts and in pieces of one."""

from __future__ import annotations

import json
import re
from typing import Literal

from helix.redact.vault import Vault

__all__ = ["Restorer", "RunningText"]

Form = Literal["text", "json"]

# Escapes of JSON text, taken in pairs from its start so that an escaped backslash is not taken for one that escapes.
_ESCAPE = re.compile(r"\\(?:u003([cCeE])|.)", re.DOTALL)
_UNFINISHED_ESCAPE = re.compile(r"(?:^|[^\\])(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")


class Restorer:
    """Replaces the placeholders of one vault by their values, and nothing else.

    Counts what it `restored`, and the `unknown`: placeholders of a kind it knows that were neither given out nor
    written by the caller; they are left as they are.
    """

    __slots__ = ("_heads", "_literals", "_pattern", "_values", "longest", "restored", "unknown")

    def __init__(self, vault: Vault) -> None:
        self._values = vault.values
        self._literals = vault.literals
        self._heads = sorted({placeholder.rpartition("_")[0] + "_" for placeholder in vault.values})
        self._pattern = re.compile(f"(?:{'|'.join(self._heads)})[0-9]+>")
        self.longest = max(map(len, vault.values), default=0)
        """Length in characters of the longest placeholder: an upper bound of what is held back."""
        self.restored = 0
        self.unknown = 0

    def whole(self, text: str, form: Form = "text", *, counts: bool = True) -> str:
        """A whole text with its values; `counts` is False for a repetition of what was counted before."""
        before = self.restored, self.unknown
        if form == "json":
            text = _plain_angles(text)
        text = self.replace(text, form)
        if not counts:
            self.restored, self.unknown = before
        return text

    def replace(self, text: str, form: Form) -> str:
        """The text with values for the placeholders that are complete in it."""
        if "<" not in text or not self._values:
            return text

        def value_of(match: re.Match[str]) -> str:
            placeholder = match.group()
            value = self._values.get(placeholder)
            if value is None:
                if len(placeholder) <= self.longest and placeholder not in self._literals:
                    self.unknown += 1
                return placeholder
            self.restored += 1
            return json.dumps(value, ensure_ascii=False)[1:-1] if form == "json" else value

        return self._pattern.sub(value_of, text)

    def held_from(self, text: str) -> int:
        """Where the end of a text begins that may yet become a placeholder; its length where there is none."""
        at = text.rfind("<", max(0, len(text) - self.longest + 1))
        if at < 0:
            return len(text)
        end = text[at:]
        for head in self._heads:
            if head.startswith(end):
                return at
            digits = end.removeprefix(head)
            if len(digits) < len(end) and digits.isascii() and digits.isdigit():
                return at
        return len(text)


class RunningText:
    """One text of a stream: gives out at once what cannot be part of a placeholder, and holds back the rest.

    What is held back is shorter than the longest placeholder; in JSON, half an escape may stand before it.
    """

    __slots__ = ("_escape", "_form", "_held", "_restorer")

    def __init__(self, restorer: Restorer, form: Form = "text") -> None:
        self._restorer = restorer
        self._form: Form = form
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
        at = self._restorer.held_from(text)
        self._held = text[at:]
        return self._restorer.replace(text[:at], self._form)

    def flush(self) -> str:
        """The text has ended: return what was held back."""
        rest, self._held, self._escape = self._held + self._escape, "", ""
        return rest


def _plain_angles(text: str) -> str:
    """JSON text in which angles are not spelled as escapes, as Go's encoder spells them; it means the same."""
    if "\\u003" not in text:
        return text
    return _ESCAPE.sub(lambda match: _ANGLES.get(match.group(1) or "", match.group()), text)


_ANGLES = {"c": "<", "C": "<", "e": ">", "E": ">"}
