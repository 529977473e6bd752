"""Restoring in streams: any cut, every dialect, nothing else held back or changed."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helix.kernel.sse import DONE, Event, encode
from helix.kernel.wire import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Dialect
from helix.redact import RedactMiddleware
from helix.redact.restore import Restorer
from helix.redact.vault import Vault

from .apps import FixedDetector, Provider, Reply, call, chat

VALUE, OTHER = 'Ann "A" O\\B', "+1 202"
DETECTOR = FixedDetector(NAME=[VALUE], PHONE=[OTHER])
REQUEST = chat(f"{VALUE} {OTHER}", stream=True)


def _delta(**delta: Any) -> Event:
    finish = delta.pop("finish_reason", None)
    return Event.of({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _contents(reply: Reply) -> list[str]:
    payloads = [event.json() for event in reply.events() if event.data and b'"index"' in event.data]
    return [p["choices"][0]["delta"]["content"] for p in payloads if "content" in p["choices"][0]["delta"]]


async def _stream(
    events: list[Event] | list[bytes], request: Any = REQUEST, path: str = "/v1/chat/completions"
) -> Reply:
    pieces = [event.raw if isinstance(event, Event) else event for event in events]
    return await call(RedactMiddleware(Provider(lambda _: pieces), detector=DETECTOR), request, path)


async def test_a_placeholder_over_many_deltas() -> None:
    """Its first half waits, its last brings the value; everything else passes in its own event."""
    events = [_delta(content=piece) for piece in ("Hi ", "<", "NA", "ME_", "1", ">, call ", "<PHONE_1>.")]
    reply = await _stream([*events, _delta(finish_reason="stop"), DONE])
    assert _contents(reply) == ["Hi ", "", "", "", "", f"{VALUE}, call ", f"{OTHER}."]
    assert reply.headers["x-helix-redactions"] == "NAME=1,PHONE=1"
    assert reply.bodies[0] == events[0].raw


async def test_untouched_events_keep_their_bytes() -> None:
    """Odd spacing, comments, ids and unknown events among restored ones come out as they came in."""
    odd = [
        b": keep-alive\n\n",
        b'id: 7\r\ndata:  {"choices": [ ] , "x":1.10}\r\n\r\n',
        b"event: custom\ndata: not json <b>\n\n",
        b'data: {"choices":[{"index":0,"delta":{"content":"a \\u003c b \\\\ c"}}]}\n\n',
    ]
    reply = await _stream([odd[0], _delta(content="<NAME_1>").raw, *odd[1:], DONE.raw])
    assert reply.bodies[0] == odd[0]
    assert reply.bodies[2:6] == [*odd[1:], DONE.raw]
    assert _contents(reply)[0] == VALUE


async def test_an_end_lets_go_of_what_waits() -> None:
    """What looked like a placeholder when the text ended is said before the end, in the channel's own form."""
    reply = await _stream([_delta(content="see <NAME_"), _delta(finish_reason="stop"), DONE])
    assert _contents(reply) == ["see ", "<NAME_"]
    assert [event.data for event in reply.events()][-1] == b"[DONE]"
    assert reply.events()[-2].json()["choices"][0]["finish_reason"] == "stop"


async def test_an_end_with_text_lets_go_in_the_same_event() -> None:
    """A last piece that comes with the finish reason is whole in that event."""
    reply = await _stream([_delta(content="a <NA"), _delta(content="ME_1", finish_reason="stop"), DONE])
    assert _contents(reply) == ["a ", "<NAME_1"]
    assert len(reply.events()) == 3


@pytest.mark.parametrize("end", [[DONE], []], ids=["DONE", "cut off"])
async def test_a_stream_without_finish_loses_nothing(end: list[Event]) -> None:
    """Half a placeholder is said even where the provider forgets to finish, or stops."""
    reply = await _stream([_delta(content="a <NA"), *end])
    assert "".join(_contents(reply)) == "a <NA"


@pytest.mark.parametrize(
    "error",
    [
        Event.of({"error": {"message": "overloaded", "type": "server_error"}}),
        Event(b"overloaded", "error"),
        Event.of({"error": {"message": "overloaded"}}, "error"),
    ],
    ids=["object", "words", "named"],
)
async def test_what_waits_is_said_before_an_error(error: Event) -> None:
    """After an error event nobody listens any more."""
    reply = await _stream([_delta(content="a <NA"), error])
    assert _contents(reply) == ["a ", "<NA"]
    assert reply.events()[-1].data == error.data


async def test_channels_do_not_mix() -> None:
    """Two choices and reasoning are streams of their own."""

    def part(index: int, **delta: str) -> Event:
        return Event.of({"choices": [{"index": index, "delta": delta}]})

    events = [
        part(0, content="<NA"),
        part(1, content="<PHONE"),
        part(0, reasoning_content="<NAME_1> and <"),
        part(1, content="_1> b"),
        part(0, reasoning_content="PHONE_1>"),
        part(0, content="ME_1> a"),
    ]
    reply = await _stream([*events, DONE])
    texts: dict[tuple[int, str], str] = {}
    for event in reply.events()[:-1]:
        choice = event.json()["choices"][0]
        for field, piece in choice["delta"].items():
            key = choice["index"], field
            texts[key] = texts.get(key, "") + piece
    assert texts == {
        (0, "content"): f"{VALUE} a",
        (1, "content"): f"{OTHER} b",
        (0, "reasoning_content"): f"{VALUE} and {OTHER}",
    }


async def test_arguments_are_restored_as_json() -> None:
    """Tool-call arguments that come in pieces stay valid JSON with the value in it."""
    pieces = ['{"to": "', "\\u003c", "NAME", '_1>", "n": "<PHO', 'NE_1\\u003E"}']
    events = [_delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in pieces]
    reply = await _stream([*events, _delta(finish_reason="tool_calls"), DONE])
    calls = [event.json()["choices"][0]["delta"].get("tool_calls") for event in reply.events()[:-1]]
    arguments = "".join(call[0]["function"]["arguments"] for call in calls if call)
    assert json.loads(arguments) == {"to": VALUE, "n": OTHER}


ANSWER_TEXT = "Dear <NAME_1>, ring <PHONE_1> or <PHONE_9>; a <b> c"
RESTORED_TEXT = f"Dear {VALUE}, ring {OTHER} or <PHONE_9>; a <b> c"
ARGUMENTS = '{"who": "<NAME_1>"}'

ANSWERS: dict[str, tuple[Dialect, Any, Any]] = {
    "chat": (
        CHAT,
        REQUEST,
        {
            "id": "c",
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "reasoning_content": ANSWER_TEXT,
                        "content": ANSWER_TEXT,
                        "tool_calls": [
                            {"id": "t", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}
                        ],
                    },
                    "finish_reason": "tool_calls",
                }
            ],
        },
    ),
    "completions": (
        COMPLETIONS,
        {"model": "m", "prompt": f"{VALUE} {OTHER}", "stream": True},
        {
            "id": "c",
            "object": "text_completion",
            "choices": [{"index": 0, "text": ANSWER_TEXT, "logprobs": None, "finish_reason": "stop"}],
        },
    ),
    "messages": (
        MESSAGES,
        {**REQUEST, "max_tokens": 9},
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": ANSWER_TEXT, "signature": "s"},
                {"type": "text", "text": ANSWER_TEXT},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"who": "<NAME_1>"}},
            ],
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
    ),
    "responses": (
        RESPONSES,
        {"model": "m", "input": f"{VALUE} {OTHER}", "stream": True},
        {
            "id": "r",
            "object": "response",
            "status": "completed",
            "output": [
                {
                    "type": "message",
                    "id": "a",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": ANSWER_TEXT}],
                },
                {"type": "function_call", "id": "b", "call_id": "t", "name": "f", "arguments": ARGUMENTS},
            ],
        },
    ),
}


def _assembled(dialect: Dialect, events: list[Event]) -> Any:
    assembler = dialect.assembler()
    for event in events:
        assembler.feed(event)
    return assembler.answer()


def _with_values(answer: Any) -> Any:
    quoted = json.dumps(VALUE)[1:-1]
    text = json.dumps(answer).replace(
        json.dumps(ARGUMENTS)[1:-1], json.dumps(ARGUMENTS.replace("<NAME_1>", quoted))[1:-1]
    )
    return json.loads(text.replace("<NAME_1>", quoted).replace("<PHONE_1>", OTHER))


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_stream_cut_anywhere_restores(name: str) -> None:
    """Every dialect's stream, cut in two at every byte, assembles to the answer with the values in it."""
    dialect, request, answer = ANSWERS[name]
    raw = encode(dialect.stream(answer))
    for border in range(0, len(raw) + 1, 1 if len(raw) < 3000 else 3):
        reply = await _stream([raw[:border], raw[border:]], request, dialect.path)
        assert _assembled(dialect, reply.events()) == _with_values(answer)


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_whole_answer_restores(name: str) -> None:
    """The same answer, not streamed."""
    dialect, request, answer = ANSWERS[name]
    app = RedactMiddleware(Provider(lambda _: answer), detector=DETECTOR)
    reply = await call(app, {**request, "stream": False}, dialect.path)
    assert reply.json() == _with_values(answer)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["chat", "messages"]))
async def test_deltas_and_chunks_of_any_size_restore(data: st.DataObject, name: str) -> None:
    """The text cut into deltas anywhere, and the bytes into chunks anywhere."""
    parts = [
        "<NAME_1>",
        "<PHONE_1>",
        "<NAME_",
        "<",
        " ",
        "é",
        "word",
        "NAME_1",
        "NA",
        "ME_",
        "1",
        "&lt;",
        "\\",
        "name 1>",
    ]
    text = data.draw(st.lists(st.sampled_from(parts)).map("".join))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    if name == "chat":
        events = [_delta(content=piece) for piece in pieces] + [_delta(finish_reason="stop"), DONE]
    else:
        block = {"type": "text", "text": ""}
        payloads: list[dict[str, Any]] = [
            {"type": "message_start", "message": {"type": "message", "role": "assistant", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}} for p in pieces),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ]
        events = [Event.of(payload, str(payload["type"])) for payload in payloads]
    raw = encode(events)
    borders = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    chunks = [raw[a:b] for a, b in zip([0, *borders], [*borders, len(raw)], strict=True)]
    dialect, request, _ = ANSWERS[name]
    # A value that JSON quotes, and one that it does not: events are then read one by one, or only where they must be.
    plain = data.draw(st.sampled_from([VALUE, "Ann"]))
    request = json.loads(json.dumps(request).replace(json.dumps(VALUE)[1:-1], json.dumps(plain)[1:-1]))
    provider = Provider(lambda _: chunks)
    detector = FixedDetector(NAME=[plain], PHONE=[OTHER])
    reply = await call(RedactMiddleware(provider, detector=detector), request, dialect.path)
    answer = _assembled(dialect, reply.events())
    said: Any = answer["choices"][0]["message"].get("content", "") if name == "chat" else answer["content"][0]["text"]
    vault = Vault()
    vault.placeholder("NAME", plain)
    vault.placeholder("PHONE", OTHER)
    assert said == Restorer(vault).whole(text)


async def test_snapshots_are_restored_but_counted_once() -> None:
    """The responses dialect repeats its texts at the end; the count is of the deltas."""
    dialect, request, answer = ANSWERS["responses"]
    provider = Provider(lambda _: [encode(dialect.stream(answer))])
    reply = await call(RedactMiddleware(provider, detector=DETECTOR), request, dialect.path)
    facts = provider.scopes[0]["helix.exchange"].record.redact
    assert (facts["restored"], facts["unknown"]) == (3, 1)
    assert b"<NAME_1>" not in reply.body


async def test_sequence_numbers_stay_in_order() -> None:
    """Where an event is put in, those behind it are renumbered."""
    events = [
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "delta": "a <NAME_",
            "sequence_number": 0,
        },
        {
            "type": "response.output_text.done",
            "output_index": 0,
            "content_index": 0,
            "text": "a <NAME_",
            "sequence_number": 1,
        },
    ]
    _, request, _ = ANSWERS["responses"]
    reply = await _stream([Event.of(e, str(e["type"])) for e in events], request, "/v1/responses")
    payloads = [event.json() for event in reply.events()]
    assert [p.get("delta", p.get("text")) for p in payloads] == ["a ", "<NAME_", "a <NAME_"]
    assert [p["sequence_number"] for p in payloads] == [0, 1, 2]


async def test_nothing_waits_for_later_events() -> None:
    """Each chunk of the provider's leads to a chunk for the caller, at once."""
    events = [_delta(content=piece) for piece in ("<NAME_1", "> x", " y")]
    reply = await _stream([*events, DONE])
    assert [len(orjson.loads(body[6:])["choices"]) for body in reply.bodies[:3]] == [1, 1, 1]
    assert len(reply.bodies) == len(events) + 2
