"""One row per request, whatever happens inside: over a real server, into a real engine."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Mount

from helix.kernel.errors import BudgetExceeded, HelixError, UpstreamTimeout
from helix.kernel.exchange import open_exchange
from helix.kernel.reply import refuse
from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send
from helix.telemetry import TelemetryMiddleware
from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.log import RequestLog
from helix.telemetry.metrics import Metrics
from helix.telemetry.sink import Sink

Serve = Callable[..., Awaitable[str]]
CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi, write to ann.lee@example.org"}]}
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Dear Ann"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}


@dataclass
class Recorder:
    """The stage's surroundings: a sink into a real engine, and metrics."""

    store: ClickHouse
    sink: Sink
    metrics: Metrics

    def around(self, app: ASGIApp, **options: Any) -> TelemetryMiddleware:
        return TelemetryMiddleware(app, sink=self.sink, metrics=self.metrics, **{"models": ["gpt-4o"], **options})

    async def rows(self) -> list[dict[str, Any]]:
        await self.sink.flush()
        return (await RequestLog(self.store).requests())[0]

    async def row(self) -> dict[str, Any]:
        rows = await self.rows()
        assert len(rows) == 1
        return rows[0]


@pytest_asyncio.fixture
async def recorder(clickhouse: ClickHouse, tmp_path: Path) -> AsyncIterator[Recorder]:
    sink = Sink(clickhouse, tmp_path / "spool", journal_seconds=0.005)
    await sink.open()
    yield Recorder(clickhouse, sink, Metrics(sink_state=sink.state))
    await sink.close()


async def reply(send: Send, status: int, body: bytes, media_type: bytes = b"application/json") -> None:
    headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(body)),
        (b"x-helix-model", b"openai/gpt-4o"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def with_lifespan(app: ASGIApp) -> ASGIApp:
    """The app, answering the server's lifespan."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    return wrapped


@with_lifespan
async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """An inner app that answers, and notes what the stages would note."""
    exchange = await open_exchange(scope, receive)
    record = exchange.record
    record.admit.update(key_id="k_7", key_name="seven", user="u", team="red", organization="acme", tags=["beta"])
    record.redact.update(entities={"EMAIL_ADDRESS": 1}, restored=1, unknown=0, ms=0.5)
    record.cache.update(status="miss", ms=0.25)
    record.budget.update(cost_nano_usd=12_000, priced=True, ms=0.125)
    record.upstream.update(provider="openai", model="openai/gpt-4o", deployment="d1", attempts=2, fallbacks=1)
    record.upstream.update(ms=0.0, first_ms=0.0, api_base="api.openai.com")
    await reply(send, 200, orjson.dumps(ANSWER))


CHUNKS = [
    {"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": part}}]}
    for part in ("Dear", " Ann")
]
LAST: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}],
}
USAGE: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": ANSWER["usage"]}


@with_lifespan
async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
    """An inner app that streams, with usage if it is asked for."""
    exchange = await open_exchange(scope, receive)
    wants_usage = (exchange.payload.get("stream_options") or {}).get("include_usage")
    events = [*CHUNKS, LAST, *([USAGE] if wants_usage else [])]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for event in events:
        await send({"type": "http.response.body", "body": b"data: " + orjson.dumps(event) + b"\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def post(base_url: str, body: Any = QUESTION, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=base_url) as client:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await client.post(CHAT, content=content, **options)


async def test_an_answer(recorder: Recorder, serve: Serve) -> None:
    """Everything that the stages noted and the answer says is in the row; the reply carries its id."""
    response = await post(await serve(recorder.around(answering)))
    assert response.json() == ANSWER
    row = await recorder.row()
    expected = {
        "request_id": response.headers["x-helix-request-id"],
        "operation": "chat",
        "dialect": "chat",
        "stream": False,
        "model": "gpt-4o",
        "response_model": "openai/gpt-4o",
        "provider": "openai",
        "deployment": "d1",
        "attempts": 2,
        "fallbacks": 1,
        "status": 200,
        "error_code": "",
        "finish_reason": "stop",
        "input_tokens": 12,
        "output_tokens": 5,
        "cache_read_input_tokens": 4,
        "reasoning_output_tokens": 2,
        "cost_nano_usd": 12_000,
        "priced": True,
        "cache": "miss",
        "entities": {"EMAIL_ADDRESS": 1},
        "restored": 1,
        "redact_ms": 0.5,
        "cache_ms": 0.25,
        "budget_ms": 0.125,
        "key_id": "k_7",
        "key_name": "seven",
        "user": "u",
        "team": "red",
        "organization": "acme",
        "tags": ["beta"],
    }
    assert {name: row[name] for name in expected} == expected
    assert row["first_token_ms"] is None
    assert row["duration_ms"] > 0
    assert float(response.headers["x-helix-overhead-ms"]) <= row["duration_ms"]


async def test_metadata_in_the_body_when_asked_for(recorder: Recorder, serve: Serve) -> None:
    """`x-helix-metadata: body` adds one field and changes no other."""
    response = await post(await serve(recorder.around(answering)), headers={"x-helix-metadata": "body"})
    body = response.json()
    metadata = body.pop("helix_metadata")
    assert body == ANSWER
    assert metadata["request_id"] == response.headers["x-helix-request-id"]
    assert metadata["redactions"] == {"EMAIL_ADDRESS": 1}
    assert metadata["cost_usd"] == 0.000012
    assert metadata["cache"] == "miss"


async def test_a_stream(recorder: Recorder, serve: Serve) -> None:
    """The row has usage though the caller did not ask for it, and the caller sees none of it."""
    response = await post(await serve(recorder.around(streaming)), {**QUESTION, "stream": True})
    seen = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert [json.loads(item) for item in seen[:-1]] == [*CHUNKS, LAST]
    assert seen[-1] == "[DONE]"
    row = await recorder.row()
    assert (row["stream"], row["status"], row["error_code"], row["finish_reason"]) == (True, 200, "", "length")
    assert (row["input_tokens"], row["output_tokens"]) == (12, 5)
    assert 0 < row["first_token_ms"] <= row["duration_ms"]


async def test_a_stream_whose_caller_asked_for_usage(recorder: Recorder, serve: Serve) -> None:
    """Then the caller gets it."""
    asked = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
    response = await post(await serve(recorder.around(streaming)), asked)
    assert orjson.dumps(USAGE).decode() in response.text
    assert (await recorder.row())["output_tokens"] == 5


async def test_a_refusal_inside(recorder: Recorder, serve: Serve) -> None:
    """A stage's refusal is a row with its code."""

    @with_lifespan
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = await open_exchange(scope, receive)
        exchange.record.budget.update(refused="team red")
        await refuse(BudgetExceeded("the budget is spent"))(scope, receive, send)

    response = await post(await serve(recorder.around(refusing)))
    assert response.status_code == 429
    assert len(response.headers.get_list("x-helix-request-id")) == 1
    row = await recorder.row()
    assert (row["status"], row["error_code"], row["budget_refused"]) == (429, "budget_exceeded", "team red")
    assert row["model"] == "gpt-4o"


async def test_an_exception_inside(recorder: Recorder, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets a 500 in the dialect's form; the log says what and where, and quotes nothing."""

    @with_lifespan
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = await open_exchange(scope, receive)
        raise ValueError(exchange.payload["messages"][0]["content"])

    response = await post(await serve(recorder.around(broken)))
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "Traceback" not in response.text
    row = await recorder.row()
    assert (row["status"], row["error_code"]) == (500, "internal_error")
    assert "ValueError at " in caplog.text
    assert "test_middleware.py" in caplog.text
    assert "ann.lee" not in caplog.text + response.text


async def test_an_error_that_a_stage_raised(recorder: Recorder, serve: Serve) -> None:
    """An error of Helix's own that slips through is replied with its own status."""

    @with_lifespan
    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        raise UpstreamTimeout("the provider did not answer in time")

    response = await post(await serve(recorder.around(raising)))
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    assert (await recorder.row())["status"] == 504


async def test_an_exception_in_the_midst_of_a_stream(recorder: Recorder, serve: Serve) -> None:
    """The stream ends with one error event; the row keeps the status that was sent, and the error."""

    @with_lifespan
    async def dying(scope: Scope, receive: Receive, send: Send) -> None:
        await open_exchange(scope, receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        data = b"data: " + orjson.dumps(CHUNKS[0]) + b"\n\n"
        await send({"type": "http.response.body", "body": data, "more_body": True})
        raise UpstreamTimeout("the provider fell silent")

    response = await post(await serve(recorder.around(dying)), {**QUESTION, "stream": True})
    assert "upstream_timeout" in response.text
    assert "[DONE]" not in response.text
    row = await recorder.row()
    assert (row["status"], row["error_code"]) == (200, "upstream_timeout")


async def test_an_error_event_in_a_stream(recorder: Recorder, serve: Serve) -> None:
    """A stream that its stage ended with an error event is an error in the row."""

    @with_lifespan
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await open_exchange(scope, receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        error = {"error": {"message": "overloaded", "type": "upstream_error", "code": "overloaded"}}
        await send({"type": "http.response.body", "body": b"data: " + orjson.dumps(error) + b"\n\n"})

    await post(await serve(recorder.around(failing)), {**QUESTION, "stream": True})
    assert (await recorder.row())["error_code"] == "overloaded"


async def test_a_reply_that_was_not_finished(recorder: Recorder, serve: Serve) -> None:
    """An inner app that returns without a reply gets a 500, not a hang."""

    @with_lifespan
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await open_exchange(scope, receive)

    response = await post(await serve(recorder.around(silent)))
    assert response.status_code == 500
    assert (await recorder.row())["error_code"] == "internal_error"


async def test_a_caller_that_leaves_in_the_midst_of_a_stream(recorder: Recorder, serve: Serve) -> None:
    """The row says 499."""
    left = asyncio.Event()

    @with_lifespan
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = await open_exchange(scope, receive)
        await exchange.receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        data = b"data: " + orjson.dumps(CHUNKS[0]) + b"\n\n"
        await send({"type": "http.response.body", "body": data, "more_body": True})
        assert (await exchange.receive())["type"] == "http.disconnect"
        left.set()

    base_url = await serve(recorder.around(endless))
    async with (
        httpx.AsyncClient(base_url=base_url) as client,
        client.stream("POST", CHAT, json={**QUESTION, "stream": True}) as response,
    ):
        async for _ in response.aiter_raw():
            break
    await left.wait()
    row = await recorder.row()
    assert (row["status"], row["error_code"]) == (499, "client_disconnected")
    assert row["first_token_ms"] is not None


async def test_a_request_that_is_cancelled(recorder: Recorder) -> None:
    """Cancelling goes on outwards, and leaves a row."""
    inside = asyncio.Event()

    async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
        inside.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(recorder.around(hanging)))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await recorder.row())["status"] == 499
    assert recorder.metrics.in_progress == 0


async def call(app: ASGIApp, body: bytes = b"{}", path: str = CHAT, sent: list[Message] | None = None) -> None:
    """One request without a server."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if sent is not None:
            sent.append(message)

    await app({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)


@with_lifespan
async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """An inner stage that reads the body and refuses what is wrong with it, as every stage does."""
    try:
        await open_exchange(scope, receive)
    except HelixError as error:
        await refuse(error)(scope, receive, send)
        return
    await reply(send, 200, orjson.dumps(ANSWER))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{not json", 400, "malformed_json"),
        (b"[]", 400, "malformed_json"),
        (b'{"model": 5, "messages": []}', 400, "invalid_request"),
        (b'{"model": "' + b"x" * 2000 + b'"}', 413, "body_too_large"),
    ],
)
async def test_a_malformed_body(recorder: Recorder, serve: Serve, body: bytes, status: int, code: str) -> None:
    """What cannot be read is a row too; the cap is this stage's to set."""
    response = await post(await serve(recorder.around(reading, max_body_bytes=1000)), body)
    assert response.status_code == status
    row = await recorder.row()
    assert (row["status"], row["error_code"], row["model"]) == (status, code, "")


async def test_a_body_that_never_ends(recorder: Recorder, serve: Serve) -> None:
    """It is refused with 408 after the time that this stage sets."""

    base_url = await serve(recorder.around(reading, body_timeout_seconds=0.05))
    host, _, port = base_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: helix\r\ncontent-length: 100\r\n\r\n{")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await writer.wait_closed()
    assert (await recorder.row())["error_code"] == "body_timeout"


async def test_only_requests_to_models_are_recorded(recorder: Recorder, serve: Serve) -> None:
    """Health checks and the like pass untouched."""

    @with_lifespan
    async def healthy(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, 200, b"{}")

    base_url = await serve(recorder.around(healthy))
    async with httpx.AsyncClient(base_url=base_url) as client:
        response = await client.get("/health/live")
    assert "x-helix-request-id" not in response.headers
    assert await recorder.rows() == []


async def test_a_model_name_that_nobody_serves(recorder: Recorder, serve: Serve) -> None:
    """What a caller puts there may be anything: neither the row nor a metric has it."""
    name = "ann.lee@example.org"
    await post(await serve(recorder.around(answering)), {**QUESTION, "model": name})
    row = await recorder.row()
    assert row["model"] == "other"
    assert name not in recorder.metrics.exposition()[0].decode()


async def test_no_text_is_recorded(recorder: Recorder, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Neither rows nor spool nor logs nor metrics hold anything that was written in a request or an answer."""
    caplog.set_level(logging.DEBUG, "helix")
    facts: list[Any] = []
    app = recorder.around(answering, observe=lambda stage, noted: facts.append((stage, noted)))
    base_url = await serve(app)
    await post(base_url)
    await post(base_url, {**QUESTION, "stream": True, "user": "ann.lee@example.org", "metadata": {"who": "ann.lee"}})
    await post(base_url, b'{"ann.lee@example.org"')
    await recorder.sink._drain(cut=False)
    spooled = [file.read_text() for file in recorder.sink._spool.folder.rglob("*.jsonl")]
    assert len(await recorder.rows()) == 3
    everything = await recorder.store.query("SELECT * FROM requests")
    found = repr((everything, spooled, facts, caplog.text, recorder.metrics.exposition()))
    assert len(facts) == 3
    for secret in ("ann.lee", "example.org", "Dear", "Hi, write"):
        assert secret not in found


async def test_every_dialect_is_recorded_wherever_it_is_mounted(recorder: Recorder) -> None:
    """On a mounted sub-app, with no lifespan, the sink opens with the first request."""
    sink = Sink(recorder.store, recorder.sink._spool.folder.parent / "other", journal_seconds=0.005)
    app = Starlette(routes=[Mount("/ai", TelemetryMiddleware(reading, sink=sink))])
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"):
        await call(app, path=f"/ai{path}")
    await sink.close()
    found = {row["dialect"] for row in (await RequestLog(recorder.store).requests())[0]}
    assert found == {"chat", "completions", "embeddings", "responses", "messages"}


async def test_the_sink_lives_with_the_app(clickhouse: ClickHouse, tmp_path: Path, serve: Serve) -> None:
    """A sink that was not open is opened by the lifespan, and closed, with every row written, by its end."""
    sink = Sink(clickhouse, tmp_path)
    app = TelemetryMiddleware(answering, sink=sink)
    received: asyncio.Queue[Message] = asyncio.Queue()
    sent: asyncio.Queue[Message] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, received.get, sent.put))
    await received.put({"type": "lifespan.startup"})
    assert (await sent.get())["type"] == "lifespan.startup.complete"
    assert sink.is_open
    await call(app, orjson.dumps(QUESTION))
    await received.put({"type": "lifespan.shutdown"})
    assert (await sent.get())["type"] == "lifespan.shutdown.complete"
    await task
    assert not sink.is_open
    assert sink.written == 1


async def test_a_store_that_is_gone_stops_nothing(recorder: Recorder, tmp_path: Path, unused_tcp_port: int) -> None:
    """Requests are answered while ClickHouse is not there; their rows wait on disk."""
    store = ClickHouse(f"http://127.0.0.1:{unused_tcp_port}")
    sink = Sink(store, tmp_path / "gone")
    await sink.open()
    sent: list[Message] = []
    await call(TelemetryMiddleware(answering, sink=sink), orjson.dumps(QUESTION), sent=sent)
    assert sent[0]["status"] == 200
    await sink.flush()
    assert "127.0.0.1" in (sink.error or "")
    await sink.close()
    assert len(list((tmp_path / "gone").glob("*/*.jsonl"))) == 1
    heir = Sink(recorder.store, tmp_path / "gone")
    await heir.open()
    await heir.close()
    assert heir.written == 1


def test_wrong_values_are_refused_at_once() -> None:
    """The constructor checks values and does nothing else."""
    sink: Any = None
    wrong: tuple[dict[str, Any], ...] = ({"max_body_bytes": 0}, {"body_timeout_seconds": 0})
    for options in wrong:
        with pytest.raises(ValueError, match=r"max_body_bytes|body_timeout_seconds"):
            TelemetryMiddleware(answering, sink=sink, **options)
