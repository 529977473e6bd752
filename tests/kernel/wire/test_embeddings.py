from __future__ import annotations

from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from helix.kernel.errors import InvalidRequest
from helix.kernel.sse import Event
from helix.kernel.types import Usage
from helix.kernel.wire import EMBEDDINGS

from .samples import EMBEDDINGS_ANSWER, EMBEDDINGS_REQUEST, Json


@pytest.mark.parametrize(
    ("given", "texts"), [("Ann", ["Ann"]), (["Ann", "Bob"], ["Ann", "Bob"]), ([1, 2], []), ([[1], [2]], [])]
)
def test_an_input_is_a_text_texts_or_token_ids(given: Any, texts: list[str]) -> None:
    request = {"model": "m", "input": given}
    EMBEDDINGS.check(request)
    assert [text.value for text in EMBEDDINGS.texts(request)] == texts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": None}, "'input' is required"),
        ({"input": {}}, "'input' must be a string or an array"),
        ({"input": [1, "x"]}, "'input' must be a string, strings, token ids or lists of token ids"),
        ({"dimensions": 0}, "'dimensions' must be at least 1"),
    ],
)
def test_wrong_types_are_refused_by_place(change: Json, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        EMBEDDINGS.check({**EMBEDDINGS_REQUEST, **change})
    assert str(caught.value) == message


def test_nothing_is_generated_and_nothing_is_near() -> None:
    assert EMBEDDINGS.question(EMBEDDINGS_REQUEST) is None
    assert EMBEDDINGS.max_output_tokens(EMBEDDINGS_REQUEST) == 0
    assert EMBEDDINGS.answer_texts(EMBEDDINGS_ANSWER) == []
    assert EMBEDDINGS.usage(EMBEDDINGS_ANSWER) == Usage(input_tokens=2)


def test_an_answer_with_vectors_is_complete() -> None:
    CreateEmbeddingResponse.model_validate(EMBEDDINGS_ANSWER)
    assert EMBEDDINGS.is_complete(EMBEDDINGS_ANSWER)
    assert EMBEDDINGS.is_complete({"data": [{"embedding": "base64"}]})
    assert not EMBEDDINGS.is_complete({"data": []})
    assert not EMBEDDINGS.is_complete({"error": {}})


def test_there_is_no_stream() -> None:
    assert not EMBEDDINGS.streams
    assert list(EMBEDDINGS.stream(EMBEDDINGS_ANSWER)) == []
    assembler = EMBEDDINGS.assembler()
    assembler.feed(Event.of(EMBEDDINGS_ANSWER))
    assert assembler.answer() is None
