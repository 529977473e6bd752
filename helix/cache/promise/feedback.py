"""What people say of answers that they saw: a wrong one goes, and what was given from near is learned from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from helix.cache.promise.given import claim, given_by
from helix.cache.promise.learning import Learning, Verdict
from helix.cache.promise.teaching import teach_said
from helix.kernel.errors import NotFound
from helix.kernel.types import CacheStore

__all__ = ["Marked", "mark"]


@dataclass(frozen=True, slots=True)
class Marked:
    """What came of a verdict. `counted` is false where the answer was marked before, or was not given from near."""

    entry: str
    evicted: bool
    counted: bool


async def mark(
    verdict: Verdict,
    *,
    store: CacheStore,
    learning: Callable[[], Awaitable[Learning | None]],
    request: str = "",
    entry: str = "",
) -> Marked:
    """Mark the answer that a request was given from near, or that an entry has; the first verdict on it counts.

    Raises NotFound, BackendUnavailable.
    """
    given = await given_by(store, request=request, entry=entry)
    if given is None and request:
        raise NotFound(
            "no answer from near is known for this request: there was none, or it was given more than a day ago, or "
            "the id is not one of x-helix-request-id"
        )
    meant = entry if given is None else given.entry
    known = await store.get(meant)
    if known is None and given is None:
        raise NotFound("there is no such cached answer, and none was given from near lately")
    if given is not None and known is not None and entry and known.stored_at > given.stored_at:
        given = None  # what the entry has now was given to nobody yet
    evicts = verdict is Verdict.OTHER and known is not None and (given is None or known.stored_at <= given.stored_at)
    evicted = evicts and await store.flush(entry_id=meant) > 0
    learns = await learning() if given is not None else None
    counts = given is not None and learns is not None and await claim(given, store)
    if counts and given is not None and learns is not None:
        await teach_said(learns, given, verdict, store=store)
    return Marked(meant, evicted, counts)
