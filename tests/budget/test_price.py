from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from helix.budget.price import GroupPrices, ModelPrice, PriceTable, bundled_table
from helix.kernel.types import Money, Usage

# Over providers and forms of price: flat, cached, written, thresholds, ranges, reasoning, free, embeddings.
_NAMES = """
    gpt-4o gpt-4o-mini gpt-4.1 gpt-4.1-nano gpt-5 gpt-5-mini o3 o3-mini gpt-3.5-turbo text-embedding-3-small
    text-embedding-3-large ft:gpt-4o-2024-08-06 azure/gpt-4o azure/gpt-4o-mini azure/eu/gpt-4o
    claude-haiku-4-5 claude-opus-4-1 claude-sonnet-4-5 claude-haiku-4-5 claude-opus-4-5
    anthropic.claude-3-5-sonnet-20240620-v1:0 us.anthropic.claude-opus-4-6-v1
    anthropic.claude-haiku-4-5-20251001-v1:0 gemini/gemini-2.5-pro gemini/gemini-2.5-flash gemini/gemini-2.0-flash
    gemini-2.5-pro gemini-2.5-flash gemini/gemini-exp-1206 vertex_ai/claude-sonnet-4-5 deepseek/deepseek-chat
    deepseek/deepseek-reasoner mistral/mistral-large-latest mistral/mistral-small-latest mistral/codestral-latest
    groq/llama-3.3-70b-versatile groq/llama-3.1-8b-instant xai/grok-3 xai/grok-3-mini xai/grok-4
    cohere/command-r-plus command-r together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo
    fireworks_ai/accounts/fireworks/models/llama-v3p1-405b-instruct
    fireworks_ai/accounts/fireworks/models/deepseek-v3 perplexity/sonar perplexity/sonar-pro
    perplexity/sonar-reasoning-pro dashscope/qwen-flash dashscope/qwen-plus-latest dashscope/qwen3-coder-plus
    dashscope/qwen3-max-preview openrouter/openai/gpt-4o openrouter/anthropic/claude-3.5-sonnet
    databricks/databricks-claude-sonnet-4 cerebras/llama3.1-8b sambanova/Meta-Llama-3.1-8B-Instruct
    moonshot/kimi-k2-0711-preview voyage/voyage-3 amazon.nova-lite-v1:0 amazon.nova-pro-v1:0
    meta.llama3-1-8b-instruct-v1:0 cohere.embed-english-v3 mistral.mistral-large-2407-v1:0
    deepinfra/deepseek-ai/DeepSeek-V3 hyperbolic/deepseek-ai/DeepSeek-V3 nscale/Qwen/Qwen2.5-Coder-7B-Instruct
    snowflake/claude-3-5-sonnet watsonx/ibm/granite-3-8b-instruct ai21/jamba-1.5
    replicate/meta/llama-3-70b-instruct
"""
MODELS = _NAMES.split()

SHAPES = (
    Usage(1, 1),
    Usage(1234, 567),
    Usage(1000, 10, cached_input_tokens=400),
    Usage(1000, 10, cache_write_tokens=300),
    Usage(1000, 500, 100, 200, 300),
    Usage(128_000, 7),
    Usage(200_000, 7),
    Usage(200_001, 7, 7, 3, 2),
    Usage(272_001, 1000, 1000, 1000, 500),
    Usage(600_000, 3, reasoning_tokens=1),
)


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


@pytest.fixture(scope="module")
def litellm() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # or it asks GitHub for prices
        warnings.simplefilter("ignore")
        yield pytest.importorskip("litellm")


def priced_by_litellm(litellm: Any, model: str, usage: Usage) -> int:
    from litellm.types.utils import CompletionTokensDetailsWrapper, PromptTokensDetailsWrapper
    from litellm.types.utils import Usage as Counted

    counted = Counted(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=usage.cached_input_tokens, cache_creation_tokens=usage.cache_write_tokens
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=usage.reasoning_tokens),
    )
    costs = litellm.cost_calculator.cost_per_token(
        model=model,
        usage_object=counted,
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
    )
    return round(float(sum(costs)) * 1e9)


def test_costs_equal_litellms_to_the_nano_dollar(table: PriceTable, litellm: Any) -> None:
    """Fifty models and more, ten shapes of usage each."""
    listed = [model for model in MODELS if model in litellm.model_cost]
    differing = []
    for model in listed:
        for usage in SHAPES:
            theirs, ours = Money(priced_by_litellm(litellm, model, usage)), table(model, usage)
            if theirs != ours:
                differing.append((model, usage, theirs, ours))
    assert differing == []
    assert len(listed) >= 50


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


def test_no_price_falls_with_the_length_of_the_input(table: PriceTable) -> None:
    """What the worst case relies on: more tokens never cost less, thresholds included."""
    for name, price in table._prices.items():
        costs = [price.cost(Usage(int(threshold) + more, 10)) for threshold, _ in price.tiers for more in (0, 1)]
        assert costs == sorted(costs), name


def test_a_declared_price_is_laid_over_the_table() -> None:
    """Of a deployment's model_info, strings as YAML reads them included."""
    price = ModelPrice.of({"input_cost_per_token": "1e-6", "output_cost_per_token": 2e-6, "max_output_tokens": 5})
    assert price is not None
    table = PriceTable.load(custom={"demo/echo": price, "gpt-4o": price})
    assert table("demo/echo", Usage(10, 10)) == Money(30_000)
    assert table("gpt-4o", Usage(10, 10)) == Money(30_000)
    assert price.max_output_tokens == 5


@pytest.mark.parametrize("wrong", [-1, "cheap", float("nan"), float("inf"), [1]])
def test_a_declared_price_that_is_none_is_an_error(wrong: Any) -> None:
    """Named by its key."""
    with pytest.raises(ValueError, match="input_cost_per_token"):
        ModelPrice.of({"input_cost_per_token": wrong})


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
    cheap = ModelPrice.of({"input_cost_per_token": 1e-9, "output_cost_per_token": 5e-9, "max_output_tokens": 8})
    dear = ModelPrice.of({"input_cost_per_token": 3e-9, "output_cost_per_token": 1e-9, "max_output_tokens": 4})
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
    assert table.dearest("gpt-4.1", 0, 10**6) == table.priority("gpt-4.1", Usage(0, 10**6))
    assert table.priority("gpt-4.1", Usage(0, 10**6)) > table("gpt-4.1", Usage(0, 10**6))  # type: ignore[operator]
    path = bundled_table()
    assert path is not None
    for name, row in orjson.loads(path.read_bytes()).items():
        if name == "sample_spec" or table.find(name) is None or row.get("litellm_provider") == "lemonade":
            continue
        for kind, keys in (
            ("in", ("input_cost_per_token_priority", "cache_creation_input_token_cost_above_1hr")),
            ("in", ("input_cost_per_audio_token", "cache_creation_input_token_cost_priority")),
            ("out", ("output_cost_per_token_priority", "output_cost_per_audio_token")),
        ):
            held = table.dearest(name, 1000, 0) if kind == "in" else table.dearest(name, 0, 1000)
            assert held is not None
            for key in keys:
                assert held.nano_usd >= int(1000 * float(row.get(key) or 0) * 1e9), (name, key)


def test_priority_costs_equal_litellms(table: PriceTable, litellm: Any) -> None:
    """At its own rates where the table has them, else at the ordinary ones."""
    for model in ("gpt-4.1", "gpt-4o", "gpt-5", "o3", "claude-haiku-4-5"):
        theirs = litellm.cost_calculator.cost_per_token(
            model=model, prompt_tokens=1000, completion_tokens=500, service_tier="priority"
        )
        ours = table.priority(model, Usage(1000, 500))
        assert ours is not None
        assert ours.nano_usd == round(float(sum(theirs)) * 1e9), model
