"""Values put back in the place of what stood for them in a request, in whole texts and in pieces of one."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from operator import itemgetter
from typing import Literal

from helix.redact.forms import PLAIN, Forms
from helix.redact.occurrences import Occurrences
from helix.redact.quotation import Quotation
from helix.redact.vault import PLACEHOLDER, Vault

__all__ = ["Form", "Restorer", "RunningText"]

Form = Literal["text", "json", "signed"]

# Escapes of JSON text, taken in pairs from its start so that an escaped backslash is not taken for one that escapes.
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_UNFINISHED_ESCAPE = re.compile(r"(?:^|[^\\])(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")
_NEEDS_QUOTING = re.compile(r'["\\\x00-\x1f]')
_UNFINISHED_PLACEHOLDER = re.compile(r"<(?:[A-Z][A-Z0-9_]*)?\Z")


class Restorer:
    """Replaces what one vault gave out by its values, and nothing else.

    That are placeholders, in all their forms, and stand-ins of another form where they stand as whole words. Counts
    what it `restored`, and the `unknown`: placeholders between angles, of a kind it knows, that were neither given out
    nor written by the caller; they are left as they are. Form "signed" is a text that the caller will send back and
    that must then be what it was: placeholders are told in their very form alone.
    """

    __slots__ = (
        "_escaped",
        "_forms",
        "_heads",
        "_literals",
        "_plain",
        "_values",
        "_words",
        "quotes",
        "restored",
        "unknown",
    )

    def __init__(self, vault: Vault) -> None:
        self._values = vault.values
        self._literals = vault.literals
        kinds, words = [], []
        for known in vault.values:
            match = PLACEHOLDER.fullmatch(known)
            if match is None:
                words.append(known)
            else:
                kinds.append(match.group(1))
        self._forms = Forms(kinds)
        self._heads = tuple(f"<{kind}_" for kind in sorted(set(kinds)))
        self._words = Occurrences(words) if words else None
        self._escaped: tuple[Occurrences, dict[str, str]] | None = None
        self._plain = PLAIN.union(*(filter(lambda letter: ord(letter) > 127, word) for word in words))
        self.quotes = any(map(_NEEDS_QUOTING.search, vault.values.values()))
        """Whether some value is spelled otherwise inside JSON."""
        self.restored = 0
        self.unknown = 0

    @property
    def reads_all(self) -> bool:
        """Whether every text must be read from its beginning: stand-ins may be any word, or values need quoting."""
        return self._words is not None or self.quotes

    @property
    def longest(self) -> int:
        """An upper bound of what is held back of a text, in characters."""
        return max(self._forms.longest, self._words.longest if self._words else 0)

    def may_stand_in(self, data: bytes) -> bool:
        """Whether an event's data, JSON, may hold a placeholder, or the beginning of one at the end of a string."""
        return self._forms.may_stand_in(data)

    def whole(self, text: str, form: Form = "text", *, counts: bool = True) -> str:
        """A whole text with its values; `counts` is False for a repetition of what was counted before."""
        before = self.restored, self.unknown
        quotation = Quotation() if self.quotes else _NO_QUOTATION
        text, _ = self.advance(self.plain(text) if form == "json" else text, 0, form, quotation, ended=True)
        if not counts:
            self.restored, self.unknown = before
        return text

    def plain(self, text: str) -> str:
        """JSON text in which what a stand-in is told by is not spelled as escapes; it means the same."""
        if "\\u" not in text:
            return text

        def plainly(match: re.Match[str]) -> str:
            character = chr(int(match.group(1), 16)) if match.group(1) else ""
            return character if character in self._plain else match.group()

        return _ESCAPE.sub(plainly, text)

    def advance(self, text: str, at: int, form: Form, quotation: Quotation, *, ended: bool) -> tuple[str, int]:
        """What can be said of a text from some place on, and where what cannot be said yet begins."""
        said: list[str] = []
        waits: int | None = -1
        stand_ins = self._stand_ins(text, at, form)
        while True:
            found = next(stand_ins, None)
            if ended:
                waits = None
            elif waits is not None and waits < at:
                waits = self._begun(text, at, form)
            if waits is not None and (found is None or waits <= found[0]):
                quotation.feed(text[at:waits])
                return "".join((*said, text[at:waits])), waits
            if found is None:
                quotation.feed(text[at:])
                return "".join((*said, text[at:])), len(text)
            first, last, name = found
            quotation.feed(text[at:first])
            said += (text[at:first], self._value(name, text[first:last], quotation))
            quotation.feed(text[first:last])
            at = last

    def _stand_ins(self, text: str, at: int, form: Form) -> Iterator[tuple[int, int, str]]:
        """The stand-ins from some place on: where each begins and ends, and what it is in the vault."""
        # Each of the two is looked for again only where the other reached over it: so the text is read once.
        placeholder, word = self._placeholder(text, at, form), self._word(text, at, form)
        while found := min(filter(None, (placeholder, word)), key=itemgetter(0), default=None):
            yield found
            at = found[1]
            if placeholder is not None and placeholder[0] < at:
                placeholder = self._placeholder(text, at, form)
            if word is not None and word[0] < at:
                word = self._word(text, at, form)

    def _placeholder(self, text: str, at: int, form: Form) -> tuple[int, int, str] | None:
        """The first placeholder from some place on."""
        if form == "signed":
            match = PLACEHOLDER.search(text, at)
            return (*match.span(), match.group()) if match else None
        return self._forms.find(text, at) if self._heads else None

    def _word(self, text: str, at: int, form: Form) -> tuple[int, int, str] | None:
        """The first stand-in of another form from some place on."""
        if self._words is None:
            return None
        words, names = self._in_json() if form == "json" else (self._words, None)
        place = next(words.between(text, at, len(text)), None)
        if place is None:
            return None
        word = text[place[0] : place[1]]
        return *place, word if names is None else names[word]

    def _begun(self, text: str, at: int, form: Form) -> int | None:
        """Where the end of a text begins that may yet become a stand-in."""
        first: int | None = None
        if form == "signed":
            match = _UNFINISHED_PLACEHOLDER.search(text, max(at, len(text) - self.longest))
            if match and any(_agree(match.group(), head) for head in self._heads):
                first = match.start()
        elif self._heads:
            first = self._forms.begun(text, at)
        if self._words is not None:
            words = self._in_json()[0] if form == "json" else self._words
            begun = words.begun(text, at)
            if begun is not None and (first is None or begun < first):
                first = begun
        return first

    def _value(self, name: str, spelled: str, quotation: Quotation) -> str:
        value = self._values.get(name)
        if value is None:
            self.unknown += not spelled[0].isalnum() and name not in self._literals
            return spelled
        self.restored += 1
        return quotation.quoted(html.escape(value, quote=False) if spelled[0] == "&" else value)

    def _in_json(self) -> tuple[Occurrences, dict[str, str]]:
        """Stand-ins other than placeholders as JSON spells them, and what each is in the vault."""
        if self._escaped is None:
            names = {_quoted(word): word for word in self._values if not PLACEHOLDER.fullmatch(word)}
            self._escaped = Occurrences(names), names
        return self._escaped


class RunningText:
    """One text of a stream: gives out at once what cannot be part of a stand-in, and holds back the rest.

    `before` is the character that came before, if any. What is held back is no longer than the longest stand-in may be;
    in JSON, half an escape may stand behind it.
    """

    __slots__ = ("_before", "_escape", "_form", "_held", "_quotation", "_restorer")

    def __init__(self, restorer: Restorer, form: Form = "text", before: str = "") -> None:
        self._restorer = restorer
        self._form: Form = form
        self._before = before
        self._held = ""
        self._escape = ""
        self._quotation = Quotation() if restorer.quotes else _NO_QUOTATION

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
            piece = self._restorer.plain(piece.removesuffix(self._escape) if self._escape else piece)
        return self._advance(piece, ended=False)

    def flush(self) -> str:
        """The text has ended: return what was held back."""
        escape, self._escape = self._escape, ""
        return self._advance("", ended=True) + escape

    def _advance(self, piece: str, *, ended: bool) -> str:
        text = self._before + self._held + piece
        start = len(self._before)
        said, at = self._restorer.advance(text, start, self._form, self._quotation, ended=ended)
        self._held = text[at:]
        self._before = text[at - 1 : at] if at else ""
        return said


class _NoQuotation(Quotation):
    """For values that are spelled alike inside JSON and outside."""

    __slots__ = ()

    def feed(self, text: str) -> None:
        """Take nothing."""


_NO_QUOTATION = _NoQuotation()


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _agree(end: str, head: str) -> bool:
    """Whether a text that ends so may yet become a placeholder that begins so."""
    digits = end.removeprefix(head)
    return head.startswith(end) or (digits != end and digits.isdigit() and len(digits) < 10)
