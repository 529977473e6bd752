"""Pages of lists that are held whole. A cursor is a place in the order, so entries may come and go between pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

import orjson

from helix.kernel.errors import InvalidRequest

__all__ = ["Order", "page"]

T = TypeVar("T")
Order: TypeAlias = tuple[str | float, ...]
"""Where an entry stands in its list; unique, and of the same types for all entries."""


def page(
    items: Iterable[T], order: Callable[[T], Order], *, limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """Up to `limit` entries after the cursor, in order, and the next cursor. Raises InvalidRequest."""
    ranked = sorted((order(item), index, item) for index, item in enumerate(items))
    if cursor is not None:
        after = _decoded(cursor)
        try:
            ranked = [entry for entry in ranked if entry[0] > after]
        except TypeError:
            raise _foreign() from None
    chosen = ranked[:limit]
    more = len(ranked) > limit
    return [item for _, _, item in chosen], _encoded(chosen[-1][0]) if more else None


def _encoded(order: Order) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(order)).decode().rstrip("=")


def _decoded(cursor: str) -> Order:
    try:
        value = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise _foreign() from None
    if not isinstance(value, list):
        raise _foreign()
    return tuple(value)


def _foreign() -> InvalidRequest:
    return InvalidRequest("the query parameter 'cursor' must be a next_cursor that this list gave", "cursor")
