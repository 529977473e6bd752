"""Entries out of one Redis and into another, field by field: what is encrypted stays encrypted."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from helix.cache.catalog.about import read
from helix.cache.catalog.quota import BOOK, Quota
from helix.cache.directives import NAMESPACE
from helix.cache.value import Codec
from helix.kernel.redis import Argument, Script
from helix.kernel.types import Loaded, Packed

__all__ = ["ID", "LAYOUT", "Carrier"]

ID = re.compile(rf"(?:{NAMESPACE.pattern}:)?[0-9a-f]{{40}}", re.ASCII)
"""What an entry may be called."""
LAYOUT = "redis/2"
"""Which fields a hash has, and what they mean. The answer's own version is in the answer."""

_REQUIRED = {"answer", "about", "at"}
_VECTOR = re.compile(r"([vh])([1-9][0-9]{0,4})_[0-9a-f]{8}", re.ASCII)
_FIELD = re.compile(rf"answer|about|at|scope|text|right|wrong|surplus|information|group|{_VECTOR.pattern}", re.ASCII)
_FLOAT_BYTES = {"v": 4, "h": 2}
_NUMBERS = ("at", "right", "wrong", "surplus", "information")

_LOAD = Script(
    BOOK
    + """
local prefix, id, ttl, partition = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local size, entries, bytes = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local key = prefix .. 'a:' .. id
if redis.call('EXISTS', key) == 1 then return 'present' end
if bytes > 0 and size > bytes then return 'refused' end
redis.call('HSET', key, unpack(ARGV, 9))
redis.call('PEXPIRE', key, ttl)
name(prefix, ARGV[8], ttl)
if entries > 0 or bytes > 0 then enter(prefix, partition, id, ttl, size, entries, bytes) end
return 'stored'
"""
)


class Carrier:
    """Reads entries as they are kept, and keeps what another of this layout read.

    `call` and `run` are a catalog's own; `quota` is its store's.
    """

    def __init__(
        self,
        call: Callable[..., Awaitable[Any]],
        run: Callable[[Script, list[Argument]], Awaitable[Any]],
        *,
        prefix: str,
        codec: Codec,
        quota: Quota,
    ) -> None:
        self._call = call
        self._run = run
        self._prefix = prefix
        self._codec = codec
        self._quota = quota

    async def dump(self, ids: Sequence[str]) -> list[Packed]:
        """The entries that are there."""
        found = await asyncio.gather(*(self._one(id) for id in ids))
        return [one for one in found if one is not None]

    async def load(self, entries: Sequence[Packed]) -> Loaded:
        """Keep entries, each whole or not at all."""
        became = Counter(await asyncio.gather(*(self._load(entry) for entry in entries)))
        return Loaded(**became)

    # Inside

    async def _one(self, id: str) -> Packed | None:
        key = f"{self._prefix}a:{id}"
        told, left = await asyncio.gather(self._call("HGETALL", key), self._call("PTTL", key))
        pairs = told.items() if isinstance(told, dict) else zip(told[::2], told[1::2], strict=True)
        fields = {name.decode(): value for name, value in pairs}
        if left < 0 or not fields.keys() >= _REQUIRED:
            return None  # it went just now
        return Packed(id, fields, time.time() + left / 1000)

    async def _load(self, entry: Packed) -> str:
        ttl_ms = round((entry.expires_at - time.time()) * 1000)
        if ttl_ms <= 0:
            return "expired"
        if not self._fits(entry):
            return "refused"
        about = read(entry.fields["about"].decode())
        size_bytes = sum(map(len, entry.fields.values()))
        pairs: list[Argument] = [argument for pair in entry.fields.items() for argument in pair]
        limits: list[Argument] = [about.partition, size_bytes, self._quota.entries, self._quota.bytes, about.namespace]
        arguments: list[Argument] = [self._prefix, entry.id, ttl_ms, *limits, *pairs]
        became: bytes = await self._run(_LOAD, arguments)
        return became.decode()

    def _fits(self, entry: Packed) -> bool:
        """Whether all of an entry can be read here, and says what its id says."""
        fields = entry.fields
        if not ID.fullmatch(entry.id) or not fields.keys() >= _REQUIRED:
            return False
        for name, value in fields.items():
            if not _FIELD.fullmatch(name):
                return False
            vector = _VECTOR.fullmatch(name)
            if vector is not None and len(value) != _FLOAT_BYTES[vector[1]] * int(vector[2]):
                return False
        try:
            about, scope = read(fields["about"].decode()), fields.get("scope", b"").decode()
            for name in _NUMBERS:
                float(fields.get(name, b"0"))
        except ValueError:
            return False
        if about.namespace != entry.id.rpartition(":")[0]:
            return False
        if "text" in fields and self._codec.unpack_text(entry.id, scope, fields["text"]) is None:
            return False
        return self._codec.unpack(entry.id, fields["answer"]) is not None
