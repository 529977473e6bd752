"""The configuration: what is allowed, what is filled in from the environment, and what a fault's message says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helix.config import Config
from helix.kernel.errors import ConfigError

MODEL = {"model_name": "demo/echo", "litellm_params": {"model": "demo/echo"}}


def fault(raw: dict[str, Any], environ: dict[str, str] | None = None) -> str:
    """The message that a wrong configuration raises."""
    with pytest.raises(ConfigError) as raised:
        Config.of(raw, environ or {})
    return str(raised.value)


def test_unknown_key_is_named_with_what_is_allowed() -> None:
    """An unknown key is an error that names its path, the nearest known key and all that are allowed."""
    message = fault({"model_list": [MODEL], "helix": {"cache": {"tll_seconds": 5}}})
    assert message.startswith(
        "helix.cache.tll_seconds: unknown key (did you mean 'ttl_seconds'?); allowed here: enabled, mode"
    )


def test_wrong_value_says_what_was_found() -> None:
    """A wrong value's message has the path, what is allowed and what was found."""
    message = fault({"model_list": [MODEL], "helix": {"cache": {"mode": "fuzzy", "ttl_seconds": -1}}})
    assert "helix.cache.mode: input should be 'exact', 'semantic' or 'hybrid', found 'fuzzy'" in message
    assert "helix.cache.ttl_seconds: input should be greater than 0, found -1" in message


def test_faults_in_lists_have_their_index() -> None:
    """A fault inside a list is told with its index, and its unknown key with the list element's keys."""
    message = fault(
        {"model_list": [MODEL], "helix": {"budget": {"limits": [{"name": "a", "limit": 1, "window": "day"}]}}}
    )
    assert "helix.budget.limits[0].limit: unknown key (did you mean 'limit_usd'?)" in message
    assert "helix.budget.limits[0].limit_usd: field required" in message


def test_two_limits_of_one_window() -> None:
    """Two limits for everybody in one window would be counted as one: refused, naming both."""
    limits = [{"name": name, "limit_usd": 1, "window": "day"} for name in ("small", "large")]
    message = fault({"model_list": [MODEL], "helix": {"budget": {"limits": limits}}})
    assert message.startswith("helix.budget.limits: 'small' and 'large' are both for the window 'day'")


@pytest.mark.parametrize(
    ("limit", "path", "says"),
    [
        ({"limit_usd": -1, "window": "day"}, "[0].limit_usd", "greater than or equal to 0, found -1"),
        ({"limit_usd": 1e15, "window": "day"}, "[0].limit_usd", "less than or equal to 9000000"),
        ({"limit_usd": ".inf", "window": "day"}, "[0].limit_usd", "valid number"),
        ({"limit_tokens": 1.5, "window": "day"}, "[0].limit_tokens", "valid integer"),
        ({"limit_tokens": 2**53, "window": "day"}, "[0].limit_tokens", "less than 9007199254740992"),
        ({"limit_eur": 5, "window": "day"}, "[0].limit_eur", "unknown key (did you mean 'limit_usd'?)"),
        ({"limit_usd": 5, "limit_tokens": 5, "window": "day"}, "[0]", "exactly one of limit_usd, limit_tokens"),
        ({"limit_usd": 5, "window": "fortnight"}, "[0].window", "one of 'minute', 'hour', 'day'"),
        ({"limit_usd": 5, "window": "30s"}, "[0].window", "a length from 1m to 366d such as 90m"),
        ({"limit_usd": 5, "window": "day", "time_zone": "Mars"}, "[0].time_zone", "IANA database"),
        ({"limit_usd": 5, "window": "day", "scope": "planet"}, "[0].scope", "'everybody', 'organization'"),
        ({"limit_usd": 5, "window": "day", "of": "x"}, "[0]", "write `scope` too"),
    ],
)
def test_an_impossible_limit_is_told_with_its_path(limit: dict[str, Any], path: str, says: str) -> None:
    """What was found and what is allowed, at the key that is wrong."""
    message = fault({"model_list": [MODEL], "helix": {"budget": {"limits": [{"name": "a", **limit}]}}})
    assert f"helix.budget.limits{path}: " in message
    assert says in message


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ({"window": "60m"}, {"window": "1h"}, "are both for the window '1h'; write"),
        ({"scope": "team"}, {"scope": "team"}, "'day' of each team; write the lower"),
        ({"scope": "team", "of": "a"}, {"scope": "team", "of": "a"}, "'day' of team 'a'; write the lower"),
        ({}, {"soft": True}, "'second' warns no sooner than 'first' refuses"),
    ],
)
def test_limits_on_the_same_sum_are_refused(one: dict[str, Any], other: dict[str, Any], says: str) -> None:
    """However the window is written; and a warning that comes with the refusal is none."""
    both = [
        {"name": name, "limit_usd": 1, "window": "day", **more} for name, more in (("first", one), ("second", other))
    ]
    assert says in fault({"model_list": [MODEL], "helix": {"budget": {"limits": both}}})


def test_limits_on_different_sums_stand_side_by_side() -> None:
    """Other scopes, units, zones, softness."""
    more: list[dict[str, Any]] = [
        {"limit_usd": 5},
        {"limit_usd": 4, "soft": True},
        {"limit_usd": 5, "time_zone": "Europe/Berlin"},
        {"limit_tokens": 5},
        {"limit_requests": 5},
        {"limit_usd": 5, "scope": "team"},
        {"limit_usd": 5, "scope": "team", "of": "a"},
    ]
    limits = [{"name": "a", "window": "day", **one} for one in more]
    config = Config.of({"model_list": [MODEL], "helix": {"budget": {"limits": limits}}}, {})
    assert [limit.unit for limit in config.helix.budget.limits] == ["usd"] * 3 + ["tokens", "requests"] + ["usd"] * 2


def test_no_models_is_one_fault() -> None:
    """A configuration without models says only that."""
    assert fault({}) == "model_list: field required"
    assert fault({"model_list": [1]}) == "model_list[0]: input should be a valid dictionary, found 1"


def test_secrets_are_not_shown() -> None:
    """Neither a wrong secret nor a right one appears in a message or a repr."""
    assert "hunter2" not in fault({"model_list": [MODEL], "helix": {"redis_url": ["redis://:hunter2@h"]}})
    config = Config.of({"model_list": [MODEL], "helix": {"redis_url": "redis://:hunter2@h"}}, {})
    assert "hunter2" not in repr(config.helix)
    assert "hunter2" not in fault({"model_list": [MODEL], "helix": {"cache": {"encryption_keys": ["hunter2"]}}})


def test_environment_references_are_filled_in() -> None:
    """`os.environ/NAME` is replaced wherever it stands; a missing variable is named with the place that wants it."""
    raw = {"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/m", "api_key": "os.environ/KEY"}}]}
    assert Config.of(raw, {"KEY": "sk-1"}).model_list[0]["litellm_params"]["api_key"] == "sk-1"
    assert fault(raw) == "model_list[0].litellm_params.api_key: the environment variable KEY is not set"


def test_environment_fills_what_the_file_leaves_open() -> None:
    """The HELIX_, REDIS_ and CLICKHOUSE_ variables are read, and the file's word stands over those it sets."""
    environ = {
        "REDIS_URL": "redis://e",
        "CLICKHOUSE_URL": "http://c",
        "HELIX_MASTER_KEY": "m",
        "HELIX_AUTH": "off",
        "HELIX_PORT": "9",
        "HELIX_CACHE_KEYS": f"{'a' * 32},{'b' * 32}",
    }
    config = Config.of({"model_list": [MODEL]}, environ).helix
    assert config.redis_url is not None
    assert config.redis_url.get_secret_value() == "redis://e"
    assert config.telemetry.clickhouse_url is not None
    assert config.admit.master_key is not None
    assert (config.admit.auth, config.server.port) == ("off", 9)
    assert [key.get_secret_value()[0] for key in config.cache.encryption_keys] == ["a", "b"]
    named = Config.of({"model_list": [MODEL], "helix": {"redis_url": "redis://f"}}, environ).helix
    assert named.redis_url is not None
    assert named.redis_url.get_secret_value() == "redis://f"


def test_changed_keys_keep_the_rest_unresolved() -> None:
    """`but` changes keys of the helix block, and what is handed on still refers to the environment."""
    raw = {"model_list": [{**MODEL, "model_info": {"id": "os.environ/ID"}}], "helix": {"server": {"port": 1}}}
    config = Config.of(raw, {"ID": "a"}).but({"data_dir": "d", "server": {"host": "::1"}}, {"ID": "a"})
    assert config.helix.server.model_dump(include={"host", "port"}) == {"host": "::1", "port": 1}
    assert config.raw["model_list"][0]["model_info"]["id"] == "os.environ/ID"


@pytest.mark.parametrize(
    ("name", "value"),
    [("HELIX_AUTH", "no"), ("HELIX_PORT", "http"), ("HELIX_PORT", "70000"), ("HELIX_CACHE_KEYS", "short")],
)
def test_wrong_variables_are_faults(name: str, value: str) -> None:
    """A variable with a wrong value is named with what it must be."""
    assert fault({"model_list": [MODEL]}, {name: value}).startswith(f"{name} must be")


def test_default_serves_what_there_are_keys_for() -> None:
    """Without a file there are the demo models, and each provider whose key is in the environment."""
    names = [model["model_name"] for model in Config.default({"OPENAI_API_KEY": "k"}).model_list]
    assert names == ["demo/echo", "demo/slow", "openai/*"]


def test_providers_keys_are_found_as_litellm_finds_them() -> None:
    """A deployment of OpenAI or Anthropic without a key takes the usual variable's; one with an address does not."""
    models = [
        {"model_name": "a", "litellm_params": {"model": "openai/gpt-4o"}},
        {"model_name": "b", "litellm_params": {"model": "openai/x", "api_base": "http://127.0.0.1:1/v1"}},
    ]
    config = Config.of({"model_list": models}, {"OPENAI_API_KEY": "k"})
    assert [model["litellm_params"].get("api_key") for model in config.model_list] == ["k", None]


def test_open_house_on_loopback_only() -> None:
    """`auth: off` together with an address that others can reach is refused."""
    config = Config.of({"model_list": [MODEL], "helix": {"admit": {"auth": "off"}, "server": {"host": "0.0.0.0"}}}, {})
    with pytest.raises(ConfigError, match="loopback"):
        config.check_exposure()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_list: [", "is not valid YAML at line 1"),
        ("- 1", "must hold a mapping with the keys model_list, router_settings, helix"),
        ("", "must hold a mapping"),
    ],
)
def test_unreadable_files(tmp_path: Path, text: str, message: str) -> None:
    """A file that is not a YAML mapping says so and where."""
    file = tmp_path / "helix.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Config.load(file)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Config.load(tmp_path / "none.yaml")
