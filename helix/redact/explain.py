"""What the redact stage would do with a text, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from helix.kernel.types import Detector, Span
from helix.kernel.wire import Text
from helix.redact.entities import DEFAULT_ENTITIES
from helix.redact.redaction import Policy, redact
from helix.redact.segments import segments
from helix.redact.strategies import masked
from helix.redact.vault import Vault, literals_in

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A text without its personal data; for each span, what was done with it and what stands there now."""

    text: str
    spans: tuple[Span, ...]
    actions: tuple[str, ...]
    replacements: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON values; a span that was kept has no placeholder."""
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
                    "action": action,
                    "placeholder": replacement or None,
                }
                for span, action, replacement in rows
            ],
        }


async def explain(
    detector: Detector,
    text: str,
    *,
    entities: Mapping[str, str] | None = None,
    score_threshold: float = 0.4,
    language: str = "en",
) -> Explanation:
    """Redact one text and say why. What would be refused is shown as a placeholder. Raises BackendUnavailable."""
    told = Policy(DEFAULT_ENTITIES if entities is None else entities, score_threshold=score_threshold)
    texts = [Text((), text)]
    spans = tuple((await detector.detect([text], language=language))[0])
    vault = Vault(literals_in([text]))
    shown = Policy(
        {kind: "placeholder" if strategy == "block" else strategy for kind, strategy in told.strategies.items()},
        score_threshold=score_threshold,
    )
    redaction = redact(texts, segments(texts), [spans], shown, vault)
    actions = tuple(told.of(span) for span in spans)
    replacements = []
    for span, action in zip(spans, actions, strict=True):
        value = text[span.start : span.end]
        replacements.append(
            "" if action == "keep" else masked(value) if action == "mask" else vault.placeholder(span.kind, value)
        )
    return Explanation(redaction.edits.get((), text), spans, actions, tuple(replacements))
