"""redisvl's HNSW index over the questions in Redis, pre-filtered by scope."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import isnan
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redisvl.exceptions import RedisVLError
from redisvl.index import AsyncSearchIndex
from redisvl.query import VectorQuery
from redisvl.query.filter import Tag
from redisvl.schema import IndexSchema

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import NO_EVIDENCE, Candidate, Evidence, Vector

__all__ = ["QuestionIndex"]

_FIELDS = ("text", "right", "wrong", "surplus", "information", "group")
"""What a search returns of an entry beside its distance."""

_M = 16
_EF_CONSTRUCTION = 200
_EF_RUNTIME = 64
"""HNSW's degree and beam widths (Malkov and Yashunin 2016); RediSearch's own 10 for the last is narrow for K = 5."""


class QuestionIndex:
    """The index over vectors of `dim` floats under a key prefix. `place` is what errors call the Redis.

    In float16 vectors take half the memory, each float rounded to 11 bits.
    """

    def __init__(
        self,
        client: Redis,
        *,
        name: str,
        prefix: str,
        dim: int,
        place: str,
        vector_type: Literal["float32", "float16"] = "float32",
    ) -> None:
        letter, self._format = ("v", "f") if vector_type == "float32" else ("h", "e")
        self.field = f"{letter}{dim}"
        """Of a hash: where the index looks for the vector."""
        self._vector_type = vector_type
        self._prefix = prefix
        self._place = place
        vector = {
            "algorithm": "hnsw",
            "dims": dim,
            "datatype": vector_type,
            "distance_metric": "cosine",
            "m": _M,
            "ef_construction": _EF_CONSTRUCTION,
            "ef_runtime": _EF_RUNTIME,
        }
        schema = IndexSchema.from_dict(
            {
                "index": {"name": name, "prefix": prefix, "storage_type": "hash"},
                "fields": [
                    {"name": "scope", "type": "tag"},
                    {"name": self.field, "type": "vector", "attrs": vector},
                ],
            }
        )
        self._index = AsyncSearchIndex(schema, redis_client=client)

    def pack(self, vector: Vector) -> bytes:
        """A vector as the index reads it."""
        return struct.pack(f"{len(vector)}{self._format}", *vector)

    async def create(self) -> None:
        """Create it where there is none. Raises BackendUnavailable, which says so where Redis cannot search at all."""
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

    async def near(self, scope: str, vector: Vector, *, count: int) -> Sequence[Candidate]:
        """The nearest questions inside a scope, best first. Raises BackendUnavailable."""
        query = VectorQuery(
            self.pack(vector),
            self.field,
            return_fields=list(_FIELDS),
            filter_expression=Tag("scope") == scope,
            num_results=count,
            dtype=self._vector_type,
        )
        try:
            try:
                rows = await self._index.query(query)
            except RedisVLError as error:
                if "no such index" not in str(_root(error)).lower():
                    raise
                # The database was flushed, or came back empty.
                await self.create()
                rows = await self._index.query(query)
        except (RedisVLError, RedisError, OSError) as error:
            raise self._failed(error) from None
        # A question that expired between the search and its loading has no fields. A vector without a direction has no
        # distance, and is near to nothing.
        found = [self._candidate(row) for row in rows if "text" in row]
        return [candidate for candidate in found if not isnan(candidate.similarity)]

    def _candidate(self, row: dict[str, Any]) -> Candidate:
        similarity = min(1.0 - float(row["vector_distance"]), 1.0)  # in this order nan stays nan
        known = [float(row.get(name) or 0.0) for name in ("right", "wrong", "surplus", "information")]
        evidence = Evidence(*known) if any(known) else NO_EVIDENCE
        id = row["id"][len(self._prefix) :]
        return Candidate(id, row["text"], similarity, evidence=evidence, group=row.get("group") or "")

    def _failed(self, error: BaseException) -> BackendUnavailable:
        # Only the kind: the message may repeat the command's arguments.
        return BackendUnavailable(f"{self._place} failed to search ({type(_root(error)).__name__})")


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
