from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types import chat

from helix.kernel.errors import InvalidRequest, UpstreamTimeout
from helix.kernel.sse import Event
from helix.kernel.types import Usage
from helix.kernel.wire import CHAT, Question

from . import samples
from .conftest import Replay
from .samples import CHAT_ANSWER, CHAT_REQUEST, Json, events

# As gpt-4o sends it: role and null first, the call's name with its first piece, usage in a chunk of its own.
TOOL_STREAM = """\
data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"find","arguments":""}}],"refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x"}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"who\\""}}]},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":": \\"Ann\\"}"}}]},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"now","arguments":"{}"}}]},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}

data: [DONE]

"""  # noqa: E501


def chunk(delta: Json, *, index: int = 0, finish_reason: str | None = None) -> Json:
    return {"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def question(*messages: Json) -> Question | None:
    return CHAT.question({"model": "m", "messages": list(messages)})


def test_texts_of_a_request_in_order_with_their_roles() -> None:
    """Contents, authors' names, reasoning, calls and results; not tools' names, images, audio and files."""
    assert [(text.value, text.role, text.form) for text in CHAT.texts(CHAT_REQUEST)] == [
        ("Be brief.", "system", "text"),
        ("ann", "name", "name"),
        ("What is this?", "user", "text"),
        ("A tool would help.", "assistant", "text"),
        ('{"at": "Ann"}', "assistant", "json"),
        ("print(1)", "assistant", "text"),
        ("a cat", "tool", "text"),
        ("1", "tool", "text"),
        ('{"x": 1}', "assistant", "json"),
        ("done", "function", "text"),
        ("I would rather not.", "assistant", "text"),
        ("And now?", "user", "text"),
        ("It is now", "assistant", "text"),
    ]


def test_the_question_is_the_last_users_text() -> None:
    asked = {"role": "user", "content": "And now?"}
    assert question({"role": "user", "content": "Hi"}, asked) == Question(("messages", 1, "content"), "And now?")
    part = {"role": "user", "content": [{"type": "text", "text": "And now?"}]}
    assert question(part) == Question(("messages", 0, "content", 0, "text"), "And now?")


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": "x"},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
        {"role": "user", "content": " "},
        {"role": "user", "content": None},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]},
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]},
    ],
)
def test_no_question_where_something_stands_beside_it(last: Json) -> None:
    assert question(last) is None
    assert question() is None


def test_both_caps_on_output_tokens() -> None:
    assert CHAT.max_output_tokens({"max_tokens": 5}) == 5
    assert CHAT.max_output_tokens({"max_tokens": 5, "max_completion_tokens": 9}) == 9
    assert CHAT.max_output_tokens({}) is None
    assert CHAT.choices({"n": 3}) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": None}, "'messages' is required"),
        ({"messages": "hello"}, "'messages' must be an array"),
        ({"messages": ["hello"]}, "'messages[0]' must be an object"),
        ({"messages": [{"content": "x"}]}, "'messages[0].role' is required"),
        ({"messages": [{"role": 5}]}, "'messages[0].role' must be a string"),
        ({"messages": [{"role": "user", "content": 5}]}, "'messages[0].content' must be a string or an array"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "'messages[0].content[0]' must be an object"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "'messages[0].content[0].text' must be a string",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}]},
            "'messages[0].tool_calls[0].function.arguments' must be a string",
        ),
        ({"stream": "yes"}, "'stream' must be a boolean"),
        ({"stream_options": {"include_usage": 1}}, "'stream_options.include_usage' must be a boolean"),
        ({"max_tokens": 0}, "'max_tokens' must be at least 1"),
        ({"max_tokens": 1.5}, "'max_tokens' must be an integer"),
        ({"max_tokens": True}, "'max_tokens' must be an integer"),
        ({"max_completion_tokens": "9"}, "'max_completion_tokens' must be an integer"),
        ({"temperature": "hot"}, "'temperature' must be a number"),
        ({"temperature": True}, "'temperature' must be a number"),
        ({"n": 0}, "'n' must be at least 1"),
        ({"tools": {}}, "'tools' must be an array"),
        ({"tools": [None]}, "'tools[0]' must be an object"),
    ],
)
def test_wrong_types_are_refused_by_place(change: Json, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CHAT.check({**CHAT_REQUEST, **change})
    assert str(caught.value) == message
    assert caught.value.param is not None
    assert caught.value.param in message


@pytest.mark.parametrize("change", [{"temperature": 1}, {"max_tokens": None}, {"stream": None}, {"messages": []}])
def test_what_a_provider_may_accept_is_let_through(change: Json) -> None:
    CHAT.check({**CHAT_REQUEST, **change})


def test_usage_with_cached_and_reasoning_tokens() -> None:
    assert CHAT.usage(CHAT_ANSWER) == Usage(19, 10, cached_input_tokens=4, reasoning_tokens=3)
    assert CHAT.usage({}) is None


def test_asking_for_usage_keeps_other_stream_options() -> None:
    request = {"stream": True, "stream_options": {"include_obfuscation": False}}
    asked = CHAT.ask_usage(request)
    assert asked["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert (CHAT.asks_usage(request), CHAT.asks_usage(asked), CHAT.asks_usage({})) == (False, True, True)
    assert request["stream_options"] == {"include_obfuscation": False}


def test_a_chunk_of_usage_alone_is_known() -> None:
    """One that carries usage beside a choice is not such."""
    assert CHAT.is_usage_only({"choices": [], "usage": {"prompt_tokens": 1}})
    assert not CHAT.is_usage_only({"choices": [], "prompt_filter_results": []})
    assert not CHAT.is_usage_only({**chunk({"content": "x"}), "usage": {"prompt_tokens": 1}})


def test_usage_is_left_out_of_a_stream_that_did_not_ask() -> None:
    chunks = [event.json() for event in CHAT.stream(CHAT_ANSWER, include_usage=False)]
    assert not any(payload.get("usage") for payload in chunks if payload)


def test_finish_reason_is_the_first_that_is_not_stop() -> None:
    assert CHAT.finish_reason(CHAT_ANSWER) == "tool_calls"
    assert CHAT.finish_reason({"choices": [{"finish_reason": "stop"}]}) == "stop"
    assert CHAT.finish_reason({"choices": []}) is None


@pytest.mark.parametrize(
    ("message", "reason", "complete"),
    [
        ({"content": "yes"}, "stop", True),
        ({"content": "yes", "refusal": None, "tool_calls": []}, "stop", True),
        ({"content": "yes"}, "length", False),
        ({"content": "yes"}, "content_filter", False),
        ({"content": "yes"}, None, False),
        ({"content": ""}, "stop", False),
        ({"content": None, "refusal": "no"}, "stop", False),
        ({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls", False),
        ({"content": "x", "tool_calls": [{"id": "1"}]}, "stop", False),
        ({"content": "x", "audio": {"data": "AAAA"}}, "stop", False),
    ],
)
def test_an_answer_in_words_that_stopped_by_itself_is_complete(message: Json, reason: Any, complete: bool) -> None:
    good = {"message": {"content": "yes"}, "finish_reason": "stop"}
    answer = {"choices": [good, {"message": message, "finish_reason": reason}]}
    assert CHAT.is_complete(answer) is complete


def test_deltas_have_channels_of_their_choice_and_call() -> None:
    payload = {
        "choices": [
            {"index": 1, "delta": {"content": "a", "reasoning": "b", "reasoning_content": "c", "refusal": "d"}},
            {"index": 2, "delta": {"tool_calls": [{"index": 3, "function": {"arguments": "{"}}]}},
            {"index": 2, "delta": {"tool_calls": [{"index": 4, "custom": {"input": "e"}}], "content": None}},
            {"index": 0, "delta": {"function_call": {"arguments": "f"}, "audio": {"transcript": "g"}}},
        ]
    }
    texts = CHAT.event_texts(payload)
    assert {text.channel: text.value for text in texts} == {
        ("content", 1): "a",
        ("reasoning", 1): "b",
        ("reasoning_content", 1): "c",
        ("refusal", 1): "d",
        ("arguments", 2, 3): "{",
        ("input", 2, 4): "e",
        ("function_call", 0): "f",
        ("transcript", 0): "g",
    }
    assert {text.form for text in texts if text.channel in (("arguments", 2, 3), ("function_call", 0))} == {"json"}
    for text in texts:
        assert text.channel is not None
        again = CHAT.event_texts(CHAT.delta(payload, text.channel, "more"))
        assert [(t.channel, t.value) for t in again] == [(text.channel, "more")]


def test_a_finish_reason_closes_its_choices_channels_alone() -> None:
    """Also those with a text in the same chunk, which end with it."""
    opened = {("content", 0): "", ("reasoning", 0): "", ("content", 1): "", ("arguments", 0, 2): ""}
    closed = CHAT.closes(chunk({"content": "end"}, finish_reason="stop"), opened)
    assert set(closed) == {("content", 0), ("reasoning", 0), ("arguments", 0, 2)}
    assert CHAT.closes({"choices": [], "usage": {}}, opened) == []


def test_what_comes_next_closes_what_came_before() -> None:
    """Reasoning ends where content begins, content where a call begins, a call where the next begins."""
    opened = {("content", 0): "", ("reasoning", 0): "", ("arguments", 0, 0): "", ("content", 1): ""}
    assert CHAT.closes(chunk({"content": "x"}), opened) == [("reasoning", 0)]
    assert CHAT.closes(chunk({"content": "", "reasoning": "x"}), opened) == []
    begun = {"tool_calls": [{"index": 1, "id": "c", "function": {"name": "f", "arguments": ""}}]}
    assert set(CHAT.closes(chunk(begun), opened)) == {("content", 0), ("reasoning", 0), ("arguments", 0, 0)}
    more = {"tool_calls": [{"index": 1, "function": {"arguments": "x"}}]}
    assert ("arguments", 0, 0) not in CHAT.closes(chunk(more), opened)


def test_an_event_put_in_carries_no_usage_and_no_padding() -> None:
    template = {**chunk({"content": "x"}), "usage": {"prompt_tokens": 1}, "obfuscation": "zz", "model": "m"}
    made = CHAT.delta(template, ("content", 0), "y")
    assert made == {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "y"}, "finish_reason": None}],
    }


def assemble(stream: list[Event]) -> Json | None:
    assembler = CHAT.assembler()
    for event in stream:
        assembler.feed(event)
    return assembler.answer()


def test_a_real_stream_of_tool_calls_is_assembled() -> None:
    answer = assemble(events(TOOL_STREAM))
    assert answer is not None
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"who": "Ann"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    }
    assert answer["usage"]["total_tokens"] == 10
    assert "obfuscation" not in answer
    chat.ChatCompletion.model_validate(answer)


def test_interleaved_choices_and_calls_are_told_apart() -> None:
    def call(index: int, text: str, **more: Any) -> Json:
        return {"tool_calls": [{"index": index, "function": {"arguments": text}, **more}]}

    stream = [
        chunk({"content": "a"}, index=1),
        chunk(call(1, "{", id="two")),
        chunk(call(0, "[", id="one")),
        chunk({"content": "b"}, index=1, finish_reason="stop"),
        chunk(call(1, "}")),
        chunk(call(0, "]"), finish_reason="tool_calls"),
    ]
    answer = assemble([*(Event.of(payload) for payload in stream), Event(b"[DONE]")])
    assert answer is not None
    first, second = (choice["message"] for choice in answer["choices"])
    assert [(c["id"], c["function"]["arguments"]) for c in first["tool_calls"]] == [("one", "[]"), ("two", "{}")]
    assert second["content"] == "ab"


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    """As Gemini's OpenAI form sends them."""
    whole = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    stream = [chunk({"tool_calls": [{"id": id, **whole}]}, finish_reason="tool_calls") for id in ("a", "b")]
    answer = assemble([*(Event.of(payload) for payload in stream), Event(b"[DONE]")])
    assert answer is not None
    assert [call["id"] for call in answer["choices"][0]["message"]["tool_calls"]] == ["a", "b"]


def test_reasoning_details_grow_by_their_index() -> None:
    """As OpenRouter sends them."""
    pieces = [{"type": "reasoning.text", "index": 0, "text": text} for text in ("Let ", "me see")]
    stream = [chunk({"reasoning_details": [piece]}) for piece in pieces]
    stream.append(chunk({"content": "yes"}, finish_reason="stop"))
    answer = assemble([*(Event.of(payload) for payload in stream), Event(b"[DONE]")])
    assert answer is not None
    details = answer["choices"][0]["message"]["reasoning_details"]
    assert details == [{"type": "reasoning.text", "index": 0, "text": "Let me see"}]
    assert pieces[0]["text"] == "Let "  # events are not changed


def test_log_probabilities_come_with_their_tokens() -> None:
    entries: list[Json] = [
        {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []} for token in ("Hel", "lo")
    ]
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    answer = {**CHAT_ANSWER, "choices": [{**choice, "logprobs": {"content": entries, "refusal": None}}]}
    parts = [event.json()["choices"][0] for event in CHAT.stream(answer, include_usage=False) if event.json()]
    told = [(part["delta"].get("content"), part["logprobs"]["content"]) for part in parts if part.get("logprobs")]
    assert told[:2] == [("Hel", entries[:1]), ("lo", entries[1:])]


@pytest.mark.parametrize("missing", ["finish_reason", "done"])
def test_a_stream_without_its_end_gives_no_answer(missing: str) -> None:
    stream = [Event.of(chunk({"content": "x"}, finish_reason=None if missing == "finish_reason" else "stop"))]
    if missing != "done":
        stream.append(Event(b"[DONE]"))
    assert assemble(stream) is None


# The official client


def test_chunks_and_answers_are_valid_to_the_official_client() -> None:
    chat.ChatCompletion.model_validate(CHAT_ANSWER)
    for event in CHAT.stream(CHAT_ANSWER):
        if event.json() is not None:
            chat.ChatCompletionChunk.model_validate(event.json())


async def test_the_official_client_rebuilds_the_answer(replay: Replay) -> None:
    """Its accumulator, fed by our stream over a real connection, ends with the answer we began with."""
    for answer in (CHAT_ANSWER, assemble(events(TOOL_STREAM))):
        assert answer is not None
        url = await replay(CHAT.stream(answer))
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            asked: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
            async with client.chat.completions.stream(**asked) as stream:
                rebuilt = (await stream.get_final_completion()).to_dict()
        assert rebuilt["usage"] == answer["usage"]
        for made, given in zip(rebuilt["choices"], answer["choices"], strict=True):  # type: ignore[call-overload]
            assert made["finish_reason"] == given["finish_reason"]
            for field in ("content", "refusal", "reasoning_content"):
                assert made["message"].get(field) == given["message"].get(field)
            calls = [call["function"] for call in made["message"].get("tool_calls") or ()]
            assert [(call["name"], call["arguments"]) for call in calls] == [
                (call["function"]["name"], call["function"]["arguments"])
                for call in given["message"].get("tool_calls", ())
            ]


async def test_the_official_client_raises_for_our_error_event(replay: Replay) -> None:
    error = CHAT.error_events(UpstreamTimeout("the provider did not answer"))
    url = await replay([*list(CHAT.stream(samples.CHAT_ANSWER))[:4], *error])
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(**asked)
        with pytest.raises(openai.APIError, match="the provider did not answer"):
            async for _ in stream:
                pass
