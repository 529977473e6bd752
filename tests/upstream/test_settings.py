"""What `model_list` and `router_settings` may hold, and how it is said what they may not."""

from __future__ import annotations

from typing import Any

import pytest

from helix.kernel.errors import ConfigError
from helix.upstream.deployment import read_model_list
from helix.upstream.settings import Alias, read_settings


def entry(**params: Any) -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", **params}}


def wrong(model_list: Any) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        read_model_list(model_list)
    return error.value


@pytest.mark.parametrize(
    ("model_list", "path", "says"),
    [
        ([], "model_list", "at least one deployment"),
        ({"a": 1}, "model_list", "must be a list"),
        (["m"], "model_list[0]", "must be a mapping, found str"),
        ([{"model_name": "m"}], "model_list[0].litellm_params", "is required"),
        ([{"litellm_params": {}}], "model_list[0].model_name", "is required"),
        ([{"model_name": "m", "litellm_params": {}}], "model_list[0].litellm_params.model", "is required"),
        ([{**entry(), "model": "x"}], "model_list[0].model", "allowed here: litellm_params, model_info, model_name"),
        ([entry(), entry(api_bsae="http://x")], "model_list[1].litellm_params.api_bsae", "did you mean 'api_base'?"),
        ([entry(api_base="localhost:8000")], "model_list[0].litellm_params.api_base", "http:// or https://"),
        ([entry(weight="heavy")], "model_list[0].litellm_params.weight", "must be a number of at least 0"),
        ([entry(timeout=0)], "model_list[0].litellm_params.timeout", "at least 0.001"),
        ([entry(max_retries=1.5)], "model_list[0].litellm_params.max_retries", "must be a whole number"),
        ([entry(order=True)], "model_list[0].litellm_params.order", "must be a number"),
        ([entry(max_budget=1)], "model_list[0].litellm_params.max_budget", "LiteLLM that Helix does not support"),
        ([entry(model="openai/")], "model_list[0].litellm_params.model", "must name a model after 'openai/'"),
        ([entry(model="hosted_vllm/m")], "model_list[0].litellm_params.api_base", "is required for the provider"),
        ([entry(model="demo/slow", tokens_per_second=0)], "model_list[0].litellm_params.tokens_per_second", "at least"),
        ([entry(model="groq/m", api_bas="x")], "model_list[0].litellm_params.api_bas", "did you mean 'api_base'?"),
        ([entry(extra_headers={"a": 1})], "model_list[0].litellm_params.extra_headers.a", "must be a string"),
    ],
)
def test_a_wrong_model_list(model_list: Any, path: str, says: str) -> None:
    """The error gives the key's path, what was found and what is allowed."""
    error = wrong(model_list)
    assert error.param == path
    assert error.message.startswith(f"{path}: ")
    assert says in error.message


def test_a_secret_is_not_quoted() -> None:
    """Neither in the error nor in a deployment's repr."""
    assert "12345" not in wrong([entry(api_key=12345)]).message
    (deployment,) = read_model_list([entry(api_key="sk-12345", extra_headers={"x-key": "sk-12345"})])
    assert "12345" not in repr(deployment)


def test_two_deployments_may_not_have_one_id() -> None:
    """They would be one to whoever reads the records."""
    twice = [{**entry(), "model_info": {"id": "x"}}, {**entry(), "model_info": {"id": "x"}}]
    assert wrong(twice).param == "model_list[1].model_info.id"


def test_ids_are_made_where_none_is_given() -> None:
    """By the model, counted; the same at every start."""
    assert [d.id for d in read_model_list([entry(), entry(), entry(model="gpt-4.1")])] == [
        "openai/gpt-4o",
        "openai/gpt-4o#2",
        "openai/gpt-4.1",
    ]


@pytest.mark.parametrize(
    ("params", "provider", "model", "through_litellm"),
    [
        ({"model": "gpt-4o"}, "openai", "gpt-4o", False),
        ({"model": "o3-mini"}, "openai", "o3-mini", False),
        ({"model": "claude-sonnet-4-5"}, "anthropic", "claude-sonnet-4-5", False),
        ({"model": "openai/org/model"}, "openai", "org/model", False),
        ({"model": "groq/llama"}, "groq", "llama", True),
        ({"model": "bedrock/anthropic.claude"}, "bedrock", "anthropic.claude", True),
        ({"model": "my-model", "custom_llm_provider": "openai"}, "openai", "my-model", False),
        ({"model": "hosted_vllm/q", "api_base": "http://h/v1"}, "hosted_vllm", "q", False),
        ({"model": "demo/echo"}, "demo", "echo", False),
        ({"model": "command-r"}, "", "command-r", True),
    ],
)
def test_the_provider_is_told_by_the_models_name(
    params: dict[str, Any], provider: str, model: str, through_litellm: bool
) -> None:
    """As LiteLLM tells it."""
    (found,) = read_model_list([entry(**params)])
    assert (found.provider, found.model, found.via_litellm) == (provider, model, through_litellm)


def test_prices_and_options_are_sorted() -> None:
    """Prices go to the info, defaults to the request, and the provider's own arguments to LiteLLM."""
    params = {"model": "bedrock/m", "aws_region_name": "eu-west-1", "temperature": 0, "input_cost_per_token": 1e-6}
    (found,) = read_model_list([{**entry(**params), "model_info": {"id": "d", "tier": "paid"}}])
    assert found.options == {"aws_region_name": "eu-west-1"}
    assert found.defaults == {"temperature": 0}
    assert found.info == {"input_cost_per_token": 1e-6, "id": "d", "tier": "paid"}


def test_numbers_may_be_text() -> None:
    """`os.environ/NAME` values are."""
    (found,) = read_model_list([entry(timeout="30", weight="2", max_retries="1")])
    assert (found.timeout_seconds, found.weight, found.retries) == (30.0, 2.0, 1)


def test_settings_have_litellms_defaults() -> None:
    """Two retries, ten minutes, five seconds of cool-down, five fallbacks."""
    found = read_settings(None)
    assert (found.num_retries, found.timeout, found.cooldown_time, found.max_fallbacks) == (2, 600.0, 5.0, 5)
    assert found.allowed_fails is None


def test_every_setting_is_read() -> None:
    """Under LiteLLM's names."""
    found = read_settings(
        {
            "routing_strategy": "simple-shuffle",
            "num_retries": "4",
            "retry_after": 1,
            "timeout": 30,
            "stream_timeout": 5,
            "fallbacks": [{"a": ["b", "c"]}, {"*": ["d"]}],
            "default_fallbacks": ["e"],
            "context_window_fallbacks": [{"a": ["long"]}],
            "content_policy_fallbacks": [{"a": ["lenient"]}],
            "max_fallbacks": 2,
            "allowed_fails": 1,
            "allowed_fails_policy": {"RateLimitErrorAllowedFails": 0},
            "cooldown_time": 10,
            "disable_cooldowns": True,
            "retry_policy": {"TimeoutErrorRetries": 0, "DefaultRetries": 1},
            "model_group_retry_policy": {"a": {"RateLimitErrorRetries": 3}},
            "model_group_alias": {"x": "a", "y": {"model": "a", "hidden": True}},
            "enable_weighted_failover": True,
        }
    )
    assert found.fallbacks == {"a": ("b", "c"), "*": ("d",)}
    assert found.retry_policy == {"TimeoutError": 0, "Default": 1}
    assert found.allowed_fails_policy == {"RateLimitError": 0}
    assert found.model_group_alias == {"x": Alias("a"), "y": Alias("a", hidden=True)}
    assert (found.num_retries, found.stream_timeout, found.disable_cooldowns) == (4, 5.0, True)


@pytest.mark.parametrize(
    ("settings", "path", "says"),
    [
        ({"num_retry": 1}, "router_settings.num_retry", "unknown key (did you mean 'num_retries'?); allowed here: "),
        ({"redis_host": "x"}, "router_settings.redis_host", "a key of LiteLLM that Helix does not support"),
        ({"routing_strategy": "least-busy"}, "router_settings.routing_strategy", "must be 'simple-shuffle'"),
        ({"num_retries": -1}, "router_settings.num_retries", "at least 0, found -1"),
        ({"timeout": "soon"}, "router_settings.timeout", "must be a number"),
        ({"fallbacks": {"a": ["b"]}}, "router_settings.fallbacks", "must be a list such as"),
        ({"fallbacks": [{"a": "b"}]}, "router_settings.fallbacks[0].a", "must be a list of model names"),
        ({"fallbacks": [{"a": ["b"]}, {"a": ["c"]}]}, "router_settings.fallbacks[1].a", "is given twice"),
        ({"retry_policy": {"Retries": 1}}, "router_settings.retry_policy.Retries", "unknown key"),
        ({"disable_cooldowns": 1}, "router_settings.disable_cooldowns", "must be true or false"),
        ({"model_group_alias": {"a": {"name": "b"}}}, "router_settings.model_group_alias.a.name", "allowed here"),
        ([], "router_settings", "must be a mapping"),
    ],
)
def test_wrong_settings(settings: Any, path: str, says: str) -> None:
    """The error gives the key's path, what was found and what is allowed."""
    if settings == []:
        settings = ["x"]
    with pytest.raises(ConfigError) as error:
        read_settings(settings)
    assert error.value.param == path
    assert says in error.value.message
