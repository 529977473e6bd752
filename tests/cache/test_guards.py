from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.cache.guards import GUARDS, compare, lexicon
from helix.cache.guards.align import align
from helix.cache.guards.reading import read

TRAPS = Path(__file__).parent / "traps"


def _pairs(sign: str) -> list[tuple[str, str]]:
    lines = [line for file in sorted(TRAPS.glob("*.txt")) for line in file.read_text().splitlines()]
    return [tuple(line[2:].split(" | ")) for line in lines if line.startswith(sign)]  # type: ignore[misc]


@pytest.mark.parametrize(("one", "other"), _pairs("- "))
def test_traps(one: str, other: str) -> None:
    """Two questions that an embedding takes for one are told apart, whichever was asked first."""
    assert compare(one, other).veto is not None
    assert compare(other, one) == compare(one, other)


@pytest.mark.parametrize(("one", "other"), _pairs("= "))
def test_harmless_change(one: str, other: str) -> None:
    """Another wording of the same question passes, whichever was asked first."""
    assert compare(one, other).veto is None
    assert compare(other, one) == compare(one, other)


WORDS = (
    "is was will he she Anna Ben berlin Paris not never can't before after from to by and or more than less cheaper 5 "
    "5kg $20 7:30 am monday May who when how many what is the best way to cancel cancelled my card cards a fake actor "
    "enable disable hurt hurts used be <PERSON_1> <PERSON_2> , . ? 's if the teh wha tis 有 où ist der"
)
LONG = (
    "Last week we bought a new router for the office in the north, and since then all packets from the warehouse are "
    "lost, whatever we try: another cable, another port, the firmware of last year, a call to the hotline."
)
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join))


@given(TEXTS)
def test_no_guard_forbids_a_text_its_own_answer(text: str) -> None:
    """Equal texts are accounted for whole, and every guard lets them pass."""
    pairs = align(read(text), read(text))
    assert pairs.overlap == 1.0
    for _, allows in GUARDS:
        assert allows(read(text), read(text), pairs)
    assert compare(text, text) == compare(text, text)


@given(TEXTS, TEXTS)
def test_guards_are_symmetric(one: str, other: str) -> None:
    """What is said of two texts does not depend on who asked first, and the overlap is a share."""
    assert compare(one, other) == compare(other, one)
    assert 0.0 <= compare(one, other).overlap <= 1.0


def test_overlap_sees_through_spelling_and_inflection() -> None:
    """A typo, a contraction, a filler or an ending leaves the content accounted for; another word does not."""
    assert compare("How do I cancel my order?", "How do I actually cancel my oredr?").overlap == 1.0
    assert compare("How do I cancel my order?", "Why was the order that I had cancelled shipped?").overlap < 0.9
    assert compare("Where do I buy a ticket?", "Where can I purchase a ticket?").overlap > 0.9


def test_every_guard_has_its_traps() -> None:
    """Each guard is the one that stops something in the files of traps."""
    assert {compare(one, other).veto for one, other in _pairs("- ")} == {name for name, _ in GUARDS}


def test_the_lexicon_is_the_one_that_was_built() -> None:
    """The data files are those whose hashes are on record, and their licences stand beside them."""
    data = Path(lexicon.__file__).parent / "data"
    for line in (data / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert sha256((data / name).read_bytes()).hexdigest() == digest
    assert "Princeton University" in (data / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the high fee for?", "What is the highest fee for?"),
        ("Can I put on the old coat?", "Can I put up the old coat?"),
        (f"{LONG} What does the seller say?", f"{LONG} How do I get my money back?"),
    ],
)
def test_overlap_is_whole_only_where_nothing_differs(one: str, other: str) -> None:
    """Another degree, another particle, or another question after a long text in common is not the same."""
    assert compare(one, other).overlap < 1.0
