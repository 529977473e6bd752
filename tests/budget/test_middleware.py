from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from helix.budget import BudgetMiddleware, GroupPrices, ModelPrice, PriceTable, read_row
from helix.budget.redis import RedisLedger
from helix.embedded.redis import EmbeddedRedis
from helix.kernel.errors import ConnectTimeout, UpstreamBroke, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from helix.kernel.exchange import Exchange
from helix.kernel.reply import refuse
from helix.kernel.types import ASGIApp, Limit, Message, Money, Receive, Scope, Send

from .asgi import answers, chat_answer, chat_chunk, chat_request, post, started, streams, with_lifespan


# 1 nano-USD an input token, 1000 an output token: a sum shows both.
def priced(**row: Any) -> ModelPrice:
    found = read_row(row)
    assert found is not None
    return found


PRICE = priced(input_cost_per_token=1e-9, output_cost_per_token=1e-6, max_output_tokens=50)
PRICES = PriceTable({"priced": PRICE, "dear": priced(input_cost_per_token=1e-6, output_cost_per_token=1e-3)})
DAY = Limit("key:k1", "day", Money(1_000_000), "k1 a day")
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}

Make = Callable[..., BudgetMiddleware]


@pytest_asyncio.fixture
async def ledger(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisLedger]:
    one = RedisLedger(redis_url, prefix=redis_prefix)
    yield one
    await one.close()


@pytest_asyncio.fixture
async def make(ledger: RedisLedger) -> AsyncIterator[Make]:
    made: list[BudgetMiddleware] = []

    def budget(app: ASGIApp, **options: Any) -> BudgetMiddleware:
        made.append(BudgetMiddleware(app, **{"ledger": ledger, "price": PRICES, "limits": [DAY], **options}))
        return made[-1]

    yield budget
    for one in made:
        await one.close()


async def settled(budget: BudgetMiddleware) -> None:
    settlements = budget._settlements.value
    assert settlements is not None
    await settlements.drained()


async def spent(ledger: RedisLedger, budget: BudgetMiddleware, limit: Limit = DAY) -> tuple[int, int]:
    await settled(budget)
    [(cost, held)] = await ledger.spent([limit])
    return cost.nano_usd, held.nano_usd


def recorded(state: dict[str, Any]) -> dict[str, Any]:
    exchange: Exchange = state["helix.exchange"]
    return exchange.record.budget


async def test_a_whole_answer_is_charged_what_the_provider_counted(make: Make, ledger: RedisLedger) -> None:
    """The header, the ledger and the observer say the same."""
    seen: list[Any] = []
    budget = make(answers(chat_answer(USAGE)), observe=lambda stage, facts: seen.append((stage, facts)))
    reply = await post(budget, chat_request())
    assert reply.status == 200
    assert reply.headers["x-helix-cost-usd"] == "0.000003007"
    assert reply.json() == chat_answer(USAGE)
    assert await spent(ledger, budget) == (3007, 0)
    [(stage, facts)] = seen
    assert stage == "budget"
    assert facts["cost_nano_usd"] == 3007
    assert facts["priced"] is True
    assert facts["reserved_nano_usd"] > 10_000


async def test_a_stream_is_charged_what_its_last_event_counts(make: Make, ledger: RedisLedger) -> None:
    """Usage that the caller did not ask for is asked for, read, and taken out again."""
    asked: list[Any] = []
    inner = streams(chat_chunk("he"), chat_chunk("llo", finish="stop"), chat_chunk(usage=USAGE), b"[DONE]")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        asked.append(orjson.loads(message["body"])["stream_options"])

        async def again() -> Message:
            return message

        await inner(scope, again, send)

    budget = make(app)
    reply = await post(budget, chat_request(stream=True))
    assert asked == [{"include_usage": True}]
    assert b"prompt_tokens" not in reply.body
    assert reply.body.count(b"data: ") == 3
    assert "x-helix-cost-usd" not in reply.headers
    assert await spent(ledger, budget) == (3007, 0)


async def test_usage_that_the_caller_asked_for_stays_in_the_stream(make: Make) -> None:
    """Nothing is taken from a caller who wants it."""
    budget = make(streams(chat_chunk("hello"), chat_chunk(usage=USAGE), b"[DONE]"))
    reply = await post(budget, chat_request(stream=True, stream_options={"include_usage": True}))
    assert b"prompt_tokens" in reply.body


async def test_a_stream_without_usage_is_charged_by_what_was_delivered(make: Make, ledger: RedisLedger) -> None:
    """One token for every three bytes begun: 'hi' is 1, 'x' * 30 is 10."""
    budget = make(streams(chat_chunk("x" * 15), chat_chunk("x" * 15, finish="stop"), b"[DONE]"))
    await post(budget, chat_request(stream=True))
    assert await spent(ledger, budget) == (10_001, 0)


async def test_a_caller_who_leaves_mid_stream_pays_for_what_was_delivered(make: Make, ledger: RedisLedger) -> None:
    """The task is cancelled, as servers do; what went out is settled, the rest of the reservation is free again."""
    delivered = asyncio.Event()

    async def hang() -> None:
        delivered.set()
        await asyncio.Event().wait()

    budget = make(streams(chat_chunk("x" * 30), then=hang))
    task = asyncio.create_task(post(budget, chat_request(stream=True)))
    await delivered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await spent(ledger, budget) == (10_001, 0)


async def test_a_connection_that_breaks_while_sending_settles_too(make: Make, ledger: RedisLedger) -> None:
    """The server's send raises; the piece that could not be sent counts as delivered, since the provider made it."""

    def broken(body: bytes) -> None:
        raise OSError("connection reset")

    budget = make(streams(chat_chunk("x" * 30), chat_chunk("never")))
    with pytest.raises(OSError, match="reset"):
        await post(budget, chat_request(stream=True), on_body=broken)
    assert await spent(ledger, budget) == (10_001, 0)


async def test_a_caller_who_leaves_before_the_answer_pays_for_the_input(make: Make, ledger: RedisLedger) -> None:
    """The provider had the request by then."""
    begun = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    budget = make(app)
    task = asyncio.create_task(post(budget, chat_request()))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await spent(ledger, budget) == (1, 0)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 502, 529])
async def test_an_error_reply_costs_nothing(make: Make, ledger: RedisLedger, status: int) -> None:
    """What the provider refused is released, whatever it says of usage."""
    budget = make(answers({"error": {"message": "no"}, "usage": USAGE}, status=status))
    reply = await post(budget, chat_request())
    assert reply.status == status
    assert reply.headers["x-helix-cost-usd"] == "0"
    assert await spent(ledger, budget) == (0, 0)


@pytest.mark.parametrize(
    ("error", "cost"),
    [
        (UpstreamTimeout("late"), 1),
        (UpstreamBroke("broke"), 1),
        (ConnectTimeout("x"), 0),
        (UpstreamUnreachable("x"), 0),
    ],
)
async def test_a_question_that_the_provider_had_and_did_not_answer_costs_its_input(
    make: Make, ledger: RedisLedger, error: UpstreamError, cost: int
) -> None:
    """It may well charge for it; one that never had the question does not."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["helix.exchange"].unanswered = error.unanswered
        await refuse(error)(scope, receive, send)

    budget = make(app)
    reply = await post(budget, chat_request())
    assert reply.status == error.status
    assert reply.headers["x-helix-cost-usd"] == ("0.000000001" if cost else "0")
    assert await spent(ledger, budget) == (cost, 0)


async def test_a_stage_that_fails_inside_costs_nothing(make: Make, ledger: RedisLedger) -> None:
    """An exception goes on to the server, and the reservation is released."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    budget = make(app)
    with pytest.raises(RuntimeError, match="broken"):
        await post(budget, chat_request())
    assert await spent(ledger, budget) == (0, 0)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
async def test_a_garbled_stream_ends_in_an_error_event(make: Make, ledger: RedisLedger, path: str) -> None:
    """A stage replies, it does not raise; what was delivered is charged."""
    request = {**chat_request(stream=True), "input": "hi"}
    seen: list[bytes] = []
    budget = make(streams(b"{}", b"not json"))
    reply = await post(budget, request, path, on_body=seen.append)
    assert reply.status == 200
    if path == "/v1/responses":  # whose events have to be read, to be numbered
        assert b'"code":"upstream_invalid_response"' in seen[-1]
        assert b"not json" not in reply.body
    assert await spent(ledger, budget) > (0, 0)


async def test_an_error_from_inside_is_replied(make: Make, ledger: RedisLedger) -> None:
    """One of Helix's own, raised by whatever stands inside before it replied: nothing is charged."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise UpstreamUnreachable("nobody there")

    budget = make(app)
    reply = await post(budget, chat_request())
    assert (reply.status, reply.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert await spent(ledger, budget) == (0, 0)


async def test_the_model_that_answered_is_the_one_that_is_charged(make: Make, ledger: RedisLedger) -> None:
    """x-helix-model says so; a fallback to a dearer model is charged at the dearer price."""
    budget = make(answers(chat_answer(USAGE), headers=((b"x-helix-model", b"dear"),)))
    reply = await post(budget, chat_request())
    assert reply.headers["x-helix-cost-usd"] == "0.003007"
    assert await spent(ledger, budget) == (3_007_000, 0)


@pytest.mark.parametrize(
    ("asked", "told", "cost"),
    [
        (None, None, 10_000),
        ("priority", None, 20_000),
        ("priority", "priority", 20_000),
        (None, "priority", 20_000),
        ("priority", "default", 10_000),
    ],
)
async def test_the_tier_that_answered_is_the_one_that_is_charged(
    make: Make, ledger: RedisLedger, asked: str | None, told: str | None, cost: int
) -> None:
    """The answer's `service_tier`, else the request's; either is covered by what was reserved."""
    row = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    price = priced(**row, input_cost_per_token_priority=2e-6, output_cost_per_token_priority=2e-6)
    answer = {**chat_answer(USAGE), **({"service_tier": told} if told else {})}
    budget = make(answers(answer), price=PriceTable({"priced": price}))
    state: dict[str, Any] = {}
    await post(budget, chat_request(**({"service_tier": asked} if asked else {})), state=state)
    assert await spent(ledger, budget) == (cost, 0)


@pytest.mark.parametrize(
    ("usage", "cost", "said"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, 3_007, None),
        ({"prompt_tokens": -7, "completion_tokens": -3}, 6_003, "doubtful"),
        ({"prompt_tokens": 10**15, "completion_tokens": 3}, 6_003, "doubtful"),
        ({"prompt_tokens": 7, "completion_tokens": None}, 6_007, "doubtful"),
        (
            {"prompt_tokens": 7, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 50}},
            9_050,
            "doubtful",
        ),
        (None, 6_003, "estimated"),
    ],
)
async def test_usage_that_cannot_be_is_no_less_than_what_helix_counts(
    make: Make, ledger: RedisLedger, usage: dict[str, Any] | None, cost: int, said: str | None
) -> None:
    """Never negative, never absurd, and noted: the question has some 3 tokens, the answer 6."""
    answer = {**chat_answer(None), "usage": usage} if usage else chat_answer(None)
    answer["choices"][0]["message"]["content"] = "a" * 18
    seen: list[Any] = []
    budget = make(answers(answer), observe=lambda stage, facts: seen.append(facts))
    request = {**chat_request(), "messages": [{"role": "user", "content": "a" * 9}]}
    await post(budget, request)
    assert await spent(ledger, budget) == (cost, 0)
    assert seen[-1].get("usage") == said


async def test_a_model_that_is_paid_by_the_second_is_charged_for_the_time(
    make: Make, ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From when it was asked to when it had answered; an hour is reserved."""
    wide = Limit("wide", "day", Money(10**9))
    clock = [100.0]
    monkeypatch.setattr("helix.budget.tap.monotonic", lambda: clock[0])
    held: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        held.append((await ledger.spent([wide]))[0][1].nano_usd)
        clock[0] += 2.5
        await answers(chat_answer(USAGE))(scope, receive, send)

    price = PriceTable({"priced": priced(input_cost_per_second=1e-6)})
    budget = make(app, price=price, limits=[wide])
    await post(budget, chat_request())
    assert held == [3_600_000]
    assert await spent(ledger, budget, wide) == (2500, 0)


async def test_what_answered_is_charged_by_itself_not_as_the_dearest_of_its_name(
    make: Make, ledger: RedisLedger
) -> None:
    """A provider's model may be called like a group, or match a pattern, that leads to a dearer one."""
    groups = GroupPrices(PRICES, lambda name: ("priced", "dear") if name == "priced" else ())
    inner = answers(chat_answer(USAGE), headers=((b"x-helix-model", b"priced"),))
    budget = make(inner, price=groups, limits=[Limit("wide", "day", Money(10**9))])
    await post(budget, chat_request())
    assert await spent(ledger, budget, Limit("wide", "day", Money(10**9))) == (3007, 0)


async def test_a_budget_that_pays_for_the_tokens_need_not_pay_for_the_bytes(make: Make, ledger: RedisLedger) -> None:
    """Before a request is refused, its texts are counted by the tokenizer of the models that may answer."""
    prices = PriceTable({"gpt-4o": priced(input_cost_per_token=1e-9, output_cost_per_token=0.0)})
    text = "Documentation comments use three slashes and support Markdown notation for formatting. " * 20
    request = {"model": "gpt-4o", "max_tokens": 5, "messages": [{"role": "user", "content": text}]}
    held: list[int] = []
    limit = Limit("tight", "day", Money(700))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        held.append((await ledger.spent([limit]))[0][1].nano_usd)
        await answers(chat_answer({"prompt_tokens": 320, "completion_tokens": 3}))(scope, receive, send)

    budget = make(app, price=prices, limits=[limit])
    assert len(text) > 1700
    assert (await post(budget, request)).status == 200
    assert 320 < held[0] < 700
    assert await spent(ledger, budget, limit) == (320, 0)
    other = make(app, price=PriceTable({"claude": priced(input_cost_per_token=1e-9)}), limits=[limit])
    assert (await post(other, {**request, "model": "claude"})).status == 429


async def test_a_request_that_the_budget_cannot_pay_is_refused(make: Make, ledger: RedisLedger) -> None:
    """429 in the dialect's form, naming the budget, what is used and held, and its reset; nothing goes upstream."""
    calls: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope)

    seen: list[Any] = []
    budget = make(app, min_output_tokens=1000, observe=lambda stage, facts: seen.append(facts))
    reply = await post(budget, chat_request(max_tokens=1000))
    assert reply.status == 429
    error = reply.json()["error"]
    assert error["code"] == error["type"] == "budget_exceeded"
    assert error["param"] == "k1 a day"
    for part in ("'k1 a day' of 0.001 USD a day", "0 USD used", "0 USD reserved", "T00:00:00Z"):
        assert part in error["message"]
    assert reply.headers["x-should-retry"] == "false"
    assert calls == []
    assert await spent(ledger, budget) == (0, 0)
    assert seen[0]["refused"] == "k1 a day"


async def test_a_refusal_on_messages_has_anthropics_form(make: Make) -> None:
    """An Anthropic client understands it."""
    request = {"model": "priced", "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}]}
    reply = await post(make(answers({}), min_output_tokens=1000), request, "/v1/messages")
    assert reply.status == 429
    assert reply.json()["type"] == "error"
    assert reply.json()["error"]["type"] == "rate_limit_error"


async def test_a_burst_admits_exactly_what_the_budget_pays_for(make: Make, ledger: RedisLedger) -> None:
    """200 at once, each worth 10,001 and all held at once, on a budget for 20 and a little."""
    body = chat_request()
    gate = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await answers(chat_answer(USAGE))(scope, receive, send)

    held = len(orjson.dumps(body)) + 64 + 10_000
    burst = Limit("burst", "day", Money(20 * held + 9))
    budget = make(app, limits=[burst])
    tasks = [asyncio.create_task(post(budget, body)) for _ in range(200)]
    pending: set[asyncio.Task[Any]] = set(tasks)
    while len(pending) > 20:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    gate.set()
    replies = await asyncio.gather(*tasks)
    assert sorted(reply.status for reply in replies) == [200] * 20 + [429] * 180
    assert await spent(ledger, budget, burst) == (20 * 3007, 0)


async def test_a_model_without_a_price_is_refused_where_a_limit_applies(make: Make) -> None:
    """Or let through, by configuration; without a limit it always passes, and the record says that it has no price."""
    request = chat_request(model="nobody-knows")
    inner = answers(chat_answer(USAGE, model="nobody-knows"))
    reply = await post(make(inner), request)
    assert (reply.status, reply.json()["error"]["code"]) == (403, "model_unpriced")
    assert "nobody-knows" not in reply.json()["error"]["message"]
    for budget in (make(inner, unpriced="allow"), make(inner, limits=[])):
        seen: list[Any] = []
        budget._observe = lambda stage, facts, seen=seen: seen.append(facts)
        reply = await post(budget, request)
        assert reply.status == 200
        assert "x-helix-cost-usd" not in reply.headers
        assert seen[0]["priced"] is False


async def test_without_limits_there_is_a_cost_and_no_round_trip(make: Make) -> None:
    """A caller without a budget does not wait for a Redis that is not there."""
    budget = BudgetMiddleware(answers(chat_answer(USAGE)), ledger="redis://127.0.0.1:1", price=PRICES)
    reply = await post(budget, chat_request())
    assert (reply.status, reply.headers["x-helix-cost-usd"]) == (200, "0.000003007")


async def test_a_request_whose_limits_are_its_own(make: Make, ledger: RedisLedger) -> None:
    """`limits_of` and `limits` both hold."""
    own = Limit("user:u1", "total", Money(500_000))
    budget = make(answers(chat_answer(USAGE)), limits_of=lambda exchange: [own])
    await post(budget, chat_request())
    assert await spent(ledger, budget, own) == (3007, 0)
    assert await spent(ledger, budget) == (3007, 0)


async def test_an_embedding_costs_its_input_alone(make: Make, ledger: RedisLedger) -> None:
    """No output is reserved or charged."""
    answer = {"object": "list", "data": [], "model": "priced", "usage": {"prompt_tokens": 9, "total_tokens": 9}}
    budget = make(answers(answer))
    reply = await post(budget, {"model": "priced", "input": "some words"}, "/v1/embeddings")
    assert reply.headers["x-helix-cost-usd"] == "0.000000009"
    assert await spent(ledger, budget) == (9, 0)


async def test_other_paths_and_token_counting_pass(make: Make) -> None:
    """Nothing is read, priced or held where nothing is sold."""
    budget = make(answers({"input_tokens": 5}), limits=[Limit("none", "day", Money(0))])
    request = {"model": "priced", "messages": [{"role": "user", "content": "hi"}]}
    assert (await post(budget, request, "/v1/messages/count_tokens")).status == 200
    assert (await post(budget, b"not json", "/elsewhere")).status == 200


async def test_a_malformed_request_is_refused_without_a_reservation(make: Make, ledger: RedisLedger) -> None:
    """The kernel's error, in the dialect's form."""
    reply = await post(make(answers({})), b"{")
    assert (reply.status, reply.json()["error"]["code"]) == (400, "malformed_json")
    assert await ledger.spent([DAY]) == [(Money(0), Money(0))]


async def test_a_reply_that_cannot_be_read_costs_what_was_held(make: Make, ledger: RedisLedger) -> None:
    """Compressed by a foreign app: the worst case is the only honest figure."""
    headers = ((b"content-encoding", b"br"),)
    seen: list[Any] = []
    budget = make(answers(chat_answer(USAGE), headers=headers), observe=lambda stage, facts: seen.append(facts))
    reply = await post(budget, chat_request())
    assert "x-helix-cost-usd" not in reply.headers
    cost, held = await spent(ledger, budget)
    assert (cost, held) == (seen[0]["reserved_nano_usd"], 0)


async def test_a_redis_that_is_not_there_refuses_or_lets_pass() -> None:
    """503 by default; by configuration the request goes on, unbooked."""
    for on_outage, status in (("refuse", 503), ("pass", 200)):
        budget = BudgetMiddleware(
            with_lifespan(answers(chat_answer(USAGE))),
            ledger="redis://127.0.0.1:1",
            price=PRICES,
            limits=[DAY],
            on_outage=on_outage,  # type: ignore[arg-type]
        )
        async with started(budget):
            assert (await post(budget, chat_request())).status == status


async def test_a_redis_that_goes_in_flight_loses_no_cost_and_leaks_nothing(tmp_path: Path) -> None:
    """Stopped between reserve and settle: 503 meanwhile, booked once it is back, nothing held."""
    server = EmbeddedRedis(tmp_path / "redis")
    ledger = RedisLedger(await server.open())
    gate, begun = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await gate.wait()
        await answers(chat_answer(USAGE))(scope, receive, send)

    budget = BudgetMiddleware(app, ledger=ledger, price=PRICES, limits=[DAY])
    in_flight = asyncio.create_task(post(budget, chat_request()))
    await begun.wait()
    await server.close()
    gate.set()
    assert (await in_flight).status == 200
    assert (await post(budget, chat_request())).status == 503
    await server.open()
    assert await spent(ledger, budget) == (3007, 0)
    assert (await post(budget, chat_request())).status == 200
    assert await spent(ledger, budget) == (2 * 3007, 0)
    await budget.close()
    await ledger.close()
    await server.close()


async def test_what_cannot_be_booked_before_the_end_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis gone for good at shutdown: one log line and one fact each, no silence."""
    server = EmbeddedRedis(tmp_path / "redis")
    ledger = RedisLedger(await server.open())
    facts: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await server.close()
        await answers(chat_answer(USAGE))(scope, receive, send)

    budget = BudgetMiddleware(
        app, ledger=ledger, price=PRICES, limits=[DAY], observe=lambda stage, fact: facts.append(fact)
    )
    await post(budget, chat_request())
    settlements = budget._settlements.value
    assert settlements is not None
    await settlements.close(timeout_seconds=0.3)
    assert facts[-1]["lost_nano_usd"] == 3007
    assert "could not be booked" in caplog.text
    await ledger.close()


async def test_lifespan_opens_closes_and_waits_for_what_is_on_its_way(redis_url: str, redis_prefix: str) -> None:
    """A URL's ledger is owned: closed with the app, after the last cost is booked."""
    scope_limit = Limit(f"key:{redis_prefix}", "total", Money(10**9))
    budget = BudgetMiddleware(
        with_lifespan(answers(chat_answer(USAGE))), ledger=redis_url, price=PRICES, limits=[scope_limit]
    )
    async with started(budget):
        await post(budget, chat_request())
    reader = RedisLedger(redis_url)
    assert await reader.spent([scope_limit]) == [(Money(3007), Money(0))]
    await reader.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"default_max_output_tokens": 0},
        {"unpriced": "maybe"},
        {"on_outage": "maybe"},
        {"limits": [Limit("x", "fortnight", Money(1))]},
        {"limits": [Limit("x", "day", Money(-1))]},
    ],
)
def test_wrong_constructor_values_are_said_at_once(wrong: dict[str, Any]) -> None:
    """ValueError, before anything is opened."""
    with pytest.raises(ValueError, match="must be"):
        BudgetMiddleware(answers({}), **{"ledger": "redis://127.0.0.1:1", **wrong})
