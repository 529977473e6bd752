"""The catalog of a RedisCacheStore: what entries say of themselves, through a search index.

    {prefix}a:{id}     hash   `about` (about.py) and `at`, when it was stored; the rest is the store's
    {prefix}catalog    index  over both, and the scope; only where there is none over vectors, which has them too
    {prefix}hits       zset   entry id → how often it was given
    {prefix}namespaces zset   namespace → when its last entry expires
    {prefix}q:{partition}:{u|x|b}   one partition's book, where there is a quota (quota.py)

A Redis that cannot search reads every key instead.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from redis.exceptions import ResponseError

from helix.cache.catalog.about import fits, query, read
from helix.cache.catalog.carry import ID, LAYOUT, Carrier
from helix.cache.catalog.cursor import Cursor
from helix.cache.catalog.index.redis import EntryIndex, Questions
from helix.cache.catalog.quota import CLOCK, FORGET, NAME, NO_QUOTA, Quota
from helix.cache.value import Codec
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe, Script
from helix.kernel.types import Listed, Loaded, Packed, Selection, Vector

__all__ = ["RedisCatalog"]

_PAGE = 500
_MOST_NAMESPACES = 1000
_MOST_COUNTED = 100_000
_SAMPLE = 200

_REMOVE = Script(
    FORGET
    + """
local removed = 0
for i = 2, #ARGV do
    local id = ARGV[i]
    forget(ARGV[1], id)
    removed = removed + redis.call('UNLINK', ARGV[1] .. 'a:' .. id)
    redis.call('ZREM', ARGV[1] .. 'hits', id)
end
return removed
"""
)

# Counts what is still there. Among those counted, some are looked at each time, so that what expired is forgotten.
_USED = Script(
    CLOCK
    + """
local prefix, most, now = ARGV[1], tonumber(ARGV[2]), clock(0)
local hits = prefix .. 'hits'
for i = 3, #ARGV, 3 do
    if redis.call('EXISTS', prefix .. 'a:' .. ARGV[i]) == 1 then
        redis.call('ZINCRBY', hits, ARGV[i + 2], ARGV[i])
        redis.call('ZADD', prefix .. 'q:' .. ARGV[i + 1] .. ':u', 'XX', now, ARGV[i])
    end
end
for _, id in ipairs(redis.call('ZRANDMEMBER', hits, 20)) do
    if redis.call('EXISTS', prefix .. 'a:' .. id) == 0 then redis.call('ZREM', hits, id) end
end
local over = redis.call('ZCARD', hits) - most
if over > 0 then redis.call('ZREMRANGEBYRANK', hits, 0, over - 1) end
"""
)

_PROLONG = Script(
    CLOCK
    + NAME
    + """
local found = 0
for i = 3, #ARGV do
    local entry = ARGV[1] .. 'a:' .. ARGV[i]
    local left = redis.call('PTTL', entry)
    if left ~= -2 then
        found = found + 1
        if left >= 0 and left < tonumber(ARGV[2]) then
            redis.call('PEXPIRE', entry, ARGV[2])
            name(ARGV[1], string.match(ARGV[i], '^(.*):') or '', tonumber(ARGV[2]))
        end
    end
end
return found
"""
)


class RedisCatalog:
    """What a RedisCacheStore holds. `pipe` gives the connection, which is not the one of the caller's path; `questions`
    the index over vectors, once it is open; `open_questions` the one over an embedder's vectors of a size.

    Every method raises BackendUnavailable.
    """

    def __init__(
        self,
        pipe: Callable[[], Pipe],
        *,
        prefix: str,
        codec: Codec,
        place: Callable[[], str],
        questions: Callable[[], Questions | None],
        open_questions: Callable[[str, int], Awaitable[Questions]],
        quota: Quota = NO_QUOTA,
    ) -> None:
        self.layout = LAYOUT
        self._pipe = pipe
        self._open_questions = open_questions
        self._carrier = Carrier(self._call, self._run, prefix=prefix, codec=codec, quota=quota)
        self._codec = codec
        self._prefix = prefix
        self._place = place
        self._index = EntryIndex(pipe, prefix=prefix, refused=self._refused, questions=questions)

    async def open(self) -> bool:
        """Create the index where there is none; whether this Redis can search."""
        return await self._index.open()

    async def drop_index(self) -> None:
        """Remove the index of its own: the one over vectors is open, and has all that it has."""
        await self._index.drop()

    async def stats(self) -> Mapping[str, Any]:
        """Entries, and bytes of answers and questions as Redis counts them, in all and by namespace.

        `bytes_estimated`: a namespace of more than 200 entries is estimated from so many of them, and what is beyond
        1000 namespaces from those.
        """
        names = [name.decode() for name in await self._call("ZRANGE", f"{self._prefix}namespaces", 0, -1)]
        rows = await asyncio.gather(*(self._namespace(name) for name in sorted(names)[:_MOST_NAMESPACES]))
        found = [row for row in rows if row["entries"]]
        entries, size = (sum(row[what] for row in found) for what in ("entries", "bytes"))
        told = entries
        if len(names) > _MOST_NAMESPACES:
            entries = await self.count(Selection(everything=True))
        return {
            "entries": entries,
            "bytes": size if entries == told else round(size * entries / max(1, told)),
            "bytes_estimated": entries != told or any(row["entries"] > _SAMPLE for row in found),
            "namespaces": found,
        }

    async def count(self, selection: Selection) -> int:
        """How many entries are meant."""
        if selection.entries:
            return len([None async for ids in self._pages(selection) for _ in ids])
        if not await self.open():
            return sum([len(ids) async for ids in self._pages(selection)])
        return await self._index.count(query(selection))

    async def remove(self, selection: Selection) -> int:
        """Remove entries, answers and questions in one step each page; return how many went."""
        removed = 0
        async for ids in self._pages(selection):
            removed += int(await self._run(_REMOVE, [self._prefix, *ids]))
        return removed

    async def page(
        self, selection: Selection, *, limit: int, cursor: str | None = None
    ) -> tuple[Sequence[Listed], str | None]:
        """Entries, latest first, and the next page's cursor. Raises InvalidRequest."""
        ids, following = await self._ids(selection, limit, cursor)
        return await self._listed(ids), following

    async def dump(
        self, selection: Selection, *, limit: int, cursor: str | None = None
    ) -> tuple[Sequence[Packed], str | None]:
        """Entries as they are kept, latest first; pages as `page` does."""
        ids, following = await self._ids(selection, limit, cursor)
        return await self._carrier.dump(ids), following

    async def load(self, entries: Sequence[Packed]) -> Loaded:
        """Keep entries that another catalog of this layout dumped, each whole or not at all."""
        return await self._carrier.load(entries)

    async def alike(
        self, selection: Selection, vector: Vector, *, least: float, limit: int, embedder: str = ""
    ) -> Sequence[Listed]:
        """Entries whose question is at least so similar to an embedder's vector, whatever their scope, best first."""
        questions = await self._open_questions(embedder, len(vector))
        found = await questions.alike(query(selection), vector, count=limit)
        near = {id: similarity for id, similarity in found if similarity >= least}
        return [replace(one, similarity=near[one.id]) for one in await self._listed(list(near))]

    async def most_used(self, limit: int) -> Sequence[Listed]:
        """The entries that were given most often, first the most used."""
        ids = [id.decode() for id in await self._call("ZRANGE", f"{self._prefix}hits", 0, limit - 1, "REV")]
        return await self._listed(ids)

    async def used(self, hits: Mapping[tuple[str, str], int]) -> None:
        """Count hits, by entry id and the entry's partition."""
        flat = [argument for (id, partition), count in hits.items() for argument in (id, partition, count)]
        await self._run(_USED, [self._prefix, _MOST_COUNTED, *flat])

    async def prolong(self, entry_ids: Sequence[str], ttl_seconds: float) -> int:
        """Let entries live at least so long from now; return how many were found."""
        ids = [id for id in entry_ids if ID.fullmatch(id)]
        return int(await self._run(_PROLONG, [self._prefix, max(1, round(ttl_seconds * 1000)), *ids]))

    # Inside

    async def _ids(self, selection: Selection, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
        """A page's ids, latest first, and the next cursor. Raises InvalidRequest."""
        after = Cursor.read(cursor) if cursor is not None else Cursor.start()
        if selection.entries or not await self.open():
            found = [one async for ids in self._pages(selection) for one in await self._listed(ids)]
            found.sort(key=lambda one: (-one.stored_at, one.id))
            rest = [(one.id, one.stored_at) for one in found if one.stored_at <= after.stored_at]
            rows = rest[after.skip :][:limit]
        else:
            rows = list(await self._index.latest(query(selection), after, limit))
        following = after.next([at for _, at in rows]).written() if len(rows) == limit else None
        return [id for id, _ in rows], following

    async def _namespace(self, name: str) -> dict[str, Any]:
        selection = Selection(namespace=name)
        entries = await self.count(selection)
        sample: list[str] = []
        async for ids in self._pages(selection, at_most=_SAMPLE):
            sample += ids
            if len(sample) >= _SAMPLE:
                break
        sizes = [await self._bytes(id) for id in sample[:_SAMPLE]]
        mean = sum(sizes) / len(sizes) if sizes else 0
        whole = entries <= len(sizes)
        return {"namespace": name, "entries": entries, "bytes": sum(sizes) if whole else round(mean * entries)}

    async def _bytes(self, id: str) -> int:
        return int(await self._call("MEMORY", "USAGE", f"{self._prefix}a:{id}", "SAMPLES", 0) or 0)

    async def _listed(self, ids: Sequence[str]) -> list[Listed]:
        """What is to be told of entries; those that are gone are left out."""
        now = time.time()
        listed = await asyncio.gather(*(self._one(id, now) for id in ids))
        return [one for one in listed if one is not None]

    async def _one(self, id: str, now: float) -> Listed | None:
        fields, left, size, hits = await asyncio.gather(
            self._call("HMGET", f"{self._prefix}a:{id}", "about", "at", "scope", "text"),
            self._call("PTTL", f"{self._prefix}a:{id}"),
            self._bytes(id),
            self._call("ZSCORE", f"{self._prefix}hits", id),
        )
        if left == -2 or fields[0] is None:
            return None
        about, scope = read(fields[0].decode()), (fields[2] or b"").decode()
        text = None if fields[3] is None else self._codec.unpack_text(id, scope, fields[3])
        return Listed(
            id=id,
            dialect=about.dialect,
            model=about.model,
            asked_model=about.asked_model,
            namespace=about.namespace,
            stored_at=float(fields[1] or 0),
            expires_at=now + left / 1000,
            bytes=size,
            hits=round(float(hits or 0)),
            scope=scope,
            partition=about.partition,
            users=about.users,
            tags=about.tags,
            text=text or "",
        )

    async def _pages(self, selection: Selection, *, at_most: int = _PAGE) -> AsyncIterator[list[str]]:
        """The ids of the entries that are meant, some at a time; each is given once."""
        if selection.entries:
            ids = [id for id in dict.fromkeys(selection.entries) if ID.fullmatch(id)]
            for start in range(0, len(ids), _PAGE):
                yield await self._fitting(ids[start : start + _PAGE], selection)
            return
        if await self.open():
            async for ids in self._index.walk(query(selection), count=min(at_most, _PAGE)):
                yield ids
            return
        async for ids in self._scan():
            yield await self._fitting(ids, selection)

    async def _scan(self) -> AsyncIterator[list[str]]:
        start = f"{self._prefix}a:"
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", start) + "*"
        cursor: bytes | int = b"0"
        while True:
            cursor, keys = await self._call("SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE)
            if keys:
                yield [key.decode()[len(start) :] for key in keys]
            if cursor in (b"0", 0):
                return

    async def _fitting(self, ids: Sequence[str], selection: Selection) -> list[str]:
        rows = await asyncio.gather(*(self._call("HMGET", f"{self._prefix}a:{id}", "about", "scope") for id in ids))
        return [
            id
            for id, (about, scope) in zip(ids, rows, strict=True)
            if about is not None and fits(selection, read(about.decode()), (scope or b"").decode())
        ]

    async def _call(self, *command: Argument) -> Any:
        try:
            return await self._pipe().call(*command)
        except ResponseError as error:
            raise self._refused(error) from None

    async def _run(self, script: Script, arguments: list[Argument]) -> Any:
        try:
            return await script.run(self._pipe(), [], arguments)
        except ResponseError as error:
            raise self._refused(error) from None

    def _refused(self, error: ResponseError) -> BackendUnavailable:
        # The rest of the message may repeat arguments; its first word ("OOM", "READONLY", "WRONGTYPE") does not.
        return BackendUnavailable(f"{self._place()} refused a command ({str(error).partition(' ')[0] or 'no reason'})")
