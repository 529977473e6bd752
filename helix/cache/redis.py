"""Answers in Redis, and an index of redisvl's over their questions.

    {prefix}a:{id}    hash    an entry: `answer` (value.py), what it says of itself (catalog/), scope, text and vector
                              of the question it answers, what was learned of it
    {prefix}t:{name}  hash    counters (tally)
    {prefix}l:{name}  list    lines (append)
    {prefix}i:{…}     index   over the entries: HNSW over the vectors of one embedder, pre-filtered by scope

An entry is one key, so that it expires, is evicted and is replaced as a whole. Only the semantic tier needs the search
module, and only it loads redisvl.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from helix.cache.catalog.about import SEPARATOR, of_entry
from helix.cache.catalog.quota import BOOK, NO_QUOTA, Quota
from helix.cache.catalog.redis import RedisCatalog
from helix.cache.cipher import Cipher
from helix.cache.flight.redis import RedisLeases
from helix.cache.value import Codec
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe, Script, connect, eviction_warning
from helix.kernel.types import Candidate, Embedder, Entry, Evidence, Selection, Vector

if TYPE_CHECKING:
    from helix.cache.migration.redis import Migration
    from helix.cache.search.redis import QuestionIndex

__all__ = ["RedisCacheStore"]

log = logging.getLogger("helix.cache")

T = TypeVar("T")

EVIDENCE = ("right", "wrong", "surplus", "information")
"""What of an Evidence is summed up, as fields of an entry's hash."""

ADMIN_TIMEOUT_SECONDS = 30.0

# In one step: of another answer nothing is left, neither what was learned of it nor the vector that found it; nothing
# stays for ever, and a quota holds.
_PUT = Script(
    BOOK
    + """
local prefix, id, ttl, partition = ARGV[1], ARGV[2], tonumber(ARGV[4]), ARGV[5]
local size, entries, bytes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if bytes > 0 and size > bytes then
    drop(prefix, prefix .. 'q:' .. partition, id)
    return
end
-- First what a full Redis refuses: once a script has written, it may write on.
redis.call('HSET', KEYS[1], 'answer', ARGV[3], unpack(ARGV, 10))
local said = {answer = true}
for at = 10, #ARGV, 2 do said[ARGV[at]] = true end
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if not said[name] then redis.call('HDEL', KEYS[1], name) end
end
redis.call('PEXPIRE', KEYS[1], ttl)
name(prefix, ARGV[9], ttl)
if entries > 0 or bytes > 0 then enter(prefix, partition, id, ttl, size, entries, bytes) end
"""
)

# Nothing is learned about what is gone, else an entry without a question would stay for ever.
_LEARN = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return end
for i = 1, 4 do
    if tonumber(ARGV[2 * i]) ~= 0 then redis.call('HINCRBYFLOAT', KEYS[1], ARGV[2 * i - 1], ARGV[2 * i]) end
end
if ARGV[9] then redis.call('HSET', KEYS[1], 'group', ARGV[9]) end
""")

_TALLY = Script("""
for i = 2, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
if #ARGV > 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return redis.call('HGETALL', KEYS[1])
""")

_APPEND = Script("""
redis.call('LPUSH', KEYS[1], unpack(ARGV, 3))
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
""")


class RedisCacheStore:
    """A CacheStore in one Redis, by URL (owned) or client (borrowed).

    - `timeout_seconds` bounds every call on a request's path.
    - `vector_type` is how vectors are kept: "float16" takes half the memory of "float32". What is kept in the one is
      not found in the other.
    - `quota` is the most that one partition may keep.
    - `encryption_keys` encrypt answers and questions with AES-256-GCM: the first one, while all of them decrypt. What
      was kept without a key, or with another, is a miss.

    Every method raises BackendUnavailable.
    """

    def __init__(
        self,
        redis: str | Redis,
        *,
        prefix: str = "helix:cache:",
        timeout_seconds: float = 0.5,
        vector_type: Literal["float32", "float16"] = "float16",
        quota: Quota = NO_QUOTA,
        encryption_keys: Sequence[str] = (),
    ) -> None:
        if timeout_seconds <= 0:
            raise ValueError(f"timeout_seconds must be more than 0, not {timeout_seconds!r}")
        if vector_type not in ("float32", "float16"):
            raise ValueError(f"vector_type must be 'float32' or 'float16', not {vector_type!r}")
        self._vector_type = vector_type
        self._codec = Codec(Cipher(encryption_keys) if encryption_keys else None)
        self._url = redis if isinstance(redis, str) else None
        self._client: Redis | None = None if isinstance(redis, str) else redis
        self._prefix = prefix
        self._timeout_seconds = timeout_seconds
        self._pipe: Pipe | None = None
        self._leases: RedisLeases | None = None
        self._indexes: dict[tuple[str, int], QuestionIndex] = {}
        self._opening = asyncio.Lock()
        self._has_room_checked = False
        self._quota = quota
        self._back: Pipe | None = None
        self._closed = False
        self.catalog = RedisCatalog(
            self._behind,
            prefix=prefix,
            codec=self._codec,
            place=self._place,
            questions=lambda: next(reversed(self._indexes.values()), None),
            open_questions=self._open_index,
            quota=quota,
        )
        """What is in it, for administration."""

    @property
    def unreadable(self) -> Mapping[str, int]:
        """How often something that is kept could not be read, by reason (value.py), since this process started."""
        return {str(reason): count for reason, count in self._codec.unreadable.items()}

    async def open(self) -> None:
        """Make ready; connects at the first call."""
        self._closed = False
        self._ready()

    @property
    def leases(self) -> RedisLeases:
        """Who of several processes asks for an answer that is not here yet."""
        if self._leases is None:
            pipe = self._ready()
            if self._client is None:
                raise RuntimeError("a store that is ready has a client")
            self._leases = RedisLeases(self._client, pipe, prefix=self._prefix, codec=self._codec)
        return self._leases

    async def close(self) -> None:
        """Close what this store opened itself."""
        self._closed = True
        leases, self._leases = self._leases, None
        if leases is not None:
            await leases.close()
        pipes, self._pipe, self._back = (self._pipe, self._back), None, None
        self._indexes.clear()
        for pipe in pipes:
            if pipe is not None:
                await pipe.close()
        if self._url is not None and self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    # On the caller's path

    async def get(self, key: str) -> Entry | None:
        """The entry of a key, in one round trip; None where there is none, or it cannot be read."""
        value = await self._call("HGET", f"{self._prefix}a:{key}", "answer")
        return None if value is None else self._codec.unpack(key, value)

    async def near(self, scope: str, vector: Vector, *, count: int, embedder: str = "") -> Sequence[Candidate]:
        """The nearest entries inside a scope, best first."""
        index = self._indexes.get((embedder, len(vector))) or await self._open_index(embedder, len(vector))
        return await self._bounded(index.near(scope, vector, count=count))

    # Off the caller's path

    async def put(
        self,
        key: str,
        entry: Entry,
        *,
        ttl_seconds: float,
        scope: str = "",
        text: str = "",
        vector: Vector | None = None,
        embedder: str = "",
    ) -> None:
        """Store an entry; with a vector, make it findable by nearness to `text` inside `scope`."""
        value, ttl_ms = self._codec.pack(entry), max(1, round(ttl_seconds * 1000))
        fields: dict[str, str | bytes] = {"about": of_entry(entry), "at": repr(entry.stored_at)}
        if vector:  # first the index: what is there before it is only indexed by and by
            index = self._indexes.get((embedder, len(vector))) or await self._open_index(embedder, len(vector))
            packed = index.pack(vector)
            if packed is not None:
                question = self._codec.pack_text(key, scope, text)
                about = f"{fields['about']!s}{SEPARATOR}e{index.digest}"
                fields |= {"about": about, "scope": scope, "text": question, index.field: packed}
        size_bytes = len(value) + sum(map(len, fields.values()))
        front: list[Argument] = [self._prefix, key, value, ttl_ms, entry.partition, size_bytes]
        limits: list[Argument] = [self._quota.entries, self._quota.bytes, entry.namespace]
        pairs = [argument for pair in fields.items() for argument in pair]
        try:
            await _PUT.run(self._ready(), [f"{self._prefix}a:{key}"], [*front, *limits, *pairs])
        except ResponseError as error:
            raise self._refused(error) from None
        if not self._has_room_checked:
            self._has_room_checked = True
            warning = await eviction_warning(self._ready())
            if warning is not None:
                log.warning("%s: %s", self._place(), warning)

    async def learn(self, entry_id: str, evidence: Evidence, *, group: str | None = None) -> None:
        """Add to what is known about a findable entry, and put it into a group if one is given."""
        sums = [argument for name in EVIDENCE for argument in (name, getattr(evidence, name))]
        await self._run(_LEARN, f"{self._prefix}a:{entry_id}", sums if group is None else [*sums, group])

    async def tally(self, name: str, added: Mapping[str, float], *, ttl_seconds: float) -> Mapping[str, float]:
        """Add to the counters of a name, in one round trip, and return all of them."""
        pairs = [argument for pair in added.items() for argument in pair]
        flat = await self._run(_TALLY, f"{self._prefix}t:{name}", [max(1, round(ttl_seconds * 1000)), *pairs])
        return {key.decode(): float(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}

    async def append(self, name: str, lines: Sequence[str], *, most: int, ttl_seconds: float) -> None:
        """Add to a list, of which the latest `most` lines are kept, in one round trip."""
        if lines:
            await self._run(
                _APPEND, f"{self._prefix}l:{name}", [max(1, round(ttl_seconds * 1000)), most, *lines[-most:]]
            )

    async def lines(self, name: str) -> Sequence[str]:
        """A list, latest line first; empty where there is none."""
        found = await self._behind().call("LRANGE", f"{self._prefix}l:{name}", 0, -1)
        return [line.decode() for line in found]

    async def migrate(self, embedder: Embedder, *, texts_per_second: float) -> bool:
        """Embed anew the questions that other embedders' vectors find; whether that is all done.

        One process at a time does it; False where another one does. The indexes of the others are removed in the end.
        """
        index = self._indexes.get((embedder.name, embedder.dim)) or await self._open_index(embedder.name, embedder.dim)
        module = await asyncio.to_thread(import_module, "helix.cache.migration.redis")
        migration: Migration = module.Migration(self._behind(), index, prefix=self._prefix, codec=self._codec)
        if await migration.others():
            moved = await migration.run(embedder, texts_per_second=texts_per_second)
            log.info("%d cached questions were embedded anew by %s", moved, embedder.name)
        return not await migration.others()

    async def flush(self, *, namespace: str | None = None, entry_id: str | None = None) -> int:
        """Remove one entry, one namespace ("" is the default one) or everything; return how many entries went."""
        if entry_id is not None:
            return await self.catalog.remove(Selection(entries=(entry_id,)))
        return await self.catalog.remove(Selection(namespace=namespace, everything=namespace is None))

    async def stats(self) -> Mapping[str, Any]:
        """Entries and bytes, in all and by namespace."""
        return await self.catalog.stats()

    # Inside

    def _ready(self) -> Pipe:
        if self._pipe is None:
            self._pipe = Pipe(self._connected(), timeout_seconds=self._timeout_seconds)
        return self._pipe

    def _behind(self) -> Pipe:
        """A connection beside the one of the caller's path, which waits for nobody's administration."""
        if self._closed:  # what is told late, such as hits, opens nothing again
            raise BackendUnavailable("the cache is closed")
        if self._back is None:
            self._back = Pipe(self._connected(), timeout_seconds=max(ADMIN_TIMEOUT_SECONDS, self._timeout_seconds))
        return self._back

    def _connected(self) -> Redis:
        if self._client is None:
            self._client = connect(self._url or "", socket_connect_timeout=self._timeout_seconds)
        return self._client

    async def _call(self, *command: str | bytes | int | float) -> Any:
        try:
            return await self._ready().call(*command)
        except ResponseError as error:
            raise self._refused(error) from None

    async def _run(self, script: Script, key: str, arguments: list[Argument]) -> Any:
        try:
            return await script.run(self._ready(), [key], arguments)
        except ResponseError as error:
            raise self._refused(error) from None

    async def _open_index(self, embedder: str, dim: int) -> QuestionIndex:
        """The index over an embedder's vectors of this size, created where there is none."""
        async with self._opening:
            index = self._indexes.get((embedder, dim))
            if index is None:
                self._ready()
                try:
                    # In a thread: the import takes a tenth of a second.
                    module = await asyncio.to_thread(import_module, "helix.cache.search.redis")
                except ImportError:
                    raise BackendUnavailable(
                        "the semantic cache needs redisvl: pip install 'helix-gateway[semantic]'"
                    ) from None
                index = module.QuestionIndex(
                    self._client,
                    self._ready,
                    prefix=self._prefix,
                    embedder=embedder,
                    dim=dim,
                    place=self._place(),
                    codec=self._codec,
                    vector_type=self._vector_type,
                )
                await self._bounded(index.create())
                self._indexes[embedder, dim] = index
                await self.catalog.drop_index()
        return index

    async def _bounded(self, search: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await search
        except TimeoutError:
            raise BackendUnavailable(f"{self._place()} did not search within {self._timeout_seconds:g} s") from None

    def _place(self) -> str:
        """Which Redis this is, without its password."""
        if self._url is None:
            return "the cache's Redis"
        parts = urlsplit(self._url)
        return f"Redis at {parts.path if parts.scheme == 'unix' else parts.netloc.rpartition('@')[2]}"

    def _refused(self, error: ResponseError) -> BackendUnavailable:
        # The rest of the message may repeat arguments; its first word ("WRONGTYPE") does not. Some have a class.
        kind = type(error).__name__
        reason = kind if kind != "ResponseError" else str(error).partition(" ")[0] or "no reason"
        return BackendUnavailable(f"{self._place()} refused a command ({reason})")
