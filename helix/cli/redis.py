"""What `helix doctor` wants to know of a Redis."""

from __future__ import annotations

from redis.exceptions import ResponseError

from helix.kernel.redis import Pipe, connect, eviction_warning

__all__ = ["has_search", "makes_room"]


async def has_search(url: str) -> bool:
    """Whether the Redis there has the search module. Raises BackendUnavailable where none answers."""
    pipe = Pipe(connect(url))
    try:
        await pipe.call("FT._LIST")
    except ResponseError:
        return False
    finally:
        await pipe.close()
    return True


async def makes_room(url: str) -> str | None:
    """What is wrong with how the Redis there makes room, if anything. Raises BackendUnavailable."""
    pipe = Pipe(connect(url))
    try:
        return await eviction_warning(pipe)
    finally:
        await pipe.close()
