"""A partition's quota, kept in Redis: Lua that books entries, and removes the partition's own least recently used ones.

    {prefix}q:{partition}:u   zset   entry id → when it was stored or last given
    {prefix}q:{partition}:x   zset   entry id → when it expires
    {prefix}q:{partition}:b   hash   entry id → bytes; "" → their sum

Everything happens in the script that stores the entry, so that no other process can come between. What Redis itself
evicts stays booked until it would have expired, or its turn comes.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BOOK", "CLOCK", "FORGET", "NAME", "NO_QUOTA", "Quota"]


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that one partition may keep; 0 is no limit. Raises ValueError."""

    entries: int = 0
    bytes: int = 0
    """Of answers as they are kept, with their questions and vectors."""

    def __post_init__(self) -> None:
        for name, value in (("entries", self.entries), ("bytes", self.bytes)):
            if value < 0:
                raise ValueError(f"a quota's {name} must be 0 or more, not {value!r}")

    def __bool__(self) -> bool:
        return bool(self.entries or self.bytes)


NO_QUOTA = Quota()

CLOCK = """
-- So many milliseconds from now, by one clock for all processes; as text, which keeps its digits.
local function clock(ahead)
    local now = redis.call('TIME')
    return string.format('%.3f', now[1] * 1000 + now[2] / 1000 + ahead)
end
"""
"""`clock(ahead)`."""

NAME = """
-- Callers choose namespaces: those without entries must not stay. The key must, or nobody could list them.
local function name(prefix, namespace, ttl)
    local names = prefix .. 'namespaces'
    redis.call('ZADD', names, 'GT', clock(ttl), namespace)
    redis.call('ZREMRANGEBYSCORE', names, '-inf', clock(0))
end
"""
"""`name(prefix, namespace, ttl)`: there is an entry in a namespace for so many milliseconds; after `CLOCK`."""

FORGET = r"""
local function strike(book, id)
    local size = redis.call('HGET', book .. ':b', id)
    if size then
        redis.call('HDEL', book .. ':b', id)
        redis.call('HINCRBY', book .. ':b', '', -size)
    end
    redis.call('ZREM', book .. ':u', id)
    redis.call('ZREM', book .. ':x', id)
end

local function forget(prefix, id)
    local about = redis.call('HGET', prefix .. 'a:' .. id, 'about')
    local partition = about and string.match('\31' .. about, '\31p([^\31]+)')
    if partition then strike(prefix .. 'q:' .. partition, id) end
end
"""
"""`forget(prefix, id)`: out of its partition's book; before the entry goes."""

BOOK = (
    CLOCK
    + NAME
    + FORGET
    + r"""
local function drop(prefix, book, id)
    strike(book, id)
    redis.call('UNLINK', prefix .. 'a:' .. id)
    redis.call('ZREM', prefix .. 'hits', id)
end

local function over(book, entries, bytes)
    return (entries > 0 and redis.call('ZCARD', book .. ':u') > entries)
        or (bytes > 0 and tonumber(redis.call('HGET', book .. ':b', '') or 0) > bytes)
end

-- `ttl` is in milliseconds. What was just stored is the last to go, and alone within the quota.
local function enter(prefix, partition, id, ttl, size, entries, bytes)
    local book = prefix .. 'q:' .. partition
    strike(book, id)
    redis.call('ZADD', book .. ':u', clock(0), id)
    redis.call('ZADD', book .. ':x', clock(ttl), id)
    redis.call('HSET', book .. ':b', id, size)
    redis.call('HINCRBY', book .. ':b', '', size)
    for _, kind in ipairs({':u', ':x', ':b'}) do
        if redis.call('PTTL', book .. kind) < ttl then redis.call('PEXPIRE', book .. kind, ttl) end
    end
    if not over(book, entries, bytes) then return end
    for _, gone in ipairs(redis.call('ZRANGEBYSCORE', book .. ':x', '-inf', clock(0))) do strike(book, gone) end
    while over(book, entries, bytes) do
        local oldest = redis.call('ZRANGE', book .. ':u', 0, 1)
        drop(prefix, book, oldest[1] == id and oldest[2] or oldest[1])
    end
end
"""
)
"""`enter(...)`: into its partition's book, and out of it what is too much."""
