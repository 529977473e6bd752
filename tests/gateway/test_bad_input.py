"""What callers do wrong: each gets the right status and one sentence in its dialect's form, and leaves one row."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx
import openai
import pytest

from tests.upstream.fakes import Provider, chat_chunk, hangs, hangs_after

from .conftest import Start
from .running import CHAT, MASTER, MESSAGES, RESPONSES, Recorder, Running, eventually, fault

HEADERS = {"authorization": f"Bearer {MASTER}"}
PATHS = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}
SAID = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"Hi"',
        b"{'model': 1}",
        b"\xff\xfe\x00",
        b'{"model": NaN}',
        b"[" * 100_000,
        b'{"model": "\\ud800"}',
    ],
    ids=["empty", "cut off", "null", "list", "text", "Python", "not UTF-8", "NaN", "deep", "half a surrogate"],
)
async def test_a_body_that_is_no_json_object(gateway: Running, echo: Recorder, body: bytes) -> None:
    """400 in every dialect, and nobody is asked."""
    for dialect, path in PATHS.items():
        reply = await gateway.caller.post(path, content=body, headers=HEADERS)
        assert reply.status_code == 400
        fault(reply, dialect)
    assert echo.received == []
    rows = await gateway.rows(3)
    assert {(row["status"], row["error_code"]) for row in rows} <= {(400, "malformed_json"), (400, "invalid_request")}


@pytest.mark.parametrize(
    ("dialect", "wrong"),
    [
        ("chat", {"model": [None, 7, "", {}], "messages": [None, "Hi", ["Hi"], [{"role": "user", "content": 5}]]}),
        ("chat", {"stream": ["yes"], "max_tokens": ["many"], "temperature": ["hot"], "tools": ["hammer"]}),
        (
            "messages",
            {"model": [None, 7], "messages": [None, {}, ["Hi"]], "max_tokens": [None, -1, "9"], "system": [5]},
        ),
        ("responses", {"model": [[]], "input": [5, ["Hi"]], "stream": [1]}),
    ],
)
async def test_a_field_of_the_wrong_type(
    gateway: Running, echo: Recorder, dialect: str, wrong: dict[str, list[Any]]
) -> None:
    """400, naming the place; None: the field is missing."""
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"model": "gpt-4o", "messages": SAID},
        "messages": {"model": "claude", "messages": SAID, "max_tokens": 9},
        "responses": {"model": "gpt-4o", "input": "Hi"},
    }
    faults = [(place, value) for place, values in wrong.items() for value in values]
    for place, value in faults:
        body = {name: item for name, item in (bodies[dialect] | {place: value}).items() if item is not None}
        reply = await gateway.caller.post(PATHS[dialect], json=body, headers=HEADERS)
        assert reply.status_code == 400, (place, value, reply.text)
        error = fault(reply, dialect)
        assert place in error["message"]
        if dialect != "messages":
            assert error["param"].startswith(place)
    assert echo.received == []
    assert {row["status"] for row in await gateway.rows(len(faults))} == {400}


async def test_an_unknown_model(gateway: Running) -> None:
    """404, and both official clients are told which are known."""
    client, claude = await gateway.openai(), await gateway.claude()
    messages: Any = SAID
    with pytest.raises(openai.NotFoundError) as refused:
        await client.chat.completions.create(model="gpt-9", messages=messages)
    assert refused.value.code == "model_not_found"
    assert "gpt-4o, claude, faulty-gpt" in refused.value.message
    with pytest.raises(anthropic.NotFoundError) as other:
        await claude.messages.create(model="gpt-9", messages=messages, max_tokens=9)
    body: Any = other.value.body
    assert body["error"]["type"] == "not_found_error"
    assert "gpt-4o, claude, faulty-gpt" in body["error"]["message"]
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="gpt-9", messages=messages, stream=True)
    assert {(row["status"], row["model"]) for row in await gateway.rows(3)} == {(404, "other")}
    await gateway.budgets()


async def test_an_unknown_key(gateway: Running) -> None:
    """401, whichever way the credential is shown; an empty one is told how."""
    for shown in (
        {"authorization": "Bearer sk-hx-nobody"},
        {"x-api-key": "nobody"},
        {"authorization": "Basic eDp5"},
        {},
    ):
        for dialect, path in PATHS.items():
            reply = await gateway.caller.post(path, content=b"not even read", headers=shown)
            assert reply.status_code == 401
            assert fault(reply, dialect)["type"] == "authentication_error"
            assert reply.headers["www-authenticate"] == "Bearer"
    client = await gateway.openai("sk-hx-nobody")
    with pytest.raises(openai.AuthenticationError):
        await client.models.list()
    assert {row["status"] for row in await gateway.rows(12)} == {401}


async def test_a_revoked_key(gateway: Running) -> None:
    """Opens nothing any more once it is not remembered any more, and is told so."""
    made = await gateway.key()
    assert (await gateway.ask("Hi", key=made["key"])).status_code == 200
    assert (await gateway.admin.delete(f"/helix/keys/{made['id']}")).status_code == 200
    refused = await eventually(lambda: gateway.ask("Hi", key=made["key"]), lambda reply: reply.status_code != 200)
    assert refused.status_code == 401
    assert "revoked" in fault(refused, "chat")["message"]
    listed = (await gateway.get("/helix/keys"))["data"]
    assert [(key["id"], key["revoked"]) for key in listed] == [(made["id"], True)]


# Bodies that are too long, or never end


async def raw(gateway: Running, head: list[str], *pieces: bytes) -> httpx.Response:
    """Send headers and some of a body by hand, and wait for the reply without sending more."""
    parts = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        lines = [f"POST {CHAT} HTTP/1.1", "host: gateway", f"authorization: Bearer {MASTER}", *head, "", ""]
        writer.write("\r\n".join(lines).encode())
        for piece in pieces:
            writer.write(piece)
        async with asyncio.timeout(30):
            start = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in start[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
        return httpx.Response(int(start[0].split()[1]), headers=headers, content=body)
    finally:
        writer.close()


async def test_a_body_that_says_it_is_too_long(start: Start) -> None:
    """413 before any of it is read."""
    gateway = await start(server={"max_body_bytes": 2048})
    reply = await raw(gateway, ["content-length: 1000000000"])
    assert (reply.status_code, fault(reply, "chat")["code"]) == (413, "body_too_large")
    assert "2048" in reply.text
    assert [row["status"] for row in await gateway.rows(1)] == [413]


async def test_a_body_that_turns_out_too_long(start: Start) -> None:
    """413 as soon as it is over the cap, though it has not ended; one at the cap is read."""
    gateway = await start(server={"max_body_bytes": 2048})
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    reply = await raw(gateway, ["transfer-encoding: chunked"], chunk, chunk, chunk)
    assert (reply.status_code, fault(reply, "chat")["code"]) == (413, "body_too_large")
    fitting = json.dumps({"model": "gpt-4o", "messages": SAID}).encode().ljust(2048)
    assert (await gateway.caller.post(CHAT, content=fitting, headers=HEADERS)).status_code == 200
    assert [row["status"] for row in await gateway.rows(2)] == [413, 200]


@pytest.mark.parametrize("head", ["content-length: 500", "transfer-encoding: chunked"])
async def test_a_body_that_never_ends(start: Start, head: str) -> None:
    """408 when the time is over."""
    gateway = await start(server={"body_timeout_seconds": 0.3})
    reply = await raw(gateway, [head], b'5\r\n{"mod\r\n')
    assert (reply.status_code, fault(reply, "chat")["code"]) == (408, "body_timeout")
    assert [row["status"] for row in await gateway.rows(1)] == [408]


async def test_a_compressed_body(gateway: Running) -> None:
    """400, rather than garbage for a provider."""
    headers = {**HEADERS, "content-encoding": "gzip"}
    reply = await gateway.caller.post(CHAT, content=b"\x1f\x8b", headers=headers)
    assert (reply.status_code, fault(reply, "chat")["param"]) == (400, "content-encoding")


# Paths and methods


async def test_a_path_that_there_is_not(gateway: Running) -> None:
    """404 or 405, with what there is."""
    assert "/v1/chat/completions" in (await gateway.admin.get("/v1/nothing")).json()["error"]["message"]
    reply = await gateway.admin.get(CHAT)
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert (await gateway.admin.get("/helix/nothing")).status_code == 404
    assert (await gateway.caller.post("/v1/nothing")).status_code == 401


# Callers who leave


async def leave(gateway: Running, provider: Provider, body: dict[str, Any], *, after_events: bool) -> None:
    """Ask, and close the connection when the provider has begun to work, or the first event has come."""
    async with httpx.AsyncClient(base_url=gateway.url, headers=HEADERS, timeout=30, trust_env=False) as client:
        if after_events:
            async with client.stream("POST", CHAT, json=body) as reply:
                async for line in reply.aiter_lines():
                    if "Hello" in line:
                        break
        else:
            asking = asyncio.create_task(client.post(CHAT, json=body))
            await provider.arrived.wait()
            asking.cancel()
    await asyncio.wait_for(provider.left.wait(), 30)


@pytest.mark.parametrize("after_events", [False, True], ids=["before the first event", "in the midst of a stream"])
async def test_a_caller_who_leaves_a_stream(gateway: Running, provider: Provider, after_events: bool) -> None:
    """The provider's work is broken off, the row says 499, the reservation is settled by what was delivered."""
    provider.plan.append(hangs_after(chat_chunk("Hello")) if after_events else hangs())
    body = {"model": "faulty-gpt", "messages": SAID, "stream": True}
    await leave(gateway, provider, body, after_events=after_events)
    (row,) = await gateway.rows(1)
    assert (row["status"], row["error_code"]) == (499, "client_disconnected")
    (budget,) = await gateway.budgets()
    assert budget["used_usd"] == pytest.approx(row["cost_usd"])
    assert row["cost_usd"] > 0  # the provider had the question


async def test_a_caller_who_leaves_while_a_whole_answer_is_made(gateway: Running, provider: Provider) -> None:
    """The same."""
    provider.plan.append(hangs())
    await leave(gateway, provider, {"model": "faulty-gpt", "messages": SAID}, after_events=False)
    (row,) = await gateway.rows(1)
    assert (row["status"], row["error_code"]) == (499, "client_disconnected")
    (budget,) = await gateway.budgets()
    assert budget["used_usd"] > 0


async def test_a_caller_who_leaves_in_the_midst_of_the_body(gateway: Running) -> None:
    """Is on record too, and cost nothing."""
    parts = urlsplit(gateway.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {MASTER}\r\n".encode())
    writer.write(b"content-length: 500\r\n\r\n{")
    await writer.drain()

    async def in_progress() -> str:
        return (await gateway.caller.get("/metrics")).text

    await eventually(in_progress, lambda text: "helix_requests_in_progress 1.0" in text)
    writer.close()
    (row,) = await gateway.rows(1)
    assert (row["status"], row["cost_usd"]) == (499, 0)
