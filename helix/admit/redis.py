"""Virtual keys, and the counts of requests made with them, in Redis."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from helix.admit.keys import StoredKey, id_of, new_key
from helix.admit.limits import Grant
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe, Script, connect
from helix.kernel.types import Limit, Money, Principal

Arguments: TypeAlias = list[Argument]

__all__ = ["RedisKeyStore", "RedisLimiter"]

PARALLEL_LEASE_SECONDS = 900.0
"""How long a running request counts at most: more than any provider takes, so that only a dead gateway's ever end
so."""

_ACQUIRE = Script((Path(__file__).parent / "acquire.lua").read_text())
_CREATE = Script("redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]); redis.call('HSET', KEYS[2], ARGV[3], ARGV[1])")
# A record's first byte says whether the key opens anything: + or -.
_REVOKE = Script(
    "local digest = redis.call('HGET', KEYS[2], ARGV[1]); if not digest then return 0 end;"
    "redis.call('HSET', KEYS[1], digest, '-' .. string.sub(redis.call('HGET', KEYS[1], digest), 2)); return 1"
)


class RedisKeyStore:
    """A `KeyStore` in Redis.

    A key is kept as its HMAC-SHA256 under the server's `secret`, and found by it: without the secret, what is in
    Redis neither opens anything nor tells whether a key is in it. Records have no time to live.
    """

    def __init__(
        self, redis: Redis | str, *, secret: str | bytes, prefix: str = "helix:", timeout_seconds: float = 2.0
    ) -> None:
        """Take a client, which stays the caller's, or a URL."""
        if len(secret) < 16:
            raise ValueError("the secret that keys are hashed with must have at least 16 characters")
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._owned = isinstance(redis, str)
        self._client = connect(redis) if isinstance(redis, str) else redis
        self._pipe = Pipe(self._client, timeout_seconds=timeout_seconds)
        self._hashes = [f"{prefix}{{keys}}:by-digest", f"{prefix}{{keys}}:by-id"]
        self._limiter = RedisLimiter(self._pipe, prefix=prefix)

    @property
    def limiter(self) -> RedisLimiter:
        """Counts in the same Redis, over the same connection."""
        return self._limiter

    async def create(self, principal: Principal) -> tuple[StoredKey, str]:
        """Make a key; see `KeyStore`. Raises BackendUnavailable."""
        key = new_key()
        key_id = id_of(key)
        budgets = tuple(replace(b, scope=b.scope or f"key:{key_id}") for b in principal.budgets)
        stored = StoredKey(replace(principal, key_id=key_id, budgets=budgets), time.time())
        await self._run(_CREATE, [self._digest(key), _encode(stored), key_id])
        return stored, key

    async def find(self, credential: str) -> StoredKey | None:
        """What is stored of a key. Raises BackendUnavailable."""
        record = await _asked(self._pipe.call("HGET", self._hashes[0], self._digest(credential)))
        return None if record is None else _decode(record)

    async def list(self) -> Sequence[StoredKey]:
        """All keys. Raises BackendUnavailable."""
        found: dict[bytes, bytes] = {}
        cursor: Argument = 0
        while True:
            cursor, items = await _asked(self._pipe.call("HSCAN", self._hashes[0], cursor, "COUNT", 1000))
            found.update(zip(items[::2], items[1::2], strict=True))
            if int(cursor) == 0:
                return [_decode(record) for record in found.values()]

    async def revoke(self, key_id: str) -> bool:
        """Make a key open nothing any more; False where there is no such key. Raises BackendUnavailable."""
        return bool(await self._run(_REVOKE, [key_id]))

    async def ping(self) -> None:
        """Raise BackendUnavailable unless Redis answers."""
        await _asked(self._pipe.call("PING"))

    async def close(self) -> None:
        """Give the connection back."""
        await self._pipe.close()
        if self._owned:
            await self._client.aclose()

    def _digest(self, key: str) -> str:
        return hmac.digest(self._secret, key.encode("utf-8", "surrogatepass"), "sha256").hex()

    async def _run(self, script: Script, arguments: Arguments) -> Any:
        return await _asked(script.run(self._pipe, self._hashes, arguments))


class RedisLimiter:
    """A `RequestLimiter` in Redis: one script for both limits. The counts of a key carry one hash tag, its id."""

    def __init__(self, pipe: Pipe, *, prefix: str = "helix:", clock: Callable[[], int] | None = None) -> None:
        """`clock` (Unix milliseconds) stands in for Redis' own, for tests."""
        self._pipe = pipe
        self._prefix = prefix
        self._clock = clock
        self._lease_ms = round(PARALLEL_LEASE_SECONDS * 1000)

    async def acquire(self, principal: Principal, request_id: str) -> Grant:
        """Count a request against both limits or neither. Raises BackendUnavailable."""
        now: Argument = "" if self._clock is None else self._clock()
        rpm: Argument = "" if principal.rpm is None else principal.rpm
        parallel: Argument = "" if principal.parallel is None else principal.parallel
        arguments: list[Argument] = [now, request_id, rpm, parallel, self._lease_ms]
        reply = await _asked(_ACQUIRE.run(self._pipe, self._keys(principal), arguments))
        return Grant(("", "rpm", "parallel")[reply[0]], reply[1], reply[2] / 1000)

    async def release(self, principal: Principal, request_id: str) -> None:
        """Free a running request's place. Raises BackendUnavailable."""
        await _asked(self._pipe.call("ZREM", self._keys(principal)[1], request_id))

    def _keys(self, principal: Principal) -> list[str]:
        root = f"{self._prefix}{{{principal.key_id}}}:"
        return [root + "made", root + "running"]


async def _asked(call: Any) -> Any:
    try:
        return await call
    except ResponseError as error:
        raise BackendUnavailable(f"Redis refused ({str(error).partition(' ')[0]})") from error


def _encode(stored: StoredKey) -> bytes:
    return b"+" + orjson.dumps({"created_at": stored.created_at, "principal": asdict(stored.principal)})


def _decode(record: bytes) -> StoredKey:
    value = orjson.loads(record[1:])
    who = value["principal"]
    who |= {field: tuple(who[field]) for field in ("models", "tags")}
    who["budgets"] = tuple(_limit(budget) for budget in who["budgets"])
    return StoredKey(Principal(**who), value["created_at"], record[:1] == b"-")


def _limit(budget: dict[str, Any]) -> Limit:
    most = budget["limit"]
    return Limit(**{**budget, "limit": Money(**most) if isinstance(most, dict) else most})
