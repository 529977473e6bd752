"""What the cache holds, for administrators: they say names and texts, the catalog knows digests and vectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal, Protocol, TypeAlias

from helix.cache.promise.feedback import Marked
from helix.cache.promise.fit import LabelledPair
from helix.cache.whose import Whose
from helix.kernel.errors import InvalidRequest, NotFound
from helix.kernel.types import CacheCatalog, Embedder, Listed, Loaded, Packed, Selection

__all__ = ["CacheContents"]


class Stage(Protocol):
    """What is needed of the stage whose answers these are. All raise BackendUnavailable."""

    async def mark(self, verdict: Literal["right", "wrong"], *, request: str = "", entry: str = "") -> Marked:
        """Mark an answer. Raises NotFound."""
        ...

    async def precision(self) -> Mapping[str, Any]:
        """How right answers from near have been."""
        ...

    async def outcomes(self) -> tuple[str, list[LabelledPair]]:
        """What traffic has shown of near questions, and by which embedder."""
        ...


Redact: TypeAlias = Callable[[str], Awaitable[str]]
"""A text as a request's would go to the cache: with placeholders. Raises BackendUnavailable."""


class CacheContents:
    """A catalog for people. `secret` is the cache's; `embedder` None switches off what needs nearness.

    `stage` gives the cache stage, which learns from verdicts.
    `redact` None leaves texts as they are: where requests are not redacted, entries' texts are not either.
    """

    def __init__(
        self,
        catalog: CacheCatalog,
        *,
        secret: str | bytes = b"",
        embedder: Embedder | None = None,
        redact: Redact | None = None,
        stage: Callable[[], Stage | None] = lambda: None,
    ) -> None:
        given = secret.encode() if isinstance(secret, str) else secret
        self._catalog = catalog
        self._whose = Whose(secret)
        self._embedder = embedder
        self._redact = redact
        self._stage = stage
        self.layout = f"{catalog.layout} {blake2b(given, digest_size=6, person=b'helix layout').hexdigest()}"
        """What can be carried where: how entries are written, and a fingerprint of the secret behind their ids."""

    async def stats(self) -> Mapping[str, Any]:
        """Entries and bytes, in all and by namespace."""
        return await self._catalog.stats()

    async def remove(self, said: Mapping[str, Any], *, dry_run: bool = False) -> int:
        """Remove what is meant, or with `dry_run` count it; see `selection`."""
        selection = self._selection(said)
        return await (self._catalog.count(selection) if dry_run else self._catalog.remove(selection))

    async def page(
        self, said: Mapping[str, Any], *, limit: int, cursor: str | None
    ) -> tuple[Sequence[Listed], str | None]:
        """Entries, latest first, and the next page's cursor; all of them where nothing is said."""
        return await self._catalog.page(self._selection(said or {"everything": True}), limit=limit, cursor=cursor)

    async def most_used(self, limit: int) -> Sequence[Listed]:
        """The entries that were given most often."""
        return await self._catalog.most_used(limit)

    async def similar(
        self, text: str, said: Mapping[str, Any], *, least: float, limit: int, remove: bool = False
    ) -> Sequence[Listed]:
        """Entries whose question is near to a text, best first; with `remove` they go.

        Raises InvalidRequest for a text that is too long, NotFound where there is no semantic tier.
        """
        if self._embedder is None:
            raise NotFound("the cache looks for nothing by nearness; the setting is helix.cache.mode")
        opening = getattr(self._embedder, "open", None)
        if opening is not None:
            await opening()
        asked = text if self._redact is None else await self._redact(text)
        (vector,) = await self._embedder.embed([asked])
        if not vector:
            raise InvalidRequest("the field 'text' is longer than what the embedding model can read", "text")
        selection = self._selection(said or {"everything": True})
        found = await self._catalog.alike(selection, vector, least=least, limit=limit, embedder=self._embedder.name)
        if remove and found:
            await self._catalog.remove(Selection(entries=tuple(one.id for one in found)))
        return found

    async def extend(self, *, most_used: int, entries: Sequence[str], ttl_seconds: float) -> int:
        """Let entries, and so many of the most used, live at least so long from now; return how many were found."""
        used = await self._catalog.most_used(most_used) if most_used else ()
        ids = dict.fromkeys((*entries, *(one.id for one in used)))
        return await self._catalog.prolong(list(ids), ttl_seconds) if ids else 0

    async def dump(
        self, said: Mapping[str, Any], *, limit: int, cursor: str | None
    ) -> tuple[Sequence[Packed], str | None]:
        """Entries as they are kept, and the next page's cursor; all of them where nothing is said."""
        return await self._catalog.dump(self._selection(said or {"everything": True}), limit=limit, cursor=cursor)

    async def load(self, layout: str, entries: Sequence[Packed]) -> Loaded:
        """Keep entries that `dump` gave. Raises InvalidRequest for those of another layout or secret."""
        if layout != self.layout:
            kind, _, print_ = layout.partition(" ")
            own, _, _ = self.layout.partition(" ")
            why = (
                "they are from a cache of another secret (helix.cache.secret), and nothing would find them"
                if kind == own and print_
                else "they were written by another version or store"
            )
            raise InvalidRequest(f"the field 'layout' does not fit this cache: {why}", "layout")
        return await self._catalog.load(entries)

    async def mark(self, *, verdict: Literal["right", "wrong"], request_id: str, entry: str) -> Marked:
        """Mark an answer that somebody saw (promise/feedback.py). Raises NotFound."""
        return await self._staged().mark(verdict, request=request_id, entry=entry)

    async def precision(self) -> Mapping[str, Any]:
        """How right answers from near have been, in all processes (promise/precision.py)."""
        return await self._staged().precision()

    async def outcomes(self) -> Mapping[str, Any]:
        """What traffic has shown of near questions (promise/outcomes.py), latest first; numbers, no text."""
        embedder, found = await self._staged().outcomes()
        rows = [(one.similarity, one.overlap, one.same, one.weight, one.cluster) for one in found]
        return {"embedder": embedder, "outcomes": rows}

    def _staged(self) -> Stage:
        stage = self._stage()
        if stage is None:
            raise NotFound("these contents were opened without a cache stage, which is what learns")
        return stage

    def _selection(self, said: Mapping[str, Any]) -> Selection:
        """What an administrator means: users and partitions by name or digest."""
        meant = dict(said)
        if (user := meant.get("user")) is not None:
            meant["user"] = self._whose.meant_user(user)
        if (partition := meant.get("partition")) is not None:
            meant["partition"] = self._whose.meant_partition(partition)
        return Selection(**meant)
