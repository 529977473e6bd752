"""Values that are nobody's secret: a company's own address, a test card, product names that read like people's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from helix.redact.vault import folded

__all__ = ["AllowList", "Entry"]

Entry: TypeAlias = str | Mapping[str, str]
"""A value, or `{"pattern": "TICKET-[0-9]{1,9}"}`, which the whole of a value must match."""

MAX_PATTERN_CHARACTERS = 500
MAX_VALUE_CHARACTERS = 500
PATTERN_SECONDS = 0.02


class AllowList:
    """Values that stay as they are, whatever their case and spacing, and patterns of such. Raises ValueError.

    A pattern that has not decided within 20 ms, or is asked about a longer value than 500 characters, allows nothing.
    """

    __slots__ = ("_patterns", "_values")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        patterns: list[str] = []
        values: set[str] = set()
        for entry in entries:
            if isinstance(entry, str) and entry.strip():
                values.add(folded(entry))
            elif isinstance(entry, Mapping) and entry.keys() == {"pattern"} and isinstance(entry["pattern"], str):
                patterns.append(entry["pattern"])
            else:
                raise ValueError("an entry of an allow-list must be a value or {pattern: a regular expression}")
        self._values = frozenset(values)
        self._patterns = tuple(_compiled(pattern) for pattern in patterns)

    @classmethod
    def of(cls, entries: AllowList | Iterable[Entry]) -> AllowList:
        """Some entries as a list, which may be one already."""
        return entries if isinstance(entries, AllowList) else cls(entries)

    def __repr__(self) -> str:
        return f"AllowList(<{len(self._values)} values, {len(self._patterns)} patterns>)"

    def __bool__(self) -> bool:
        return bool(self._values or self._patterns)

    def __or__(self, other: AllowList) -> AllowList:
        both = AllowList()
        both._values = self._values | other._values
        both._patterns = self._patterns + other._patterns
        return both

    def __contains__(self, value: str) -> bool:
        if not self:
            return False
        value = folded(value)
        if value in self._values:
            return True
        return len(value) <= MAX_VALUE_CHARACTERS and any(_matches(pattern, value) for pattern in self._patterns)


def _compiled(pattern: str) -> Any:
    # Presidio's own; unlike re it can be given a time limit.
    import regex  # type: ignore[import-untyped]

    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise ValueError(f"a pattern of an allow-list may have {MAX_PATTERN_CHARACTERS} characters")
    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise ValueError(f"a pattern of an allow-list is not a regular expression: {error.msg}") from None


def _matches(pattern: Any, value: str) -> bool:
    try:
        return pattern.fullmatch(value, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        return False
