"""What each part of `helix up --no-ray` adds to the gateway's memory: `python -m perf.parts` prints MiB by part.

The embedded Redis is a process of its own and not counted; a console that somebody looks at takes some more.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from helix.config import Config
from helix.datadir import DataDir
from helix.local import local_parts

T = TypeVar("T")


def resident_mib() -> float:
    """This process's resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell a process's memory")


class Scale:
    """A Progress that weighs instead of showing."""

    def __init__(self) -> None:
        self.found = {"Python and the gateway's own code": round(resident_mib(), 1)}

    async def __call__(self, what: str, work: Awaitable[T]) -> T:
        """Await the work; note what it added."""
        before = resident_mib()
        result = await work
        self.found[what] = round(resident_mib() - before, 1)
        return result

    def warn(self, text: str) -> None:
        """A part that is missing would make the figures wrong."""
        raise RuntimeError(text)


async def weigh() -> dict[str, float]:
    """Open every part of the default gateway, one after the other."""
    scale = Scale()
    with tempfile.TemporaryDirectory(prefix="hx-") as folder:
        data = DataDir(Path(folder))
        async with local_parts(Config.default({}), data, scale):
            return scale.found | {"in all": round(resident_mib(), 1)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(weigh())))
