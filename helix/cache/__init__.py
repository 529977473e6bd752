"""The cache stage: an equal request is answered from the exact tier, an equivalent one from the semantic tier."""

from __future__ import annotations

from helix.cache.memory import MemoryCacheStore
from helix.cache.middleware import CacheMiddleware

__all__ = ["CacheMiddleware", "MemoryCacheStore"]
