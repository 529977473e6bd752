"""What the administration API needs of the parts behind it; `gateway` passes the real ones, in process or remote."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

from helix.kernel.types import Limit, Listed, Loaded, Packed, Principal, Raise, Span, Standing

__all__ = ["Cache", "Check", "Keys", "Mark", "Redaction", "Redactor", "RequestLog", "Spending", "StoredKey"]

Check: TypeAlias = Callable[[], Awaitable[object]]
"""Asks a part whether it is ready: raises where it is not; a HelixError's message is shown, of others only the type."""


class StoredKey(Protocol):
    """A virtual key as it is stored."""

    @property
    def principal(self) -> Principal:
        """Who calls with it."""
        ...

    @property
    def created_at(self) -> float:
        """Unix time in seconds."""
        ...

    @property
    def revoked(self) -> bool:
        """Whether it opens nothing any more."""
        ...


class Keys(Protocol):
    """Virtual keys. Every method may raise BackendUnavailable."""

    async def create(self, principal: Principal) -> tuple[StoredKey, str]:
        """Store a new key; `key_id` of what is given is ignored. Returns what is stored, and the secret."""
        ...

    async def list(self) -> Sequence[StoredKey]:
        """All keys."""
        ...

    async def revoke(self, key_id: str) -> bool:
        """Make a key open nothing any more; False where there is no such key."""
        ...


class Spending(Protocol):
    """The part of the ledger that is needed here."""

    async def standing(self, limits: Sequence[Limit]) -> Sequence[Standing]:
        """Where each limit stands. Raises BackendUnavailable."""
        ...

    async def raise_limit(self, limit: Limit, raised: Raise) -> None:
        """Raise a hard limit until a time, and note it. Raises BackendUnavailable, ValueError."""
        ...

    async def raises(self) -> Sequence[Mapping[str, Any]]:
        """Every raise that there was, latest first. Raises BackendUnavailable."""
        ...


class Cache(Protocol):
    """What the cache holds. Every method may raise BackendUnavailable.

    `said` names what is meant: entries, scope, namespace, tag, model, user, partition, or everything.
    """

    layout: str
    """What `dump` gives fits where this is the same."""

    async def stats(self) -> Mapping[str, Any]:
        """Entries and bytes, in all and by namespace."""
        ...

    async def remove(self, said: Mapping[str, Any], *, dry_run: bool = False) -> int:
        """Remove entries, or with `dry_run` count them."""
        ...

    async def page(
        self, said: Mapping[str, Any], *, limit: int, cursor: str | None
    ) -> tuple[Sequence[Listed], str | None]:
        """Entries, latest first, and the next page's cursor. Raises InvalidRequest for a cursor it did not give."""
        ...

    async def most_used(self, limit: int) -> Sequence[Listed]:
        """The entries that were given most often."""
        ...

    async def similar(
        self, text: str, said: Mapping[str, Any], *, least: float, limit: int, remove: bool = False
    ) -> Sequence[Listed]:
        """Entries whose question is near to a text; with `remove` they go. Raises InvalidRequest, NotFound."""
        ...

    async def extend(self, *, most_used: int, entries: Sequence[str], ttl_seconds: float) -> int:
        """Let entries, and so many of the most used, live at least so long from now; how many were found."""
        ...

    async def dump(
        self, said: Mapping[str, Any], *, limit: int, cursor: str | None
    ) -> tuple[Sequence[Packed], str | None]:
        """Entries as they are kept; pages as `page` does."""
        ...

    async def load(self, layout: str, entries: Sequence[Packed]) -> Loaded:
        """Keep what `dump` gave. Raises InvalidRequest for another layout."""
        ...

    async def mark(self, *, verdict: Literal["right", "wrong"], request_id: str, entry: str) -> Mark:
        """Mark the answer that a request was given from near, or that an entry has; one of both is "".

        Raises NotFound.
        """
        ...

    async def precision(self) -> Mapping[str, Any]:
        """How right answers from near have been; see `answers.Precision`."""
        ...

    async def outcomes(self) -> Mapping[str, Any]:
        """What traffic has shown of near questions; see `answers.Outcomes`."""
        ...


class Mark(Protocol):
    """What came of a verdict."""

    @property
    def entry(self) -> str:
        """Whose answer it was."""
        ...

    @property
    def evicted(self) -> bool:
        """Whether it went."""
        ...

    @property
    def counted(self) -> bool:
        """Whether the verdict counts."""
        ...


class RequestLog(Protocol):
    """The record of requests. Every method may raise BackendUnavailable."""

    async def requests(
        self,
        *,
        limit: int,
        cursor: str | None,
        model: str | None,
        status: int | None,
        cache: str | None,
        key: str | None,
        since: datetime | None,
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """Requests, latest first, and the next page's cursor. Raises InvalidRequest for a cursor it did not give."""
        ...

    async def redactions(
        self,
        *,
        limit: int,
        cursor: str | None,
        outcome: str | None,
        kind: str | None,
        key: str | None,
        since: datetime | None,
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """What the redact stage decided, latest first; pages as `requests` does."""
        ...

    async def spend(self, *, group_by: str, since: datetime) -> Sequence[Mapping[str, Any]]:
        """Spending since then by key, model, team or day."""
        ...

    async def overview(self, *, since: datetime) -> Mapping[str, Any]:
        """Totals, percentiles and slices since then; see `answers.Overview`."""
        ...


class Redaction(Protocol):
    """A text without its personal data, and why."""

    @property
    def text(self) -> str:
        """The text as it would go on; what would be refused is shown as a placeholder."""
        ...

    @property
    def spans(self) -> Sequence[Span]:
        """What was found, in the text that was given."""
        ...

    @property
    def actions(self) -> Sequence[str]:
        """What was done with each span: a strategy's name, allow or unsure."""
        ...

    @property
    def replacements(self) -> Sequence[str]:
        """What stands in each span's place; empty where it was kept."""
        ...


Redactor: TypeAlias = Callable[[str], Awaitable[Redaction]]
"""Takes personal data out of a text as the redact stage would. Raises BackendUnavailable."""
