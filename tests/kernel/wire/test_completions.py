from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types import Completion

from helix.kernel.errors import InvalidRequest
from helix.kernel.sse import Event
from helix.kernel.types import Usage
from helix.kernel.wire import COMPLETIONS, Question

from .conftest import Replay
from .samples import COMPLETIONS_ANSWER, COMPLETIONS_REQUEST, Json


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("Ann", ["Ann"]),
        (["Ann", "", "Bob"], ["Ann", "Bob"]),
        ([1, 2, 3], []),
        ([[1, 2], [3]], []),
        ([], []),
        (None, []),
    ],
)
def test_a_prompt_is_a_text_texts_or_token_ids(prompt: Any, texts: list[str]) -> None:
    request = {"model": "m", "prompt": prompt}
    COMPLETIONS.check(request)
    assert [text.value for text in COMPLETIONS.texts(request)] == texts


def test_the_suffix_is_a_text_too() -> None:
    assert [text.value for text in COMPLETIONS.texts(COMPLETIONS_REQUEST)] == ["Say Ann", "Say Bob", "the end"]


@pytest.mark.parametrize("prompt", [5, {}, [1, "x"], [[1], "x"], [["x"]], [{}], [True], [1.5], [[True]]])
def test_any_other_prompt_is_refused(prompt: Any) -> None:
    with pytest.raises(InvalidRequest, match="'prompt' must be"):
        COMPLETIONS.check({"model": "m", "prompt": prompt})


def test_the_question_is_the_one_prompt() -> None:
    assert COMPLETIONS.question({"prompt": "Ann?"}) == Question(("prompt",), "Ann?")
    assert COMPLETIONS.question({"prompt": ["Ann?"]}) == Question(("prompt", 0), "Ann?")
    for prompt in (["Ann?", "Bob?"], [1], [[1]], "", [], None):
        assert COMPLETIONS.question({"prompt": prompt}) is None


def test_every_prompt_has_its_choices() -> None:
    assert COMPLETIONS.choices({"prompt": ["a", "b"], "n": 2, "best_of": 3}) == 6
    assert COMPLETIONS.choices({"prompt": [1, 2, 3]}) == 1
    assert COMPLETIONS.choices({"prompt": [[1], [2]]}) == 2
    assert COMPLETIONS.max_output_tokens({"max_tokens": 9}) == 9


def test_usage_and_finish_reason() -> None:
    assert COMPLETIONS.usage(COMPLETIONS_ANSWER) == Usage(5, 7)
    assert COMPLETIONS.finish_reason(COMPLETIONS_ANSWER) == "length"
    assert not COMPLETIONS.is_complete(COMPLETIONS_ANSWER)
    assert COMPLETIONS.is_complete({**COMPLETIONS_ANSWER, "choices": COMPLETIONS_ANSWER["choices"][:1]})


def test_pieces_have_a_channel_a_choice_that_its_finish_closes() -> None:
    payload: Json = {"choices": [{"index": 1, "text": "a", "finish_reason": "stop"}, {"index": 0, "text": ""}]}
    (text,) = COMPLETIONS.event_texts(payload)
    assert (text.value, text.channel, text.path) == ("a", ("text", 1), ("choices", 0, "text"))
    assert COMPLETIONS.closes(payload, {("text", 0): "", ("text", 1): ""}) == [("text", 1)]
    assert COMPLETIONS.event_texts(COMPLETIONS.delta(payload, ("text", 1), "more"))[0].value == "more"


def test_chunks_and_answers_are_valid_to_the_official_client() -> None:
    Completion.model_validate(COMPLETIONS_ANSWER)
    for event in COMPLETIONS.stream(COMPLETIONS_ANSWER):
        chunk = event.json()
        if chunk is not None:
            # The client's type knows no null here, though OpenAI itself sends it in every chunk but the last.
            choices = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
            Completion.model_validate({**chunk, "choices": choices})


async def test_the_official_client_reads_our_stream(replay: Replay) -> None:
    url = await replay(COMPLETIONS.stream(COMPLETIONS_ANSWER))
    texts = ["", ""]
    usage = None
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        async for chunk in await client.completions.create(model="m", prompt="x", stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.text
            usage = chunk.usage or usage
    assert texts == [choice["text"] for choice in COMPLETIONS_ANSWER["choices"]]
    assert usage is not None
    assert usage.to_dict() == COMPLETIONS_ANSWER["usage"]


def test_long_prompts_of_token_ids_are_checked_fast_enough_to_be_checked_at_all() -> None:
    """Types are collected, not looked at one by one; the wrong one is found wherever it is."""
    ids: list[Any] = list(range(200_000))
    COMPLETIONS.check({"model": "m", "prompt": ids})
    with pytest.raises(InvalidRequest):
        COMPLETIONS.check({"model": "m", "prompt": [*ids, "x"]})


def test_a_stream_without_done_gives_no_answer() -> None:
    assembler = COMPLETIONS.assembler()
    assembler.feed(Event.of({"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}))
    assert assembler.answer() is None
