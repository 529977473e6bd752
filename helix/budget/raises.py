"""Raises: a limit that is higher for a while."""

from __future__ import annotations

from dataclasses import dataclass

from helix.kernel.types import Money

__all__ = ["Raise"]


@dataclass(frozen=True, slots=True)
class Raise:
    """To what a limit is raised, until when (Unix milliseconds), why and by whom; a raise without a reason is none."""

    limit: Money | int
    until_ms: int
    reason: str
    by: str = ""

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("a raise must have a reason")
        if not 0 < self.until_ms < 2**53:
            raise ValueError("a raise must end at a time in Unix milliseconds")
