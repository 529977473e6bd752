"""A search index over what entries say of themselves: the one over vectors, or where there is none, one of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from math import inf, isfinite, isinf
from typing import Any, Protocol

from redis.exceptions import ResponseError

from helix.cache.catalog.about import SEPARATOR
from helix.cache.catalog.cursor import Cursor
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe
from helix.kernel.types import Vector

__all__ = ["EntryIndex", "Questions"]

_PAGE = 500
# Of the latest entries there are mostly enough in a short time; the index need not sort all it has.
_SPANS_SECONDS = (60.0, 3600.0, 86400.0, inf)
_CURSOR_IDLE_MS = 300_000


class Questions(Protocol):
    """The index over vectors."""

    name: str

    async def create(self) -> None:
        """Create it where there is none."""
        ...

    async def alike(self, asked: str, vector: Vector, *, count: int) -> Sequence[tuple[str, float]]:
        """Ids of the nearest among what a query finds, with the similarity, best first."""
        ...


class EntryIndex:
    """The index over `about`, `scope` and `at` of a store's hashes; `questions` gives the one over vectors, once open.

    Every method raises BackendUnavailable.
    """

    def __init__(
        self,
        pipe: Callable[[], Pipe],
        *,
        prefix: str,
        refused: Callable[[ResponseError], BackendUnavailable],
        questions: Callable[[], Questions | None],
    ) -> None:
        self._pipe = pipe
        self._prefix = f"{prefix}a:"
        self._own = f"{prefix}catalog"
        self._questions = questions
        self._built = ""
        self._refused = refused
        self._searches: bool | None = None
        self._creating = asyncio.Lock()

    async def open(self) -> bool:
        """Create it where there is none; whether this Redis can search at all."""
        questions = self._questions()
        if questions is not None:
            if self._built != questions.name:
                await questions.create()  # it may have gone since it was opened
                await self._wait_for(questions.name)
            return True
        if self._searches is None:
            async with self._creating:
                if self._searches is None:
                    self._searches = await self._create()
        return self._searches

    async def count(self, query: str) -> int:
        """How many entries fit a query."""
        reply = await self._asked("FT.SEARCH", self._name, query, "LIMIT", 0, 0, "DIALECT", 2)
        return int(reply[b"total_results"] if isinstance(reply, dict) else reply[0])

    async def latest(self, query: str, after: Cursor, limit: int) -> Sequence[tuple[str, float]]:
        """A page of the index, ids and times, from the shortest of some spans of time that has enough."""
        upper = "+inf" if isinf(after.stored_at) else repr(after.stored_at)
        for span in _SPANS_SECONDS:
            lower = min(after.stored_at, time.time()) - span
            bounds = f"@at:[{lower if isfinite(span) else '-inf'} {upper}]"
            reply = await self._asked(
                "FT.SEARCH",
                self._name,
                bounds if query == "*" else f"{query} {bounds}",
                *("RETURN", 1, "at", "SORTBY", "at", "DESC", "LIMIT", after.skip, limit, "DIALECT", 2),
            )
            rows = _rows(reply)
            if len(rows) == limit:
                break
        # What expired between the search and its loading has no fields.
        return [(self._id(key), float(fields["at"])) for key, fields in rows if "at" in fields]

    async def walk(self, query: str, *, count: int = _PAGE) -> AsyncIterator[list[str]]:
        """The ids of what fits a query, some at a time, in one pass however many there are."""
        arguments = ("LOAD", 1, "@__key", "WITHCURSOR", "COUNT", count, "MAXIDLE", _CURSOR_IDLE_MS, "DIALECT", 2)
        name = self._name
        reply, cursor = await self._asked("FT.AGGREGATE", name, query, *arguments)
        try:
            while True:
                ids = [self._id(key) for key in _keys(reply)]
                if ids:
                    yield ids
                if not cursor:
                    return
                reply, cursor = await self._call("FT.CURSOR", "READ", name, cursor)
        finally:
            if cursor:  # whoever reads has enough
                await self._call("FT.CURSOR", "DEL", name, cursor)

    async def drop(self) -> None:
        """Remove it, if it is there: it costs some 200 bytes an entry, and that over vectors does its work."""
        self._searches = None
        try:
            await self._pipe().call("FT.DROPINDEX", self._own)
        except ResponseError:
            return  # there is none

    # Inside

    @property
    def _name(self) -> str:
        questions = self._questions()
        return self._own if questions is None else questions.name

    async def _create(self) -> bool:
        tag = ("TAG", "SEPARATOR", SEPARATOR, "CASESENSITIVE")
        fields = ("about", *tag, "scope", *tag, "at", "NUMERIC", "SORTABLE")
        options = ("ON", "HASH", "PREFIX", 1, self._prefix, "NOOFFSETS", "NOHL", "NOFIELDS", "NOFREQS")
        try:
            await self._pipe().call("FT.CREATE", self._own, *options, "STOPWORDS", 0, "SCHEMA", *fields)
        except ResponseError as error:
            said = str(error).lower()
            if "unknown command" in said or "db != 0" in said:
                return False
            if "already exists" not in said:
                raise self._refused(error) from None
        await self._wait_for(self._own)
        return True

    async def _wait_for(self, name: str) -> None:
        """Wait until what was there before the index is in it."""
        while True:
            told = await self._call("FT.INFO", name)
            pairs = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
            if not int(float(pairs.get(b"indexing", 0))):
                self._built = name
                return
            await asyncio.sleep(0.05)  # Redis tells nobody when it has done

    async def _asked(self, *command: Argument) -> Any:
        """Ask the index, which is made again where the database was emptied."""
        await self.open()
        try:
            return await self._pipe().call(*command)
        except ResponseError as error:
            if "no such index" not in str(error).lower() and "unknown index" not in str(error).lower():
                raise self._refused(error) from None
        self._searches, self._built = None, ""
        questions = self._questions()
        if questions is not None:
            await questions.create()
        await self.open()
        return await self._call(*command)

    async def _call(self, *command: Argument) -> Any:
        try:
            return await self._pipe().call(*command)
        except ResponseError as error:
            raise self._refused(error) from None

    def _id(self, key: str) -> str:
        return key[len(self._prefix) :]


def _rows(reply: Any) -> list[tuple[str, dict[str, bytes]]]:
    """Keys and fields of a search's reply, in either of Redis's protocols."""
    if isinstance(reply, dict):
        return [(_text(row[b"id"]), _fields(row.get(b"extra_attributes"))) for row in reply[b"results"]]
    return [(_text(key), _fields(fields)) for key, fields in zip(reply[1::2], reply[2::2], strict=True)]


def _keys(reply: Any) -> list[str]:
    """The keys that an aggregation loaded."""
    rows = [row[b"extra_attributes"] for row in reply[b"results"]] if isinstance(reply, dict) else reply[1:]
    return [_text(key) for row in rows if (key := _fields(row).get("__key"))]


def _fields(found: Any) -> dict[str, bytes]:
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True) if found else ()
    return {_text(name): value for name, value in pairs}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
