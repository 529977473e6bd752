"""What a laptop gets for free: a real Redis with search, as a child process."""

from helix.embedded.redis import EmbeddedRedis

__all__ = ["EmbeddedRedis"]
