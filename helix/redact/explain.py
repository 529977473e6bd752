"""What the redact stage would do with a text, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helix.kernel.types import Detector, Span
from helix.kernel.wire import Text
from helix.redact.checked import CheckedDetector
from helix.redact.entities import DEFAULT_ENTITIES
from helix.redact.policy import Policy
from helix.redact.redaction import AGAIN, offsets, redact
from helix.redact.segments import Segment, segments
from helix.redact.vault import Vault, Wording

__all__ = ["Explanation", "explain"]

ALLOWED = "allow"
UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A text without its personal data; for each span, what was done with it and what stands there now.

    An action is a strategy's name, `allow` for a value on the allow-list, or `unsure` for one under its kind's score.
    What stands there is empty where the value does.
    """

    text: str
    spans: tuple[Span, ...]
    actions: tuple[str, ...]
    replacements: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        rows = zip(self.spans, self.actions, self.replacements, strict=True)
        return {
            "text": self.text,
            "spans": [
                {
                    "start": span.start,
                    "end": span.end,
                    "kind": span.kind,
                    "score": span.score,
                    "recognizer": span.recognizer,
                    "reason": span.reason,
                    "action": action,
                    "replacement": replacement or None,
                }
                for span, action, replacement in rows
            ],
        }


async def explain(
    detector: Detector, text: str, *, policy: Policy | None = None, language: str | None = None
) -> Explanation:
    """Redact one text and say why. What would be refused is shown as a placeholder. Raises BackendUnavailable."""
    policy = Policy(DEFAULT_ENTITIES) if policy is None else policy
    shown = policy.without_blocks()
    whole = Text((), text)
    parts = segments([whole])
    found = await CheckedDetector(detector).detect([part.shown for part in parts], language=language)
    vault = Vault(wording=Wording((text, *(part.value for part in parts))))
    redaction = redact([whole], parts, found, shown, vault)
    rows = [
        (again := Span(told.start, told.end, told.kind, told.score, AGAIN), policy.of(again).name, instead)
        for told, instead in zip(redaction.findings, redaction.instead, strict=True)
        if told.recognizer == AGAIN
    ]
    for part, spans in zip(parts, found, strict=True):
        for span in spans:
            start, end = max(span.start - len(part.hint), 0), span.end - len(part.hint)
            if start < end:
                place = offsets(part, whole, start, end)
                said = Span(*place, span.kind, span.score, span.recognizer, span.reason)
                rows.append((said, *_row(span, part, part.value[start:end], policy, shown, vault)))
    rows.sort(key=lambda row: row[0].start)
    return Explanation(
        redaction.edits.get((), text),
        tuple(row[0] for row in rows),
        tuple(row[1] for row in rows),
        tuple(row[2] for row in rows),
    )


def _row(span: Span, part: Segment, value: str, policy: Policy, shown: Policy, vault: Vault) -> tuple[str, str]:
    """What is done with a value that was found, and what stands there now."""
    if value in policy.allowed:
        return ALLOWED, ""
    action = policy.of(span).name
    if action == "keep":
        return (UNSURE if policy.is_unsure(span) else action), ""
    return action, shown.instead(shown.of(span), span.kind, value, vault, numeric=part.is_number)
