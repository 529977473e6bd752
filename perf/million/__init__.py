"""`million`: what a million cached answers cost in Redis, and what it costs to look one up among them."""

from __future__ import annotations

from perf.million.measure import measure

__all__ = ["measure"]
