"""Importing a package without the heavy ones that it would take along if they happen to be installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from threading import get_ident
from typing import Any

__all__ = ["without"]


class _NotFound(MetaPathFinder):
    """Says, to one thread alone, that some packages are not installed."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._thread = get_ident()

    def find_spec(self, fullname: str, *_args: Any) -> None:
        """Find nothing, or raise for what shall not be found."""
        if get_ident() == self._thread and fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"{fullname} is left out here on purpose", name=fullname)


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Import in this thread as though some packages were not installed; what is loaded already stays in use."""
    finder = _NotFound(frozenset(names))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
