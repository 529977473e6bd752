"""/helix/redact: what the redact stage would take out of a text."""

from __future__ import annotations

from helix.admin import answers
from helix.admin import given as sent
from helix.admin.backends import Redactor
from helix.admin.endpoint import Call, Endpoint

__all__ = ["redact_endpoints"]


def redact_endpoints(redact: Redactor) -> list[Endpoint]:
    """Try the redact stage on a text."""

    async def redact_text(call: Call) -> answers.Redacted:
        """Take personal data out of a text, and say what was found and why; the text is neither kept nor logged."""
        given: sent.RedactGiven = call.body
        redaction = await redact(given.text)
        spans = [
            answers.Found(
                start=span.start,
                end=span.end,
                kind=span.kind,
                score=span.score,
                recognizer=span.recognizer,
                reason=span.reason,
                action=action,
                replacement=replacement or None,
            )
            for span, action, replacement in zip(
                redaction.spans, redaction.actions, redaction.replacements, strict=True
            )
        ]
        return answers.Redacted(text=redaction.text, spans=spans, blocked="block" in redaction.actions)

    return [Endpoint("POST", "/helix/redact", redact_text, answers.Redacted, body=sent.RedactGiven)]
