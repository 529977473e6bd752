"""/helix/cache and /helix/redact: what the cache holds, and what the redact stage would take out of a text."""

from __future__ import annotations

from helix.admin import answers
from helix.admin import given as sent
from helix.admin.backends import Redactor
from helix.admin.endpoint import Call, Endpoint
from helix.kernel.types import CacheStore

__all__ = ["cache_endpoints", "redact_endpoints"]


def cache_endpoints(cache: CacheStore) -> list[Endpoint]:
    """See and flush the cache."""

    async def cache_stats(call: Call) -> answers.Cache:
        """What the cache holds, in all and by namespace."""
        return answers.Cache.model_validate(await cache.stats())

    async def flush_cache(call: Call) -> answers.Flushed:
        """Remove one cached answer, one namespace, or everything."""
        query: sent.FlushQuery = call.query
        return answers.Flushed(removed=await cache.flush(namespace=query.namespace, entry_id=query.entry))

    return [
        Endpoint("GET", "/helix/cache", cache_stats, answers.Cache),
        Endpoint("DELETE", "/helix/cache", flush_cache, answers.Flushed, query=sent.FlushQuery),
    ]


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
