"""Where a list of entries, latest first, goes on: entries may come and go between pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from helix.kernel.errors import InvalidRequest

__all__ = ["Cursor"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Entries stored at `stored_at` (Unix time in seconds) or before, but for the first `skip` of that very time."""

    stored_at: float
    skip: int = 0

    @classmethod
    def start(cls) -> Cursor:
        """Before the latest."""
        return cls(math.inf)

    @classmethod
    def read(cls, text: str) -> Cursor:
        """What `written` wrote. Raises InvalidRequest."""
        at, _, skip = text.rpartition("-")
        try:
            stored_at = float(at)
        except ValueError:
            stored_at = math.nan
        if not math.isfinite(stored_at) or not (skip.isascii() and skip.isdigit() and len(skip) <= 9):
            raise InvalidRequest("the query parameter 'cursor' must be a next_cursor that this list gave", "cursor")
        return cls(stored_at, int(skip))

    def next(self, times: Sequence[float]) -> Cursor:
        """Where the list goes on behind a page that began here, of entries stored at these times."""
        same = times.count(times[-1])
        return Cursor(times[-1], same + (self.skip if times[-1] == self.stored_at else 0))

    def written(self) -> str:
        """As text."""
        return f"{self.stored_at!r}-{self.skip}"
