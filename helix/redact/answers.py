"""Personal data in an answer that was not in the request: what is looked for, and what is done with it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from helix.kernel.errors import BackendUnavailable, ContentBlocked
from helix.kernel.types import Span
from helix.kernel.wire import Dialect, Text
from helix.redact.allowed import AllowList
from helix.redact.occurrences import Occurrences, stands_in
from helix.redact.quotation import Quotation
from helix.redact.segments import Segment, rewritten, segments
from helix.redact.strategies import masked

__all__ = ["ACTIONS", "Answers", "LeakScan", "Own"]

ACTIONS: Mapping[str, str] = {
    "keep": "left as it is, and counted",
    "mask": "letters and digits replaced by *, but for the last four",
    "placeholder": "replaced by its kind, <EMAIL_ADDRESS>",
    "block": "the answer ends with an error",
}
"""What may be done with a kind of personal data in an answer."""

Detect = Callable[[list[str]], Awaitable[Sequence[Sequence[Span]]]]

_WORD = re.compile(r"\w+")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s().\-/]+(?=\d)")
_LEAST_DIGITS = 6
_NAME = re.compile(r"[^\W\d_]+(?:[\s.'’-]+[^\W\d_]+)*\.?")


@dataclass(frozen=True, slots=True)
class Answers:
    """How answers are looked through.

    `entities` maps kinds to ACTIONS; other kinds are not looked at, nor what scores under `score_threshold`. Where the
    detector fails the answer ends with an error, or, by `on_outage`, chosen aloud, passes. Of a stream a text waits for
    the end of its sentence, but no longer than `max_chars` characters or `max_wait_seconds`; tool-call arguments wait
    for theirs. Raises ValueError.
    """

    entities: Mapping[str, str] = field(default_factory=dict)
    score_threshold: float = 0.4
    on_outage: Literal["refuse", "pass"] = "refuse"
    max_chars: int = 400
    max_wait_seconds: float = 1.0

    def __post_init__(self) -> None:
        for kind, action in self.entities.items():
            if action not in ACTIONS:
                raise ValueError(f"unknown action {action!r} for {kind} in answers; allowed are {', '.join(ACTIONS)}")
        if not 0 <= self.score_threshold <= 1:
            raise ValueError(f"score_threshold of answers must be from 0 to 1, not {self.score_threshold}")
        if self.on_outage not in ("refuse", "pass"):
            raise ValueError(f"on_outage of answers must be 'refuse' or 'pass', not {self.on_outage!r}")
        if self.max_chars < 1 or self.max_wait_seconds <= 0:
            raise ValueError("max_chars and max_wait_seconds of answers must be above 0")

    def of(self, span: Span) -> str | None:
        """What is done with a finding; None where it is not looked at."""
        return self.entities.get(span.kind) if span.score >= self.score_threshold else None

    @property
    def only_counts(self) -> bool:
        """Whether no answer is ever changed, so that none need wait."""
        return all(action == "keep" for action in self.entities.values())


class Own:
    """What a caller said themselves, which is no leak when an answer says it again, spaced or cut otherwise."""

    def __init__(self, texts: Iterable[str], allowed: AllowList | None = None) -> None:
        self._allowed = AllowList() if allowed is None else allowed
        said = [_folded(text) for text in texts]
        self._said = "\n".join(said)
        self._digits = "\n".join(_BETWEEN_DIGITS.sub("", text) for text in said)
        self._words = frozenset(_WORD.findall(self._said))

    @classmethod
    def of(cls, request: dict[str, Any], dialect: Dialect, allowed: AllowList) -> Own:
        """What a request says, wherever it says it, and what anybody may say."""
        texts = (*dialect.labels(request), *dialect.definitions(request), *dialect.texts(request))
        return cls((part.value for part in segments(texts)), allowed)

    def has(self, value: str) -> bool:
        """Whether the caller said this, all of its words where it is a name, or all of its digits in a row."""
        if value in self._allowed:
            return True
        value = _folded(value)
        if stands_in(value, self._said):
            return True
        if _NAME.fullmatch(value):
            words = [word for word in _WORD.findall(value) if len(word) > 2]
            return bool(words) and self._words.issuperset(words)
        digits = "".join(filter(str.isdigit, value))
        return len(digits) >= _LEAST_DIGITS and not any(map(str.isalpha, value)) and digits in self._digits


class LeakScan:
    """Looks through one reply. Keeps the `counts` by kind, and whether something passed `unscanned`.

    `detect` finds personal data in texts; `own` tells what the caller said, and is asked where something was found.
    """

    def __init__(self, answers: Answers, detect: Detect, own: Callable[[], Own]) -> None:
        self._answers = answers
        self._detect = detect
        self._own_of = own
        self._own: Own | None = None
        self._instead: dict[str, str] = {}
        """What was taken out so far, by which repetitions of it are too; and what stands there."""
        self.counts: dict[str, int] = {}
        self.unscanned = False

    async def texts(self, texts: Sequence[Text], *, counts: bool = True) -> list[str]:
        """Whole texts without what leaked. Raises ContentBlocked and BackendUnavailable."""
        parts = segments([text._replace(form="text") if text.form == "signed" else text for text in texts])
        found = await self._found([part.shown for part in parts])
        changes: list[list[tuple[Segment, str]]] = [[] for _ in texts]
        for part, spans in zip(parts, found, strict=True):
            inside = [_within(span, len(part.hint)) for span in spans if span.end > len(part.hint)]
            value = self._without(part.value, inside, Quotation(), counts=counts)
            if value != part.value:
                changes[part.source].append((part, value))
        # What the provider signed may not change; that it leaks is counted, and blocked where it must be.
        return [
            text.value if text.form == "signed" else rewritten(text.value, changed)
            for text, changed in zip(texts, changes, strict=True)
        ]

    async def piece(self, context: str, text: str, quotation: Quotation, *, is_signed: bool = False) -> str:
        """The next piece of a text without what leaked. Raises like `texts`.

        `context` stood before it, and `quotation` has read the text up to it.
        """
        [spans] = await self._found([context + text])
        inside = [_within(span, len(context)) for span in spans if span.end > len(context)]
        changed = self._without(text, inside, quotation, counts=True)
        return text if is_signed else changed

    async def _found(self, texts: list[str]) -> Sequence[Sequence[Span]]:
        try:
            found = await self._detect(texts)
        except BackendUnavailable:
            self.unscanned = True
            if self._answers.on_outage == "refuse" and not self._answers.only_counts:
                raise
            return [[] for _ in texts]
        return [[span for span in spans if self._answers.of(span)] for spans in found]

    def _without(self, text: str, spans: Sequence[Span], quotation: Quotation, *, counts: bool) -> str:
        places: list[tuple[int, int, str]] = []
        at = 0
        for span in spans:
            value = text[span.start : span.end]
            action = self._answers.of(span)
            if span.start < at or action is None or self._is_own(value):
                continue
            if counts:
                self.counts[span.kind] = self.counts.get(span.kind, 0) + 1
            if action == "block":
                raise ContentBlocked(
                    f"the answer holds personal data of the kind {span.kind} that the request does not"
                )
            if action != "keep":
                instead = masked(value) if action == "mask" else f"<{span.kind}>"
                places.append((span.start, span.end, self._instead.setdefault(value, instead)))
            at = span.end
        places += self._again(text, places)
        pieces: list[str] = []
        at = 0
        for start, end, instead in sorted(places):
            quotation.feed(text[at:start])
            pieces += (text[at:start], "null" if quotation.is_bare else instead)
            quotation.feed(text[start:end])
            at = end
        quotation.feed(text[at:])
        return "".join((*pieces, text[at:]))

    def _again(self, text: str, places: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
        """Where what was taken out earlier stands again, though nothing gave it away there."""
        found: list[tuple[int, int, str]] = []
        anywhere, at = Occurrences(self._instead), 0
        for start, end in (*((start, end) for start, end, _ in sorted(places)), (len(text), len(text))):
            found += ((a, b, self._instead[text[a:b]]) for a, b in anywhere.between(text, at, start))
            at = end
        return found

    def _is_own(self, value: str) -> bool:
        if self._own is None:
            self._own = self._own_of()
        return self._own.has(value)


def _within(span: Span, offset: int) -> Span:
    """A finding in what stands behind an offset."""
    return Span(max(span.start - offset, 0), span.end - offset, span.kind, span.score, span.recognizer, span.reason)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
