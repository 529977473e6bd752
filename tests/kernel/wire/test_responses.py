from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from helix.kernel.errors import InvalidRequest, UpstreamGarbled, UpstreamTimeout
from helix.kernel.sse import Event
from helix.kernel.types import Usage
from helix.kernel.wire import RESPONSES, Channel, Question

from .conftest import Replay
from .samples import RESPONSES_ANSWER, RESPONSES_REQUEST, Json


def event(kind: str, **fields: Any) -> Json:
    return {"type": f"response.{kind}", "sequence_number": 3, "output_index": 0, "item_id": "i", **fields}


def assemble(stream: list[Event]) -> Json | None:
    assembler = RESPONSES.assembler()
    for item in stream:
        assembler.feed(item)
    return assembler.answer()


def test_texts_of_a_request_in_order_with_their_roles() -> None:
    """Instructions, variables, items of every kind; images, files and ids are not among them."""
    assert [(text.value, text.role, text.form) for text in RESPONSES.texts(RESPONSES_REQUEST)] == [
        ("Be brief.", "system", "text"),
        ("Hal", "user", "text"),
        ("Ida", "user", "text"),
        ("Answer in English.", "developer", "text"),
        ("Who is Ann?", "user", "text"),
        ("Look her up.", "assistant", "text"),
        ('{"who": "Ann"}', "assistant", "json"),
        ("a friend of Bob", "tool", "text"),
        ("of Carol", "tool", "text"),
        ("Dan", "tool", "text"),
        ("Eve", "tool", "text"),
        ("Fay", "assistant", "text"),
        ("Gus", "assistant", "text"),
        ("Ann.", "assistant", "text"),
        ("And who is she?", "user", "text"),
    ]
    assert [text.value for text in RESPONSES.texts({"model": "m", "input": "Ann?"})] == ["Ann?"]


@pytest.mark.parametrize(
    ("item", "texts"),
    [
        ({"type": "web_search_call", "action": {"type": "search", "query": "Ann", "queries": ["Bob"]}}, ["Ann", "Bob"]),
        (
            {"type": "file_search_call", "queries": ["Ann"], "results": [{"text": "Bob", "file_id": "f"}]},
            ["Ann", "Bob"],
        ),
        (
            {"type": "code_interpreter_call", "code": "Ann", "outputs": [{"type": "logs", "logs": "Bob"}]},
            ["Ann", "Bob"],
        ),
        ({"type": "mcp_call", "arguments": "{}", "output": "Ann", "name": "f"}, ["{}", "Ann"]),
        ({"type": "mcp_approval_response", "approve": True, "reason": "Ann"}, ["Ann"]),
        ({"type": "shell_call", "action": {"commands": ["Ann", "Bob"]}}, ["Ann", "Bob"]),
        ({"type": "apply_patch_call", "operation": {"type": "update_file", "path": "p", "diff": "Ann"}}, ["p", "Ann"]),
        ({"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "data:"}}, []),
        ({"type": "image_generation_call", "result": "AAAA"}, []),
        ({"type": "reasoning", "encrypted_content": "AAAA", "summary": []}, []),
        ({"type": "item_reference", "id": "Ann"}, []),
    ],
)
def test_texts_of_tools_items(item: Json, texts: list[str]) -> None:
    request = {"model": "m", "input": [item]}
    RESPONSES.check(request)
    assert [text.value for text in RESPONSES.texts(request)] == texts


def test_the_question_is_the_input_or_its_last_users_text() -> None:
    assert RESPONSES.question({"input": "Ann?"}) == Question(("input",), "Ann?")
    item: Json = {"role": "user", "content": "Ann?"}
    assert RESPONSES.question({"input": [{}, item]}) == Question(("input", 1, "content"), "Ann?")
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Ann?"}]}
    assert RESPONSES.question({"input": [item]}) == Question(("input", 0, "content", 0, "text"), "Ann?")


@pytest.mark.parametrize(
    "request_",
    [
        {"input": "Ann?", "previous_response_id": "resp_1"},
        {"input": "Ann?", "conversation": "conv_1"},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        {"input": [{"role": "assistant", "content": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image"}, {"type": "input_text", "text": "x"}]}]},
        {"input": []},
        {"input": " "},
        {},
    ],
)
def test_no_question_where_the_request_does_not_show_all_of_it(request_: Json) -> None:
    assert RESPONSES.question(request_) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": 5}, "'input' must be a string or an array"),
        ({"input": ["x"]}, "'input[0]' must be an object"),
        ({"input": [{"content": ["x"]}]}, "'input[0].content[0]' must be an object"),
        ({"input": [{"arguments": {}}]}, "'input[0].arguments' must be a string"),
        ({"instructions": []}, "'instructions' must be a string"),
        ({"max_output_tokens": 0}, "'max_output_tokens' must be at least 1"),
        ({"stream": "true"}, "'stream' must be a boolean"),
        ({"tools": [1]}, "'tools[0]' must be an object"),
        ({"top_p": []}, "'top_p' must be a number"),
    ],
)
def test_wrong_types_are_refused_by_place(change: Json, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        RESPONSES.check({**RESPONSES_REQUEST, **change})
    assert str(caught.value) == message


def test_usage_with_cached_and_reasoning_tokens() -> None:
    assert RESPONSES.usage(RESPONSES_ANSWER) == Usage(36, 87, cached_input_tokens=5, reasoning_tokens=10)
    assert RESPONSES.usage({"usage": None}) is None


@pytest.mark.parametrize(
    ("change", "reason", "complete"),
    [
        ({"output": RESPONSES_ANSWER["output"][:2]}, "completed", True),
        ({}, "completed", False),  # it calls a tool
        ({"output": []}, "completed", False),
        ({"status": "failed", "output": RESPONSES_ANSWER["output"][:2]}, "failed", False),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter", False),
        ({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]}, "completed", False),
    ],
)
def test_an_answer_in_words_that_completed_is_complete(change: Json, reason: str, complete: bool) -> None:
    answer = {**RESPONSES_ANSWER, **change}
    assert RESPONSES.is_complete(answer) is complete
    assert RESPONSES.finish_reason(answer) == reason


@pytest.mark.parametrize(
    ("kind", "place", "channel", "form"),
    [
        ("output_text", {"content_index": 2}, ("output_text", 0, 2), "text"),
        ("refusal", {"content_index": 0}, ("refusal", 0, 0), "text"),
        ("reasoning_text", {"content_index": 1}, ("reasoning_text", 0, 1), "text"),
        ("reasoning_summary_text", {"summary_index": 1}, ("reasoning_summary_text", 0, 1), "text"),
        ("function_call_arguments", {}, ("function_call_arguments", 0), "json"),
        ("mcp_call_arguments", {}, ("mcp_call_arguments", 0), "json"),
        ("custom_tool_call_input", {}, ("custom_tool_call_input", 0), "text"),
        ("code_interpreter_call_code", {}, ("code_interpreter_call_code", 0), "text"),
        ("audio.transcript", {}, ("audio.transcript", 0), "text"),
    ],
)
def test_a_delta_belongs_to_a_channel_that_its_done_event_closes(
    kind: str, place: Json, channel: Any, form: str
) -> None:
    """Before it repeats the whole text, which belongs to no channel."""
    payload = event(f"{kind}.delta", delta="x", **place)
    (text,) = RESPONSES.event_texts(payload)
    assert (text.value, text.channel, text.form) == ("x", channel, form)
    field = {"form": "arguments"}.get(form) or _DONE[kind]
    done = event(f"{kind}.done", **{field: "xyz"}, **place)
    assert RESPONSES.closes(done, {channel: "", ("output_text", 9, 9): ""}) == [channel]
    (whole,) = RESPONSES.event_texts(done)
    assert (whole.value, whole.channel, whole.form) == ("xyz", None, form)


_DONE = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_text": "text",
    "reasoning_summary_text": "text",
    "function_call_arguments": "arguments",
    "mcp_call_arguments": "arguments",
    "custom_tool_call_input": "input",
    "code_interpreter_call_code": "code",
    "audio.transcript": "transcript",
}


def test_an_items_end_and_the_responses_end_close_what_is_left() -> None:
    opened: dict[Channel, str] = {("output_text", 0, 0): "", ("refusal", 1, 0): ""}
    assert RESPONSES.closes(event("output_item.done", output_index=1, item={}), opened) == [("refusal", 1, 0)]
    assert RESPONSES.closes(event("completed", response={}), opened) == list(opened)
    assert RESPONSES.closes(event("output_item.added", item={}), opened) == []


def test_snapshots_hold_whole_texts() -> None:
    """In parts, items and the response, instructions too, which the answer repeats."""
    item = RESPONSES_ANSWER["output"][1]
    for payload in (
        event("content_part.done", part=item["content"][0]),
        event("output_item.done", item=item),
        event("completed", response={**RESPONSES_ANSWER, "instructions": None, "output": [item]}),
    ):
        texts = RESPONSES.event_texts(payload)
        assert [text.value for text in texts] == ["Ann is a friend.", "https://example.org", "Ann"]
        assert {text.channel for text in texts} == {None}
    created = event("created", response={**RESPONSES_ANSWER, "output": []})
    assert [(text.value, text.role) for text in RESPONSES.event_texts(created)] == [("Be brief.", "system")]


def test_audio_and_images_are_no_text() -> None:
    assert RESPONSES.event_texts(event("audio.delta", delta="AAAA")) == []
    assert RESPONSES.event_texts(event("image_generation_call.partial_image", partial_image_b64="AAAA")) == []


def test_an_event_put_in_has_no_padding_and_no_probabilities() -> None:
    template = event("output_text.delta", delta="x", content_index=0, logprobs=[{"token": "x"}], obfuscation="zz")
    made = RESPONSES.delta(template, ("output_text", 0, 0), "y")
    assert made == event("output_text.delta", delta="y", content_index=0, logprobs=[])


def test_a_streams_sequence_numbers_count_up_from_zero() -> None:
    numbers = [item.json()["sequence_number"] for item in RESPONSES.stream(RESPONSES_ANSWER)]
    assert numbers == list(range(len(numbers)))


def test_numbers_that_rise_are_left_alone() -> None:
    events = list(RESPONSES.stream(RESPONSES_ANSWER))
    same, last = RESPONSES.numbered(events, -1)
    assert same is events
    assert last == len(events) - 1
    moved, last = RESPONSES.numbered(events[:2], 10)
    assert [item.json()["sequence_number"] for item in moved] == [11, 12]
    assert (last, moved[0].name) == (12, "response.created")


def test_a_final_response_without_output_is_filled_from_the_items() -> None:
    """Some servers leave it empty."""
    stream = list(RESPONSES.stream(RESPONSES_ANSWER))
    end = Event.of({"type": "response.completed", "response": {**RESPONSES_ANSWER, "output": []}})
    assert assemble([*stream[:-1], end]) == RESPONSES_ANSWER


def test_an_incomplete_response_ends_its_stream_properly() -> None:
    answer = {**RESPONSES_ANSWER, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    stream = list(RESPONSES.stream(answer))
    assert stream[-1].name == "response.incomplete"
    assert RESPONSES.is_end(stream[-1])
    assert RESPONSES.event_finish_reason(stream[-1].json()) == "max_output_tokens"


def test_a_failed_response_is_an_error_and_no_answer() -> None:
    failed = Event.of({"type": "response.failed", "response": {**RESPONSES_ANSWER, "status": "failed"}})
    assert RESPONSES.is_error(failed)
    assert assemble([failed]) is None


@pytest.mark.parametrize("payload", [["x"], "x", {"type": "response.completed", "response": None}])
def test_what_is_not_of_the_dialect_is_garbled(payload: Any) -> None:
    with pytest.raises(UpstreamGarbled):
        assemble([Event.of(payload)])


# The official client


def test_events_and_answers_are_valid_to_the_official_client() -> None:
    Response.model_validate(RESPONSES_ANSWER)
    accept: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    (error,) = RESPONSES.error_events(UpstreamTimeout("the provider did not answer"))
    for item in [*RESPONSES.stream(RESPONSES_ANSWER), error]:
        found = accept.validate_python(item.json())
        assert found.type == item.name


async def test_the_official_client_rebuilds_the_answer(replay: Replay) -> None:
    """Its accumulator, fed by our stream over a real connection, ends with the answer we began with."""
    url = await replay(RESPONSES.stream(RESPONSES_ANSWER))
    grown: dict[str, str] = {}
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    async with client, client.responses.stream(model="m", input="x") as stream:
        async for item in stream:
            if item.type in ("response.output_text.delta", "response.function_call_arguments.delta"):
                grown[item.item_id] = item.snapshot
        rebuilt = (await stream.get_final_response()).to_dict()
    assert grown == {"msg_1": "Ann is a friend.", "fc_1": '{"who": "Ann"}'}
    assert rebuilt["usage"] == RESPONSES_ANSWER["usage"]
    for made, given in zip(rebuilt["output"], RESPONSES_ANSWER["output"], strict=True):  # type: ignore[call-overload]
        assert {key: made[key] for key in given if key != "content"} == {
            key: given[key] for key in given if key != "content"
        }


async def test_the_official_client_sees_our_error_event(replay: Replay) -> None:
    error = RESPONSES.error_events(UpstreamTimeout("the provider did not answer"))
    url = await replay([*list(RESPONSES.stream(RESPONSES_ANSWER))[:6], *error])
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        stream = await client.responses.create(model="m", input="x", stream=True)
        last = [item async for item in stream][-1]
    assert last.type == "error"
    assert last.message == "the provider did not answer"
