"""Providers that fail: each failure has its status, its sentence and its row, and leaves nothing reserved."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest

from helix.kernel.wire import MESSAGES as ANTHROPIC
from tests.upstream.fakes import (
    Behaviour,
    Provider,
    chat_answer,
    chat_chunk,
    dies_after,
    events,
    hangs,
    hangs_after,
    refuses,
    sends,
    streams,
)

from .conftest import Start, deployment
from .running import Running, fault

MODELS = {"chat": "faulty-gpt", "messages": "faulty-claude"}

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hello there"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
# The stream of a message up to its first words.
BEGUN = b"".join(
    b"event: " + str(event.name).encode() + b"\ndata: " + (event.data or b"") + b"\n\n"
    for event in list(ANTHROPIC.stream(MESSAGE))[:3]
)
FIRST = {"chat": chat_chunk("Hello"), "messages": BEGUN}


def in_form(dialect: str, status: int) -> dict[str, Any]:
    """A provider's own error."""
    error = {"message": f"no: {status}", "type": "some_error", "param": None, "code": f"e{status}"}
    return {"type": "error", "error": error} if dialect == "messages" else {"error": error}


async def every_way(gateway: Running, provider: Provider, behaviour: Behaviour) -> list[tuple[str, httpx.Response]]:
    """Ask in both dialects, whole and streamed, while the provider behaves so."""
    replies = []
    for dialect, model in MODELS.items():
        for stream in (False, True):
            provider.plan.append(behaviour)
            replies.append((dialect, await gateway.ask("Hi", dialect, model=model, stream=stream)))
    return replies


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (dies_after(), "upstream_unreachable"),
        (sends(b"<html>Bad gateway", "text/html"), "upstream_invalid_response"),
        (sends(b'{"half": '), "upstream_invalid_response"),
        (sends(b"[]"), "upstream_invalid_response"),
        (streams(b"data: <html>\n\n"), "upstream_invalid_response"),
    ],
    ids=["dies", "HTML", "half JSON", "a list", "a stream of garbage"],
)
async def test_a_provider_without_an_answer(
    gateway: Running, provider: Provider, behaviour: Behaviour, code: str
) -> None:
    """502 of Helix's own. Nothing is charged, unless the connection broke when the provider had the question."""
    for dialect, reply in await every_way(gateway, provider, behaviour):
        assert reply.status_code == 502, reply.text
        error = fault(reply, dialect)
        assert dialect == "messages" or error["code"] == code
    rows = await gateway.rows(4)
    assert {(row["status"], row["error_code"], row["attempts"]) for row in rows} == {(502, code, 1)}
    assert [row["cost_usd"] > 0 for row in rows] == [code == "upstream_unreachable"] * 4
    assert (await gateway.budgets())[0]["used_usd"] == pytest.approx(sum(row["cost_usd"] for row in rows))


async def test_a_provider_that_hangs(start: Start, provider: Provider) -> None:
    """504 when the deployment's time is over."""
    gateway = await start(router_settings={"timeout": 0.3})
    for dialect, reply in await every_way(gateway, provider, hangs()):
        assert reply.status_code == 504
        fault(reply, dialect)
    assert {(row["status"], row["error_code"]) for row in await gateway.rows(4)} == {(504, "upstream_timeout")}
    await gateway.budgets()


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503, 529])
async def test_a_provider_that_refuses(gateway: Running, provider: Provider, status: int) -> None:
    """Its status and its words go to the caller, and when to come back; nothing is charged."""
    for dialect, model in MODELS.items():
        for stream in (False, True):
            provider.plan.append(refuses(status, in_form(dialect, status), {"retry-after": "7"}))
            reply = await gateway.ask("Hi", dialect, model=model, stream=stream)
            assert (reply.status_code, reply.json()) == (status, in_form(dialect, status))
            assert reply.headers["retry-after"] == "7"
    rows = await gateway.rows(4)
    assert {(row["status"], row["error_code"], row["cost_usd"]) for row in rows} == {(status, f"e{status}", 0)}
    assert (await gateway.budgets())[0]["used_usd"] == 0


async def test_a_provider_that_is_not_there(start: Start) -> None:
    """502, and no address in the reply."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    wires = {"chat": "openai/gpt-4o", "messages": "anthropic/claude-sonnet-4-5"}
    models = [deployment(f"nowhere-{name}", model, f"http://127.0.0.1:{port}") for name, model in wires.items()]
    gateway = await start(models=models)
    for dialect in ("chat", "messages"):
        for stream in (False, True):
            reply = await gateway.ask("Hi", dialect, model=f"nowhere-{dialect}", stream=stream)
            assert reply.status_code == 502
            fault(reply, dialect)
            assert str(port) not in reply.text
    assert {(row["status"], row["error_code"]) for row in await gateway.rows(4)} == {(502, "upstream_unreachable")}
    assert (await gateway.budgets())[0]["used_usd"] == 0


@pytest.mark.parametrize("dialect", ["chat", "messages"])
@pytest.mark.parametrize(
    ("fails", "code"),
    [
        (dies_after, "upstream_unreachable"),
        (hangs_after, "upstream_timeout"),
        (streams, "upstream_unreachable"),
        (lambda begun: streams(begun, b"data: <html>\n\n"), "upstream_invalid_response"),
    ],
    ids=["dies", "hangs", "breaks off", "garbage"],
)
async def test_a_stream_that_fails_in_the_midst(
    start: Start, provider: Provider, dialect: str, fails: Callable[[bytes], Behaviour], code: str
) -> None:
    """The caller has what came, then one error event, and no sign of a proper end; what came is charged."""
    gateway = await start(router_settings={"stream_timeout": 0.5})
    provider.plan.append(fails(FIRST[dialect]))
    reply = await gateway.ask("Hi", dialect, model=MODELS[dialect], stream=True)
    assert reply.status_code == 200
    told = [json.loads(data) for data in events(reply.text) if data != "[DONE]"]
    assert "[DONE]" not in reply.text
    assert "message_stop" not in reply.text
    assert "Hello" in reply.text
    assert [("error" in event) for event in told] == [False] * (len(told) - 1) + [True]
    message = told[-1]["error"]["message"]
    assert "\n" not in message
    assert "html" not in reply.text
    (row,) = await gateway.rows(1)
    assert (row["status"], row["error_code"]) == (200, code)
    (budget,) = await gateway.budgets()
    assert budget["used_usd"] == pytest.approx(row["cost_usd"])
    assert row["cost_usd"] > 0
    assert (await gateway.get("/helix/cache"))["entries"] == 0


async def test_the_official_clients_raise_their_own(gateway: Running, provider: Provider) -> None:
    """As if they spoke to the provider itself, also in the midst of a stream."""
    client, claude = await gateway.openai(), await gateway.claude()
    messages: Any = [{"role": "user", "content": "Hi"}]
    provider.plan.append(refuses(429))
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(model="faulty-gpt", messages=messages)
    provider.plan.append(refuses(529, in_form("messages", 529)))
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        await claude.messages.create(model="faulty-claude", messages=messages, max_tokens=9)
    assert overloaded.value.status_code == 529
    provider.plan.append(dies_after(FIRST["chat"]))
    stream = await client.chat.completions.create(model="faulty-gpt", messages=messages, stream=True)
    with pytest.raises(openai.APIError):
        _ = [chunk async for chunk in stream]
    provider.plan.append(dies_after(FIRST["messages"]))
    with pytest.raises(anthropic.APIError):
        async with claude.messages.stream(model="faulty-claude", messages=messages, max_tokens=9) as spoken:
            await spoken.get_final_message()
    await gateway.rows(4)
    await gateway.budgets()


async def test_a_provider_that_recovers(start: Start, provider: Provider) -> None:
    """A retry that succeeds is all that the caller sees; the row tells of both attempts."""
    gateway = await start(router_settings={"num_retries": 1})
    provider.plan += [refuses(500), sends(json.dumps(chat_answer("Hello!")).encode())]
    reply = await gateway.ask("Hi", model="faulty-gpt")
    assert (reply.status_code, reply.json()["choices"][0]["message"]["content"]) == (200, "Hello!")
    (row,) = await gateway.rows(1)
    assert (row["status"], row["attempts"], row["error_code"]) == (200, 2, "")
    assert (await gateway.budgets())[0]["used_usd"] == pytest.approx(row["cost_usd"])
