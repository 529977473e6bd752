"""The router's settings: LiteLLM's `router_settings`, names and meaning as in its documentation.

routing_strategy          "simple-shuffle", the only one: at random, by weight (else rpm, else tpm)
num_retries               retries after a failed attempt, in a model's own deployments (2)
retry_after               least seconds to wait before a retry (0)
timeout                   seconds for a whole answer (600)
stream_timeout            seconds to wait for each event of a stream (the timeout)
fallbacks                 [{model: [other, …]}, {"*": […]}]: where to go, in order, when a model has failed
default_fallbacks         the same for models that have none of their own
context_window_fallbacks  only for requests too long for the model
content_policy_fallbacks  only for requests that the provider's policy refuses
max_fallbacks             how many other models are tried (5)
allowed_fails             failures a minute that a deployment may have; one more and it cools down
allowed_fails_policy      the same by kind of failure: {RateLimitErrorAllowedFails: 0, …}
cooldown_time             seconds that a deployment is left alone (5)
disable_cooldowns         never leave one alone
retry_policy              num_retries by kind of failure: {TimeoutErrorRetries: 0, …}
model_group_retry_policy  {model: retry_policy}
model_group_alias         {other name: model} or {other name: {model: …, hidden: true}}
enable_weighted_failover  accepted: Helix always retries on the group's other deployments first
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from helix.kernel.errors import ConfigError
from helix.upstream.keys import ROUTER_UNSUPPORTED, mapping, number, text, unknown, whole

__all__ = ["Alias", "Settings", "read_settings"]

TIMEOUT_SECONDS = 600.0  # OpenAI's own client; LiteLLM documents ten minutes
NUM_RETRIES = 2  # openai.DEFAULT_MAX_RETRIES, which LiteLLM's router takes
MAX_FALLBACKS = 5  # litellm.constants.ROUTER_MAX_FALLBACKS
COOLDOWN_SECONDS = 5.0  # litellm.constants.DEFAULT_COOLDOWN_TIME_SECONDS

KINDS = (
    "BadRequestError",
    "AuthenticationError",
    "TimeoutError",
    "RateLimitError",
    "ContentPolicyViolationError",
    "InternalServerError",
    "ServiceUnavailableError",
    "BadGatewayError",
    "NotFoundError",
)
"""LiteLLM's kinds of failure, as its policies name them."""

Fallbacks = Mapping[str, tuple[str, ...]]
Policy = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of a model; a hidden one is not listed."""

    model: str
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What `router_settings` says. Durations are seconds; `allowed_fails` None means LiteLLM's rule by failure rate."""

    num_retries: int = NUM_RETRIES
    retry_after: float = 0.0
    timeout: float = TIMEOUT_SECONDS
    stream_timeout: float | None = None
    fallbacks: Fallbacks = field(default_factory=dict)
    context_window_fallbacks: Fallbacks = field(default_factory=dict)
    content_policy_fallbacks: Fallbacks = field(default_factory=dict)
    max_fallbacks: int = MAX_FALLBACKS
    allowed_fails: int | None = None
    allowed_fails_policy: Policy = field(default_factory=dict)
    cooldown_time: float = COOLDOWN_SECONDS
    disable_cooldowns: bool = False
    retry_policy: Policy = field(default_factory=dict)
    model_group_retry_policy: Mapping[str, Policy] = field(default_factory=dict)
    model_group_alias: Mapping[str, Alias] = field(default_factory=dict)
    routing_strategy: str = "simple-shuffle"
    enable_weighted_failover: bool = True


_ALLOWED = (*Settings.__slots__, "default_fallbacks")


def read_settings(router_settings: Mapping[str, Any] | None, path: str = "router_settings") -> Settings:
    """Check LiteLLM's `router_settings`. Raises ConfigError with the key's path, what was found and what is allowed."""
    raw = {name: value for name, value in mapping(router_settings or {}, path).items() if value is not None}
    found: dict[str, Any] = {}
    for name, value in raw.items():
        at = f"{path}.{name}"
        if name in ("num_retries", "max_fallbacks", "allowed_fails"):
            found[name] = whole(value, at)
        elif name in ("retry_after", "cooldown_time"):
            found[name] = number(value, at)
        elif name in ("timeout", "stream_timeout"):
            found[name] = number(value, at, least=0.001)
        elif name in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
            found[name] = _fallbacks(value, at)
        elif name in ("disable_cooldowns", "enable_weighted_failover"):
            found[name] = _flag(value, at)
        elif name == "allowed_fails_policy":
            found[name] = _policy(value, at, "AllowedFails")
        elif name == "retry_policy":
            found[name] = _policy(value, at, "Retries")
        elif name == "model_group_retry_policy":
            found[name] = {
                group: _policy(item, f"{at}.{group}", "Retries") for group, item in mapping(value, at).items()
            }
        elif name == "model_group_alias":
            found[name] = {alias: _alias(item, f"{at}.{alias}") for alias, item in mapping(value, at).items()}
        elif name == "routing_strategy":
            if value not in ("simple-shuffle", "simple_shuffle"):
                raise ConfigError(
                    f"{at}: must be 'simple-shuffle', the one strategy that Helix has, found {value!r}", at
                )
        elif name != "default_fallbacks":
            raise unknown(path, name, _ALLOWED, ROUTER_UNSUPPORTED)
    if "default_fallbacks" in raw:
        default = _names(raw["default_fallbacks"], f"{path}.default_fallbacks")
        found["fallbacks"] = {"*": default, **found.get("fallbacks", {})}
    return Settings(**found)


def _fallbacks(value: Any, path: str) -> Fallbacks:
    found: dict[str, tuple[str, ...]] = {}
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ConfigError(f"{path}: must be a list such as [{{gpt-4o: [claude]}}], found {type(value).__name__}", path)
    for index, item in enumerate(value):
        for model, others in mapping(item, f"{path}[{index}]").items():
            if model in found:
                raise ConfigError(f"{path}[{index}].{model}: is given twice", f"{path}[{index}].{model}")
            found[model] = _names(others, f"{path}[{index}].{model}")
    return found


def _names(value: Any, path: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ConfigError(f"{path}: must be a list of model names, found {type(value).__name__}", path)
    return tuple(text(item, f"{path}[{index}]") for index, item in enumerate(value))


def _policy(value: Any, path: str, suffix: str) -> Policy:
    allowed = {f"{kind}{suffix}": kind for kind in KINDS}
    if suffix == "Retries":
        allowed["DefaultRetries"] = "Default"
    found = {}
    for name, count in mapping(value, path).items():
        if name not in allowed:
            raise unknown(path, name, allowed)
        if count is not None:
            found[allowed[name]] = whole(count, f"{path}.{name}")
    return found


def _alias(value: Any, path: str) -> Alias:
    if isinstance(value, str):
        return Alias(text(value, path))
    item = mapping(value, path)
    for name in item:
        if name not in ("model", "hidden"):
            raise unknown(path, name, ("model", "hidden"))
    return Alias(text(item.get("model"), f"{path}.model"), _flag(item.get("hidden", False), f"{path}.hidden"))


def _flag(value: Any, path: str) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ConfigError(f"{path}: must be true or false, found {value!r}", path)
    return value
