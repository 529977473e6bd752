"""Personal data and secrets are nowhere but in the caller's own request and answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from helix.telemetry.clickhouse import ClickHouse
from tests.upstream.fakes import Provider, chat_chunk, dies_after, hangs_after, refuses, sends, streams

from .conftest import Start
from .running import CHAT, MASTER, MESSAGES, PROVIDER_KEY, RESPONSES, Recorder, Running, eventually

EMAIL, CARD, PHONE, SSN = "zerlinda.quaxby@made-up-mail.org", "4539 5787 6362 1486", "(212) 555-0147", "536-22-8726"
TEXT = f"I am {EMAIL}, my card is {CARD}, my phone number is {PHONE}."
VALUES = (EMAIL, "zerlinda", "quaxby", CARD, "4539 5787", "6362 1486", "4539578763621486", PHONE, "555-0147", SSN)
SECRETS = (MASTER, PROVIDER_KEY)


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def repeats(status: int) -> Any:
    """Answer with an error whose message repeats the whole request, as some providers do."""

    async def behaviour(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        error = {"message": f"cannot answer {json.dumps(body)}", "type": "invalid_request_error", "code": None}
        return web.json_response({"type": "error", "error": error}, status=status)

    return behaviour


async def whole(gateway: Running, provider: Provider) -> None:
    for dialect in ("chat", "messages", "responses"):
        assert EMAIL in (await gateway.ask(TEXT, dialect)).text
        await gateway.ask(TEXT, dialect)


async def streamed(gateway: Running, provider: Provider) -> None:
    for dialect in ("chat", "messages", "responses"):
        assert (await gateway.ask(TEXT, dialect, stream=True)).status_code == 200
        await gateway.ask(TEXT, dialect, stream=True)


async def tool_calls(gateway: Running, provider: Provider) -> None:
    parameters = {"type": "object", "properties": {"q": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "find", "parameters": parameters}}
    for stream in (False, True):
        await gateway.ask(TEXT, tools=[tool], tool_choice="required", stream=stream)


async def embeddings(gateway: Running, provider: Provider) -> None:
    headers = {"authorization": f"Bearer {MASTER}"}
    body = {"model": "gpt-4o", "input": [TEXT, "other"]}
    assert (await gateway.caller.post("/v1/embeddings", json=body, headers=headers)).status_code == 200
    counted = {"model": "claude", "messages": [{"role": "user", "content": TEXT}]}
    assert (await gateway.caller.post(f"{MESSAGES}/count_tokens", json=counted, headers=headers)).status_code == 200


async def provider_repeats_the_request(gateway: Running, provider: Provider) -> None:
    for status in (400, 422, 500):
        for dialect, model in (("chat", "faulty-gpt"), ("messages", "faulty-claude")):
            provider.plan.append(repeats(status))
            assert (await gateway.ask(TEXT, dialect, model=model)).status_code == status


async def provider_sends_garbage(gateway: Running, provider: Provider) -> None:
    garbage = [sends(f"<p>{TEXT}".encode()), sends(b"[1]"), sends(TEXT.encode(), "text/plain"), refuses(500, TEXT)]
    garbage += [streams(f"data: {TEXT}\n\n".encode()), streams(chat_chunk("Hello"), f"data: {TEXT}\n\n".encode())]
    for behaviour in garbage:
        provider.plan.append(behaviour)
        await gateway.ask(TEXT, model="faulty-gpt", stream="streams" in behaviour.__qualname__)
    assert not provider.plan


async def provider_dies_in_the_midst(gateway: Running, provider: Provider) -> None:
    provider.plan.append(dies_after(chat_chunk("You are <EMAIL_ADDR")))
    await gateway.ask(TEXT, model="faulty-gpt", stream=True)


async def caller_leaves_in_the_midst(gateway: Running, provider: Provider) -> None:
    provider.plan.append(hangs_after(chat_chunk("You are <EMAIL_ADDRESS_1>")))
    body = {"model": "faulty-gpt", "messages": [{"role": "user", "content": TEXT}], "stream": True}
    headers = {"authorization": f"Bearer {MASTER}"}
    async with gateway.caller.stream("POST", CHAT, json=body, headers=headers) as reply:
        async for line in reply.aiter_lines():
            if EMAIL in line:
                break
    await asyncio.wait_for(provider.left.wait(), 30)


async def malformed(gateway: Running, provider: Provider) -> None:
    headers = {"authorization": f"Bearer {MASTER}"}
    for path, name in ((CHAT, "messages"), (MESSAGES, "messages"), (RESPONSES, "input")):
        said = [{"role": "user", "content": TEXT}]
        bodies: list[dict[str, Any]] = [
            {"model": TEXT, name: said, "max_tokens": 9},
            {"model": [EMAIL], name: said},
            {"model": "gpt-4o", name: {EMAIL: TEXT}},
            {"model": "gpt-4o", name: [TEXT]},
            {"model": "gpt-4o", name: [{"role": EMAIL, "content": 1, EMAIL: TEXT}]},
            {"model": "gpt-4o", name: said, "stream": EMAIL},
            {EMAIL: TEXT},
        ]
        for body in (f'{{"model": "gpt-4o", "{name}": "{TEXT}'.encode(), *map(json_bytes, bodies)):
            reply = await gateway.caller.post(path, content=body, headers=headers)
            assert 400 <= reply.status_code < 500, body
            assert not [value for value in VALUES if value in reply.text]


async def blocked(gateway: Running, provider: Provider) -> None:
    for dialect in ("chat", "messages", "responses"):
        reply = await gateway.ask(f"{TEXT} My social security number is {SSN}.", dialect)
        assert (reply.status_code, "US_SSN" in reply.text) == (400, True)
        assert not [value for value in VALUES if value in reply.text]


async def budget_refused(gateway: Running, provider: Provider) -> None:
    made = await gateway.key(budgets=[{"limit_usd": 0, "window": "day"}])
    for stream in (False, True):
        reply = await gateway.ask(TEXT, key=made["key"], stream=stream)
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "budget_exceeded")
        assert not [value for value in VALUES if value in reply.text]


async def strange_credentials(gateway: Running, provider: Provider) -> None:
    for key in (EMAIL, f"sk-hx-{EMAIL}", "sk-hx-" + "A" * 48):
        reply = await gateway.ask(TEXT, key=key)
        assert reply.status_code == 401
        assert key not in reply.text
    reply = await gateway.admin.post("/helix/keys", json={"name": "x", "rpm": EMAIL})
    assert (reply.status_code, EMAIL in reply.text) == (400, False)
    assert (await gateway.admin.post("/helix/redact", json={"text": TEXT})).status_code == 200


@pytest.mark.parametrize(
    "send",
    [
        whole,
        streamed,
        tool_calls,
        embeddings,
        provider_repeats_the_request,
        provider_sends_garbage,
        provider_dies_in_the_midst,
        caller_leaves_in_the_midst,
        malformed,
        blocked,
        budget_refused,
        strange_credentials,
    ],
)
async def test_nothing_is_left_of_personal_data(start: Start, echo: Recorder, provider: Provider, send: Any) -> None:
    """Not in a log record at any level, a key or value of Redis, a row, a metric, the spool, or at a provider."""
    kinds = ("EMAIL_ADDRESS", "CREDIT_CARD", "PHONE_NUMBER")
    gateway = await start(redact={"entities": {**dict.fromkeys(kinds, "placeholder"), "US_SSN": "block"}})
    await gateway.ask("Hi")  # so that there is something to look at
    await send(gateway, provider)
    await gateway.budgets()
    traces = await gateway.traces()
    assert all(traces[where] for where in ("logs", "Redis", "ClickHouse", "metrics", "spool"))
    assert [(where, value) for where, text in traces.items() for value in (*VALUES, *SECRETS) if value in text] == []
    sent = echo.heard + "".join(body.decode() for _, _, body in provider.requests)
    assert [value for value in VALUES if value in sent] == []


async def test_nothing_is_in_the_rows_that_wait_on_disk(start: Start) -> None:
    """While ClickHouse is gone, rows lie in the spool; they hold no more than the table would."""
    gateway = await start(parts={"store": ClickHouse("http://127.0.0.1:9/helix")})
    assert (await gateway.ask(TEXT)).status_code == 200
    assert (await gateway.ask(TEXT, model=EMAIL)).status_code == 404

    async def lines() -> list[str]:
        return [line for file in gateway.spool.rglob("*.jsonl") for line in file.read_text().splitlines()[1:]]

    waiting = await eventually(lines, lambda found: len(found) == 2)
    assert not [value for value in (*VALUES, *SECRETS) if value in "".join(waiting)]


async def test_a_virtual_key_is_kept_nowhere(gateway: Running) -> None:
    """Redis knows a keyed hash of it; nobody else knows anything."""
    made = await gateway.key(name="shop", rpm=100, parallel=5, budgets=[{"limit_usd": 1, "window": "day"}])
    secret = made["key"]
    assert (await gateway.ask("Hi", key=secret)).status_code == 200
    assert (await gateway.ask("Hi", key=secret[:-1])).status_code == 401
    await gateway.rows(2)
    assert await gateway.leaks((secret, secret[16:-6])) == []
    assert secret not in (await gateway.admin.get("/helix/keys")).text


async def test_the_providers_key_is_told_to_nobody(gateway: Running, provider: Provider) -> None:
    """A provider that refuses it quotes it; the caller is told that the configured credential was refused."""
    quoted = {"error": {"message": f"Incorrect API key provided: {PROVIDER_KEY}", "type": "e", "code": "c"}}
    provider.plan.append(refuses(401, quoted))
    reply = await gateway.ask("Hi", model="faulty-gpt")
    assert reply.status_code == 401
    assert PROVIDER_KEY not in reply.text
    assert await gateway.leaks((PROVIDER_KEY,)) == []
