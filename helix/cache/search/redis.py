"""An HNSW index over the questions in Redis, made by redisvl, pre-filtered by scope; what entries say is in it too."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from math import hypot, isfinite, isnan
from typing import Any, Literal

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from redisvl.exceptions import RedisVLError
from redisvl.index import AsyncSearchIndex
from redisvl.schema import IndexSchema

from helix.cache.catalog.about import SEPARATOR
from helix.cache.value import Codec
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe
from helix.kernel.types import NO_EVIDENCE, Candidate, Evidence, Vector

__all__ = ["QuestionIndex", "field_of", "rows"]

_FIELDS = ("text", "distance", "at", "right", "wrong", "surplus", "information", "group")
"""What a search returns of an entry."""

_M = 12
_EF_CONSTRUCTION = 160
_EF_RUNTIME = 400
"""HNSW's degree and beam widths (Malkov and Yashunin 2016), by measurement (docs/cache.md)."""
_LEAST = 8
"""Neighbours that a search inside a scope asks for at least. Whether RediSearch walks the graph or compares with each
vector of the scope depends on how many it is asked for (VectorSimilarity, `HNSWIndex::preferAdHocSearch`). Fewer than 8
of more than 750,000 it seeks in the graph however small the scope is, which for a scope of 100 is half of the graph.
More than 12 it seeks among all vectors of a scope, however many; so nobody on a request's path asks for more."""
_SLACK = 1e-3  # how far from 1 a vector's length may be, for its float16 to be as exact as can be


class QuestionIndex:
    """The index over one embedder's vectors of `dim` floats, under a store's prefix. `place` is what errors call Redis.

    `client` makes the index, `pipe` gives the connection that searches. In float16 vectors take half the memory, each
    float rounded to 11 bits.
    """

    def __init__(
        self,
        client: Redis,
        pipe: Callable[[], Pipe],
        *,
        prefix: str,
        embedder: str,
        dim: int,
        place: str,
        codec: Codec,
        vector_type: Literal["float32", "float16"] = "float16",
    ) -> None:
        self._format = "f" if vector_type == "float32" else "e"
        self._about = {"embedder": embedder, "dim": dim, "vector_type": vector_type}
        self.digest = blake2b(orjson.dumps(self._about), digest_size=4).hexdigest()
        """Of whose vectors they are, how long and of what type: no two of these are ever compared."""
        self.name = f"{prefix}i:{self.digest}"
        self.field = field_of(self.digest, self._about)
        """Of an entry: where the index looks for the vector."""
        self._pipe = pipe
        self._register = f"{prefix}embedders"
        self._prefix_bytes = len(f"{prefix}a:".encode())
        self._place = place
        self._codec = codec
        self._expected = {b"type": b"VECTOR", b"data_type": vector_type.upper().encode(), b"dim": dim}
        vector = {
            "algorithm": "hnsw",
            "dims": dim,
            "datatype": vector_type,
            "distance_metric": "cosine",
            "m": _M,
            "ef_construction": _EF_CONSTRUCTION,
            "ef_runtime": _EF_RUNTIME,
        }
        tag = {"separator": SEPARATOR, "case_sensitive": True}
        schema = IndexSchema.from_dict(
            {
                "index": {"name": self.name, "prefix": f"{prefix}a:", "storage_type": "hash"},
                "fields": [
                    {"name": "scope", "type": "tag", "attrs": tag},
                    {"name": "about", "type": "tag", "attrs": tag},
                    {"name": "at", "type": "numeric"},  # sortable would take 32 bytes more an entry
                    {"name": self.field, "type": "vector", "attrs": vector},
                ],
            }
        )
        self._index = AsyncSearchIndex(schema, redis_client=client)
        # The beam is the query's own, so that an index that was made with another one has it too.
        self._ask = f"(@scope:{{$scope}})=>[KNN $least @{self.field} $vector EF_RUNTIME $beam AS distance]"

    def pack(self, vector: Vector) -> bytes | None:
        """A vector as the index reads it; None where it has no direction (zeros, NaN, infinities)."""
        length = hypot(*vector)
        if not (isfinite(length) and length > 0):
            return None
        if abs(length - 1) > _SLACK:
            vector = [value / length for value in vector]
        return struct.pack(f"{len(vector)}{self._format}", *vector)

    async def create(self) -> None:
        """Create it where there is none. Raises BackendUnavailable, which says what is wrong."""
        try:
            await self._index.create(overwrite=False)
        except (RedisVLError, RedisError, OSError) as error:
            said = str(_root(error)).lower()
            if "unknown command" in said:
                raise BackendUnavailable(
                    f"{self._place} has no search module, which the semantic cache needs: "
                    "use redis:8 or later, or the cache in mode 'exact'"
                ) from None
            if "db != 0" in said:
                raise BackendUnavailable(f"{self._place} can search in its database 0 only: use that one") from None
            if "already exists" not in said:  # else another process was first
                raise self._failed(error) from None
        await self._verify()
        await self._pipe().call("HSET", self._register, self.digest, orjson.dumps(self._about))

    async def built(self) -> None:
        """Wait until what was there before the index is in it. Raises BackendUnavailable."""
        while True:
            if not int(float((await self._info()).get(b"indexing", 0))):
                return
            await asyncio.sleep(0.05)  # Redis tells nobody when it has done

    async def near(self, scope: str, vector: Vector, *, count: int) -> Sequence[Candidate]:
        """The nearest questions inside a scope, best first. Raises BackendUnavailable."""
        packed = self.pack(vector)
        if packed is None:
            return []
        command: tuple[Argument, ...] = (
            *("FT.SEARCH", self.name, self._ask),
            *("PARAMS", 8, "scope", scope or " ", "least", max(count, _LEAST), "vector", packed, "beam", _EF_RUNTIME),
            *("RETURN", len(_FIELDS), *_FIELDS, "SORTBY", "distance", "LIMIT", 0, count, "DIALECT", 2),
        )
        reply = await self._search(command)
        found = [self._candidate(scope, key, fields) for key, fields in rows(reply)]
        return [candidate for candidate in found if candidate is not None]

    async def alike(self, asked: str, vector: Vector, *, count: int) -> Sequence[tuple[str, float]]:
        """Ids of the nearest among what a query finds, in whatever scope, with the similarity, best first."""
        packed = self.pack(vector)
        if packed is None:
            return []
        command: tuple[Argument, ...] = (
            *("FT.SEARCH", self.name, f"({asked})=>[KNN $count @{self.field} $vector AS distance]"),
            *("PARAMS", 4, "count", count, "vector", packed, "RETURN", 1, "distance"),
            *("SORTBY", "distance", "LIMIT", 0, count, "DIALECT", 2),
        )
        found = [
            (key[self._prefix_bytes :].decode(), float(fields.get(b"distance", "nan")))
            for key, fields in rows(await self._search(command))
        ]
        return [(id, min(1.0 - distance, 1.0)) for id, distance in found if not isnan(distance)]

    # Inside

    async def _search(self, command: Sequence[Argument]) -> Any:
        try:
            try:
                reply = await self._pipe().call(*command)
            except ResponseError as error:
                if "no such index" not in str(error).lower():
                    raise
                # The database was flushed, or came back empty.
                await self.create()
                reply = await self._pipe().call(*command)
        except ResponseError as error:
            raise self._failed(error) from None
        return reply

    def _candidate(self, scope: str, key: bytes, fields: Mapping[bytes, bytes]) -> Candidate | None:
        """A row; None where it expired between the search and its loading, cannot be read, or has no distance."""
        id = key[self._prefix_bytes :].decode()
        written, distance = fields.get(b"text"), float(fields.get(b"distance", "nan"))
        if written is None or isnan(distance):
            return None
        text = self._codec.unpack_text(id, scope, written)
        if text is None:
            return None
        known = [float(fields.get(name) or 0.0) for name in (b"right", b"wrong", b"surplus", b"information")]
        return Candidate(
            id,
            text,
            min(1.0 - distance, 1.0),
            stored_at=float(fields.get(b"at") or 0.0),
            evidence=Evidence(*known) if any(known) else NO_EVIDENCE,
            group=fields.get(b"group", b"").decode(),
        )

    async def _verify(self) -> None:
        """Raise unless the index is over such vectors: one of this name may be somebody else's."""
        told = await self._info()
        for attribute in map(_pairs, told[b"attributes"]):
            if attribute.get(b"attribute") == self.field.encode():
                if {name: attribute.get(name) for name in self._expected} == self._expected:
                    return
                break
        raise BackendUnavailable(
            f"{self._place} has an index '{self.name}' of other vectors: FT.DROPINDEX it, or use another prefix"
        )

    async def _info(self) -> dict[bytes, Any]:
        try:
            return _pairs(await self._pipe().call("FT.INFO", self.name))
        except ResponseError as error:
            raise self._failed(error) from None

    def _failed(self, error: BaseException) -> BackendUnavailable:
        # Only the kind: the message may repeat the command's arguments.
        return BackendUnavailable(f"{self._place} failed to search ({type(_root(error)).__name__})")


def field_of(digest: str, about: Mapping[str, Any]) -> str:
    """Where in an entry the vector of an index is: its type (`h`: float16, `v`: float32), size, and whose it is."""
    return f"{'v' if about['vector_type'] == 'float32' else 'h'}{about['dim']}_{digest}"


def rows(reply: Any) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """Keys and fields of a search's reply, in either of Redis's protocols."""
    if isinstance(reply, dict):
        for row in reply[b"results"]:
            if b"id" in row:  # cut off by its time-out, a search has rows without one
                yield row[b"id"], row.get(b"extra_attributes") or {}
        return
    for key, fields in zip(reply[1::2], reply[2::2], strict=True):
        yield key, _pairs(fields or [])


def _pairs(flat: Any) -> dict[bytes, Any]:
    if isinstance(flat, dict):
        return flat
    # An attribute's last words ("CASESENSITIVE") have no value, so the end may be odd.
    return dict(zip(flat[::2], flat[1::2], strict=False))


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
