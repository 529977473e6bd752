"""Cursors of lists that are held whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.admin.paging import page
from helix.kernel.errors import InvalidRequest


@given(st.sets(st.tuples(st.floats(0, 1e9), st.text(max_size=3))), st.integers(1, 5))
def test_pages_put_together_are_the_list(items: set[tuple[float, str]], limit: int) -> None:
    """Every entry comes once, in order, whatever the size of a page."""
    seen: list[tuple[float, str]] = []
    cursor = None
    while True:
        part, cursor = page(items, lambda item: item, limit=limit, cursor=cursor)
        assert len(part) <= limit
        seen += part
        if cursor is None:
            break
    assert seen == sorted(items)


def test_a_cursor_survives_the_entry_it_stands_for() -> None:
    """Entries may go between two pages without another being left out or given twice."""
    _, cursor = page(["a", "b", "c", "d"], lambda item: (item,), limit=2, cursor=None)
    part, _ = page(["a", "c", "d"], lambda item: (item,), limit=2, cursor=cursor)
    assert part == ["c", "d"]


@pytest.mark.parametrize("cursor", ["", "x", "!!", "bnVsbA", "WzFd", "W1tdXQ", "é"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    """Whatever was not given by this list, none with an error of the server."""
    with pytest.raises(InvalidRequest, match="cursor"):
        page(["a", "b"], lambda item: (item,), limit=1, cursor=cursor)
