"""`perf semcache`: what a semantic cache serves rightly and wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perf.semcache import pairs, stream

__all__ = ["measure", "stream"]


def measure(data: Path) -> dict[str, Any]:
    """Measure with the files of a folder, or of its subfolder semcache. Raises Unavailable where they are missing."""
    found = pairs.measure(data)
    return {"pairs": found, "targets": found.pop("targets")}
