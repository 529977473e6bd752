"""Helix: an AI gateway made of small ASGI middlewares.

    from helix import BudgetMiddleware, CacheMiddleware, RedactMiddleware

Importing this package is cheap: the middlewares and what they need load when they are first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helix.admit import AdmitMiddleware
    from helix.budget import BudgetMiddleware
    from helix.cache import CacheMiddleware
    from helix.redact import RedactMiddleware
    from helix.telemetry import TelemetryMiddleware

__version__ = "0.1.0"

__all__ = [
    "AdmitMiddleware",
    "BudgetMiddleware",
    "CacheMiddleware",
    "RedactMiddleware",
    "TelemetryMiddleware",
    "__version__",
]

_HOME = {
    "AdmitMiddleware": "helix.admit",
    "BudgetMiddleware": "helix.budget",
    "CacheMiddleware": "helix.cache",
    "RedactMiddleware": "helix.redact",
    "TelemetryMiddleware": "helix.telemetry",
}


def __getattr__(name: str) -> object:
    """Load a middleware when it is first asked for."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
