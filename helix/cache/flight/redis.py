"""Leases in Redis, and what is said under them.

    {prefix}lease:{flight}          hash     who leads ("holder"), and which other processes wait, each with when it was
                                             last heard of; expires with the lease
    {prefix}said:{holder}:{flight}  stream   what the leader has said, packed like entries; only where somebody waits
    {prefix}news:{process}          channel  a process is told which flight has news, or is wanted

A process is told through one channel of its own. What is published may be lost, so whoever waits asks now and then.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from helix.cache.flight.lease import Claim, Heard
from helix.cache.value import Codec
from helix.kernel.errors import BackendUnavailable
from helix.kernel.redis import Argument, Pipe, Script
from helix.kernel.types import Entry

__all__ = ["RedisLeases"]

log = logging.getLogger("helix.cache")

_KEPT_MS = 30_000
"""How long what was said is kept after the last of it."""
_WAITS_SECONDS = 5
"""Who was not heard of for so long waits no more."""
_RETRY_SECONDS = 1.0

# The entry if there is one, else the lease if nobody else has it, else who has: all in one step.
_CLAIM = Script("""
if ARGV[4] == '0' then
    local value = redis.call('HGET', KEYS[1], 'answer')
    if value then return value end
end
local holder = redis.call('HGET', KEYS[2], 'holder')
if holder and string.sub(holder, 1, #ARGV[3]) ~= ARGV[3] then
    redis.call('HSET', KEYS[2], ARGV[3], redis.call('TIME')[1])
    redis.call('PUBLISH', ARGV[5] .. string.sub(holder, 1, #ARGV[3]), ARGV[6])
    return {holder}
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'holder', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
""")

_RENEW = Script("""
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local waiting, since = 0, tonumber(redis.call('TIME')[1]) - tonumber(ARGV[3])
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    if all[i] ~= 'holder' and tonumber(all[i + 1]) >= since then waiting = waiting + 1 end
end
return waiting
""")

# Only the holder speaks: one who was taken for dead has no say in what the next one says.
_SAY = Script("""
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[2], '*', 'r', ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if name ~= 'holder' then redis.call('PUBLISH', ARGV[3] .. name, ARGV[4]) end
end
return 1
""")

_RELEASE = Script("""
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 1 end
if ARGV[2] == '0' and redis.call('HLEN', KEYS[1]) > 1 then return 0 end
redis.call('DEL', KEYS[1])
return 1
""")

_HEAR = Script("""
local held = redis.call('HGET', KEYS[1], 'holder') == ARGV[1]
if held then redis.call('HSET', KEYS[1], ARGV[2], redis.call('TIME')[1]) end
return {held and 1 or 0, redis.call('XRANGE', KEYS[2], ARGV[3], '+', 'COUNT', 64)}
""")

_LEAVE = Script("""
if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[2]) end
""")


class RedisLeases:
    """The Leases of one store. What is said is written by its codec, as entries are."""

    def __init__(
        self,
        client: Redis,
        pipe: Pipe,
        *,
        prefix: str,
        codec: Codec,
    ) -> None:
        self._client = client
        self._pipe = pipe
        self._prefix = prefix
        self._codec = codec
        self._process = secrets.token_hex(8)
        self._wakes: dict[str, list[Callable[[], None]]] = {}
        self._listening: asyncio.Task[None] | None = None

    def new_holder(self) -> str:
        """A name that nobody has had, for one claim of this process."""
        return f"{self._process}{secrets.token_hex(8)}"

    async def claim(self, key: str, flight: str, holder: str, *, lease_seconds: float, anew: bool = False) -> Claim:
        """The entry of a key (unless `anew`), else the lease of a flight if no other process has it, else who has."""
        keys = [f"{self._prefix}a:{key}", self._lease(flight)]
        news = f"{self._prefix}news:"
        try:
            found = await _CLAIM.run(
                self._pipe, keys, [holder, _ms(lease_seconds), self._process, int(anew), news, flight]
            )
        except ResponseError as error:
            # There is no entry, and no room for a lease: everybody leads by himself.
            if not isinstance(error, OutOfMemoryError):
                raise _refused(error) from None
            log.debug("the cache's Redis has no room for a lease")
            return Claim()
        if isinstance(found, list):
            return Claim(holder=_text(found[0]))
        if not isinstance(found, bytes):
            return Claim()
        entry = self._codec.unpack(key, found)
        # What cannot be read is no answer, and must not keep the next one from being asked for once.
        if entry is None:
            return await self.claim(key, flight, holder, lease_seconds=lease_seconds, anew=True)
        return Claim(entry)

    async def renew(self, flight: str, holder: str, *, lease_seconds: float) -> int | None:
        """Keep the lease; how many processes wait, None where it is lost."""
        arguments: list[Argument] = [holder, _ms(lease_seconds), _WAITS_SECONDS]
        waiting = int(await self._run(_RENEW, [self._lease(flight)], arguments))
        return None if waiting < 0 else waiting

    async def say(self, flight: str, holder: str, said: Entry) -> bool:
        """Add to what was said; whether the lease is still held."""
        arguments: list[Argument] = [holder, _KEPT_MS, f"{self._prefix}news:", flight, self._codec.pack(said)]
        return bool(await self._run(_SAY, [self._lease(flight), self._stream(flight, holder)], arguments))

    async def release(self, flight: str, holder: str, *, anyway: bool) -> bool:
        """Give the lease back, unless somebody waits; `anyway` even then."""
        return bool(await self._run(_RELEASE, [self._lease(flight)], [holder, int(anyway)]))

    async def hear(self, flight: str, holder: str, after: str) -> Heard:
        """What a holder said after a mark, "" for all of it, and whether the lease is still his."""
        start = f"({after}" if after else "-"
        keys = [self._lease(flight), self._stream(flight, holder)]
        held, rows = await self._run(_HEAR, keys, [holder, self._process, start])
        said: list[Entry | None] = []
        for mark, fields in rows:
            after = _text(mark)
            said.append(self._codec.unpack(flight, fields[1]))
        return Heard(held=bool(held), said=said, mark=after)

    async def leave(self, flight: str, holder: str) -> None:
        """Wait no longer."""
        await self._run(_LEAVE, [self._lease(flight)], [holder, self._process])

    def listen(self, flight: str, wake: Callable[[], None]) -> None:
        """Have `wake` called when a flight has news, or is wanted."""
        self._wakes.setdefault(flight, []).append(wake)
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())

    def unlisten(self, flight: str, wake: Callable[[], None]) -> None:
        """Have `wake` called no more."""
        wakes = self._wakes.get(flight, [])
        if wake in wakes:
            wakes.remove(wake)
        if not wakes:
            self._wakes.pop(flight, None)

    async def close(self) -> None:
        """Stop listening."""
        listening, self._listening = self._listening, None
        if listening is not None and listening.get_loop() is asyncio.get_running_loop():
            while not listening.done():
                # Once may not do: before Python 3.12 wait_for, which redis-py writes with, may swallow a cancellation.
                listening.cancel()
                await asyncio.wait((listening,), timeout=0.1)

    # Inside

    async def _listen(self) -> None:
        """Follow this process's channel, for as long as it lives; while it is out, those who wait ask now and then."""
        while True:
            channel = self._client.pubsub(ignore_subscribe_messages=True)
            try:
                await channel.subscribe(f"{self._prefix}news:{self._process}")
                while True:
                    message = await channel.get_message(timeout=None)
                    if message is not None:
                        for wake in tuple(self._wakes.get(_text(message["data"]), ())):
                            wake()
            except (RedisError, OSError) as error:
                log.debug("the cache's channel is out: %s", type(error).__name__)
            finally:
                await channel.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(_RETRY_SECONDS)

    async def _run(self, script: Script, keys: list[str], arguments: list[Argument]) -> Any:
        try:
            return await script.run(self._pipe, keys, arguments)
        except ResponseError as error:
            raise _refused(error) from None

    def _lease(self, flight: str) -> str:
        return f"{self._prefix}lease:{flight}"

    def _stream(self, flight: str, holder: str) -> str:
        return f"{self._prefix}said:{holder}:{flight}"


def _refused(error: ResponseError) -> BackendUnavailable:
    word = str(error).partition(" ")[0] or "no reason"
    return BackendUnavailable(f"the cache's Redis refused a command ({word})")


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
