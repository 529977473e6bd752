"""The tokenizers that are known, and what they make of a worst case."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix.budget.estimate import TEMPLATE_TOKENS, worst_case
from helix.budget.tokens import MOST_BYTES, MOST_CHARACTERS, Encoding, encodings_of, load

from .test_estimate import chat, exchange

tiktoken = pytest.importorskip("tiktoken")


@pytest.fixture(scope="module")
def o200k() -> Encoding:
    found = load("o200k_base")
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_a_text_has_as_many_tokens_as_tiktoken_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same vocabulary, read from where LiteLLM keeps it."""
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"))
    theirs, ours = tiktoken.get_encoding(name), load(name)
    assert ours is not None
    for text in (
        "",
        "Hello, world",
        "你好 привет 😀",
        "x = {'a': [1, 2, 3456]}\n\n\tend",
        "I'LL we've  \r\n",
        "<|endoftext|>",
    ):
        assert ours(text) == len(theirs.encode_ordinary(text))


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["gpt-4o"], ("o200k_base",)),
        (["openai/gpt-4.1", "azure/gpt-4o"], ("o200k_base",)),
        (["openai/gpt-5", "gpt-4"], ("o200k_base", "cl100k_base")),
        (["ft:gpt-4o-2024-08-06:my-org::id"], ("o200k_base",)),
        (["openai/text-embedding-3-small"], ("cl100k_base",)),
        (["openai/gpt-4o", "anthropic/claude-haiku-4-5"], ()),
        (["hosted_vllm/gpt-4o"], ()),
        (["azure/our-deployment"], ()),
        (["openai/nobody-knows"], ()),
        ([], ()),
    ],
)
def test_an_encoding_is_known_for_openais_models_alone(models: list[str], expected: tuple[str, ...]) -> None:
    """And for a name that may end at several, only if it is known for all."""
    assert encodings_of(models) == expected


def test_a_vocabulary_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not fetched from the network."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert load.__wrapped__("o200k_base") is None


@given(text=st.text(max_size=300))
def test_the_closer_bound_is_between_the_tokens_and_the_bytes(o200k: Encoding, text: str) -> None:
    """Whatever is written; the template comes on top."""
    text = text.encode("utf-8", "ignore").decode()
    one = exchange(chat(text))
    by_bytes, closer = worst_case(one, None, 10), worst_case(one, None, 10, [o200k])
    assert o200k(text) + TEMPLATE_TOKENS <= closer.input_tokens <= by_bytes.input_tokens
    assert closer.output_tokens == by_bytes.output_tokens


def test_prose_is_bounded_three_times_closer(o200k: Encoding) -> None:
    """A page of it."""
    text = "Documentation comments use three slashes and support Markdown notation for formatting the text. " * 40
    one = exchange(chat(text))
    assert worst_case(one, None, 10).input_tokens > 3 * worst_case(one, None, 10, [o200k]).input_tokens


def test_what_would_take_long_is_bounded_by_bytes(o200k: Encoding) -> None:
    """Texts that the tokenizer gives up on, requests of half a megabyte."""
    for text in (" " * (MOST_CHARACTERS + 1), "word " * (MOST_BYTES // 5)):
        one = exchange(chat(text))
        assert worst_case(one, None, 10, [o200k]) == worst_case(one, None, 10)


def test_content_that_is_not_in_the_request_stays_a_whole_context(o200k: Encoding) -> None:
    """However few tokens the texts have."""
    one = exchange(chat([{"type": "text", "text": "what is this? " * 50}, {"type": "file", "file": {"file_id": "f"}}]))
    assert worst_case(one, None, 10, [o200k]).input_tokens == worst_case(one, None, 10).input_tokens
