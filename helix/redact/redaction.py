"""What is done with the personal data found in some texts: placeholders, masks, a refusal. Pure: no I/O, no waiting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Span
from helix.kernel.wire import Path, Text
from helix.redact.occurrences import Occurrences
from helix.redact.segments import Segment, rewritten
from helix.redact.strategies import masked
from helix.redact.vault import Vault

__all__ = ["Policy", "Redaction", "place", "redact"]


# The dialects' own fields on the way to a text.
_FIELDS = frozenset(
    (
        *(
            "action",
            "arguments",
            "audio",
            "citations",
            "cited_text",
            "code",
            "command",
            "commands",
            "content",
            "context",
        ),
        *(
            "custom",
            "data",
            "diff",
            "document_title",
            "documents",
            "function",
            "function_call",
            "input",
            "instructions",
        ),
        *("logs", "messages", "metadata", "name", "operation", "output", "outputs", "prediction", "prompt"),
        *("prompt_cache_key", "queries", "query", "reason", "reasoning", "reasoning_content", "refusal", "results"),
        *(
            "safety_identifier",
            "source",
            "stderr",
            "stdout",
            "suffix",
            "summary",
            "system",
            "text",
            "thinking",
            "title",
        ),
        *("tool_calls", "transcript", "user", "variables"),
    )
)


@dataclass(frozen=True)
class Policy:
    """What to do with each kind: a strategy by kind, and one for kinds not named; findings under the score are kept."""

    strategies: Mapping[str, str]
    otherwise: str = "keep"
    score_threshold: float = 0.0

    def of(self, span: Span) -> str:
        """The strategy for a finding."""
        return "keep" if span.score < self.score_threshold else self.strategies.get(span.kind, self.otherwise)


@dataclass
class Redaction:
    """Some texts without their personal data: what to put where, and how much of each kind went."""

    edits: dict[Path, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    blocked: tuple[str, str] | None = None
    """The kind and the place of what may not pass at all; nothing else is then told."""


def redact(
    texts: Sequence[Text], parts: Sequence[Segment], found: Sequence[Sequence[Span]], policy: Policy, vault: Vault
) -> Redaction:
    """Take out what was found in each segment of the texts.

    A value that was found somewhere is taken out wherever it stands, also where its surroundings did not give it away.
    Raises BackendUnavailable where the spans do not fit the texts.
    """
    redaction = Redaction()
    inside = [list(_checked(part, spans)) for part, spans in zip(parts, found, strict=True)]
    new: dict[str, tuple[str, str]] = {}
    for part, spans in zip(parts, inside, strict=True):
        for span in spans:
            strategy = policy.of(span)
            if strategy == "block":
                return Redaction(blocked=(span.kind, place(texts[part.source].path)))
            if strategy != "keep":
                value = part.value[span.start : span.end]
                instead = masked(value) if strategy == "mask" else vault.placeholder(span.kind, value)
                new.setdefault(value, (span.kind, instead))
    if not new:
        return redaction
    anywhere = Occurrences(new)
    changes: dict[int, list[tuple[Segment, str]]] = {}
    for part, spans in zip(parts, inside, strict=True):
        places: list[tuple[int, int]] = []
        at = 0
        for span in spans:
            if policy.of(span) != "keep":
                places += (*anywhere.between(part.value, at, span.start), (span.start, span.end))
                at = span.end
        places += anywhere.between(part.value, at, len(part.value))
        if not places:
            continue
        pieces: list[str] = []
        at = 0
        for start, end in places:
            kind, instead = new[part.value[start:end]]
            pieces += (part.value[at:start], instead)
            at = end
            redaction.counts[kind] = redaction.counts.get(kind, 0) + 1
        changes.setdefault(part.source, []).append((part, "".join((*pieces, part.value[at:]))))
    for source, changed in changes.items():
        text = texts[source]
        redaction.edits[text.path] = text.placed(rewritten(text.value, changed))
    return redaction


def place(path: Path) -> str:
    """A path as people write it, messages[0].content; a key of the caller's own, which may tell a name, is `*`."""
    named = (f"[{step}]" if isinstance(step, int) else f".{step if step in _FIELDS else '*'}" for step in path)
    return "".join(named).removeprefix(".")


def _checked(part: Segment, spans: Sequence[Span]) -> Iterator[Span]:
    """The spans of what a detector was shown as spans of the value; what lies in the hint is not the caller's."""
    offset, last = len(part.hint), 0
    for span in spans:
        if not last <= span.start <= span.end <= len(part.shown):
            raise BackendUnavailable("the detector of personal data gave spans that do not fit the text")
        last = span.end
        start, end = max(span.start - offset, 0), span.end - offset
        if start < end:
            yield Span(start, end, span.kind, span.score, span.recognizer)
