"""A Hypothesis strategy for conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from perf.roundtrip.dialects import SHAPES, Shape, Turn
from perf.roundtrip.values import texts, values

__all__ = ["Conversation", "conversations"]

_KEYS = ("to", "ssn", "card", "phone", "userName", "notes", "id", "2", "e-mail")


@dataclass(frozen=True)
class Conversation:
    """What is said by whom in which dialect, whether the answer is streamed, and how a stream is cut (`seed`)."""

    shape: Shape
    label: str
    system: str
    turns: tuple[Turn, ...]
    stream: bool
    piece_chars: int
    seed: int


def _arguments(text: st.SearchStrategy[str], pool: Sequence[str]) -> st.SearchStrategy[Any]:
    """Arguments of a tool call: an object with texts, numbers and the like, also inside one another, also as keys."""
    numbers = [int(digits) for value in pool if (digits := value.replace("-", "").replace(" ", "")).isdigit()]
    plain = st.one_of(
        text,
        st.sampled_from(list(pool)),
        st.sampled_from([None, True, 1, 0.5, -12345678, 10**12, *numbers]),
    )
    keys = st.one_of(st.sampled_from(_KEYS), st.sampled_from(_KEYS), st.sampled_from(list(pool)))
    inner = st.one_of(plain, st.lists(plain, max_size=3), st.dictionaries(keys, plain, max_size=3))
    return st.dictionaries(keys, inner, max_size=3)


@st.composite
def conversations(draw: st.DrawFn, corpus: Sequence[str] = ()) -> Conversation:
    """Up to five turns about one to four values, which come back in other turns and in other spellings."""
    shape = draw(st.sampled_from(SHAPES))
    pool = draw(st.lists(values, min_size=1, max_size=4))
    text = texts(pool, corpus)
    turns = []
    for number in range(draw(st.integers(1, 5))):
        calls = draw(st.integers(0, 3)) == 0
        turns.append(
            Turn(
                "assistant" if number % 2 else "user",
                draw(text),
                draw(_arguments(text, pool)) if calls else None,
                draw(text) if calls else "",
                draw(st.booleans()),
            )
        )
    return Conversation(
        shape,
        draw(st.one_of(st.just(""), st.sampled_from(pool), text)),
        draw(text),
        tuple(turns),
        draw(st.booleans()),
        draw(st.sampled_from([1, 2, 3, 7, 40])),
        draw(st.integers(0)),
    )
