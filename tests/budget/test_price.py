from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from helix.budget.price import MAX_NAMES, GroupPrices, PriceTable, bundled_table
from helix.budget.row import read_row
from helix.kernel.types import Money, Usage


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


def test_reading_the_table_does_not_import_litellm() -> None:
    """It would take seconds, and memory."""
    code = "import sys; from helix.budget import PriceTable; print(len(PriceTable.load()), 'litellm' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(out[0]) > 1000
    assert out[1] == "False"


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("openai/gpt-4o", "gpt-4o"),
        ("anthropic/claude-haiku-4-5", "claude-haiku-4-5"),
        ("vertex_ai/gemini-2.5-pro", "gemini-2.5-pro"),
        ("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("ft:gpt-4o-2024-08-06:my-org::abc123", "ft:gpt-4o-2024-08-06"),
        ("openai/ft:gpt-4o-2024-08-06:my-org::abc123", "ft:gpt-4o-2024-08-06"),
    ],
)
def test_a_model_is_found_with_and_without_its_provider(table: PriceTable, name: str, same_as: str) -> None:
    """Names as LiteLLM writes them."""
    assert table.find(name) is not None
    assert table.find(name) == table.find(same_as)


@pytest.mark.parametrize(
    "name", ["", "nobody-knows", "hosted_vllm/gpt-4o", "sample_spec", "dall-e-3", "/", "demo/echo"]
)
def test_what_has_no_price_by_the_token_has_none(table: PriceTable, name: str) -> None:
    """Another provider's server with a model of that name, an image model, the table's own example."""
    assert table(name, Usage(1, 1)) is None


def test_no_bound_falls_with_the_length_of_the_input(table: PriceTable) -> None:
    """What the worst case relies on: more tokens never reserve less, thresholds included."""
    for name, price in table._prices.items():
        sizes = sorted({int(edge) + more for edge, _ in price.tariff for more in (1, 2)})
        bounds = [price.dearest(Usage(size, 10)) for size in sizes]
        assert bounds == sorted(bounds), name


def test_a_declared_price_is_laid_over_the_table() -> None:
    """Of a deployment's model_info, strings as YAML reads them included."""
    price = read_row({"input_cost_per_token": "1e-6", "output_cost_per_token": 2e-6, "max_output_tokens": 5})
    assert price is not None
    table = PriceTable.load(custom={"demo/echo": price, "gpt-4o": price})
    assert table("demo/echo", Usage(10, 10)) == Money(30_000)
    assert table("gpt-4o", Usage(10, 10)) == Money(30_000)
    assert price.max_output_tokens == 5


@pytest.mark.parametrize("wrong", [-1, "cheap", float("nan"), float("inf"), [1]])
def test_a_declared_price_that_is_none_is_an_error(wrong: Any) -> None:
    """Named by its key."""
    with pytest.raises(ValueError, match="input_cost_per_token"):
        read_row({"input_cost_per_token": wrong})


def test_a_table_that_is_missing_or_broken_is_an_error(tmp_path: Path) -> None:
    """Said once, where it is opened."""
    with pytest.raises(OSError, match="nowhere"):
        PriceTable.load(tmp_path / "nowhere.json")
    for content in (b"{", b"[1]", b'{"m": 5}', orjson.dumps({"m": {"input_cost_per_token": -1}})):
        (tmp_path / "t.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"t\.json cannot be read"):
            PriceTable.load(tmp_path / "t.json")


def test_the_bundled_table_is_litellms() -> None:
    """Found without importing it."""
    path = bundled_table()
    assert path is not None
    assert path.parent.name == "litellm"


def test_a_group_costs_what_its_dearest_member_costs() -> None:
    """So that a reservation covers whichever answers; a member without a price leaves the group without one."""
    cheap = read_row({"input_cost_per_token": 1e-9, "output_cost_per_token": 5e-9, "max_output_tokens": 8})
    dear = read_row({"input_cost_per_token": 3e-9, "output_cost_per_token": 1e-9, "max_output_tokens": 4})
    assert cheap is not None
    assert dear is not None
    table = PriceTable({"a": cheap, "b": dear})
    groups = {"both": ["a", "b"], "half": ["a", "unknown"]}
    prices = GroupPrices(table, lambda name: groups.get(name, ()))
    assert prices("both", Usage(10, 0)) == Money(30)
    assert prices("both", Usage(0, 10)) == Money(50)
    assert prices("half", Usage(1, 1)) is None
    assert prices("none", Usage(1, 1)) is None
    assert prices("a", Usage(1, 1)) == Money(6)
    sizes = prices.find("both")
    assert sizes is not None
    assert sizes.max_output_tokens == 8
    assert prices.find("half") is None


def test_what_is_reserved_covers_every_rate_that_a_caller_can_choose(table: PriceTable) -> None:
    """Priority processing, cache entries for an hour, sound; at long inputs too, for each model of the table."""
    path = bundled_table()
    assert path is not None
    for name, row in orjson.loads(path.read_bytes()).items():
        if name == "sample_spec" or table.find(name) is None or row.get("litellm_provider") == "lemonade":
            continue
        for size in (1000, 128_001, 200_001, 272_001):
            for usage in (
                Usage(size, size, service_tier="priority"),
                Usage(size, size, cache_write_tokens=size, cache_write_1h_tokens=size),
                Usage(size, size, audio_input_tokens=size, audio_output_tokens=size),
                Usage(size, size, cached_input_tokens=size, reasoning_tokens=size, service_tier="flex"),
                Usage(size, size, image_input_tokens=size, image_output_tokens=size, region="us"),
            ):
                held, real = table.dearest(name, Usage(size, size)), table(name, usage)
                assert held is not None
                assert real is not None
                assert held >= real, (name, usage)


def test_a_tier_that_a_provider_keeps_to_is_reserved_at_its_own_price(table: PriceTable) -> None:
    """Who asks for the ordinary tier need not have the money for the priority one."""
    usual = table.dearest("gpt-4.1", Usage(0, 1000, service_tier="default"))
    assert usual == table("gpt-4.1", Usage(0, 1000))
    assert (
        table.dearest("gpt-4.1", Usage(0, 1000)) == table("gpt-4.1", Usage(0, 1000, service_tier="priority")) != usual
    )


def test_the_sum_is_exact_and_its_half_nano_dollars_go_up() -> None:
    """37.5 nano-USD a token: floats of USD would say 37 or 38 as it happens."""
    price = read_row({"input_cost_per_token": 3.75e-08, "output_cost_per_token": 2.5e-10})
    assert price is not None
    assert [price.cost(Usage(count, 0)).nano_usd for count in (1, 2, 3, 5)] == [38, 75, 113, 188]
    assert [price.cost(Usage(0, count)).nano_usd for count in (1, 2, 3, 4)] == [0, 1, 1, 1]
    assert price.cost(Usage(10**9, 10**9)).nano_usd == 37_750_000_000


def test_names_that_callers_make_up_do_not_fill_the_memory(table: PriceTable) -> None:
    """Any number of fine-tuned models has a price, and some are remembered."""
    table = PriceTable(table._prices, providers=table._providers)
    for index in range(MAX_NAMES + 50):
        assert table.find(f"ft:gpt-4o-2024-08-06:org::{index}") is not None
    assert len(table._found) == MAX_NAMES


def test_what_a_provider_says_it_costs_is_taken_from_those_whose_word_litellm_takes(table: PriceTable) -> None:
    """Perplexity and xAI; anybody else could say anything."""
    said = Usage(1000, 1000, stated_nano_usd=7)
    assert table("perplexity/sonar", said) == table("xai/grok-4.20-beta-0309-reasoning", said) == Money(7)
    assert table("gpt-4o", said) == table("gpt-4o", Usage(1000, 1000))


def test_a_group_with_a_member_that_is_paid_by_the_second_says_so() -> None:
    """Or its time would not be measured."""
    by_token, by_second = read_row({"input_cost_per_token": 1e-9}), read_row({"input_cost_per_second": 1e-3})
    assert by_token is not None
    assert by_second is not None
    prices = GroupPrices(PriceTable({"a": by_token, "b": by_second}), lambda name: ("a", "b"))
    found = prices.find("both")
    assert found is not None
    assert found.units.second is not None
    assert prices("both", Usage(10, 0, elapsed_seconds=2.0)) == Money(2_000_000)
