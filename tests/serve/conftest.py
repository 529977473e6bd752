from __future__ import annotations

from tests.cli.conftest import data, lean

__all__ = ["data", "lean"]
