"""Which deployment answers, and what happens when it does not: against real providers on loopback."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from helix.kernel.errors import ConfigError
from helix.upstream import Router

from .fakes import (
    Provider,
    chat,
    chat_chunk,
    deployment,
    dies_after,
    events,
    hangs,
    refuses,
    says,
    sends,
    streams,
)

Providers = Callable[[], Awaitable[Provider]]
SOON = {"retry-after-ms": "1"}  # so that tests do not wait


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=chat(**fields))


@pytest.mark.parametrize(
    "failure",
    [
        refuses(408, headers=SOON),
        refuses(409, headers=SOON),
        refuses(429, headers=SOON),
        refuses(500, headers=SOON),
        refuses(529, headers=SOON),
    ],
    ids=["408", "409", "429", "500", "529"],
)
async def test_what_may_pass_is_tried_again(provider: Provider, gateway: Any, failure: Any) -> None:
    """The same deployment is asked again, up to num_retries times, and then answers."""
    provider.plan.extend([failure, failure])
    client = await gateway([deployment(provider)], {"num_retries": 2})
    reply = await ask(client)
    assert reply.status_code == 200
    assert len(provider.requests) == 3


@pytest.mark.parametrize("failure", [dies_after(), sends(b"<html>"), streams(b"data: {oh\n\n")])
async def test_a_broken_answer_is_tried_again_after_a_while(provider: Provider, gateway: Any, failure: Any) -> None:
    """A connection that breaks and an answer that cannot be read are worth another attempt."""
    provider.plan.append(failure)
    client = await gateway([deployment(provider)], {"num_retries": 1})
    assert (await ask(client)).status_code == 200
    assert len(provider.requests) == 2


async def test_when_all_retries_failed_the_last_error_is_the_answer(provider: Provider, gateway: Any) -> None:
    """num_retries is a bound, and the caller sees what the provider said last."""
    provider.plan.extend([refuses(500, headers=SOON), refuses(503, headers=SOON), refuses(529, headers=SOON)])
    client = await gateway([deployment(provider)], {"num_retries": 2})
    reply = await ask(client)
    assert reply.status_code == 529
    assert reply.json()["error"]["code"] == "e529"
    assert len(provider.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_cannot_get_better_is_not_tried_again(provider: Provider, gateway: Any, status: int) -> None:
    """One attempt, and the provider's own status."""
    provider.otherwise = refuses(status)
    client = await gateway([deployment(provider)], {"num_retries": 3})
    assert (await ask(client)).status_code == status
    assert len(provider.requests) == 1


async def test_a_deployments_own_number_of_retries(provider: Provider, gateway: Any) -> None:
    """max_retries of litellm_params stands in the place of num_retries."""
    provider.otherwise = refuses(500, headers=SOON)
    client = await gateway([deployment(provider, max_retries="1")], {"num_retries": 5})
    await ask(client)
    assert len(provider.requests) == 2


async def test_a_provider_that_asks_for_a_long_rest_is_not_waited_for(provider: Provider, gateway: Any) -> None:
    """Retry-After of an hour goes to the caller instead."""
    provider.otherwise = refuses(429, headers={"retry-after": "3600"})
    client = await gateway([deployment(provider)], {"num_retries": 3})
    reply = await ask(client)
    assert reply.status_code == 429
    assert reply.headers["retry-after"] == "3600"
    assert len(provider.requests) == 1


async def test_retries_by_kind_of_failure(provider: Provider, gateway: Any) -> None:
    """retry_policy overrides num_retries for the kinds that it names."""
    provider.otherwise = refuses(429, headers=SOON)
    client = await gateway([deployment(provider)], {"num_retries": 4, "retry_policy": {"RateLimitErrorRetries": 1}})
    await ask(client)
    assert len(provider.requests) == 2


async def test_a_retry_goes_to_another_deployment_at_once(providers: Providers, gateway: Any) -> None:
    """Of several deployments each is tried before one is tried twice."""
    found = [await providers() for _ in range(3)]
    for one in found[:2]:
        one.otherwise = refuses(500)
    client = await gateway([deployment(one) for one in found], {"num_retries": 2, "disable_cooldowns": True})
    for _ in range(5):
        assert (await ask(client)).status_code == 200


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_sends_the_request_to_another_deployment(
    providers: Providers, gateway: Any, status: int
) -> None:
    """Another deployment has another key, as in LiteLLM."""
    bad, good = await providers(), await providers()
    bad.otherwise = refuses(status)
    client = await gateway([deployment(bad, order=1), deployment(good, order=2)])
    assert (await ask(client)).status_code == 200
    assert (len(bad.requests), len(good.requests)) == (1, 1)


async def test_fallbacks_are_tried_in_order(providers: Providers, gateway: Any) -> None:
    """When a model has failed with its retries, the next of its list is asked."""
    first, second, third = await providers(), await providers(), await providers()
    first.otherwise = refuses(500, headers=SOON)
    second.otherwise = refuses(404)
    third.otherwise = says("from the third")
    models = [deployment(first), deployment(second, "b"), deployment(third, "c")]
    client = await gateway(models, {"num_retries": 1, "fallbacks": [{"gpt-4o": ["b", "c"]}]})
    reply = await ask(client)
    assert reply.json()["choices"][0]["message"]["content"] == "from the third"
    assert [len(one.requests) for one in (first, second, third)] == [2, 1, 1]


async def test_default_fallbacks_are_for_models_without_their_own(providers: Providers, gateway: Any) -> None:
    """And a fallback's own fallbacks follow it."""
    a, b, c = await providers(), await providers(), await providers()
    a.otherwise = b.otherwise = refuses(500)
    models = [deployment(a, "a"), deployment(b, "b"), deployment(c, "c")]
    settings = {"num_retries": 0, "fallbacks": [{"a": ["b"]}], "default_fallbacks": ["c"]}
    client = await gateway(models, settings)
    assert (await ask(client, model="a")).status_code == 200
    assert [len(one.requests) for one in (a, b, c)] == [1, 1, 1]


async def test_fallbacks_that_lead_in_a_circle_end(providers: Providers, gateway: Any) -> None:
    """No model is asked twice for one request."""
    a, b = await providers(), await providers()
    a.otherwise = b.otherwise = refuses(500)
    client = await gateway(
        [deployment(a, "a"), deployment(b, "b")], {"num_retries": 0, "fallbacks": [{"a": ["b"]}, {"b": ["a"]}]}
    )
    assert (await ask(client, model="a")).status_code == 500
    assert (len(a.requests), len(b.requests)) == (1, 1)


async def test_a_faulty_request_does_not_fall_back(providers: Providers, gateway: Any) -> None:
    """A 400 would be a 400 everywhere."""
    a, b = await providers(), await providers()
    a.otherwise = refuses(400)
    client = await gateway([deployment(a, "a"), deployment(b, "b")], {"fallbacks": [{"a": ["b"]}]})
    assert (await ask(client, model="a")).status_code == 400
    assert not b.requests


async def test_a_request_too_long_for_the_model_goes_to_its_long_brother(providers: Providers, gateway: Any) -> None:
    """context_window_fallbacks apply to that 400 alone."""
    a, b = await providers(), await providers()
    a.otherwise = refuses(400, {"error": {"message": "...", "code": "context_length_exceeded"}})
    client = await gateway([deployment(a, "a"), deployment(b, "b")], {"context_window_fallbacks": [{"a": ["b"]}]})
    assert (await ask(client, model="a")).status_code == 200


async def test_a_stream_falls_back_before_its_first_event(providers: Providers, gateway: Any) -> None:
    """Comments do not count, and neither does an error in the place of the first event."""
    a, b = await providers(), await providers()
    a.otherwise = streams(b": wait\n\n", b'data: {"error": {"message": "overloaded", "code": 529}}\n\n')
    b.otherwise = says("from b")
    client = await gateway([deployment(a, "a"), deployment(b, "b")], {"num_retries": 0, "fallbacks": [{"a": ["b"]}]})
    reply = await ask(client, model="a", stream=True)
    assert "wait" not in reply.text
    assert "overloaded" not in reply.text
    assert json.loads(events(reply.text)[1])["choices"][0]["delta"]["content"] == "b"


async def test_a_stream_does_not_fall_back_after_its_first_event(providers: Providers, gateway: Any) -> None:
    """Half of one answer and half of another would be neither."""
    a, b = await providers(), await providers()
    a.otherwise = dies_after(chat_chunk("half"))
    client = await gateway([deployment(a, "a"), deployment(b, "b")], {"fallbacks": [{"a": ["b"]}]})
    reply = await ask(client, model="a", stream=True)
    assert "half" in reply.text
    assert not b.requests


async def test_a_stream_that_begins_with_an_error_is_an_error(provider: Provider, gateway: Any) -> None:
    """Its status is the one that the event stands for."""
    provider.otherwise = streams(b'data: {"error": {"message": "no", "type": "invalid_request_error"}}\n\n')
    client = await gateway([deployment(provider)])
    reply = await ask(client, stream=True)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == "no"
    assert len(provider.requests) == 1


async def test_a_time_out_falls_back(providers: Providers, gateway: Any) -> None:
    """A provider that hangs is left for another."""
    a, b = await providers(), await providers()
    a.otherwise = hangs()
    client = await gateway(
        [deployment(a, "a", timeout=0.05), deployment(b, "b")], {"num_retries": 0, "fallbacks": [{"a": ["b"]}]}
    )
    assert (await ask(client, model="a")).status_code == 200
    await a.left.wait()


async def test_lower_orders_are_asked_first(providers: Providers, gateway: Any) -> None:
    """Higher ones only when those have failed, and before any fallback."""
    a, b = await providers(), await providers()
    client = await gateway([deployment(b, order=2), deployment(a, order=1)], {"num_retries": 0})
    for _ in range(5):
        await ask(client)
    assert (len(a.requests), len(b.requests)) == (5, 0)
    a.otherwise = refuses(500)
    assert (await ask(client)).status_code == 200
    assert len(b.requests) == 1


async def test_requests_are_shared_out_by_weight(providers: Providers, gateway: Any) -> None:
    """Nine to one, as configured."""
    a, b = await providers(), await providers()
    client = await gateway([deployment(a, weight=9), deployment(b, weight=1)], chance=random.Random(7))
    for _ in range(100):
        await ask(client)
    assert 80 <= len(a.requests) <= 98


@pytest.mark.parametrize("key", ["rpm", "tpm"])
def test_without_weights_limits_are_the_weights(key: str) -> None:
    """LiteLLM's simple-shuffle."""
    more: Any = {key: 900}
    less: Any = {key: 100}
    entries = [deployment("http://a", **more), deployment("http://b", **less)]
    router = Router(entries, chance=random.Random(7))
    level = router._groups["gpt-4o"].levels[0]
    picked = Counter(found.id for _ in range(1000) if (found := router._pick(level, set())))
    assert 850 <= picked["openai/gpt-4o"] <= 950


async def test_a_429_cools_a_deployment_down_at_once(providers: Providers, gateway: Any) -> None:
    """Others of its group get its share until the provider's Retry-After is over."""
    a, b = await providers(), await providers()
    a.otherwise = refuses(429, headers={"retry-after": "60"})
    client = await gateway([deployment(a, weight=1000), deployment(b, weight=1)])
    for _ in range(5):
        assert (await ask(client)).status_code == 200
    assert (len(a.requests), len(b.requests)) == (1, 5)


async def test_the_only_deployment_does_not_cool_down(provider: Provider, gateway: Any) -> None:
    """There would be nobody to go to."""
    provider.plan.append(refuses(429, headers={"retry-after": "60"}))
    client = await gateway([deployment(provider)], {"num_retries": 0})
    assert (await ask(client)).status_code == 429
    assert (await ask(client)).status_code == 200


async def test_the_only_deployment_does_not_cool_down_for_broken_streams(provider: Provider, gateway: Any) -> None:
    """A failure in the midst of an answer is no other than one before it."""
    provider.plan.append(refuses(500))
    provider.plan.extend([streams(chat_chunk("Hel"))] * 6)
    client = await gateway([deployment(provider)], {"num_retries": 0})
    for _ in range(7):
        await ask(client, stream=True)
    assert (await ask(client)).status_code == 200


async def test_allowed_fails_cool_down_the_only_deployment_too(provider: Provider, gateway: Any) -> None:
    """Whoever sets it wants it; the caller is told when to come back, and the provider is left alone."""
    provider.otherwise = refuses(500)
    client = await gateway([deployment(provider)], {"num_retries": 0, "allowed_fails": 1, "cooldown_time": 30})
    assert [(await ask(client)).status_code for _ in range(3)] == [500, 500, 503]
    reply = await ask(client)
    assert reply.json()["error"]["code"] == "no_deployment_available"
    assert 25 <= int(reply.headers["retry-after"]) <= 31
    assert len(provider.requests) == 2


async def test_a_model_that_cools_down_falls_back(providers: Providers, gateway: Any) -> None:
    """Without being asked again."""
    a, b = await providers(), await providers()
    a.otherwise = refuses(500)
    settings = {"num_retries": 0, "allowed_fails": 0, "cooldown_time": 30, "fallbacks": [{"a": ["b"]}]}
    client = await gateway([deployment(a, "a"), deployment(b, "b")], settings)
    for _ in range(3):
        assert (await ask(client, model="a")).status_code == 200
    assert (len(a.requests), len(b.requests)) == (1, 3)


async def test_an_alias_is_another_name(provider: Provider, gateway: Any) -> None:
    """The provider is asked for its own model."""
    client = await gateway(
        [deployment(provider)], {"model_group_alias": {"gpt-4": "gpt-4o", "old": {"model": "gpt-4o", "hidden": True}}}
    )
    for name in ("gpt-4", "old"):
        assert (await ask(client, model=name)).status_code == 200
    assert [body["model"] for body in provider.bodies] == ["gpt-4o", "gpt-4o"]
    listed = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
    assert listed == ["gpt-4o", "gpt-4"]


@pytest.mark.parametrize(
    ("name", "model", "asked", "sent"),
    [
        ("openai/*", "openai/*", "openai/gpt-4o-mini", "gpt-4o-mini"),
        ("*", "openai/*", "gpt-4o-mini", "gpt-4o-mini"),
        ("*", "openai/*", "openai/gpt-4o-mini", "gpt-4o-mini"),
        ("team-*", "openai/gpt-*", "team-4o", "gpt-4o"),
        ("any-*", "openai/fixed", "any-thing", "fixed"),
        ("a*-b*", "openai/x*-y*", "a1-b2", "x1-y2"),
    ],
)
async def test_wildcards(provider: Provider, gateway: Any, name: str, model: str, asked: str, sent: str) -> None:
    """What `*` stands for in the caller's name goes where the deployment's model has it."""
    entry = deployment(provider, name)
    entry["litellm_params"]["model"] = model
    client = await gateway([entry])
    reply = await ask(client, model=asked)
    assert reply.status_code == 200
    assert provider.bodies[0]["model"] == sent
    assert reply.headers["x-helix-model"] == f"openai/{sent}"


async def test_the_name_itself_goes_before_a_pattern_and_the_longer_pattern_first(
    providers: Providers, gateway: Any
) -> None:
    """LiteLLM's order."""
    exact, long, short = await providers(), await providers(), await providers()
    models = [deployment(short, "*"), deployment(long, "openai/gpt-*"), deployment(exact, "openai/gpt-4o")]
    client = await gateway(models)
    for name in ("openai/gpt-4o", "openai/gpt-5", "openai/o3"):
        await ask(client, model=name)
    assert [len(one.requests) for one in (exact, long, short)] == [1, 1, 1]


async def test_an_unknown_model_lists_the_known_ones(provider: Provider, gateway: Any) -> None:
    """404 in OpenAI's form, and no hidden alias."""
    client = await gateway([deployment(provider)], {"model_group_alias": {"h": {"model": "gpt-4o", "hidden": True}}})
    reply = await ask(client, model="gpt-9")
    assert reply.status_code == 404
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert error["message"] == "there is no such model here; known are: gpt-4o"


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"fallbacks": [{"gpt-4o": ["none"]}]}, "router_settings.fallbacks.gpt-4o"),
        ({"default_fallbacks": ["none"]}, "router_settings.fallbacks.*"),
        ({"model_group_alias": {"x": "none"}}, "router_settings.model_group_alias.x"),
    ],
)
def test_a_name_in_the_settings_that_leads_nowhere(settings: dict[str, Any], path: str) -> None:
    """Found when the configuration is read, not when the fallback is needed."""
    with pytest.raises(ConfigError, match="there is no model 'none' in model_list") as error:
        Router([deployment("http://a")], settings)
    assert error.value.param == path


def test_what_a_name_leads_to() -> None:
    """Aliases in both forms, patterns, fallbacks of fallbacks, circles; nothing for a name that is not known."""

    def entry(name: str, model: str) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": model}}

    router = Router(
        [
            entry("fast", "openai/gpt-4o-mini"),
            entry("fast", "azure/mini"),
            entry("smart", "gpt-4o"),
            entry("long", "anthropic/claude-opus-4-5"),
            entry("prod-*", "openai/*"),
        ],
        {
            "model_group_alias": {"quick": "fast", "secret": {"model": "prod-o3", "hidden": True}},
            "fallbacks": [{"fast": ["smart"]}, {"smart": ["fast"]}],
            "context_window_fallbacks": [{"smart": ["long"]}],
        },
    )
    every = {"openai/gpt-4o-mini", "azure/mini", "openai/gpt-4o", "anthropic/claude-opus-4-5"}
    assert set(router.leads_to("fast")) == set(router.leads_to("quick")) == set(router.leads_to("smart")) == every
    assert router.leads_to("long") == ("anthropic/claude-opus-4-5",)
    assert router.leads_to("prod-gpt-4.1") == ("openai/gpt-4.1",)
    assert router.leads_to("secret") == ("openai/o3",)
    assert router.leads_to("unknown") == ()
