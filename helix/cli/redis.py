"""What `helix doctor` wants to know of a Redis."""

from __future__ import annotations

from redis.exceptions import ResponseError

from helix.kernel.redis import Pipe, connect

__all__ = ["has_search"]


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
