"""What an entry says of itself, as a field and as queries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.cache.catalog.about import About, fits, of_entry, query, read
from helix.kernel.types import Entry, Selection

ENTRY = Entry(
    "0" * 40,
    "chat",
    "openai/gpt-4o",
    b"{}",
    1700000000.0,
    namespace="faq",
    asked_model="smart",
    partition="p_1",
    users=("u_1", "u_2"),
    tags=("a", "b"),
)


def test_what_is_written_is_read() -> None:
    """Every part comes back."""
    assert read(of_entry(ENTRY)) == About("faq", "chat", "smart", "openai/gpt-4o", "p_1", ("u_1", "u_2"), ("a", "b"))
    assert read(of_entry(Entry("0" * 40, "chat", "m", b"", 0.0))) == About("", "chat", "m", "m")
    assert read("") == About()


def test_a_query_names_each_part_and_escapes_it() -> None:
    """Nothing that a name holds is taken for the query language's own."""
    asked = Selection(namespace="faq", model="a/b*", tag="x", scope="s", user="u_1", partition="p_1")
    assert query(asked) == (r"@about:{nfaq} @about:{ma\/b\*} @about:{pp\_1} @about:{uu\_1} @about:{tx} @scope:{s}")
    assert query(Selection(everything=True)) == "*"
    assert query(Selection(namespace="")) == "@about:{n}"


@pytest.mark.parametrize(
    ("said", "does"),
    [
        (Selection(everything=True), True),
        (Selection(namespace="faq"), True),
        (Selection(namespace=""), False),
        (Selection(model="smart"), True),
        (Selection(model="openai/gpt-4o"), True),
        (Selection(model="gpt-4o"), False),
        (Selection(user="u_2"), True),
        (Selection(tag="b", model="smart", scope="s"), True),
        (Selection(tag="b", scope="other"), False),
        (Selection(partition="p_2"), False),
    ],
)
def test_what_fits(said: Selection, does: bool) -> None:
    """All that is said must fit."""
    assert fits(said, read(of_entry(ENTRY)), "s") is does


@given(st.text(), st.text())
def test_no_name_is_another(one: str, other: str) -> None:
    """A model's name, whatever is in it, cannot pass for a tag, a user or another part, nor end the field."""
    about = read(of_entry(Entry("0" * 40, "chat", one, b"", 0.0, namespace="n", tags=("t",), asked_model=other or "m")))
    assert (about.namespace, about.dialect, about.partition, about.users, about.tags) == ("n", "chat", "", (), ("t",))
    assert fits(Selection(model=one), about, "")
    assert not fits(Selection(tag="u"), about, "")


@pytest.mark.parametrize("said", [{}, {"everything": True, "tag": "a"}, {"everything": True, "entries": ("a",)}])
def test_a_selection_says_what_it_means(said: dict[str, object]) -> None:
    """Nothing, or everything and something, is a mistake."""
    with pytest.raises(ValueError, match="a selection is everything"):
        Selection(**said)  # type: ignore[arg-type]
