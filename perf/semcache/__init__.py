"""`perf semcache`: what a semantic cache serves rightly and wrongly, of pairs and of a stream."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from perf.semcache import pairs, stream
from perf.semcache.sets import read_streams
from perf.semcache.systems import Remembered

__all__ = ["measure"]


def measure(data: Path, seed: int = 0) -> dict[str, Any]:
    """Measure with the files of a folder, or of its subfolder semcache. Raises Unavailable where they are missing."""
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return asyncio.run(_measure(data, seed))


async def _measure(data: Path, seed: int) -> dict[str, Any]:
    embedder = Remembered()
    await embedder.open()
    found: dict[str, Any] = {"pairs": await pairs.measure(data, embedder), "streams": {}}
    for name, rows in read_streams(data).items():
        found["streams"][name] = await stream.measure(rows, embedder, seed=seed)
    await embedder.close()
    found["targets"] = [one for part in (found["pairs"], *found["streams"].values()) for one in part.pop("targets")]
    return found
