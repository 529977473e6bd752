from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from helix.kernel.errors import InvalidRequest, UpstreamGarbled, UpstreamTimeout
from helix.kernel.sse import Event
from helix.kernel.types import Usage
from helix.kernel.wire import COUNT_TOKENS, MESSAGES, Channel, Question

from .conftest import Replay
from .samples import MESSAGES_ANSWER, MESSAGES_REQUEST, Json, events

# As Claude sends it: a ping, an empty first piece of input, usage told in two places.
TOOL_STREAM = """\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":20,"output_tokens":1}}}

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Look "}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"it up."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"find","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"who\\": \\"A"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"nn\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"""  # noqa: E501


def assemble(stream: list[Event]) -> Json | None:
    assembler = MESSAGES.assembler()
    for event in stream:
        assembler.feed(event)
    return assembler.answer()


def question(*messages: Json) -> Question | None:
    return MESSAGES.question({"model": "m", "max_tokens": 1, "messages": list(messages)})


def test_texts_of_a_request_in_order_with_their_roles() -> None:
    """Blocks of every kind, inside results and documents too; images, ids and signatures are not among them."""
    assert [(text.value, text.role, text.form) for text in MESSAGES.texts(MESSAGES_REQUEST)] == [
        ("Be brief.", "system", "text"),
        ("Letters", "user", "text"),
        ("Of 1999", "user", "text"),
        ("Dear Ann", "user", "text"),
        ("Dear Bob", "user", "text"),
        ("Carol", "user", "text"),
        ("x", "user", "text"),
        ("Dan", "user", "text"),
        ("Who wrote?", "user", "text"),
        ("Look it up.", "assistant", "signed"),
        ("Ann did.", "assistant", "text"),
        ("Dear Ann", "assistant", "text"),
        ("Letters", "assistant", "text"),
        ('{"who":{"first":"Ann"},"n":[1,"Eve",""]}', "assistant", "object"),
        ("Fay", "user", "text"),
        ("Gus", "user", "text"),
        ("Fay is.", "assistant", "text"),
        ("Who is Fay?", "user", "text"),
    ]
    assert [text.value for text in MESSAGES.texts({"system": "S", "messages": []})] == ["S"]


def test_the_question_is_the_last_users_text() -> None:
    asked = {"role": "user", "content": "And now?"}
    assert question({"role": "user", "content": "Hi"}, asked) == Question(("messages", 1, "content"), "And now?")
    part = {"role": "user", "content": [{"type": "text", "text": "And now?", "cache_control": {"type": "ephemeral"}}]}
    assert question(part) == Question(("messages", 0, "content", 0, "text"), "And now?")


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image", "source": {}}]},
        {"role": "user", "content": "\n"},
        {"role": "user", "content": []},
    ],
)
def test_no_question_where_something_stands_beside_it(last: Json) -> None:
    assert question(last) is None
    assert question() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_tokens": None}, "'max_tokens' is required"),
        ({"max_tokens": 0}, "'max_tokens' must be at least 1"),
        ({"system": 5}, "'system' must be a string or an array"),
        ({"system": ["x"]}, "'system[0]' must be an object"),
        ({"messages": [{"role": "user"}]}, "'messages[0].content' is required"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "'messages[0].content[0].type' is required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": []}]}]},
            "'messages[0].content[0].text' must be a string",
        ),
        ({"stream": 1}, "'stream' must be a boolean"),
        ({"temperature": "x"}, "'temperature' must be a number"),
        ({"tools": "x"}, "'tools' must be an array"),
    ],
)
def test_wrong_types_are_refused_by_place(change: Json, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MESSAGES.check({**MESSAGES_REQUEST, **change})
    assert str(caught.value) == message


def test_cached_input_is_counted_into_the_input() -> None:
    assert MESSAGES.usage(MESSAGES_ANSWER) == Usage(33, 42, cached_input_tokens=20, cache_write_tokens=3)
    assert MESSAGES.usage({}) is None


def test_usage_is_told_in_two_places() -> None:
    """The end counts up what it names; what it does not name stays as the start told it."""
    usage = None
    for event in events(TOOL_STREAM):
        usage = MESSAGES.event_usage(event.json(), usage)
    assert usage == Usage(33, 15, cached_input_tokens=20, cache_write_tokens=3)
    end = {"type": "message_delta", "usage": {"output_tokens": 20, "input_tokens": 12, "cache_read_input_tokens": 0}}
    assert MESSAGES.event_usage(end, usage) == Usage(15, 20, cached_input_tokens=0, cache_write_tokens=3)


def test_a_real_stream_is_assembled() -> None:
    answer = assemble(events(TOOL_STREAM))
    assert answer is not None
    assert answer["content"] == [
        {"type": "thinking", "thinking": "Look it up.", "signature": "c2ln"},
        {"type": "tool_use", "id": "t1", "name": "find", "input": {"who": "Ann"}},
    ]
    assert (answer["stop_reason"], answer["usage"]["output_tokens"], answer["usage"]["input_tokens"]) == (
        "tool_use",
        15,
        10,
    )
    Message.model_validate(answer)


def test_a_ping_is_no_text_and_no_end() -> None:
    ping = {"type": "ping"}
    assert MESSAGES.event_texts(ping) == []
    assert MESSAGES.closes(ping, {("text", 0): ""}) == []
    assert not MESSAGES.is_end(Event.of(ping))


def test_channels_end_with_their_block() -> None:
    """Thinking ends before its signature; all ends before the message does."""
    opened: dict[Channel, str] = {("text", 0): "", ("thinking", 1): "", ("partial_json", 2): ""}
    stop = {"type": "content_block_stop", "index": 2}
    assert MESSAGES.closes(stop, opened) == [("partial_json", 2)]
    signature = {"type": "content_block_delta", "index": 1, "delta": {"type": "signature_delta", "signature": "x"}}
    assert MESSAGES.closes(signature, opened) == [("thinking", 1)]
    assert MESSAGES.closes({"type": "message_delta", "delta": {}}, opened) == list(opened)


def test_a_tool_input_is_a_json_channel() -> None:
    payload = {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a'}}
    (text,) = MESSAGES.event_texts(payload)
    assert (text.path, text.form, text.channel) == (("delta", "partial_json"), "json", ("partial_json", 2))


def test_a_text_that_comes_with_its_blocks_start_belongs_to_the_channel() -> None:
    payload = {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "Hi"}}
    (text,) = MESSAGES.event_texts(payload)
    assert (text.value, text.channel, text.path) == ("Hi", ("text", 1), ("content_block", "text"))


def test_a_citations_passage_is_a_whole_text() -> None:
    payload = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "citations_delta", "citation": {"cited_text": "Ann", "document_title": "Bob"}},
    }
    texts = MESSAGES.event_texts(payload)
    assert [(text.value, text.channel, text.path) for text in texts] == [
        ("Ann", None, ("delta", "citation", "cited_text")),
        ("Bob", None, ("delta", "citation", "document_title")),
    ]


@pytest.mark.parametrize(
    ("content", "reason", "complete"),
    [
        ([{"type": "text", "text": "yes"}], "end_turn", True),
        ([{"type": "text", "text": "yes"}], "stop_sequence", True),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}], "end_turn", True),
        ([{"type": "text", "text": "yes"}], "max_tokens", False),
        ([{"type": "text", "text": "no"}], "refusal", False),
        ([{"type": "text", "text": "x"}, {"type": "tool_use", "id": "t", "input": {}}], "tool_use", False),
        ([{"type": "thinking", "thinking": "hm"}], "end_turn", False),
        ([], "end_turn", False),
    ],
)
def test_an_answer_in_words_that_ended_by_itself_is_complete(content: Any, reason: str, complete: bool) -> None:
    assert MESSAGES.is_complete({"content": content, "stop_reason": reason}) is complete


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}},
        ["x"],
    ],
)
def test_a_piece_of_no_block_is_garbled(payload: Any) -> None:
    with pytest.raises(UpstreamGarbled):
        assemble([*events(TOOL_STREAM)[:3], Event.of(payload)])


def test_a_tool_input_that_is_not_json_is_garbled() -> None:
    stream = events(TOOL_STREAM)
    del stream[10]
    with pytest.raises(UpstreamGarbled, match="tool input"):
        assemble(stream)


def test_a_block_that_never_stops_gives_no_answer() -> None:
    stream = [event for event in events(TOOL_STREAM) if event.json() != {"type": "content_block_stop", "index": 1}]
    assert assemble(stream) is None


def test_long_integers_in_a_tool_input_survive_the_stream() -> None:
    content = [{"type": "tool_use", "id": "t", "name": "f", "input": {"n": 10**30, "x": [1.0, -(2**63)]}}]
    answer = {**MESSAGES_ANSWER, "content": content}
    assert assemble(list(MESSAGES.stream(answer))) == answer


def test_counting_tokens_needs_no_cap_and_has_no_question() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "Ann"}], "system": "Bob"}
    COUNT_TOKENS.check(request)
    assert [text.value for text in COUNT_TOKENS.texts(request)] == ["Bob", "Ann"]
    assert COUNT_TOKENS.question(request) is None
    assert COUNT_TOKENS.max_output_tokens(request) == 0
    assert COUNT_TOKENS.is_complete({"input_tokens": 14})
    assert COUNT_TOKENS.usage({"input_tokens": 14}) is None


# The official client


def test_events_and_answers_are_valid_to_the_official_client() -> None:
    Message.model_validate(MESSAGES_ANSWER)
    accept: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    for event in MESSAGES.stream(MESSAGES_ANSWER):
        accept.validate_python(event.json())
        assert event.name == event.json()["type"]


async def test_the_official_client_rebuilds_the_answer(replay: Replay) -> None:
    """Its accumulator, fed by our stream over a real connection, ends with the answer we began with."""
    asked: Any = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    for answer in (MESSAGES_ANSWER, assemble(events(TOOL_STREAM))):
        assert answer is not None
        url = await replay(MESSAGES.stream(answer))
        client = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0)
        async with client, client.messages.stream(**asked) as stream:
            rebuilt = (await stream.get_final_message()).to_dict()
        for key in ("content", "stop_reason", "usage", "id", "model"):
            assert _without_none(rebuilt[key]) == _without_none(answer[key])


async def test_the_official_client_raises_for_our_error_event(replay: Replay) -> None:
    error = MESSAGES.error_events(UpstreamTimeout("the provider did not answer"))
    url = await replay([*list(MESSAGES.stream(MESSAGES_ANSWER))[:6], *error])
    asked: Any = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        stream = await client.messages.create(**asked)
        with pytest.raises(anthropic.APIStatusError, match="the provider did not answer"):
            async for _ in stream:
                pass


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value
