"""Whole conversations: the provider never sees a value that was found, and what was said comes back.

`python -m perf roundtrip` does the same with 10,000 of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from helix.redact import PresidioDetector
from perf.process import ROOT
from perf.roundtrip import Stage, conversations, corpus_texts, perform
from perf.roundtrip.check import Differs
from perf.roundtrip.conversations import Conversation
from perf.roundtrip.dialects import SHAPES, Turn

# Present where Helix is developed; without it there are generated texts alone.
CORPUS = corpus_texts(ROOT.parent / "shared" / "data")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all conversations."""
    with asyncio.Runner() as made:
        yield made


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(conversation=conversations(CORPUS))
def test_nothing_is_seen_and_everything_comes_back(
    presidio: PresidioDetector, runner: asyncio.Runner, conversation: Conversation
) -> None:
    """In every dialect, whole and streamed in any pieces, with tool calls and values in several spellings."""
    runner.run(Stage(presidio).check(conversation))


def _conversation(number: int, text: str, *, stream: bool) -> Conversation:
    return Conversation(SHAPES[number], "u-1", "Be kind.", (Turn("user", text),), stream, 3, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("number", range(len(SHAPES)), ids=[shape.dialect.name for shape in SHAPES])
def test_each_dialect_is_checked(presidio: PresidioDetector, runner: asyncio.Runner, number: int, stream: bool) -> None:
    """A value is found, and what came back is what was said, letter by letter."""
    stage = Stage(presidio)
    runner.run(stage.check(_conversation(number, "I am ann@example.com", stream=stream)))
    assert stage.counts.values == 1
    assert stage.counts.exact == (SHAPES[number].dialect.operation != "embeddings")


def test_typed_placeholders_come_back_as_they_were_typed(presidio: PresidioDetector, runner: asyncio.Runner) -> None:
    """In two spellings, after a value was given the placeholder that they look like."""
    said = [Turn(role, text) for role, text in (("user", "I am ann@example.com"), ("assistant", "<email_address_1>"))]
    turns = (*said, Turn("user", "<EMAIL_ADDRESS_1>, <Email_Address_1>"))
    stage = Stage(presidio)
    runner.run(stage.check(Conversation(SHAPES[0], "", "Be kind.", turns, False, 3, 1)))
    assert stage.counts.exact == 1


@pytest.mark.parametrize("number", range(len(SHAPES)), ids=[shape.dialect.name for shape in SHAPES])
def test_a_value_that_passes_is_noticed(presidio: PresidioDetector, runner: asyncio.Runner, number: int) -> None:
    """Where the stage keeps what it finds, the check fails: it can."""
    stage = Stage(presidio, entities={"EMAIL_ADDRESS": "keep"})
    with pytest.raises(Differs, match="saw"):
        runner.run(stage.check(_conversation(number, "I am ann@example.com", stream=False)))


@pytest.mark.parametrize("stream", [False, True])
def test_a_value_that_does_not_come_back_is_noticed(
    presidio: PresidioDetector, runner: asyncio.Runner, stream: bool
) -> None:
    """Where the stage masks for good, the check fails too."""
    stage = Stage(presidio, entities={"EMAIL_ADDRESS": "mask"})
    with pytest.raises(Differs, match="came back"):
        runner.run(stage.check(_conversation(0, "I am ann@example.com", stream=stream)))


def test_the_full_count_goes_on_after_a_failure(presidio: PresidioDetector, runner: asyncio.Runner) -> None:
    """`perf roundtrip` tells what failed and checks the rest."""
    stage = Stage(presidio, entities={"EMAIL_ADDRESS": "keep"})
    failed = perform(stage, runner, 30, seed=3)
    assert failed
    assert stage.counts.conversations + len(failed) >= 30
