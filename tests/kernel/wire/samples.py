"""Requests, answers and streams as providers really send them, and strategies that make more of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from helix.kernel.sse import Decoder, Event

Json = dict[str, Any]

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
json_objects = st.dictionaries(st.text(), json_values, max_size=3)
arguments = json_objects.map(lambda value: json.dumps(value, ensure_ascii=False))


def events(text: str) -> list[Event]:
    """The events of a stream written down."""
    decoder = Decoder()
    return decoder.feed(text.encode()) + decoder.flush()


# Chat completions

CHAT_REQUEST: Json = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "A tool would help.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "Ann"}'}},
                {"id": "call_2", "type": "custom", "custom": {"name": "run", "input": "print(1)"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "1"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "old", "arguments": '{"x": 1}'}},
        {"role": "function", "name": "old", "content": "done"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I would rather not."}]},
        {"role": "user", "content": "And now?"},
    ],
    "prediction": {"type": "content", "content": "It is now"},
    "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {}}}],
    "temperature": 0.5,
    "max_completion_tokens": 100,
    "n": 2,
    "seed": 12345678901234567890123,
    "vendor_option": {"deep": [1, {"er": None}]},
}

CHAT_ANSWER: Json = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Ann's order is late,\n  I am afraid. 對不起",
                "refusal": None,
                "annotations": [],
                "reasoning_content": "She asks about the order.",
            },
            "logprobs": None,
            "finish_reason": "stop",
        },
        {
            "index": 1,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"who": "Ann B"}'}},
                    {"id": "c2", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        },
    ],
    "usage": {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "citations": ["https://example.org"],
}


def _logprobs(tokens: list[str]) -> list[Json]:
    return [{"token": t, "bytes": list(t.encode()), "logprob": -0.1, "top_logprobs": []} for t in tokens]


@st.composite
def chat_answers(draw: st.DrawFn) -> Json:
    """Chat completions of several choices: text, refusals, reasoning, calls of both ages, log-probabilities."""
    choices = []
    for index in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["text", "tools", "function", "refusal", "tokens"]))
        message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        choice: Json = {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"}
        if kind in ("text", "tools") and draw(st.booleans()):
            message[draw(st.sampled_from(["reasoning_content", "reasoning"]))] = draw(words)
        if kind == "text":
            message["content"] = draw(words)
            choice["finish_reason"] = draw(st.sampled_from(["stop", "length", "content_filter"]))
        elif kind == "tools":
            message["content"] = draw(st.none() | words)
            message["tool_calls"] = [
                {"id": f"call_{i}", "type": "function", "function": {"name": "f", "arguments": draw(arguments)}}
                for i in range(draw(st.integers(1, 3)))
            ]
            choice["finish_reason"] = "tool_calls"
        elif kind == "function":
            message["function_call"] = {"name": "f", "arguments": draw(arguments)}
            choice["finish_reason"] = "function_call"
        elif kind == "refusal":
            message["refusal"] = draw(words)
        else:
            tokens = draw(st.lists(words, min_size=1, max_size=5))
            message["content"] = "".join(tokens) if draw(st.booleans()) else "other tokens than these"
            choice["logprobs"] = {"content": _logprobs(tokens), "refusal": None}
        if draw(st.booleans()):
            message["x_" + draw(st.text(max_size=5))] = draw(json_objects)
        choices.append(choice)
    answer = {**CHAT_ANSWER, "choices": choices, "x_vendor": draw(json_values.filter(lambda value: value is not None))}
    if draw(st.booleans()):
        del answer["usage"]
    return answer


# Completions

COMPLETIONS_REQUEST: Json = {
    "model": "gpt-3.5-turbo-instruct",
    "prompt": ["Say Ann", "Say Bob"],
    "suffix": "the end",
    "max_tokens": 10,
    "logit_bias": {"50256": -100},
}

COMPLETIONS_ANSWER: Json = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1764000000,
    "model": "gpt-3.5-turbo-instruct",
    "choices": [
        {
            "index": 0,
            "text": "\n\nAnn is here.",
            "logprobs": {"tokens": ["\n\n", "Ann"], "token_logprobs": [-1.0, -0.5], "text_offset": [0, 2]},
            "finish_reason": "stop",
        },
        {"index": 1, "text": "Bob is not", "logprobs": None, "finish_reason": "length"},
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}


@st.composite
def completions_answers(draw: st.DrawFn) -> Json:
    """Completions of several choices."""
    choices = [
        {
            "index": index,
            "text": draw(words | st.just("")),
            "logprobs": draw(
                st.none() | st.just({"tokens": ["a", "b"], "top_logprobs": [{"a": -1.0}, {"index": -0.5}]})
            ),
            "finish_reason": draw(st.sampled_from(["stop", "length"])),
        }
        for index in range(draw(st.integers(1, 3)))
    ]
    return {**COMPLETIONS_ANSWER, "choices": choices, "x_vendor": draw(json_objects)}


# Embeddings

EMBEDDINGS_REQUEST: Json = {"model": "text-embedding-3-small", "input": ["Ann", "Bob"], "encoding_format": "float"}

EMBEDDINGS_ANSWER: Json = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}

# Responses

RESPONSES_REQUEST: Json = {
    "model": "gpt-5",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "Answer in English."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Who is Ann?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
                {"type": "input_file", "file_id": "file-1"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look her up."}]},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"who": "Ann"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "a friend of Bob"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "of Carol"}]},
        {"type": "shell_call_output", "call_id": "c3", "output": [{"stdout": "Dan", "stderr": "Eve", "outcome": {}}]},
        {"type": "computer_call", "call_id": "c4", "action": {"type": "type", "text": "Fay"}},
        {"type": "custom_tool_call", "call_id": "c5", "name": "run", "input": "Gus"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Ann.", "annotations": []}],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "And who is she?"}]},
    ],
    "prompt": {"id": "pmpt_1", "variables": {"who": "Hal", "what": {"type": "input_text", "text": "Ida"}}},
    "tools": [{"type": "function", "name": "find", "parameters": {}}],
    "max_output_tokens": 200,
    "vendor_option": True,
}

RESPONSES_ANSWER: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1764000000,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": "Be brief.",
    "max_output_tokens": None,
    "model": "gpt-5-2025-08-07",
    "output": [
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "She asks\nabout Ann."}],
            "content": [{"type": "reasoning_text", "text": "Let me think."}],
        },
        {
            "id": "msg_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "Ann is a friend.",
                    "annotations": [
                        {
                            "type": "url_citation",
                            "start_index": 0,
                            "end_index": 3,
                            "url": "https://example.org",
                            "title": "Ann",
                        }
                    ],
                    "logprobs": [],
                }
            ],
        },
        {
            "id": "fc_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "c1",
            "name": "find",
            "arguments": '{"who": "Ann"}',
        },
    ],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": "low", "summary": None},
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": {
        "input_tokens": 36,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
        "output_tokens": 87,
        "output_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": 123,
    },
    "user": None,
    "metadata": {},
}


@st.composite
def responses_answers(draw: st.DrawFn) -> Json:
    """Responses of several items: reasoning, messages of several parts, calls of every kind that streams."""
    items: list[Json] = []
    for index in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "mcp_call", "other"]))
        item: Json = {"id": f"it_{index}", "type": kind}
        if kind == "message":
            refusal = st.builds(lambda text: {"type": "refusal", "refusal": text}, words)
            text = st.builds(
                lambda text: {"type": "output_text", "text": text, "annotations": [], "logprobs": []}, words
            )
            item |= {"role": "assistant", "status": "completed", "content": draw(st.lists(text | refusal, min_size=1))}
        elif kind == "reasoning":
            item["summary"] = [{"type": "summary_text", "text": draw(words)} for _ in range(draw(st.integers(0, 2)))]
        elif kind == "function_call":
            item |= {"call_id": "c", "name": "f", "arguments": draw(arguments), "status": "completed"}
        elif kind == "custom_tool_call":
            item |= {"call_id": "c", "name": "f", "input": draw(words)}
        elif kind == "mcp_call":
            item |= {"server_label": "s", "name": "f", "arguments": draw(arguments), "output": draw(words)}
        else:
            item |= {
                "type": "web_search_call",
                "status": "completed",
                "action": {"type": "search", "query": draw(words)},
            }
        items.append(item)
    cut = draw(st.booleans())
    status = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}} if cut else {}
    return {**RESPONSES_ANSWER, **status, "output": items, "x_vendor": draw(json_objects)}


# Messages

MESSAGES_REQUEST: Json = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {
                    "type": "document",
                    "title": "Letters",
                    "context": "Of 1999",
                    "source": {"type": "text", "media_type": "text/plain", "data": "Dear Ann"},
                    "citations": {"enabled": True},
                },
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Dear Bob"}]}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
                {
                    "type": "search_result",
                    "title": "Carol",
                    "source": "x",
                    "content": [{"type": "text", "text": "Dan"}],
                },
                {"type": "text", "text": "Who wrote?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Look it up.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "ZW5j"},
                {
                    "type": "text",
                    "text": "Ann did.",
                    "citations": [{"type": "char_location", "cited_text": "Dear Ann", "document_title": "Letters"}],
                },
                {
                    "type": "tool_use",
                    "id": "t1",
                    "name": "find",
                    "input": {"who": {"first": "Ann"}, "n": [1, "Eve", ""]},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "Fay", "is_error": False},
                {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "Gus"}]},
            ],
        },
        {"role": "assistant", "content": "Fay is."},
        {"role": "user", "content": "Who is Fay?"},
    ],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "metadata": {"user_id": "u"},
    "vendor_option": [1],
}

MESSAGES_ANSWER: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [
        {"type": "thinking", "thinking": "She asks about Fay.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {
            "type": "text",
            "text": "Fay is a friend of Ann.",
            "citations": [
                {
                    "type": "char_location",
                    "cited_text": "Fay and Ann",
                    "document_index": 0,
                    "document_title": "Letters",
                    "start_char_index": 0,
                    "end_char_index": 11,
                    "file_id": None,
                }
            ],
        },
        {"type": "text", "text": "Let me see.", "citations": None},
        {"type": "tool_use", "id": "t1", "name": "find", "input": {"who": {"first": "Fay Ray"}, "n": [1, 2.5, None]}},
        {"type": "tool_use", "id": "t2", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 20,
        "output_tokens": 42,
        "service_tier": "standard",
    },
}


@st.composite
def messages_answers(draw: st.DrawFn) -> Json:
    """Messages of several blocks, ended in every way."""
    text = st.builds(lambda text: {"type": "text", "text": text, "citations": None}, words)
    thinking = st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "c2ln"}, words)
    tool = st.builds(lambda given: {"type": "tool_use", "id": "t", "name": "f", "input": given}, json_objects)
    hidden = st.just({"type": "redacted_thinking", "data": "ZW5j"})
    stop = draw(st.sampled_from(["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]))
    return {
        **MESSAGES_ANSWER,
        "content": draw(st.lists(text | thinking | tool | hidden, max_size=4)),
        "stop_reason": stop,
        "stop_sequence": "END" if stop == "stop_sequence" else None,
        "x_vendor": draw(json_objects),
    }
