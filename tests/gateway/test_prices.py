"""What a name costs: the prices of the configuration and the table, by the names that callers use."""

from __future__ import annotations

from typing import Any

import pytest

from helix.gateway import _price
from helix.kernel.types import Usage
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
    assert price.dearest(name, 1000, 500) == price.table.dearest(model, 1000, 500)
    assert price.find(name) == price.table.find(model)


def test_a_pattern_that_leads_to_nothing_known_has_no_price() -> None:
    """A budget then refuses the request."""
    assert _price(ROUTER)("prod-nobody-knows", USAGE) is None
