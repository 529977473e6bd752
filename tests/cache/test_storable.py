from __future__ import annotations

from typing import Any

import pytest

from helix.cache import CacheMiddleware
from helix.cache.promise.learning import Promise
from helix.cache.redis import RedisCacheStore
from helix.cache.storable import Storable
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.wire import dialect_of

from .conftest import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Provider, answer_of, ask, chat

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


def choice(reason: str, **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "So", **message}
    return {"choices": [{"index": 0, "message": said, "finish_reason": reason}]}


TEXT = {"type": "text", "text": "So"}
PART = {"type": "output_text", "text": "So", "annotations": []}
MESSAGE = {"type": "message", "role": "assistant", "content": [PART]}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ENDINGS: list[tuple[str, dict[str, Any], str | None]] = [
    (CHAT, choice("stop"), None),
    (CHAT, choice("length"), "truncated"),
    (CHAT, choice("content_filter"), "refused"),
    (CHAT, choice("stop", content=None, refusal="I can't."), "refused"),
    (CHAT, choice("tool_calls", content=None, tool_calls=[CALL]), "tools"),
    (CHAT, choice("stop", tool_calls=[CALL]), "tools"),
    (CHAT, choice("function_call", content=None, function_call={"name": "f"}), "tools"),
    (CHAT, choice("stop", content=""), "incomplete"),
    (CHAT, choice("error"), "incomplete"),
    (CHAT, {"choices": []}, "incomplete"),
    (CHAT, {"error": {"message": "no"}}, "incomplete"),
    (CHAT, {**choice("stop"), "error": {"message": "no"}}, "incomplete"),
    (CHAT, {"choices": [*choice("stop")["choices"], *choice("length")["choices"]]}, "truncated"),
    (CHAT, {"choices": [*choice("length")["choices"], *choice("content_filter")["choices"]]}, "refused"),
    (COMPLETIONS, {"choices": [{"index": 0, "text": "So", "finish_reason": "stop"}]}, None),
    (COMPLETIONS, {"choices": [{"index": 0, "text": "So", "finish_reason": "length"}]}, "truncated"),
    (COMPLETIONS, {"choices": [{"index": 0, "text": "So", "finish_reason": "content_filter"}]}, "refused"),
    (MESSAGES, {"content": [TEXT], "stop_reason": "end_turn"}, None),
    (MESSAGES, {"content": [TEXT], "stop_reason": "stop_sequence", "stop_sequence": "x"}, None),
    (MESSAGES, {"content": [TEXT], "stop_reason": "max_tokens"}, "truncated"),
    (MESSAGES, {"content": [TEXT], "stop_reason": "model_context_window_exceeded"}, "truncated"),
    (MESSAGES, {"content": [TEXT], "stop_reason": "refusal"}, "refused"),
    (MESSAGES, {"content": [], "stop_reason": "refusal"}, "refused"),
    (MESSAGES, {"content": [TEXT, {"type": "tool_use", "input": {}}], "stop_reason": "tool_use"}, "tools"),
    (MESSAGES, {"content": [{"type": "server_tool_use"}, TEXT], "stop_reason": "end_turn"}, "tools"),
    (MESSAGES, {"content": [TEXT], "stop_reason": "pause_turn"}, "incomplete"),
    (RESPONSES, {"status": "completed", "output": [MESSAGE]}, None),
    (
        RESPONSES,
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [MESSAGE]},
        "truncated",
    ),
    (
        RESPONSES,
        {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": [MESSAGE]},
        "refused",
    ),
    (
        RESPONSES,
        {"status": "completed", "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No"}]}]},
        "refused",
    ),
    (RESPONSES, {"status": "completed", "output": [{"type": "function_call"}]}, "tools"),
    (RESPONSES, {"status": "completed", "output": [{"type": "web_search_call"}, MESSAGE]}, "tools"),
    (RESPONSES, {"status": "failed", "error": {"code": "x"}, "output": []}, "incomplete"),
    (RESPONSES, {"status": "in_progress", "output": [MESSAGE]}, "incomplete"),
]


@pytest.mark.parametrize(("path", "answer", "reason"), ENDINGS)
def test_only_complete_answers_are_kept(path: str, answer: dict[str, Any], reason: str | None) -> None:
    """What was refused, cut off, calls tools or did not end is not kept, unless it is chosen; what failed never is."""
    dialect = dialect_of("POST", path)
    assert dialect is not None
    assert Storable().why_not(dialect, answer) == reason
    everything = Storable(refused=True, truncated=True, tools=True)
    assert everything.why_not(dialect, answer) == (reason if reason == "incomplete" else None)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("path", "answer", "reason"), [case for case in ENDINGS if case[2] not in (None, "incomplete")]
)
async def test_the_reason_is_recorded(
    path: str, answer: dict[str, Any], reason: str, streams: bool, exact: CacheMiddleware, provider: Provider
) -> None:
    """Whole or streamed, what is not kept is on record with its reason, and the next to ask is answered afresh."""
    provider.answer = lambda path, number: {**answer_of(path, "So"), **answer}
    request = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": ASKED}], "input": ASKED}
    request |= {"prompt": ASKED, "stream": streams}
    for calls in (1, 2):
        reply = await ask(exact, path, request)
        assert (reply.cache, reply.record["unstored"], provider.calls) == ("miss", reason, calls)


async def test_what_is_kept_by_choice_answers_equal_requests_only(
    provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """A truncated answer that is kept is given to the same request, not to a near one."""
    provider.answer = lambda path, number: {**answer_of(path, "So"), **choice("length")}
    app = CacheMiddleware(
        provider,
        store=store,
        embedder=embedder,
        storable=Storable(truncated=True),
        semantic_timeout_seconds=60,
    )
    assert "unstored" not in (await ask(app, CHAT, chat(ASKED))).record
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "miss"
    assert (await ask(app, CHAT, chat(ASKED))).cache == "exact"
    await app.close()


async def test_what_takes_the_place_of_a_whole_answer_is_near_to_nothing(
    provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """A truncated answer that replaces a complete one is not given to near questions, as the complete one was."""
    app = CacheMiddleware(
        provider,
        store=store,
        embedder=embedder,
        promise=Promise(check_share=0.0),
        storable=Storable(truncated=True),
        semantic_timeout_seconds=60,
    )
    await ask(app, CHAT, chat(ASKED))
    await app.close()  # stored by now
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "semantic"
    provider.answer = lambda path, number: {**answer_of(path, "So"), **choice("length")}
    assert (await ask(app, CHAT, chat(ASKED), {"cache-control": "no-cache"})).cache == "refresh"
    await app.close()
    assert (await ask(app, CHAT, chat(ASKED))).cache == "exact"
    assert (await ask(app, CHAT, chat(AGAIN))).cache == "miss"
    await app.close()
