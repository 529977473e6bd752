"""The stage: what the inner app is sent, what the caller gets back, and what happens when nothing can be looked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from helix.kernel import exact
from helix.kernel.exchange import KEY
from helix.kernel.types import Message, Receive, Scope, Send, Span
from helix.redact import Policy, PresidioDetector, RedactMiddleware

from .apps import FixedDetector, Provider, call, chat, chat_answer, last_text, scope_of


def echo(request: Any) -> Any:
    return chat_answer(f"You said: {last_text(request)}")


async def test_values_go_out_as_placeholders_and_come_back(presidio: PresidioDetector) -> None:
    """The provider sees placeholders; the caller sees their own values, a header, and the right length."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=presidio)
    text = "I'm jane@example.com, card 4111 1111 1111 1111. Mail jane@example.com!"
    reply = await call(app, chat(text))
    [request] = provider.requests
    assert last_text(request) == "I'm <EMAIL_ADDRESS_1>, card <CREDIT_CARD_1>. Mail <EMAIL_ADDRESS_1>!"
    assert reply.json()["choices"][0]["message"]["content"] == f"You said: {text}"
    assert reply.headers["x-helix-redactions"] == "CREDIT_CARD=1,EMAIL_ADDRESS=2"
    assert reply.headers["content-length"] == str(len(reply.body))
    [scope] = provider.scopes
    assert dict(scope["headers"])[b"content-length"] == b"%d" % len(provider.bodies[0])
    facts = scope[KEY].record.redact
    assert facts.pop("ms") > 0
    assert facts.pop("detector")
    assert [finding[:4] for finding in facts.pop("findings")] == [
        ("EMAIL_ADDRESS", "messages[0].content", 4, 20),
        ("CREDIT_CARD", "messages[0].content", 27, 46),
        ("EMAIL_ADDRESS", "messages[0].content", 53, 69),
    ]
    counts = {"EMAIL_ADDRESS": 2, "CREDIT_CARD": 1}
    assert facts == {"entities": counts, "more_findings": 0, "restored": 3, "unknown": 0}


async def test_without_findings_nothing_is_touched(presidio: PresidioDetector) -> None:
    """The request's and the reply's very bytes pass, with no header, however the reply is cut."""
    body = b'{"model":"m", "messages":[ {"role":"user","content":"caf\\u00e9 <EMAIL_ADDRESS_1>"} ]}'
    pieces = [b'data: {"choices":[{"delta":', b'{"content":"<EMAIL_ADDRESS_1>"}}]}\n', b"\ndata: [DONE]\n\n"]
    provider = Provider(lambda _: pieces)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await RedactMiddleware(provider, detector=presidio)(scope_of("/v1/chat/completions"), receive, send)
    assert provider.bodies == [body]
    assert [message["body"] for message in sent[1:]] == [*pieces, b""]
    assert sent[0]["headers"] == [(b"content-type", b"text/event-stream")]


@pytest.mark.parametrize("found", [False, True])
async def test_nothing_goes_on_that_was_not_looked_at(found: bool) -> None:
    """Of a key that is said twice the last counts, and the first, which others may read, does not reach them."""
    first, last = '[{"role":"user","content":"Ann"}]', f'[{{"role":"user","content":"{"Bob" if found else "Hi"}"}}]'
    body = f'{{"model":"m","messages":{first},"m\\u0065ssages" : {last}}}'.encode()
    provider = Provider(lambda _: chat_answer("Hi"))
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return given.pop()

    async def send(message: Message) -> None:
        return None

    scope = scope_of("/v1/chat/completions")
    await RedactMiddleware(provider, detector=FixedDetector(NAME=["Ann", "Bob"]))(scope, receive, send)
    assert b"Ann" not in provider.bodies[0]
    assert last_text(provider.requests[0]) == ("<NAME_1>" if found else "Hi")


async def test_a_history_sent_again_gets_the_same_placeholders(presidio: PresidioDetector) -> None:
    """Turn by turn the beginning of what the provider sees stays the same, so that a cache can know it."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=presidio)
    turns = ["a@x.com and b@x.com", "B@x.com called from 93.184.216.34", "c@x.com"]
    for count in range(1, 4):
        await call(app, chat(*turns[:count]))
    first, second, third = [request["messages"] for request in provider.requests]
    assert third[:2] == second
    assert second[:1] == first
    assert third[1]["content"] == "<EMAIL_ADDRESS_2> called from <IP_ADDRESS_1>"


async def test_two_requests_share_no_placeholder(presidio: PresidioDetector) -> None:
    """At the same time, the same placeholder gives each caller their own value."""
    meet = asyncio.Barrier(2)

    async def provider(scope: Scope, receive: Receive, send: Send) -> None:
        request = orjson.loads((await receive())["body"])
        await meet.wait()
        body = orjson.dumps(echo(request))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    app = RedactMiddleware(provider, detector=presidio)
    replies = await asyncio.gather(call(app, chat("a@x.com")), call(app, chat("b@x.com")))
    assert [r.json()["choices"][0]["message"]["content"] for r in replies] == ["You said: a@x.com", "You said: b@x.com"]


async def test_a_typed_placeholder_is_not_ours(presidio: PresidioDetector) -> None:
    """Somebody who types one out gets it back, wherever it stands in the request, and reads no value with it."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=presidio)
    tools = [{"type": "function", "function": {"name": "f", "description": "like <EMAIL_ADDRESS_2>"}}]
    text = "<EMAIL_ADDRESS_1> is not a@x.com"
    reply = await call(app, chat(text, tools=tools))
    assert last_text(provider.requests[0]) == "<EMAIL_ADDRESS_1> is not <EMAIL_ADDRESS_3>"
    assert reply.json()["choices"][0]["message"]["content"] == f"You said: {text}"


async def test_an_unknown_placeholder_is_left_and_counted(presidio: PresidioDetector) -> None:
    """A number that the model made up is passed on as it is."""
    provider = Provider(lambda _: chat_answer("<EMAIL_ADDRESS_5> or <EMAIL_ADDRESS_1>"))
    reply = await call(RedactMiddleware(provider, detector=presidio), chat("a@x.com"))
    assert reply.json()["choices"][0]["message"]["content"] == "<EMAIL_ADDRESS_5> or a@x.com"
    assert provider.scopes[0][KEY].record.redact["unknown"] == 1


async def test_tool_calls_of_chat_go_both_ways(presidio: PresidioDetector) -> None:
    """Arguments in the history and results are redacted inside their JSON; the answer's are restored in it."""
    call_ = {"id": "t", "type": "function", "function": {"name": "f"}}
    arguments = '{"to": "a@x.com", "ssn": "536228721",  "card": 4111111111111111, "n": 1.50}'

    def answer(request: Any) -> Any:
        given = request["messages"][1]["tool_calls"][0]["function"]["arguments"]
        message = {"role": "assistant", "content": None}
        message["tool_calls"] = [{**call_, "function": {"name": "f", "arguments": given}}]  # type: ignore[assignment]
        return {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}

    provider = Provider(answer)
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{**call_, "function": {"name": "f", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "t", "content": '{"sent_to": "a@x.com"}'},
    ]
    reply = await call(RedactMiddleware(provider, detector=presidio), {"model": "m", "messages": messages})
    sent = provider.requests[0]["messages"]
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == (
        '{"to": "<EMAIL_ADDRESS_1>", "ssn": "<US_SSN_1>",  "card": 9000000000000001, "n": 1.50}'
    )
    assert sent[2]["content"] == '{"sent_to": "<EMAIL_ADDRESS_1>"}'
    got = reply.json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert orjson.loads(got) == {"to": "a@x.com", "ssn": "536228721", "card": 4111111111111111, "n": 1.5}


async def test_tool_calls_of_messages_go_both_ways(presidio: PresidioDetector) -> None:
    """Inputs that are objects, results that are blocks, and the system text."""

    def answer(request: Any) -> Any:
        given = request["messages"][1]["content"][0]["input"]
        block = {"type": "tool_use", "id": "t2", "name": "f", "input": given}
        return {"type": "message", "role": "assistant", "content": [block], "stop_reason": "tool_use"}

    provider = Provider(answer)
    given = {"to": ["a@x.com"], "ssn": "536228721", "deep": {"n": 1}}
    request = {
        "model": "m",
        "max_tokens": 9,
        "system": "You write for a@x.com.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "write to b@x.com"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": given}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "b@x.com: ok"}]},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "YUB4LmNvbQ=="}},
                ],
            },
        ],
    }
    reply = await call(RedactMiddleware(provider, detector=presidio), request, "/v1/messages")
    [sent] = provider.requests
    assert sent["system"] == "You write for <EMAIL_ADDRESS_1>."
    assert sent["messages"][0]["content"][0]["text"] == "write to <EMAIL_ADDRESS_2>"
    assert sent["messages"][1]["content"][0]["input"] == {
        "to": ["<EMAIL_ADDRESS_1>"],
        "ssn": "<US_SSN_1>",
        "deep": {"n": 1},
    }
    result, image = sent["messages"][2]["content"]
    assert result["content"][0]["text"] == "<EMAIL_ADDRESS_2>: ok"
    assert image == request["messages"][2]["content"][1]  # type: ignore[index]
    assert reply.json()["content"][0]["input"] == given


async def test_embeddings_inputs(presidio: PresidioDetector) -> None:
    """Inputs are redacted; the vectors pass, with a header."""
    provider = Provider(lambda _: {"data": [{"index": 0, "embedding": [0.25]}]})
    payload = {"model": "m", "input": ["a@x.com", "nothing", "b@x.com"]}
    reply = await call(RedactMiddleware(provider, detector=presidio), payload, "/v1/embeddings")
    assert provider.requests[0]["input"] == ["<EMAIL_ADDRESS_1>", "nothing", "<EMAIL_ADDRESS_2>"]
    assert reply.json() == {"data": [{"index": 0, "embedding": [0.25]}]}
    assert reply.headers["x-helix-redactions"] == "EMAIL_ADDRESS=2"


async def test_responses_items(presidio: PresidioDetector) -> None:
    """Instructions, messages, calls and their outputs."""
    provider = Provider(
        lambda request: {
            "object": "response",
            "status": "completed",
            "instructions": request["instructions"],
            "output": [
                {"type": "message", "content": [{"type": "output_text", "text": "wrote to <EMAIL_ADDRESS_1>"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"to":"<EMAIL_ADDRESS_2>"}'},
            ],
        }
    )
    payload = {
        "model": "m",
        "instructions": "Answer a@x.com.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "tell b@x.com"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"to":"b@x.com"}'},
            {"type": "function_call_output", "call_id": "c", "output": "b@x.com told"},
        ],
    }
    reply = await call(RedactMiddleware(provider, detector=presidio), payload, "/v1/responses")
    [sent] = provider.requests
    assert sent["instructions"] == "Answer <EMAIL_ADDRESS_1>."
    assert sent["input"][0]["content"][0]["text"] == "tell <EMAIL_ADDRESS_2>"
    assert sent["input"][1]["arguments"] == '{"to":"<EMAIL_ADDRESS_2>"}'
    assert sent["input"][2]["output"] == "<EMAIL_ADDRESS_2> told"
    answer = reply.json()
    assert answer["instructions"] == "Answer a@x.com."
    assert answer["output"][0]["content"][0]["text"] == "wrote to a@x.com"
    assert answer["output"][1]["arguments"] == '{"to":"b@x.com"}'


async def test_a_block_is_refused_by_kind_and_place(
    presidio: PresidioDetector, caplog: pytest.LogCaptureFixture
) -> None:
    """400 that names both and never the value; nothing is sent."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=presidio, entities={"US_SSN": "block"})
    scope = scope_of("/v1/chat/completions")
    with caplog.at_level(logging.DEBUG):
        reply = await call(app, chat("hello", "my ssn is 536-22-8721"), scope=scope)
    assert reply.status == 400
    assert reply.json()["error"]["code"] == "content_blocked"
    assert reply.json()["error"]["param"] == "messages[1].content"
    assert "US_SSN" in reply.json()["error"]["message"]
    assert b"8721" not in reply.body
    assert provider.bodies == []
    assert "8721" not in caplog.text
    assert scope[KEY].record.redact["blocked"] == "US_SSN"


async def test_a_mask_does_not_come_back(presidio: PresidioDetector) -> None:
    """What is masked is gone for the answer too; the header tells of it."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=presidio, entities={"CREDIT_CARD": "mask", "EMAIL_ADDRESS": "keep"})
    reply = await call(app, chat("4111111111111111 of a@x.com"))
    assert reply.json()["choices"][0]["message"]["content"] == "You said: ************1111 of a@x.com"
    assert reply.headers["x-helix-redactions"] == "CREDIT_CARD=1"


class BrokenDetector:
    """One that fails, and says more than it should."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        raise self._error


class SlowDetector:
    """One that never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


class ShortDetector:
    """One that answers for fewer texts than it was asked about."""

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        return []


class RubbishDetector:
    """One whose answers are not what they should be."""

    def __init__(self, found: Any) -> None:
        self._found = found

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        return self._found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "detector",
    [
        BrokenDetector(ValueError("Did not find word 'a@x.com'")),
        SlowDetector(),
        ShortDetector(),
        BrokenDetector(asyncio.CancelledError()),
        RubbishDetector(None),
        RubbishDetector([None]),
        RubbishDetector([["a@x.com"]]),
        RubbishDetector([[Span(0, 99, "X", 1.0)]]),
        RubbishDetector([[Span("0", "7", "X", 1.0)]]),  # type: ignore[arg-type]
        RubbishDetector([[Span(0, 7, "X", float("nan"))]]),
        RubbishDetector([[Span(0, 7, None, 1.0)]]),  # type: ignore[arg-type]
        RubbishDetector([[Span(0.0, 7.0, "X", 1.0)]]),  # type: ignore[arg-type]
        RubbishDetector([[Span(0, 7, "X\r\nSet-Cookie: a=1", 1.0)]]),
        RubbishDetector([[Span(0, 7, "a@x.com", 1.0)]]),
    ],
    ids=["raises", "hangs", "is short", "closes", *(f"rubbish {n}" for n in range(10))],
)
@pytest.mark.parametrize("memory_entries", [0, 10])
async def test_without_a_detector_nothing_is_sent(
    detector: Any, memory_entries: int, caplog: pytest.LogCaptureFixture
) -> None:
    """503, no request to the provider, and no word of the text in the reply or in a log."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=detector, timeout_seconds=0.01, memory_entries=memory_entries)
    scope = scope_of("/v1/chat/completions")
    reply = await call(app, chat("a@x.com"), scope=scope)
    assert reply.status == 503
    assert reply.json()["error"]["code"] == "backend_unavailable"
    assert provider.bodies == []
    assert b"a@x.com" not in reply.body
    assert "a@x.com" not in caplog.text
    assert scope[KEY].record.redact["outage"] is True


async def test_rubbish_is_not_remembered() -> None:
    """A detector that is well again is asked again."""
    detector = RubbishDetector([[Span(0, 99, "X", 1.0)]])
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=detector)
    assert (await call(app, chat("a@x.com"))).status == 503
    detector._found = [[Span(0, 7, "X", 1.0)]]
    assert (await call(app, chat("a@x.com"))).status == 200
    assert last_text(provider.requests[0]) == "<X_1>"


async def test_spans_in_no_order_are_resolved() -> None:
    """As anybody's detector may give them: nothing that one of them covers stays readable."""
    found = [[Span(8, 12, "B", 0.5), Span(0, 4, "A", 1.0), Span(2, 7, "C", 0.9)]]
    provider = Provider(echo)
    await call(RedactMiddleware(provider, detector=RubbishDetector(found)), chat("0123456789abcdef"))
    assert last_text(provider.requests[0]) == "<A_1>7<B_1>cdef"


async def test_a_cancelled_request_stays_cancelled() -> None:
    """A caller who leaves during detection is no outage: nothing is sent, whatever is chosen for one."""
    provider, detector = Provider(echo), SlowDetector()
    app = RedactMiddleware(provider, detector=detector, on_outage="pass")
    waiting = asyncio.create_task(call(app, chat("a@x.com")))
    await detector.asked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert provider.bodies == []


async def test_surrogates_come_back_whole_and_streamed() -> None:
    """The provider reads a made-up name; the caller reads their own, also where it comes in pieces, or in part."""

    def stream(request: Any) -> Any:
        name = last_text(request).removeprefix("I am ")
        given_name = name.split()[0]
        pieces = ["Dear ", name[:2], name[2:6], name[6:], f", or {given_name}, not {given_name}son"]
        deltas = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        return [*(b"data: " + orjson.dumps(delta) + b"\n\n" for delta in deltas), b"data: [DONE]\n\n"]

    policy = Policy({}, "surrogate", secret="a secret")
    detector = FixedDetector(PERSON=["Jane Doe"])
    provider = Provider(stream)
    reply = await call(RedactMiddleware(provider, detector=detector, policy=policy), chat("I am Jane Doe", stream=True))
    texts = [event.json() for event in reply.events() if event.data != b"[DONE]"]
    said = "".join(text["choices"][0]["delta"]["content"] for text in texts)
    name = last_text(provider.requests[0]).removeprefix("I am ")
    assert "Jane" not in name
    assert said == f"Dear Jane Doe, or Jane, not {name.split()[0]}son"
    whole = await call(RedactMiddleware(Provider(echo), detector=detector, policy=policy), chat("I am Jane Doe"))
    assert whole.json()["choices"][0]["message"]["content"] == "You said: I am Jane Doe"


async def test_what_one_caller_may_say() -> None:
    """By the exchange: a list for this request, beside the policy's."""
    provider = Provider(echo)
    app = RedactMiddleware(
        provider,
        detector=FixedDetector(NAME=["Acme", "Ann"]),
        allowed=lambda exchange: ["ACME"] if exchange.payload.get("user") == "team-a" else [],
    )
    await call(app, chat("Ann of Acme", user="team-a"))
    await call(app, chat("Ann of Acme", user="team-b"))
    assert [last_text(request) for request in provider.requests] == ["<NAME_1> of Acme", "<NAME_1> of <NAME_2>"]


async def test_passing_on_outage_is_on_record(caplog: pytest.LogCaptureFixture) -> None:
    """Chosen aloud, the request passes as it is, and the record says so, and a log line without its text."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=BrokenDetector(OSError("a@x.com")), on_outage="pass")
    reply = await call(app, chat("a@x.com"))
    assert "goes on with its personal data" in caplog.text
    assert "a@x.com" not in caplog.text
    assert provider.scopes[0][KEY].record.redact["passed"] is True
    assert reply.status == 200
    assert last_text(provider.requests[0]) == "a@x.com"
    assert provider.scopes[0][KEY].record.redact["outage"] is True


async def test_bad_bodies_are_refused() -> None:
    """The kernel's refusals, before anything is looked for."""
    app = RedactMiddleware(Provider(echo), detector=FixedDetector())
    assert (await call(app, [1])).status == 400
    assert (await call(app, {"model": "m"})).json()["error"]["param"] == "messages"


@pytest.mark.parametrize("scope", [scope_of("/v1/models", method="GET"), scope_of("/elsewhere")], ids=["GET", "path"])
async def test_what_is_not_ours_passes(scope: Scope) -> None:
    """Another path or method is not even read."""
    provider = Provider(lambda request: request)
    reply = await call(RedactMiddleware(provider, detector=SlowDetector()), {"email": "a@x.com"}, scope=scope)
    assert reply.json() == {"email": "a@x.com"}


async def test_an_error_reply_passes(presidio: PresidioDetector) -> None:
    """A provider's error has no texts to restore, and keeps its status."""
    provider = Provider(lambda _: {"error": {"message": "no"}}, status=429)
    reply = await call(RedactMiddleware(provider, detector=presidio), chat("a@x.com"))
    assert (reply.status, reply.json()) == (429, {"error": {"message": "no"}})


async def test_a_given_detector_decides_the_kinds() -> None:
    """Whatever it finds is replaced, kinds that Helix does not know too; it is neither opened nor closed."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, detector=FixedDetector(ORDER_ID=["17-x"]))
    reply = await call(app, chat("order 17-x"))
    assert last_text(provider.requests[0]) == "order <ORDER_ID_1>"
    assert reply.json()["choices"][0]["message"]["content"] == "You said: order 17-x"


async def test_a_text_is_looked_through_once() -> None:
    """Of a conversation that is sent again, the detector sees the new turn alone."""
    detector = FixedDetector(X=["a@x.com"])
    app = RedactMiddleware(Provider(echo), detector=detector)
    await call(app, chat("one a@x.com"))
    await call(app, chat("one a@x.com", "two"))
    assert detector.asked == ["one a@x.com", "two"]


async def test_presidio_opens_by_lifespan_and_closes() -> None:
    """With no detector given, Presidio is made at start-up and let go at shutdown."""
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})

    app = RedactMiddleware(inner)
    events = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Message:
        return {"type": next(events)}

    async def send(message: Message) -> None:
        own = app._redactor._own
        seen.append(f"{message['type']} {own is not None and own._threads.value is not None}")

    await app({"type": "lifespan"}, receive, send)
    assert seen == ["lifespan.startup.complete True", "lifespan.shutdown.complete False"]


async def test_presidio_opens_at_first_use() -> None:
    """Without a lifespan the first request opens it; only the kinds that are not kept are looked for."""
    provider = Provider(echo)
    app = RedactMiddleware(provider, entities={"EMAIL_ADDRESS": "placeholder", "IP_ADDRESS": "keep"})
    await call(app, chat("a@x.com at 93.184.216.34"))
    assert last_text(provider.requests[0]) == "<EMAIL_ADDRESS_1> at 93.184.216.34"
    await app.close()


async def test_an_observer_is_told_once() -> None:
    """Kinds and counts, never text."""
    told: list[tuple[str, Mapping[str, Any]]] = []
    app = RedactMiddleware(
        Provider(echo), detector=FixedDetector(X=["secret"]), observe=lambda stage, facts: told.append((stage, facts))
    )
    await call(app, chat("secret"))
    [(stage, facts)] = told
    assert stage == "redact"
    assert facts["entities"] == {"X": 1}
    assert "secret" not in repr(facts)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"entities": {"EMAIL": "placeholder"}}, "EMAIL_ADDRESS"),
        ({"entities": {"US_SSN": "hide"}}, "placeholder, mask, hash, encrypt, surrogate, keep, block"),
        ({"entities": {"US_SSN": "encrypt"}}, "16, 24 or 32 bytes"),
        ({"entities": {"US_SSN": {"strategy": "hash", "last": 4}}}, "for mask alone"),
        ({"entities": {"US_SSN": {"strategy": "mask", "last": -1}}}, "last of the mask"),
        ({"entities": {"US_SSN": {"strategy": "mask", "character": "ab"}}}, "one visible character"),
        ({"score_threshold": {"US_SSN": 2}}, "0 to 1"),
        ({"entities": {"US_SSN": "mask"}, "policy": Policy({})}, "one or the other"),
        ({"policy": Policy({"EMIAL": "mask"})}, "known are .*CREDIT_CARD"),
        ({"score_threshold": -0.1}, "0 to 1"),
        ({"on_outage": "ignore"}, "'refuse' or 'pass'"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"memory_entries": -1}, "memory_entries"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], says: str) -> None:
    """A constructor checks its values and says what is allowed."""
    with pytest.raises(ValueError, match=says):
        RedactMiddleware(Provider(echo), **options)


@pytest.mark.parametrize("ids", [[1, 2], [[1, 2], [3]]], ids=["ids", "lists of ids"])
@pytest.mark.parametrize(("path", "field"), [("/v1/completions", "prompt"), ("/v1/embeddings", "input")])
async def test_token_ids_are_refused(presidio: PresidioDetector, path: str, field: str, ids: Any) -> None:
    """Nobody can look for personal data in them; who does not mind says so."""
    provider = Provider(lambda _: {})
    payload = {"model": "m", field: ids}
    reply = await call(RedactMiddleware(provider, detector=presidio), payload, path)
    assert (reply.status, reply.json()["error"]["param"], provider.bodies) == (400, field, [])
    assert "send text" in reply.json()["error"]["message"]
    await call(RedactMiddleware(provider, detector=presidio, token_ids="pass"), payload, path)
    assert provider.requests == [payload]


async def test_labels_and_names_and_documents_of_chat(presidio: PresidioDetector) -> None:
    """What says who somebody is beside the prompt, metadata's keys and numbers too; labels do not shift the rest."""
    provider = Provider(echo)
    payload = {
        "model": "m",
        "user": "a@x.com",
        "safety_identifier": "b@x.com",
        "prompt_cache_key": "c@x.com",
        "metadata": {"d@x.com": 4111111111111111, "n": "1"},
        "documents": [{"title": "of e@x.com", "n": [1]}, "e@x.com"],
        "messages": [{"role": "user", "name": "f@x.com", "content": "I'm f@x.com"}],
    }
    reply = await call(RedactMiddleware(provider, detector=presidio), payload)
    assert provider.requests == [
        {
            "model": "m",
            "user": "<EMAIL_ADDRESS_1>",
            "safety_identifier": "<EMAIL_ADDRESS_2>",
            "prompt_cache_key": "<EMAIL_ADDRESS_3>",
            "metadata": {"<EMAIL_ADDRESS_4>": 9000000000000001, "n": "1"},
            "documents": [{"title": "of <EMAIL_ADDRESS_5>", "n": [1]}, "<EMAIL_ADDRESS_5>"],
            "messages": [{"role": "user", "name": "EMAIL_ADDRESS_6", "content": "I'm <EMAIL_ADDRESS_6>"}],
        }
    ]
    assert reply.json()["choices"][0]["message"]["content"] == "You said: I'm f@x.com"


async def test_labels_of_responses_come_back(presidio: PresidioDetector) -> None:
    """OpenAI repeats them in the answer."""
    provider = Provider(lambda request: {"object": "response", "output": [], **request})
    payload = {"model": "m", "input": "Hi", "user": "a@x.com", "metadata": {"who": "b@x.com"}}
    reply = await call(RedactMiddleware(provider, detector=presidio), payload, "/v1/responses")
    [sent] = provider.requests
    assert (sent["user"], sent["metadata"]) == ("<EMAIL_ADDRESS_1>", {"who": "<EMAIL_ADDRESS_2>"})
    assert (reply.json()["user"], reply.json()["metadata"]) == (payload["user"], payload["metadata"])


async def test_objects_of_messages_are_read_as_their_json_would_be(presidio: PresidioDetector) -> None:
    """Keys and numbers of tool inputs and of results, which an echo brings back; sources and who is served."""

    def answer(request: Any) -> Any:
        block = {"type": "tool_use", "id": "t", "name": "f", "input": request["messages"][0]["content"][0]["input"]}
        return {"type": "message", "role": "assistant", "content": [block], "stop_reason": "tool_use"}

    provider = Provider(answer)
    given = {"a@x.com": {"card": 4111111111111111, "n": 1.5, "long": 12345678901234567890123}}
    results = [{"mail": "b@x.com"}, ["b@x.com"], {"type": "x_result", "stdout": "b@x.com"}]
    found = {"type": "search_result", "source": "by b@x.com", "title": "b@x.com", "content": []}
    payload = {
        "model": "m",
        "max_tokens": 9,
        "metadata": {"user_id": "u@x.com"},
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": given}]},
            {
                "role": "user",
                "content": [*({"type": "tool_result", "tool_use_id": "t", "content": each} for each in results), found],
            },
        ],
    }
    body = exact.dumps(payload)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await RedactMiddleware(provider, detector=presidio)(scope_of("/v1/messages"), receive, send)
    out = exact.loads(provider.bodies[0])
    assert out["metadata"] == {"user_id": "<EMAIL_ADDRESS_1>"}
    assert out["messages"][0]["content"][0]["input"] == {
        "<EMAIL_ADDRESS_2>": {"card": 9000000000000001, "n": 1.5, "long": 12345678901234567890123}
    }
    first, second, third, source = out["messages"][1]["content"]
    assert [block["content"] for block in (first, second, third)] == [
        {"mail": "<EMAIL_ADDRESS_3>"},
        ["<EMAIL_ADDRESS_3>"],
        {"type": "x_result", "stdout": "<EMAIL_ADDRESS_3>"},
    ]
    assert (source["source"], source["title"]) == ("by <EMAIL_ADDRESS_3>", "<EMAIL_ADDRESS_3>")
    assert orjson.loads(sent[1]["body"])["content"][0]["input"]["a@x.com"]["card"] == 4111111111111111


async def test_a_placeholder_typed_as_a_key_is_not_ours(presidio: PresidioDetector) -> None:
    """Its number is not given away."""
    provider = Provider(lambda _: {})
    payload = {"model": "m", "input": "a@x.com", "metadata": {"<EMAIL_ADDRESS_1>": "x"}}
    await call(RedactMiddleware(provider, detector=presidio), payload, "/v1/responses")
    assert provider.requests[0]["input"] == "<EMAIL_ADDRESS_2>"


async def test_a_refusal_does_not_quote_the_callers_keys() -> None:
    """They may be personal data themselves."""
    app = RedactMiddleware(Provider(echo), detector=FixedDetector(US_SSN=["536-22-8721"]), entities={"US_SSN": "block"})
    payload = {"model": "m", "prompt": {"id": "p", "variables": {"Ann Smith": "536-22-8721"}}}
    reply = await call(app, payload, "/v1/responses")
    assert reply.json()["error"]["param"] == "prompt.variables.*"
    assert "Ann" not in reply.body.decode()


async def test_a_field_that_is_not_the_wires_is_looked_through_whatever_its_keys_are() -> None:
    """Names, ids, keys and numbers of the wire's own are left alone; in somebody's own object they may tell who."""
    provider = Provider(lambda _: {})
    detector = FixedDetector(PERSON=["Jane"], CREDIT_CARD=["4111111111111111"])
    own = {"name": "Jane", "id": "Jane", "Jane": {"user_id": "Jane"}, "card": 4111111111111111, "n": 3}
    await call(
        RedactMiddleware(provider, detector=detector),
        chat("hi", customer=own, cards=[4111111111111111], user_id="Jane"),
    )
    [sent] = provider.requests
    assert sent["user_id"] == "<PERSON_1>"
    assert sent["customer"] == {
        "name": "<PERSON_1>",
        "id": "<PERSON_1>",
        "<PERSON_1>": {"user_id": "<PERSON_1>"},
        "card": 9000000000000001,
        "n": 3,
    }
    assert sent["cards"] == [9000000000000001]
