"""/helix/cache: what the cache holds, and taking out of it, carrying it elsewhere, letting it live longer."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import asdict

from helix.admin import answers
from helix.admin import given as sent
from helix.admin.backends import Cache
from helix.admin.endpoint import Call, Endpoint
from helix.kernel.types import Listed, Packed

__all__ = ["cache_endpoints"]

MAX_IMPORT_BYTES = 64 * 1024 * 1024


def cache_endpoints(cache: Cache) -> list[Endpoint]:
    """See the cache, and change what it holds."""

    async def cache_stats(call: Call) -> answers.Cache:
        """What the cache holds, in all and by namespace."""
        return answers.Cache.model_validate(await cache.stats())

    async def flush_cache(call: Call) -> answers.Flushed:
        """Remove cached answers, or count what would go."""
        query: sent.FlushQuery = call.query
        said = {"everything": True} if query.all else query.said()
        return answers.Flushed(removed=await cache.remove(said, dry_run=query.dry_run), dry_run=query.dry_run)

    async def list_cache_entries(call: Call) -> answers.CacheEntryPage:
        """Cached answers, latest first or most used first: what they are about, not what they say."""
        query: sent.EntriesQuery = call.query
        if query.sort == "used":
            return answers.CacheEntryPage(data=_shown(await cache.most_used(query.limit)), next_cursor=None)
        page, cursor = await cache.page(query.said(), limit=query.limit, cursor=query.cursor)
        return answers.CacheEntryPage(data=_shown(page), next_cursor=cursor)

    async def similar_cache_entries(call: Call) -> answers.Similar:
        """Cached answers to what is near to a text, which is redacted first; `remove` removes them."""
        given: sent.SimilarGiven = call.body
        found = await cache.similar(
            given.text, given.said(), least=given.min_similarity, limit=given.limit, remove=given.remove
        )
        return answers.Similar(data=_shown(found), removed=len(found) if given.remove else 0)

    async def extend_cache_entries(call: Call) -> answers.Extended:
        """Let cached answers live at least so long from now; none lives shorter for it."""
        given: sent.ExtendGiven = call.body
        found = await cache.extend(most_used=given.most_used, entries=given.entries, ttl_seconds=given.ttl_seconds)
        return answers.Extended(extended=found)

    async def export_cache(call: Call) -> answers.CarriedPage:
        """Cached answers as they are kept, latest first, for `POST /helix/cache/import` elsewhere."""
        query: sent.ExportQuery = call.query
        page, cursor = await cache.dump(query.said(), limit=query.limit, cursor=query.cursor)
        data = [
            answers.Carried(
                id=one.id,
                expires_at=one.expires_at,
                fields={name: base64.b64encode(value) for name, value in one.fields.items()},
            )
            for one in page
        ]
        return answers.CarriedPage(layout=cache.layout, data=data, next_cursor=cursor)

    async def import_cache(call: Call) -> answers.Loaded:
        """Keep what an export gave, each entry whole or not at all; what is there already stays as it is."""
        given: sent.CarriedGiven = call.body
        entries = [Packed(one.id, one.fields, one.expires_at) for one in given.entries]
        return answers.Loaded.model_validate(asdict(await cache.load(given.layout, entries)))

    async def mark_cached_answer(call: Call) -> answers.Marked:
        """Say that a cached answer was wrong, which removes it, or right; the first verdict on a request counts."""
        given: sent.FeedbackGiven = call.body
        mark = await cache.mark(verdict=given.verdict, request_id=given.request_id or "", entry=given.entry or "")
        return answers.Marked(entry=mark.entry, evicted=mark.evicted, counted=mark.counted)

    async def cache_precision(call: Call) -> answers.Precision:
        """How right answers from near have been, in all processes, as checks and verdicts tell."""
        return answers.Precision.model_validate(await cache.precision())

    async def cache_outcomes(call: Call) -> answers.Outcomes:
        """What traffic has shown of near questions, in numbers: `helix cache calibrate --from-traffic` fits them."""
        return answers.Outcomes.model_validate(await cache.outcomes())

    where = "/helix/cache"
    return [
        Endpoint("GET", where, cache_stats, answers.Cache),
        Endpoint("DELETE", where, flush_cache, answers.Flushed, query=sent.FlushQuery),
        Endpoint("GET", f"{where}/entries", list_cache_entries, answers.CacheEntryPage, query=sent.EntriesQuery),
        Endpoint(
            "POST", f"{where}/similar", similar_cache_entries, answers.Similar, body=sent.SimilarGiven, errors=(404,)
        ),
        Endpoint("POST", f"{where}/extend", extend_cache_entries, answers.Extended, body=sent.ExtendGiven),
        Endpoint(
            "POST",
            f"{where}/feedback",
            mark_cached_answer,
            answers.Marked,
            body=sent.FeedbackGiven,
            errors=(404,),
        ),
        Endpoint("GET", f"{where}/precision", cache_precision, answers.Precision),
        Endpoint("GET", f"{where}/outcomes", cache_outcomes, answers.Outcomes),
        Endpoint("GET", f"{where}/export", export_cache, answers.CarriedPage, query=sent.ExportQuery),
        Endpoint(
            "POST",
            f"{where}/import",
            import_cache,
            answers.Loaded,
            body=sent.CarriedGiven,
            max_body_bytes=MAX_IMPORT_BYTES,
        ),
    ]


def _shown(entries: Iterable[Listed]) -> list[answers.CacheEntry]:
    return [answers.CacheEntry.model_validate(asdict(entry)) for entry in entries]
