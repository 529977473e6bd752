"""What is done with the personal data found in some texts: stand-ins, masks, a refusal. Pure: no I/O, no waiting."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Span
from helix.kernel.wire import Path, Text
from helix.redact.allowed import AllowList
from helix.redact.forms import Forms
from helix.redact.occurrences import Occurrences
from helix.redact.policy import Policy
from helix.redact.segments import Segment, rewritten
from helix.redact.strategies import Strategy
from helix.redact.vault import Endings, Vault, name_of

__all__ = ["AGAIN", "FINDINGS", "Finding", "Policy", "Redaction", "offsets", "place", "redact"]


# The dialects' own fields on the way to a text.
_FIELDS = frozenset(
    (
        *("acknowledged_safety_checks", "action", "annotation", "annotations", "arguments", "attributes", "audio"),
        *("citations", "cited_text", "code", "command", "commands", "compaction", "content", "context"),
        *("context_management", "custom", "data", "default", "definition", "description", "diff", "document_title"),
        *("documents", "edits", "enum", "env", "error", "examples", "file", "file_url", "filename", "format"),
        *("function", "function_call", "functions", "image_url", "input", "input_examples", "input_schema"),
        *("instructions", "item", "json_schema", "lines", "log", "logs", "message", "messages", "metadata", "name"),
        *("operation", "output", "output_config", "output_format", "output_schema", "outputs", "parameters"),
        *("part", "path", "pattern", "pending_safety_checks", "prediction", "prompt", "prompt_cache_key"),
        *("properties", "queries", "query", "reason", "reasoning", "reasoning_content", "reasoning_details"),
        *("refusal", "response_format", "results", "safety_identifier", "schema", "source", "sources", "stderr"),
        *("stdout", "stop", "stop_sequence", "stop_sequences", "suffix", "summary", "system", "text", "thinking"),
        *("thinking_blocks", "title", "token", "tool", "tool_calls", "tools", "transcript", "url", "user"),
        *("variables", "working_directory"),
    )
)


AGAIN = "elsewhere"
"""The recognizer of a value that was taken out only because it was recognised elsewhere in the request."""
FINDINGS = 100
"""As many of a request's findings are told one by one; of the others there is a count."""


class Finding(NamedTuple):
    """Where a piece of personal data stood, how it was found, and what was done with it; never the data."""

    kind: str
    place: str
    start: int
    end: int
    """Characters [start, end) of the text at the place; a whole string of JSON where that has escapes."""
    score: float
    recognizer: str
    strategy: str


@dataclass
class Redaction:
    """Some texts without their personal data: what to put where, and how much of each kind went."""

    edits: dict[Path, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    """The first FINDINGS of them."""
    instead: list[str] = field(default_factory=list, repr=False)
    """What stands in the place of each of these now."""
    stand_ins: set[str] = field(default_factory=set, repr=False)
    """All that stands in the place of a value now."""
    more: int = 0
    """How many findings are not told."""
    blocked: tuple[str, str] | None = None
    """The kind and the place of what may not pass at all; no edits are then made."""

    def note(self, part: Segment, text: Text, act: _Act, at: int, length: int, instead: str, *, again: bool) -> None:
        """Count what was done, and tell of it while there is room."""
        self.counts[act.span.kind] = self.counts.get(act.span.kind, 0) + 1
        self.stand_ins.add(instead)
        if len(self.findings) >= FINDINGS:
            self.more += 1
            return
        start, end = offsets(part, text, at, at + length)
        recognizer = AGAIN if again else act.span.recognizer
        told = Finding(act.span.kind, place(text.path), start, end, act.span.score, recognizer, act.strategy.name)
        self.findings.append(told)
        self.instead.append(instead)


class _Act(NamedTuple):
    """A value that was found, first so by this span, and what is done with it."""

    span: Span
    strategy: Strategy


class _Substitutes:
    """What goes out for each value, made once for text and once for JSON numbers."""

    def __init__(self, policy: Policy, vault: Vault) -> None:
        self._policy = policy
        self._vault = vault
        self._made: dict[tuple[str, bool], str] = {}
        self.acts: dict[str, _Act] = {}

    def of(self, value: str, part: Segment) -> str:
        """What goes out for a value that there is an act for."""
        numeric = part.is_number
        made = self._made.get((value, numeric))
        if made is None:
            span, strategy = self.acts[value]
            made = self._policy.instead(strategy, span.kind, value, self._vault, numeric=numeric)
            self._made[value, numeric] = made
        return made


def redact(
    texts: Sequence[Text],
    parts: Sequence[Segment],
    found: Sequence[Sequence[Span]],
    policy: Policy,
    vault: Vault,
    allowed: AllowList | None = None,
) -> Redaction:
    """Take out what was found in each segment of the texts, but for what is allowed.

    A value that was found somewhere is taken out wherever it stands, also where its surroundings did not give it away.
    Raises BackendUnavailable where the spans do not fit the texts.
    """
    redaction = Redaction()
    allowed = policy.allowed if allowed is None else policy.allowed | allowed
    inside = [list(_acts(part, spans, policy, allowed)) for part, spans in zip(parts, found, strict=True)]
    if not any(inside):
        return redaction
    substitutes = _Substitutes(policy, vault)
    kinds = frozenset(act.span.kind for acts in inside for act in acts)
    endings, forms = Endings.of_kinds(kinds), Forms(map(name_of, kinds))
    changed: list[list[tuple[int, int, str]]] = []
    for part, acts in zip(parts, inside, strict=True):
        # What is written here is reserved before anything that is found here gets a number, and after what came before:
        # so the numbers follow from the request's beginning alone, and stay as they are when more is said.
        written = endings.of(part.value)
        typed = list(_typed(part.value, forms, vault)) if vault.gave(written) else []
        vault.reserve(written)
        places: list[tuple[int, int, str]] = []
        for act in acts:
            value = part.value[act.span.start : act.span.end]
            substitutes.acts.setdefault(value, act)
            if act.strategy.name == "block":
                text = texts[part.source]
                refused = Redaction(blocked=(act.span.kind, place(text.path)))
                refused.note(part, text, act, act.span.start, len(value), "", again=False)
                return refused
            places.append((act.span.start, act.span.end, substitutes.of(value, part)))
        of_values = list(places)
        for start, end, kind in typed:
            before = bisect_left(of_values, (end,))
            if not before or of_values[before - 1][1] <= start:
                places.append((start, end, vault.typed(kind, part.value[start:end])))
        changed.append(sorted(places))
    anywhere = Occurrences(substitutes.acts)
    rewrites: dict[int, list[tuple[Segment, str]]] = {}
    for part, places, acts in zip(parts, changed, inside, strict=True):
        text = texts[part.source]
        ours = {act.span.start for act in acts}
        pieces: list[str] = []
        at = 0
        for start, end, instead in (*places, (len(part.value), len(part.value), "")):
            for first, last in anywhere.between(part.value, at, start):
                value = part.value[first:last]
                made = substitutes.of(value, part)
                pieces += (part.value[at:first], made)
                redaction.note(part, text, substitutes.acts[value], first, len(value), made, again=True)
                at = last
            pieces += (part.value[at:start], instead)
            if start in ours:
                act = substitutes.acts[part.value[start:end]]
                redaction.note(part, text, act, start, end - start, instead, again=False)
            at = end
        if len(pieces) > 2:
            rewrites.setdefault(part.source, []).append((part, "".join(pieces)))
    for source, new in rewrites.items():
        redaction.edits[texts[source].path] = texts[source].placed(rewritten(texts[source].value, new))
    return redaction


def place(path: Path) -> str:
    """A path as people write it, messages[0].content; a key of the caller's own, which may tell a name, is `*`."""
    named = (f"[{step}]" if isinstance(step, int) else f".{step if step in _FIELDS else '*'}" for step in path)
    return "".join(named).removeprefix(".")


def _typed(text: str, forms: Forms, vault: Vault) -> Iterator[tuple[int, int, str]]:
    """Where a text says what would be put back for a placeholder: start, end, and the kind that it names."""
    at = 0
    while found := forms.find(text, at):
        first, at, name = found
        if name in vault.values:
            yield first, at, name[1:].rpartition("_")[0]


def offsets(part: Segment, text: Text, start: int, end: int) -> tuple[int, int]:
    """Where characters of a segment's value stand in its text; the whole of a string that spells them otherwise."""
    outer = part
    while outer.within is not None:
        outer = outer.within
    at = text.value.find(part.value, outer.start, outer.end)
    return (at + start, at + end) if at >= 0 and part is outer else (outer.start, outer.end)


def _acts(part: Segment, spans: Sequence[Span], policy: Policy, allowed: AllowList) -> Iterator[_Act]:
    """What to do with the spans of what a detector was shown, as spans of the value.

    What lies in the hint is not the caller's.
    """
    offset, last = len(part.hint), 0
    for span in spans:
        if not last <= span.start <= span.end <= len(part.shown):
            raise BackendUnavailable("the detector of personal data gave spans that do not fit the text")
        last = span.end
        strategy = policy.of(span)
        start, end = max(span.start - offset, 0), span.end - offset
        if start < end and strategy.name != "keep" and part.value[start:end] not in allowed:
            yield _Act(Span(start, end, span.kind, span.score, span.recognizer), strategy)
