"""What becomes of a request that the rest of a budget cannot pay for whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio

from helix.budget import BudgetMiddleware, ModelPrice, PriceTable, Rule, read_row
from helix.budget.redis import RedisLedger
from helix.kernel.types import ASGIApp, Limit, Money, Receive, Scope, Send

from .asgi import answers, chat_answer, chat_request, post


# 1 nano-USD an input token, 1000 an output token.
def priced(**sizes: int) -> ModelPrice:
    found = read_row({"input_cost_per_token": 1e-9, "output_cost_per_token": 1e-6, **sizes})
    assert found is not None
    return found


PRICES = PriceTable({"priced": priced(max_output_tokens=2000), "open": priced()})
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}

Make = Callable[..., BudgetMiddleware]


class Provider:
    """Answers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.asked.append(orjson.loads(message["body"]))
        inner: ASGIApp = answers(chat_answer(USAGE), headers=((b"x-helix-model", b"openai/priced"),))

        async def again() -> Any:
            return message

        await inner(scope, again, send)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest_asyncio.fixture
async def ledger(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisLedger]:
    one = RedisLedger(redis_url, prefix=redis_prefix)
    yield one
    await one.close()


@pytest_asyncio.fixture
async def make(ledger: RedisLedger, provider: Provider) -> AsyncIterator[Make]:
    made: list[BudgetMiddleware] = []

    def budget(*limits: Limit | Rule, **options: Any) -> BudgetMiddleware:
        options = {"ledger": ledger, "price": PRICES, "limits": limits, "min_output_tokens": 100, **options}
        made.append(BudgetMiddleware(provider, **options))
        return made[-1]

    yield budget
    for one in made:
        await one.close()


async def drained(budget: BudgetMiddleware) -> None:
    settlements = budget._settlements.value
    assert settlements is not None
    await settlements.drained()


def day(amount: int, **more: Any) -> Limit:
    return Limit("everybody", "day", Money(amount) if more.get("unit", "usd") == "usd" else amount, "daily", **more)


@pytest.mark.parametrize(
    ("path", "field", "more"),
    [
        ("/v1/chat/completions", "max_tokens", {"max_tokens": 900}),
        ("/v1/chat/completions", "max_completion_tokens", {"max_tokens": None, "max_completion_tokens": 900}),
        ("/v1/chat/completions", "max_completion_tokens", {"max_tokens": None}),
        ("/v1/completions", "max_tokens", {"max_tokens": 900, "prompt": "hi", "messages": None}),
        ("/v1/responses", "max_output_tokens", {"max_output_tokens": 900, "input": "hi"}),
        ("/v1/messages", "max_tokens", {"max_tokens": 900}),
    ],
)
async def test_a_cap_that_cannot_be_paid_is_lowered_to_what_can(
    make: Make, provider: Provider, path: str, field: str, more: dict[str, Any]
) -> None:
    """In the request's own field and in the header; one token more would not have fitted."""
    seen: list[Any] = []
    budget = make(day(500_000), observe=lambda stage, facts: seen.append(facts))
    request = {key: value for key, value in chat_request(**more).items() if value is not None}
    reply = await post(budget, request, path)
    assert reply.status == 200
    (asked,) = provider.asked
    assert asked[field] == int(reply.headers["x-helix-max-tokens"]) == 499
    assert seen[0]["max_output_tokens"] == 499
    assert 499_000 < seen[0]["reserved_nano_usd"] <= 500_000
    assert {key: value for key, value in asked.items() if key != field} == {
        key: value for key, value in request.items() if key != field
    }


async def test_a_request_that_can_be_paid_goes_on_as_it_came(make: Make, provider: Provider) -> None:
    """Not a byte is changed: with the caller's cap, or, without one, with the model's own."""
    budget = make(day(10_000_000))
    for request in (chat_request(max_tokens=900), {k: v for k, v in chat_request().items() if k != "max_tokens"}):
        reply = await post(budget, request)
        assert "x-helix-max-tokens" not in reply.headers
        assert provider.asked.pop() == request


async def test_an_answer_that_nothing_bounds_gets_a_bound(make: Make, provider: Provider) -> None:
    """Neither caller nor table know a cap: what is reserved for is what is sent."""
    budget = make(day(10_000_000), default_max_output_tokens=700)
    reply = await post(budget, {k: v for k, v in chat_request(model="open").items() if k != "max_tokens"})
    assert provider.asked[0]["max_completion_tokens"] == 700
    assert reply.headers["x-helix-max-tokens"] == "700"


async def test_under_the_floor_it_is_refused(make: Make, provider: Provider) -> None:
    """99 tokens can be paid, 100 are the least; a caller who asks for fewer than that may have them."""
    budget = make(day(99_900))
    refused = await post(budget, chat_request(max_tokens=900))
    assert (refused.status, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert "'daily' of 0.0000999 USD a day" in refused.json()["error"]["message"]
    assert provider.asked == []
    assert (await post(budget, chat_request(max_tokens=99))).status == 200
    assert provider.asked[0]["max_tokens"] == 99


async def test_a_model_that_must_think_longer_than_can_be_paid_is_not_asked(make: Make, provider: Provider) -> None:
    """Anthropic refuses a cap that leaves no room for the thinking that was asked for."""
    request = chat_request(max_tokens=900, thinking={"type": "enabled", "budget_tokens": 499})
    assert (await post(make(day(500_000)), request, "/v1/messages")).status == 429
    request["thinking"]["budget_tokens"] = 498
    assert (await post(make(day(500_000)), request, "/v1/messages")).status == 200


async def test_every_choice_is_paid_for(make: Make, provider: Provider) -> None:
    """n=3: a third of the tokens each."""
    reply = await post(make(day(900_000)), chat_request(max_tokens=900, n=3))
    assert provider.asked[0]["max_tokens"] == 299
    assert reply.headers["x-helix-max-tokens"] == "299"


async def test_token_limits_lower_the_cap_too(make: Make, provider: Provider, ledger: RedisLedger) -> None:
    """Also of a model without a price, which no limit in USD concerns; what was used is what is booked."""
    limits = [day(400, unit="output_tokens"), day(10_000, unit="tokens"), day(1, unit="requests")]
    budget = make(*limits)
    reply = await post(budget, chat_request(model="nobody-knows", max_tokens=900))
    assert (reply.status, reply.headers["x-helix-max-tokens"]) == (200, "400")
    await drained(budget)
    assert [(one.settled, one.reserved) for one in await ledger.standing(limits)] == [(3, 0), (10, 0), (1, 0)]
    refused = await post(budget, chat_request(max_tokens=100))
    assert refused.status == 429
    assert "'daily' of 1 requests a day" in refused.json()["error"]["message"]


async def test_a_soft_limit_is_told_and_refuses_nothing(make: Make, ledger: RedisLedger) -> None:
    """In the reply's header and on record, once what is settled has reached it."""
    seen: list[Any] = []
    soft = Limit("everybody", "day", Money(3000), "café ½", soft=True)
    budget = make(soft, observe=lambda stage, facts: seen.append(facts))
    assert "x-helix-budget-warning" not in (await post(budget, chat_request())).headers
    await drained(budget)
    reply = await post(budget, chat_request())
    told = reply.headers["x-helix-budget-warning"]
    assert told == "caf%C3%A9 %C2%BD; 0.000003007 USD used of 0.000003 USD"
    assert (seen[0].get("warned"), seen[1]["warned"]) == (None, ["café ½"])


async def test_the_provider_that_answered_is_charged_alone(make: Make, ledger: RedisLedger) -> None:
    """All that may answer are held, since nobody knows yet which will."""
    rule = Rule(Limit("provider", "day", Money(1_000_000_000)))
    budget = make(rule, identify=lambda exchange: {"provider": ("openai", "azure")})
    await post(budget, chat_request())
    await drained(budget)
    both = [Limit(f"provider:{name}", "day", Money(1)) for name in ("openai", "azure")]
    assert await ledger.spent(both) == [(Money(3007), Money(0)), (Money(0), Money(0))]


async def test_requests_with_the_same_id_from_the_caller_are_two(make: Make, ledger: RedisLedger) -> None:
    """The ledger's ids are Helix' own, whatever a caller's headers say."""
    limit = day(1_000_000_000)
    budget = make(limit)
    for _ in range(2):
        await post(budget, chat_request(), headers=((b"x-request-id", b"1"), (b"x-helix-request-id", b"1")))
    await drained(budget)
    assert await ledger.spent([limit]) == [(Money(2 * 3007), Money(0))]


async def test_usage_over_what_was_reserved_is_booked_and_on_record(make: Make, ledger: RedisLedger) -> None:
    """A provider that does not keep to the cap is paid all the same; the next request is refused."""
    seen: list[Any] = []
    limit = day(20_000)
    budget = make(limit, observe=lambda stage, facts: seen.append(facts))
    budget.app = answers(chat_answer({"prompt_tokens": 7, "completion_tokens": 30, "total_tokens": 37}))
    assert (await post(budget, chat_request())).status == 200
    await drained(budget)
    assert await ledger.spent([limit]) == [(Money(30_007), Money(0))]
    assert seen[0]["over_nano_usd"] == 30_007 - seen[0]["reserved_nano_usd"] > 0
    assert (await post(budget, chat_request())).status == 429
