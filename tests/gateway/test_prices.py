"""What a name costs: the prices of the configuration and the table, by the names that callers use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helix.gateway import _price
from helix.kernel.errors import ConfigError
from helix.kernel.types import Money, Usage
from helix.upstream import Router

USAGE = Usage(1000, 500)


def entry(name: str, model: str, **more: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **more}}


ROUTER = Router(
    [
        entry("fast", "openai/gpt-4o-mini"),
        entry("own", "hosted_vllm/llama", api_base="http://127.0.0.1:1", input_cost_per_token=1e-6),
        entry("prod-*", "openai/*"),
        entry("gpt-4o", "openai/gpt-4o-mini"),
    ],
    {"model_group_alias": {"quick": "fast", "quiet": {"model": "own", "hidden": True}, "gpt-4": "fast"}},
)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("fast", "gpt-4o-mini"),
        ("quick", "gpt-4o-mini"),
        ("gpt-4", "gpt-4o-mini"),
        ("gpt-4o", "gpt-4o-mini"),
        ("prod-gpt-4.1", "gpt-4.1"),
        ("quiet", "hosted_vllm/llama"),
    ],
)
def test_a_name_costs_what_it_leads_to(name: str, model: str) -> None:
    """Aliases in both forms, patterns, and names that the table knows as another model's."""
    price = _price(ROUTER)
    cost = price.table(model, USAGE)
    assert cost is not None
    assert price(name, USAGE) == cost
    assert price.dearest(name, USAGE) == price.table.dearest(model, USAGE)
    assert price.find(name) == price.table.find(model)


def test_a_pattern_that_leads_to_nothing_known_has_no_price() -> None:
    """A budget then refuses the request."""
    assert _price(ROUTER)("prod-nobody-knows", USAGE) is None


def test_own_prices_take_the_sizes_of_the_table() -> None:
    """Who has a discount need not write how long an answer may get."""
    found = _price(Router([entry("cheap", "openai/gpt-4o", input_cost_per_token=1e-9)])).find("cheap")
    assert found is not None
    assert found.cost(Usage(1000, 1000)) == Money(1000)
    assert found.max_output_tokens == 16_384


def test_a_deployment_costs_what_its_base_model_does() -> None:
    """As LiteLLM has it for Azure, where deployments have names of their own."""
    one = entry("ours", "azure/our-deployment", api_base="https://x.openai.azure.com")
    price = _price(Router([{**one, "model_info": {"base_model": "azure/gpt-4o"}}]))
    assert price("ours", USAGE) == price.table("azure/gpt-4o", USAGE) == price.table("azure/our-deployment", USAGE)


def test_where_a_deployment_stands_has_its_price() -> None:
    """OpenAI's data residency, and of two deployments the dearer; locations at Vertex AI, where they cost more."""
    usual = _price(Router([entry("m", "openai/gpt-5.4")]))("m", USAGE)
    eu = entry("m", "openai/gpt-5.4", api_base="https://eu.api.openai.com/v1")
    assert usual is not None
    assert _price(Router([eu]))("m", USAGE) == Money(usual.nano_usd * 11 // 10)
    assert _price(Router([eu, entry("m", "openai/gpt-5.4")]))("m", USAGE) == Money(usual.nano_usd * 11 // 10)
    here = entry("g", "vertex_ai/gemini-3.1-flash-lite", vertex_location="us-east5")
    everywhere = entry("g", "vertex_ai/gemini-3.1-flash-lite", vertex_location="global")
    usual = _price(Router([everywhere]))("g", USAGE)
    assert usual is not None
    assert _price(Router([here]))("g", USAGE) == Money(usual.nano_usd * 11 // 10)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"input_cost_per_token": -1}, "'input_cost_per_token' must be a number of USD of zero or more"),
        ({"output_cost_per_token": "cheap"}, "'output_cost_per_token' must be a number of USD"),
        ({"input_cost_per_tokens": 1e-6}, "'input_cost_per_tokens' is no price; did you mean 'input_cost_per_token'?"),
    ],
)
def test_a_price_that_is_none_is_an_error_at_the_start(more: dict[str, Any], message: str) -> None:
    """Named by its place in the configuration, misspelt keys too: they would cost nothing."""
    with pytest.raises(ConfigError, match=r"^model_list\[1\].model_info: ") as caught:
        _price(Router([entry("a", "openai/gpt-4o"), entry("b", "openai/gpt-4o", **more)]))
    assert message in caught.value.message


def test_a_table_of_ones_own_takes_the_place_of_litellms(tmp_path: Path) -> None:
    """And one that is missing or broken stops the start, named by its key."""
    file = tmp_path / "prices.json"
    with pytest.raises(ConfigError, match=r"helix.budget.price_table: .*prices.json"):
        _price(ROUTER, file)
    file.write_text("{")
    with pytest.raises(ConfigError, match=r"helix.budget.price_table: .*prices.json cannot be read"):
        _price(ROUTER, file)
    file.write_text('{"gpt-4o-mini": {"litellm_provider": "openai", "input_cost_per_token": 1e-9}}')
    price = _price(ROUTER, file)
    assert price("fast", USAGE) == Money(1000)
    assert price.table("gpt-4o", USAGE) is None
