"""What a gateway is for: personal data out and back, answers from cache, spending booked, every request on record."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import httpx
import openai
import pytest
import yaml

from helix.config import Config
from helix.local import console_app, detector
from tests.upstream.fakes import Provider, hangs

from .conftest import Start
from .running import CHAT, MASTER, Recorder, Running, eventually

EMAIL, CARD, PHONE = "zerlinda.quaxby@made-up-mail.org", "4539 5787 6362 1486", "(212) 555-0147"
TEXT = f"Why was card {CARD} charged twice? Write to {EMAIL}, my phone number is {PHONE}."
KINDS = {"CREDIT_CARD": 1, "EMAIL_ADDRESS": 1, "PHONE_NUMBER": 1}

RECOGNIZERS = r"""
recognizers:
  - name: employees
    entity: EMPLOYEE_ID
    patterns: ['\bEMP-\d{6}\b']
  - name: orders
    entity: ORDER_ID
    patterns: [{name: eight digits, regex: '\b\d{8}\b', score: 0.1}]
    checksum: luhn
    context: [order]
"""

FUNCTION: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


async def converse(gateway: Running, dialect: str, text: str, *, stream: bool) -> str:
    """Say something with the official client of a dialect, and return the answer's text."""
    if dialect == "messages":
        claude = await gateway.claude()
        said: Any = {
            "model": "claude",
            "max_tokens": 500,
            "messages": [{"role": "user", "content": text}],
        }
        if not stream:
            whole: Any = await claude.messages.create(**said)
            return str(whole.content[0].text)
        async with claude.messages.stream(**said) as message:
            return "".join([piece async for piece in message.text_stream])
    client = await gateway.openai()
    if dialect == "responses":
        if not stream:
            return (await client.responses.create(model="gpt-4o", input=text)).output_text
        async with client.responses.stream(model="gpt-4o", input=text) as response:
            return (await response.get_final_response()).output_text
    asked: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    if not stream:
        return str((await client.chat.completions.create(**asked)).choices[0].message.content)
    chunks = await client.chat.completions.create(**asked, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
async def test_personal_data_stays_here(gateway: Running, echo: Recorder, dialect: str, stream: bool) -> None:
    """The provider is asked with placeholders; the caller gets the answer with their own values."""
    assert await converse(gateway, dialect, TEXT, stream=stream) == f"You asked: {TEXT}"
    assert len(echo.received) == 1
    for value in (EMAIL, CARD, PHONE, "zerlinda", "4539", "555-0147"):
        assert value not in echo.heard
    for placeholder in ("<EMAIL_ADDRESS_1>", "<CREDIT_CARD_1>", "<PHONE_NUMBER_1>"):
        assert placeholder in echo.heard
    (row,) = await gateway.rows(1)
    assert (row["status"], row["dialect"], row["stream"], row["error_code"]) == (200, dialect, stream, "")
    assert (row["entities"], row["restored"]) == (KINDS, 3)
    assert (row["key_id"], row["provider"]) == ("master", "anthropic" if dialect == "messages" else "openai")
    assert row["priced"]
    assert row["cost_usd"] > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", ["chat", "messages"])
async def test_tool_calls_are_restored(gateway: Running, echo: Recorder, dialect: str, stream: bool) -> None:
    """Arguments of a tool call come with the values; sent back with a result, they go out without them again."""
    if dialect == "chat":
        client = await gateway.openai()
        tool: Any = {"type": "function", "function": {"name": "find", "strict": True, "parameters": FUNCTION}}
        asked: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": TEXT}], "tools": [tool]}
        if stream:
            async with client.chat.completions.stream(**asked, tool_choice="required") as events:
                message: Any = (await events.get_final_completion()).choices[0].message
        else:
            message = (await client.chat.completions.create(**asked, tool_choice="required")).choices[0].message
        call = message.tool_calls[0]
        assert json.loads(call.function.arguments) == {"q": TEXT}
        history = [
            *asked["messages"],
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": "find", "arguments": call.function.arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": f"Refunded; {EMAIL} was told."},
        ]
        await client.chat.completions.create(model="gpt-4o", messages=history, tools=[tool])
    else:
        claude = await gateway.claude()
        tools: Any = [{"name": "find", "input_schema": FUNCTION}]
        messages: Any = [{"role": "user", "content": TEXT}]
        wanted: Any = {"model": "claude", "max_tokens": 500, "tools": tools}
        choice: Any = {"type": "any"}
        if stream:
            async with claude.messages.stream(**wanted, messages=messages, tool_choice=choice) as spoken:
                reply: Any = await spoken.get_final_message()
        else:
            reply = await claude.messages.create(**wanted, messages=messages, tool_choice=choice)
        block = reply.content[0]
        assert block.input == {"q": TEXT}
        result = {"type": "tool_result", "tool_use_id": block.id, "content": f"Refunded; {EMAIL} was told."}
        use = {"type": "tool_use", "id": block.id, "name": "find", "input": block.input}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
        await claude.messages.create(**wanted, messages=messages)
    assert len(echo.received) == 2
    for value in ("zerlinda", "4539", "555-0147"):
        assert value not in echo.heard
    assert echo.received[1].count(b"<EMAIL_ADDRESS_1>") == 3
    assert (await gateway.rows(2))[0]["restored"] == 3


@pytest.mark.parametrize("first_streamed", [False, True], ids=["stored whole", "stored from a stream"])
@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
async def test_the_same_question_again_is_an_exact_hit(
    gateway: Running, echo: Recorder, dialect: str, first_streamed: bool
) -> None:
    """Whole and streamed answers stand in for each other; the provider is asked once, and a hit costs nothing."""
    first = await converse(gateway, dialect, TEXT, stream=first_streamed)
    await gateway.cached(1)
    before = (await gateway.budgets())[0]["used_usd"]
    assert before > 0
    for stream in (False, True):
        assert await converse(gateway, dialect, TEXT, stream=stream) == first == f"You asked: {TEXT}"
    assert len(echo.received) == 1
    rows = await gateway.rows(3)
    assert [row["cache"] for row in rows] == ["miss", "exact", "exact"]
    assert [row["cost_usd"] > 0 for row in rows] == [True, False, False]
    assert [row["saved_usd"] > 0 for row in rows] == [False, True, True]
    assert (await gateway.budgets())[0]["used_usd"] == before


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_rephrased_question_is_a_semantic_hit(gateway: Running, echo: Recorder, stream: bool) -> None:
    """Told by the reply's headers, the row and the metrics."""
    attempts = 0

    async def ask_twice() -> httpx.Response:
        # The tier has a second for embedding and search; a machine that is busy elsewhere may need another attempt.
        nonlocal attempts
        attempts += 1
        headers = {"x-helix-cache-namespace": f"attempt-{attempts}"}
        first = await gateway.ask("How do I reset my password?", headers=headers)
        assert (first.status_code, first.headers["x-helix-cache"]) == (200, "miss")
        await gateway.cached(attempts)
        return await gateway.ask("How can I reset my password?", stream=stream, headers=headers)

    again = await eventually(ask_twice, lambda reply: reply.headers["x-helix-cache"] == "semantic")
    assert 0.92 <= float(again.headers["x-helix-cache-similarity"]) < 1
    assert again.headers["x-helix-cache-entry"]
    assert float(again.headers["x-helix-saved-usd"]) > 0
    assert b"How do" in echo.received[-1]
    row = (await gateway.rows(2 * attempts))[-1]
    assert (row["cache"], row["cost_usd"]) == ("semantic", 0)
    assert row["cache_similarity"] >= 0.92
    assert 'helix_cache_requests_total{status="semantic"} 1.0' in (await gateway.caller.get("/metrics")).text


async def test_spending_is_booked_everywhere_alike(gateway: Running) -> None:
    """The reply's header, the row, the key's budget, everybody's budget and the report tell the same amount."""
    made = await gateway.key(name="web shop", team="shop", budgets=[{"limit_usd": 1, "window": "day"}])
    reply = await gateway.ask("What is the capital of France?", key=made["key"])
    cost = float(reply.headers["x-helix-cost-usd"])
    assert cost > 0
    (row,) = await gateway.rows(1)
    assert (row["cost_usd"], row["key_id"], row["key_name"], row["team"]) == (cost, made["id"], "web shop", "shop")
    budgets = await gateway.budgets()
    assert [(budget["name"], budget["used_usd"]) for budget in budgets] == [("everybody", cost), ("web shop", cost)]
    assert budgets[1]["remaining_usd"] == pytest.approx(1 - cost)
    for group, name in (("key", made["id"]), ("model", "gpt-4o"), ("team", "shop")):
        (spent,) = (await gateway.get("/helix/spend", group_by=group))["data"]
        assert (spent[group], spent["requests"], spent["cost_usd"]) == (name, 1, cost)
        assert spent["input_tokens"] == row["input_tokens"] > 0


async def test_replies_tell_what_was_done(gateway: Running) -> None:
    """Each stage adds its own headers, and its part of the body where that is asked for."""
    reply = await gateway.ask(TEXT, headers={"x-helix-metadata": "body"})
    (row,) = await gateway.rows(1)
    assert reply.headers["x-helix-request-id"] == row["request_id"]
    assert reply.headers["x-helix-model"] == row["response_model"] == "openai/gpt-4o"
    assert reply.headers["x-helix-redactions"] == "CREDIT_CARD=1,EMAIL_ADDRESS=1,PHONE_NUMBER=1"
    assert reply.headers["x-helix-cache"] == "miss"
    assert float(reply.headers["x-helix-overhead-ms"]) >= 0
    told = reply.json()["helix_metadata"]
    assert (told["redactions"], told["restored"], told["cache"]) == (KINDS, 3, "miss")
    assert told["cost_usd"] == float(reply.headers["x-helix-cost-usd"]) == row["cost_usd"] > 0


async def test_metrics_count_what_happened(gateway: Running) -> None:
    """Requests by model and status, tokens, redactions, values put back, rows written."""
    assert (await gateway.ask(TEXT)).status_code == 200
    assert (await gateway.ask("Hi", model="none")).status_code == 404
    await gateway.rows(2)

    async def metrics() -> str:
        return (await gateway.caller.get("/metrics")).text

    text = await eventually(metrics, lambda text: 'rows_total{state="written"} 2.0' in text)
    assert 'helix_requests_total{model="gpt-4o",operation="chat",status="200"} 1.0' in text
    assert 'helix_requests_total{model="other",operation="chat",status="404"} 1.0' in text
    assert 'helix_errors_total{code="model_not_found"} 1.0' in text
    assert 'helix_redactions_total{entity="EMAIL_ADDRESS"} 1.0' in text
    assert "helix_restored_total 3.0" in text
    assert "helix_requests_in_progress 0.0" in text


async def test_models_are_listed_for_both_kinds_of_clients(gateway: Running) -> None:
    """All to the master key, to a virtual key those it may use, to nobody without a key."""
    everything = ["gpt-4o", "claude", "faulty-gpt", "faulty-claude"]
    client, claude = await gateway.openai(), await gateway.claude()
    assert [model.id async for model in client.models.list()] == everything
    assert [model.id async for model in claude.models.list()] == everything
    made = await gateway.key(models=["gpt-4o"])
    limited = await gateway.openai(made["key"])
    assert [model.id async for model in limited.models.list()] == ["gpt-4o"]
    assert (await gateway.caller.get("/v1/models")).status_code == 401


async def test_a_key_opens_the_models_it_was_made_for(gateway: Running) -> None:
    """And no other, and not the administration."""
    made = await gateway.key(models=["gpt-4o"])
    client, claude = await gateway.openai(made["key"]), await gateway.claude(made["key"])
    messages: Any = [{"role": "user", "content": "Hi"}]
    await client.chat.completions.create(model="gpt-4o", messages=messages)
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await client.chat.completions.create(model="faulty-gpt", messages=messages)
    assert refused.value.code == "model_not_allowed"
    with pytest.raises(anthropic.PermissionDeniedError):
        await claude.messages.create(model="claude", max_tokens=9, messages=messages)
    headers = {"authorization": f"Bearer {made['key']}"}
    assert (await gateway.caller.get("/helix/requests", headers=headers)).status_code == 403
    rows = await gateway.rows(3)
    assert [(row["status"], row["key_id"]) for row in rows] == [(status, made["id"]) for status in (200, 403, 403)]


async def test_a_key_has_its_requests_a_minute(gateway: Running) -> None:
    """What is left stands in the headers; one too many is told when to come back."""
    made = await gateway.key(rpm=2)
    first = await gateway.ask("Hi", key=made["key"])
    assert (first.headers["x-ratelimit-limit-requests"], first.headers["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert (await gateway.ask("Hi", key=made["key"])).status_code == 200
    third = await gateway.ask("Hi", key=made["key"])
    assert (third.status_code, third.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(third.headers["retry-after"]) <= 60
    assert (await gateway.rows(3))[2]["error_code"] == "rate_limit_exceeded"


async def test_a_key_has_its_requests_at_the_same_time(gateway: Running, provider: Provider) -> None:
    """A place is free again when its request has ended, also when the caller left."""
    made = await gateway.key(parallel=1)
    provider.plan.append(hangs())
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as leaving:
        body = {"model": "faulty-gpt", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        headers = {"authorization": f"Bearer {made['key']}"}
        request = leaving.build_request("POST", CHAT, json=body, headers=headers)
        waiting = asyncio.create_task(leaving.send(request))
        await provider.arrived.wait()
        second = await gateway.ask("Hi", key=made["key"])
        assert (second.status_code, second.json()["error"]["type"]) == (429, "rate_limit_error")
        waiting.cancel()
    await provider.left.wait()

    async def ask() -> int:
        return (await gateway.ask("Hi", key=made["key"])).status_code

    assert await eventually(ask, lambda status: status != 429) == 200


async def test_a_key_has_its_budget(gateway: Running, echo: Recorder) -> None:
    """A request that it could not pay for does not go out; the refusal names the budget."""
    made = await gateway.key(name="small", budgets=[{"limit_usd": 0.001, "window": "month"}])
    reply = await gateway.ask("Hi", key=made["key"])  # without a cap, the worst case is a long answer
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "budget_exceeded")
    assert "0.001 USD" in reply.json()["error"]["message"]
    assert echo.received == []
    assert (await gateway.ask("Hi", key=made["key"], max_tokens=20)).status_code == 200
    rows = await gateway.rows(2)
    assert [row["status"] for row in rows] == [429, 200]
    assert rows[0]["budget_refused"]
    assert 0 < (await gateway.budgets())[1]["used_usd"] < 0.001


@pytest.mark.slow
async def test_the_console_is_behind_the_master_key(start: Start) -> None:
    """Nothing without it, the page with it."""
    config = Config.of({"model_list": [{"model_name": "demo/echo", "litellm_params": {"model": "demo/echo"}}]}, {})
    console = console_app(config, MASTER)
    gateway = await start(parts={"console": console})
    browser = gateway.caller
    html = {"accept": "text/html"}
    assert (await browser.get("/console/config")).status_code == 401
    assert (await browser.get("/console/", headers=html)).headers["location"] == "/console/login"
    assert (await browser.post("/console/login", data={"key": "sk-hx-wrong"})).status_code == 401
    assert (await browser.post("/console/login", data={"key": MASTER})).status_code == 303
    page = await browser.get("/console/", headers=html)
    assert page.status_code == 200
    assert "gradio" in page.text
    await console.close()


async def test_health_names_what_is_ready(gateway: Running) -> None:
    """For a load balancer, which shows no key."""
    assert (await gateway.caller.get("/health/live")).status_code == 200
    ready = await gateway.caller.get("/health/ready")
    assert ready.json() == {
        "status": "ready",
        "not_ready": [],
        "checks": dict.fromkeys(("redis", "clickhouse", "detector", "embedder"), "ready"),
    }


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_internal_ids_of_the_configuration(start: Start, echo: Recorder, stream: bool) -> None:
    """Kinds that the YAML file describes are replaced on their way to the provider, and restored."""
    redact = yaml.safe_load(RECOGNIZERS)
    find = detector(
        Config.of({"model_list": [{"model_name": "m", "litellm_params": {}}], "helix": {"redact": redact}}, {})
    )
    gateway = await start(redact=redact, parts={"detector": find})
    text = "EMP-004217 asks why order 12345674 is late; invoice 12345674 too, not EMP-1 nor order 12345675"
    assert await converse(gateway, "chat", text, stream=stream) == f"You asked: {text}"
    assert "<EMPLOYEE_ID_1> asks why order <ORDER_ID_1> is late; invoice <ORDER_ID_1> too" in echo.heard
    assert "EMP-1 nor order 12345675" in echo.heard
    assert find is not None
    await find.close()
