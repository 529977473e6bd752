"""Embeds anew what another embedder's vectors find, a few texts a second, in one process at a time.

    {prefix}embedders   hash    an index's digest → its embedder, size and type of vectors, as JSON
    {prefix}migrating   string  who migrates, for as long as the lease lasts

An entry says with which embedder's vector it is found (`e{digest}` in `about`). What is still to do is therefore one
search, and a migration that ends in the midst is taken up where it was, by whoever has the lease next.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from redis.exceptions import ResponseError

from helix.cache.catalog.about import SEPARATOR
from helix.cache.search.redis import QuestionIndex, field_of, rows
from helix.cache.value import Codec
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe, Script
from helix.kernel.types import Embedder

__all__ = ["Migration"]

LEASE_SECONDS = 30.0
_PAGE = 16

_RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")
_RELEASE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
""")
# Only what is there still, with the very question that was embedded: nothing comes back that went or changed meanwhile.
_MOVE = Script("""
local now = redis.call('HMGET', KEYS[1], 'about', 'text')
if not now[1] or now[2] ~= ARGV[1] then return 0 end
if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[1], 'about', ARGV[2], ARGV[4], ARGV[5])
else
    redis.call('HSET', KEYS[1], 'about', ARGV[2])
end
redis.call('HDEL', KEYS[1], ARGV[3])
return 1
""")


@dataclass(frozen=True, slots=True)
class _Left:
    """An entry that another embedder's vector finds."""

    key: str
    about: str
    scope: str
    written: bytes


class Migration:
    """Moves entries to one index from those of other embedders. Every method raises BackendUnavailable."""

    def __init__(self, pipe: Pipe, index: QuestionIndex, *, prefix: str, codec: Codec) -> None:
        self._pipe = pipe
        self._index = index
        self._prefix = prefix
        self._codec = codec
        self._token = secrets.token_hex(8)

    async def others(self) -> Mapping[str, str]:
        """The digests of the other embedders' indexes, and the fields of their vectors."""
        told = await self._call("HGETALL", f"{self._prefix}embedders")
        pairs = told.items() if isinstance(told, dict) else zip(told[::2], told[1::2], strict=True)
        found = {digest.decode(): field_of(digest.decode(), orjson.loads(about)) for digest, about in pairs}
        found.pop(self._index.digest, None)
        return found

    async def run(self, embedder: Embedder, *, texts_per_second: float) -> int:
        """Move everything, and drop the indexes that are empty then; how many questions were embedded.

        Nothing is done, and 0 returned, where another process has the lease.
        """
        lease = f"{self._prefix}migrating"
        taken = await self._call("SET", lease, self._token, "NX", "PX", round(LEASE_SECONDS * 1000))
        if taken is None:
            return 0
        moved = 0
        try:
            await self._index.built()
            for digest, field in (await self.others()).items():
                while left := await self._left(digest):
                    began = time.monotonic()
                    for entry in left:
                        moved += await self._move(entry, digest, field, embedder)
                    if not await _RENEW.run(self._pipe, [lease], [self._token, round(LEASE_SECONDS * 1000)]):
                        return moved  # too slow: somebody else goes on
                    await asyncio.sleep(max(0.0, len(left) / texts_per_second - (time.monotonic() - began)))
                await self._drop(digest)
            return moved
        finally:
            await _RELEASE.run(self._pipe, [lease], [self._token])

    # Inside

    async def _left(self, digest: str) -> list[_Left]:
        reply = await self._call(
            *("FT.SEARCH", self._index.name, f"@about:{{e{digest}}}", "RETURN", 3, "about", "scope", "text"),
            *("LIMIT", 0, _PAGE, "DIALECT", 2),
        )
        # What expired between the search and its loading has no fields; the next page does not have it.
        return [
            _Left(key.decode(), fields[b"about"].decode(), fields[b"scope"].decode(), fields[b"text"])
            for key, fields in rows(reply)
            if fields.keys() >= {b"about", b"scope", b"text"}
        ]

    async def _move(self, entry: _Left, digest: str, field: str, embedder: Embedder) -> int:
        """Embed one question anew; where it cannot be read, or is beyond the window, only its answer is kept."""
        text = self._codec.unpack_text(entry.key[len(self._prefix) + 2 :], entry.scope, entry.written)
        packed = None
        if text is not None:
            (vector,) = await embedder.embed([text])  # alone, as questions are: in a batch some models round otherwise
            packed = self._index.pack(vector) if len(vector) else None
        said = [value for value in entry.about.split(SEPARATOR) if value != f"e{digest}"]
        if packed is not None:
            said.append(f"e{self._index.digest}")
        fields: list[Argument] = [field, self._index.field, packed or b""]
        try:
            return int(await _MOVE.run(self._pipe, [entry.key], [entry.written, SEPARATOR.join(said), *fields]))
        except ResponseError as error:
            raise _refused(error) from None

    async def _drop(self, digest: str) -> None:
        try:
            await self._pipe.call("FT.DROPINDEX", f"{self._prefix}i:{digest}")
        except ResponseError as error:
            if "no such index" not in str(error).lower() and "unknown index" not in str(error).lower():
                raise _refused(error) from None
        await self._call("HDEL", f"{self._prefix}embedders", digest)

    async def _call(self, *command: str | bytes | int | float) -> Any:
        try:
            return await self._pipe.call(*command)
        except ResponseError as error:
            raise _refused(error) from None


def _refused(error: ResponseError) -> BackendUnavailable:
    return BackendUnavailable(f"Redis refused a command of the migration ({type(error).__name__})")
