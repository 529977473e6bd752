"""Personal data that was taken out: `<PERSON_1>` must be the same role's in both texts."""

from __future__ import annotations

from helix.cache.guards.align import Alignment
from helix.cache.guards.reading import Reading

__all__ = ["same_placeholders"]


def same_placeholders(one: Reading, other: Reading, _: Alignment) -> bool:
    """The same placeholders in the same order: the answer speaks of them by name."""
    return _placeholders(one) == _placeholders(other)


def _placeholders(reading: Reading) -> list[str]:
    return [token.text for token in reading.tokens if token.kind == "placeholder"]
