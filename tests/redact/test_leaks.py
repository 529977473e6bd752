"""Answers that hold personal data which the request did not: what passes, when, and what is on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from helix.kernel.errors import BackendUnavailable
from helix.kernel.exchange import KEY
from helix.kernel.sse import DONE, Event, encode
from helix.kernel.types import Message, Receive, Scope, Send, Span
from helix.kernel.wire import CHAT, MESSAGES, RESPONSES
from helix.redact import RedactMiddleware
from helix.redact.answers import Answers, Own
from helix.redact.strategies import masked

from .apps import FixedDetector, Provider, Reply, call, chat, chat_answer, scope_of
from .test_streams import ANSWERS

MAIL, PHONE, OWN = "eve@x.com", "555-0199", "ann@x.com"
DETECTOR = FixedDetector(MAIL=[MAIL, OWN], PHONE=[PHONE], NAME=["Eve Roe"])


def _app(inner: Any, detector: Any = DETECTOR, **answers: Any) -> RedactMiddleware:
    return RedactMiddleware(inner, detector=detector, answers=answers)


def _delta(**delta: Any) -> Event:
    finish = delta.pop("finish_reason", None)
    return Event.of({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _said(reply: Reply) -> list[str]:
    payloads = [event.json() for event in reply.events() if event.data and b'"index"' in event.data]
    return [p["choices"][0]["delta"]["content"] for p in payloads if "content" in p["choices"][0]["delta"]]


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("keep", f"ask {MAIL}"),
        ("mask", f"ask {masked(MAIL)}"),
        ("placeholder", "ask <MAIL>"),
    ],
)
async def test_a_whole_answer(action: str, said: str) -> None:
    """What the caller did not say is kept, masked or replaced by its kind, and counted."""
    provider = Provider(lambda _: chat_answer(f"ask {MAIL}"))
    reply = await call(_app(provider, entities={"MAIL": action}), chat("Hi"))
    got = reply.json()["choices"][0]["message"]["content"]
    assert got == said
    assert reply.headers["content-length"] == str(len(reply.body))
    assert provider.scopes[0][KEY].record.redact["leaks"] == {"MAIL": 1}


async def test_a_blocked_answer_is_an_error_in_its_place() -> None:
    """400 that names the kind, never the value."""
    provider = Provider(lambda _: chat_answer(f"ask {MAIL}"))
    reply = await call(_app(provider, entities={"MAIL": "block"}), chat("Hi"))
    assert (reply.status, reply.json()["error"]["code"]) == (400, "content_blocked")
    assert "MAIL" in reply.json()["error"]["message"]
    assert MAIL not in reply.body.decode()


async def test_the_callers_own_values_are_no_leak() -> None:
    """Neither those that were taken out and put back, nor those of kinds that are kept, however they are spelled."""
    provider = Provider(lambda _: chat_answer(f"<MAIL_1> or {PHONE}"))
    app = RedactMiddleware(
        provider,
        detector=DETECTOR,
        entities={"MAIL": "placeholder"},
        answers={"entities": {"MAIL": "block", "PHONE": "block"}},
    )
    reply = await call(app, chat(f"I am {OWN}, call 555 0199"))
    assert reply.json()["choices"][0]["message"]["content"] == f"{OWN} or {PHONE}"
    assert provider.scopes[0][KEY].record.redact["leaks"] == {}


@pytest.mark.parametrize(
    ("value", "own"),
    [
        ("ann  SMITH", True),
        ("Smith", True),
        ("Dr. Ann Smith", True),
        ("4111-1111-1111-1111", True),
        ("41111111 11111111", True),
        ("Ann Jones", False),
        ("Smithson", False),
        ("4111-1111-1111-1112", False),
        ("an@x.com", False),
        ("nn@x.com", False),
        ("Bo Xi", False),
    ],
)
def test_what_is_the_callers_own(value: str, own: bool) -> None:
    """Case, spacing, parts and punctuation do not make it another's; that its words are short does not make it ours."""
    assert Own(["I'm Ann Smith, ann@x.com", "card 4111 1111 1111 1111"]).has(value) is own


async def test_a_stream_waits_for_the_ends_of_sentences() -> None:
    """Each sentence is said when it is whole, without what leaked; role and end do not wait."""
    pieces = ["Ask", " e", "ve@x", ".com", " now", ".", " Or", " call 555-", "0199", ", please"]
    events = [
        _delta(role="assistant"),
        *(_delta(content=piece) for piece in pieces),
        _delta(finish_reason="stop"),
        DONE,
    ]
    provider = Provider(lambda _: [event.raw for event in events])
    reply = await call(
        _app(provider, entities={"MAIL": "placeholder", "PHONE": "placeholder"}), chat("Hi", stream=True)
    )
    assert _said(reply) == ["", "", "", "", "", "", "Ask <MAIL> now. ", "", "", "", "Or call <PHONE>, please"]
    assert reply.bodies[0] == events[0].raw
    assert reply.events()[-1] == DONE
    assert provider.scopes[0][KEY].record.redact["leaks"] == {"MAIL": 1, "PHONE": 1}


async def test_a_value_over_the_border_of_two_sentences_is_seen() -> None:
    """What was said before is looked at with what comes."""
    detector = FixedDetector(NAME=["Mr. Roe"])
    events = [_delta(content=piece) for piece in ("Ask Mr.", " Roe", " now. ", "Bye")]
    provider = Provider(lambda _: [event.raw for event in (*events, DONE)])
    reply = await call(_app(provider, detector, entities={"NAME": "placeholder"}), chat("Hi", stream=True))
    assert "".join(_said(reply)) == "Ask Mr. <NAME> now. Bye"


async def test_nothing_waits_where_everything_is_only_counted() -> None:
    """Events pass as they are; the count is on record when the reply has ended."""
    events = [_delta(content=f"ask {MAIL}"), _delta(content=", not others"), _delta(finish_reason="stop"), DONE]
    provider = Provider(lambda _: [event.raw for event in events])
    reply = await call(_app(provider, entities={"MAIL": "keep"}), chat("Hi", stream=True))
    assert reply.bodies[:-1] == [event.raw for event in events]
    assert provider.scopes[0][KEY].record.redact["leaks"] == {"MAIL": 1}


async def test_a_blocked_stream_ends_with_an_error() -> None:
    """What was said before stays said; the provider is stopped, and nothing comes after."""
    sent: list[bytes] = []

    async def provider(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for event in (
            _delta(content="Hello there. "),
            _delta(content=f"It is {MAIL}. "),
            _delta(content="Bye. "),
            DONE,
        ):
            sent.append(event.raw)
            await send({"type": "http.response.body", "body": event.raw, "more_body": True})

    reply = await call(_app(provider, entities={"MAIL": "block"}), chat("Hi", stream=True))
    assert len(sent) == 2
    assert _said(reply) == ["Hello there. "]
    assert reply.events()[-1].json()["error"]["code"] == "content_blocked"
    assert MAIL not in reply.body.decode()
    assert reply.messages[-1]["more_body"] is False


async def test_arguments_wait_for_their_end() -> None:
    """They are looked through as the JSON that they are, and stay it."""
    pieces = ['{"to": "e', 've@x.com", "n": ', '5550199, "o": "x"}']
    events = [_delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in pieces]
    provider = Provider(lambda _: [event.raw for event in (*events, _delta(finish_reason="tool_calls"), DONE)])
    detector = FixedDetector(MAIL=[MAIL], PHONE=["5550199"])
    app = _app(provider, detector, entities={"MAIL": "placeholder", "PHONE": "mask"})
    reply = await call(app, chat("Hi", stream=True))
    payloads = [event.json() for event in reply.events()[:-1]]
    calls = [p["choices"][0]["delta"]["tool_calls"] for p in payloads if "tool_calls" in p["choices"][0]["delta"]]
    said = [piece[0]["function"]["arguments"] for piece in calls]
    assert said[:3] == ["", "", ""]
    assert json.loads("".join(said)) == {"to": "<MAIL>", "n": "*******", "o": "x"}


async def test_json_that_is_streamed_as_text_stays_json() -> None:
    """A number that leaked becomes null where a string would need quotes."""
    detector = FixedDetector(PHONE=["5550199"])
    text = '{"a": "call 5550199.", "n": 5550199}'
    events = [_delta(content=text[:20]), _delta(content=text[20:]), _delta(finish_reason="stop"), DONE]
    provider = Provider(lambda _: [event.raw for event in events])
    reply = await call(_app(provider, detector, entities={"PHONE": "placeholder"}), chat("Hi", stream=True))
    assert json.loads("".join(_said(reply))) == {"a": "call <PHONE>.", "n": None}


async def test_a_long_sentence_does_not_wait_for_its_end() -> None:
    """After so many characters its whole words are said."""
    events = [_delta(content=piece) for piece in ("one two", " three", " four", " five", ".")]
    provider = Provider(lambda _: [event.raw for event in (*events, DONE)])
    reply = await call(_app(provider, entities={"MAIL": "mask"}, max_chars=10), chat("Hi", stream=True))
    assert _said(reply) == ["", "one two ", "", "three four ", "", "five."]


async def test_a_sentence_waits_no_longer_than_it_may() -> None:
    """Where the provider is silent, what it said is scanned and passed on before it goes on."""
    passed = asyncio.Event()

    async def provider(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": _delta(content=f"ask {MAIL} a").raw, "more_body": True})
        await passed.wait()
        rest = encode([_delta(content="nd b"), _delta(finish_reason="stop"), DONE])
        await send({"type": "http.response.body", "body": rest, "more_body": False})

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(chat("Hi", stream=True)).encode(), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)
        if b"MAIL" in message.get("body", b""):
            passed.set()

    app = _app(provider, entities={"MAIL": "placeholder"}, max_wait_seconds=0.01)
    await app(scope_of("/v1/chat/completions"), receive, send)
    assert _said(Reply(sent)) == ["", "ask <MAIL> a", "", "nd b"]


class OutDetector:
    """One that finds nothing in requests and fails on answers."""

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        if any("Hi" in text for text in texts):
            return [[] for _ in texts]
        raise BackendUnavailable("out")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("on_outage", ["refuse", "pass"])
async def test_an_outage_ends_an_answer_unless_told_otherwise(stream: bool, on_outage: str) -> None:
    """Unscanned answers do not pass by themselves, and where they do it is on record."""
    events = [_delta(content=f"ask {MAIL}."), _delta(finish_reason="stop"), DONE]
    provider = Provider(lambda _: [encode(events)] if stream else chat_answer(f"ask {MAIL}."))
    app = _app(provider, OutDetector(), entities={"MAIL": "mask"}, on_outage=on_outage)
    reply = await call(app, chat("Hi", stream=stream))
    assert (MAIL in reply.body.decode()) == (on_outage == "pass")
    assert ("backend_unavailable" in reply.body.decode()) == (on_outage == "refuse")
    assert provider.scopes[0][KEY].record.redact["leaks_unscanned"] is True


@pytest.mark.parametrize("name", ["chat", "completions", "messages", "responses"])
async def test_every_dialect_is_scanned_after_it_is_restored(name: str) -> None:
    """Streams of every dialect lose what leaked, in their snapshots too, and have the caller's values."""
    dialect, request, answer = ANSWERS[name]
    answer = json.loads(json.dumps(answer).replace("a <b> c", f"a {MAIL}. Then {MAIL} c"))
    values = FixedDetector(MAIL=[MAIL], NAME=['Ann "A" O\\B'], PHONE=["+1 202"])
    provider = Provider(lambda _: [encode(dialect.stream(answer))])
    app = RedactMiddleware(
        provider, detector=values, answers=Answers({"MAIL": "placeholder", "NAME": "block", "PHONE": "block"})
    )
    reply = await call(app, request, dialect.path)
    assembler = dialect.assembler()
    for event in reply.events():
        assembler.feed(event)
    whole = json.dumps(assembler.answer())
    scanned = whole.replace(MAIL, "") if dialect is MESSAGES else whole  # signed thinking is only counted
    assert MAIL not in scanned
    assert "a <MAIL>. Then <MAIL> c" in whole
    assert "+1 202" in whole
    texts = {CHAT: 2, MESSAGES: 2, RESPONSES: 1}.get(dialect, 1)
    assert provider.scopes[0][KEY].record.redact["leaks"] == {"MAIL": 2 * texts}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"entities": {"MAIL": "hash"}}, "keep, mask, placeholder, block"),
        ({"on_outage": "ignore"}, "'refuse' or 'pass'"),
        ({"max_chars": 0}, "max_chars"),
        ({"score_threshold": 2}, "0 to 1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], says: str) -> None:
    """Values are checked where they are given."""
    with pytest.raises(ValueError, match=says):
        Answers(**options)
