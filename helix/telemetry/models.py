"""Which model names are recorded as they are."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from helix.telemetry.row import token

__all__ = ["ModelNames"]

MAX_NAMES = 1000


class ModelNames:
    """Lets configured model names pass; what else a caller puts there may be anything, and becomes "other".

    A pattern (`openai/*`), and every name where none is configured, needs an answer to prove it: somebody serves it.
    """

    def __init__(self, configured: Iterable[str] = ()) -> None:
        names = list(configured)
        self._patterns = [name for name in names if "*" in name]
        self._is_open = not names
        self._known = {name: name for name in names if "*" not in name}

    def __call__(self, name: str, *, is_served: bool) -> str:
        """The name to record."""
        known = self._known.get(name)
        if known is not None:
            return known
        if not name:
            return ""
        if not is_served or token(name) != name or len(self._known) >= MAX_NAMES:
            return "other"
        if self._is_open or any(fnmatchcase(name, pattern) for pattern in self._patterns):
            self._known[name] = name
            return name
        return "other"
