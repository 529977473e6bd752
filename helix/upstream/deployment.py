"""A deployment: one provider's model at one address with one credential, read from an entry of LiteLLM's `model_list`.

    model_name: gpt-4o                    what callers name; several entries may share it; `*` matches anything
    litellm_params:
      model: openai/gpt-4o                provider/model
      api_key, api_base, organization     where and as whom
      timeout, stream_timeout             seconds; a whole answer, and the wait for each event of a stream
      max_retries | num_retries           in the place of the router's num_retries
      weight | rpm | tpm                  share of the group's requests
      order                               lower ones first, higher ones when those have failed
      cooldown_time                       seconds, in the place of the router's
      extra_headers, extra_body           sent with every request
      temperature, max_tokens, …          defaults of the request, where the dialect has such a field
      input_cost_per_token, …             prices, as in model_info
    model_info: {id: …}                   free; `id` names the deployment in records

What a provider reached through LiteLLM understands besides (`aws_region_name`, `api_version`, …) goes to LiteLLM as
it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from helix.kernel.errors import ConfigError
from helix.upstream.keys import PARAMS_UNSUPPORTED, REQUEST_FIELDS, mapping, number, text, unknown, whole

__all__ = ["ANTHROPIC_WIRE", "OPENAI_WIRE", "Deployment", "Target", "read_model_list"]

OPENAI_WIRE: Mapping[str, str | None] = {
    "openai": "https://api.openai.com/v1",
    "text-completion-openai": "https://api.openai.com/v1",
    "openai_like": None,
    "custom_openai": None,
    "hosted_vllm": None,
    "lm_studio": None,
    "llamafile": "http://127.0.0.1:8080/v1",
    "ollama": "http://127.0.0.1:11434/v1",
    "ollama_chat": "http://127.0.0.1:11434/v1",
}
"""Providers that speak OpenAI's wire, and where they are unless `api_base` says so; None where it must."""

ANTHROPIC_WIRE = "https://api.anthropic.com"

# What LiteLLM infers from a model's bare name, as far as the native providers go.
_BARE_OPENAI = re.compile(r"(gpt-|chatgpt-|o\d|text-embedding-|ft:|davinci-|babbage-|codex-|computer-use-)")
_BARE_ANTHROPIC = re.compile(r"claude-")

_NAMED = frozenset(
    [
        "model",
        "custom_llm_provider",
        "api_key",
        "api_base",
        "base_url",
        "organization",
        "timeout",
        "stream_timeout",
        "max_retries",
        "num_retries",
        "weight",
        "rpm",
        "tpm",
        "order",
        "cooldown_time",
        "extra_headers",
        "extra_body",
    ]
)
_DEFAULTS = frozenset[str]().union(*REQUEST_FIELDS.values())
_DEMO = frozenset({"tokens_per_second"})


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """One entry of `model_list`. `model` is the provider's own name, `qualified` has the provider before it."""

    id: str
    model_name: str
    provider: str
    model: str
    qualified: str
    api_key: str | None = field(default=None, repr=False)
    api_base: str | None = None
    organization: str | None = None
    timeout_seconds: float | None = None
    stream_timeout_seconds: float | None = None
    retries: int | None = None
    weight: float | None = None
    rpm: float | None = None
    tpm: float | None = None
    order: int | None = None
    cooldown_seconds: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the provider alone understands: LiteLLM's arguments, or the demo's."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """`model_info`, with the prices that stood in `litellm_params`."""

    @property
    def host(self) -> str:
        """The host at which it is asked, as far as the configuration says."""
        return urlsplit(self.api_base or "").hostname or ""

    @property
    def is_wildcard(self) -> bool:
        """Whether callers' model names are matched against a pattern."""
        return "*" in self.model_name

    @property
    def is_native(self) -> bool:
        """Whether the provider is asked in its own dialect without translation."""
        return self.provider in OPENAI_WIRE or self.provider == "anthropic"

    @property
    def via_litellm(self) -> bool:
        """Whether even its own dialect goes through LiteLLM."""
        return not self.is_native and self.provider != "demo"

    def fields(self, dialect: str) -> dict[str, Any]:
        """The defaults of a request in a dialect: those that it has a field for."""
        known = REQUEST_FIELDS.get(dialect, frozenset())
        return {name: value for name, value in self.defaults.items() if name in known}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A deployment, and the model that a request is for: the deployment's own unless that is a pattern."""

    deployment: Deployment
    model: str
    qualified: str


def read_model_list(model_list: Sequence[Mapping[str, Any]]) -> tuple[Deployment, ...]:
    """The deployments of a `model_list`. Raises ConfigError with the key's path, what was found and what is allowed."""
    if isinstance(model_list, str | bytes | Mapping) or not isinstance(model_list, Sequence) or not model_list:
        raise ConfigError("model_list: must be a list with at least one deployment", "model_list")
    deployments: list[Deployment] = []
    taken: dict[str, int] = {}
    for index, entry in enumerate(model_list):
        deployment = _read(entry, f"model_list[{index}]", taken)
        deployments.append(deployment)
    return tuple(deployments)


def _read(raw: Any, path: str, taken: dict[str, int]) -> Deployment:
    entry = mapping(raw, path)
    allowed = ("model_name", "litellm_params", "model_info")
    for name in entry:
        if name not in allowed:
            raise unknown(path, name, allowed)
    for name in allowed[:2]:
        if name not in entry:
            raise ConfigError(f"{path}.{name}: is required", f"{path}.{name}")
    model_name = text(entry["model_name"], f"{path}.model_name")
    params = {k: v for k, v in mapping(entry["litellm_params"], f"{path}.litellm_params").items() if v is not None}
    info = dict(mapping(entry.get("model_info") or {}, f"{path}.model_info"))
    at = f"{path}.litellm_params"
    if "model" not in params:
        raise ConfigError(f"{at}.model: is required", f"{at}.model")
    provider, model = _provider_of(text(params["model"], f"{at}.model"), params, at)
    qualified = f"{provider}/{model}" if provider else model
    prices = {name: params.pop(name) for name in list(params) if "_cost" in name or name.startswith("cost_per_")}
    options = _options(params, provider, at)
    base = params.get("api_base", params.get("base_url"))
    if base is None and provider in OPENAI_WIRE and OPENAI_WIRE[provider] is None:
        raise ConfigError(f"{at}.api_base: is required for the provider {provider}", f"{at}.api_base")

    def numeric(name: str, least: float = 0.0) -> float | None:
        return number(params[name], f"{at}.{name}", least=least) if name in params else None

    def string(name: str) -> str | None:
        return text(params[name], f"{at}.{name}") if name in params else None

    retries = params.get("max_retries", params.get("num_retries"))
    cooldown = params.get("cooldown_time", info.get("cooldown_time"))
    identity = info.get("id")
    return Deployment(
        id=_identify(qualified if identity is None else str(identity), identity is not None, taken, path),
        model_name=model_name,
        provider=provider,
        model=model,
        qualified=qualified,
        api_key=string("api_key"),
        api_base=_base(base, f"{at}.api_base"),
        organization=string("organization"),
        timeout_seconds=numeric("timeout", 0.001),
        stream_timeout_seconds=numeric("stream_timeout", 0.001),
        retries=None if retries is None else whole(retries, f"{at}.max_retries"),
        weight=numeric("weight"),
        rpm=numeric("rpm"),
        tpm=numeric("tpm"),
        order=whole(params["order"], f"{at}.order") if "order" in params else None,
        cooldown_seconds=None if cooldown is None else number(cooldown, f"{at}.cooldown_time"),
        headers=_strings(params.get("extra_headers"), f"{at}.extra_headers"),
        body=mapping(params.get("extra_body") or {}, f"{at}.extra_body"),
        defaults={name: params[name] for name in params if name in _DEFAULTS},
        options=options,
        info={**prices, **info},
    )


def _provider_of(name: str, params: Mapping[str, Any], at: str) -> tuple[str, str]:
    """Provider and model as LiteLLM tells them apart; provider "" leaves it to LiteLLM."""
    given = params.get("custom_llm_provider")
    if given is not None:
        provider = text(given, f"{at}.custom_llm_provider")
        return provider, name.removeprefix(f"{provider}/")
    head, slash, rest = name.partition("/")
    if slash and (head in OPENAI_WIRE or head in ("anthropic", "demo")):
        if not rest:
            raise ConfigError(f"{at}.model: must name a model after '{head}/'", f"{at}.model")
        return head, rest
    if slash:
        return head, rest
    if _BARE_OPENAI.match(name):
        return "openai", name
    if _BARE_ANTHROPIC.match(name):
        return "anthropic", name
    return "", name


def _options(params: Mapping[str, Any], provider: str, at: str) -> dict[str, Any]:
    own = _DEMO if provider == "demo" else frozenset[str]()
    options: dict[str, Any] = {}
    for name, value in params.items():
        if name in _NAMED or name in _DEFAULTS:
            continue
        allowed = _NAMED | own
        if name in PARAMS_UNSUPPORTED:
            raise unknown(at, name, allowed, PARAMS_UNSUPPORTED)
        if name in own:
            options[name] = number(value, f"{at}.{name}", least=0.001)
        elif provider in OPENAI_WIRE or provider == "demo":
            raise unknown(at, name, allowed | _DEFAULTS if provider != "demo" else allowed)
        elif difflib.get_close_matches(name, _NAMED, 1, 0.85):
            raise unknown(at, name, allowed)  # LiteLLM would take a misspelt key without a word
        else:
            options[name] = value
    return options


def _identify(wanted: str, chosen: bool, taken: dict[str, int], path: str) -> str:
    count = taken[wanted] = taken.get(wanted, 0) + 1
    if count == 1:
        return wanted
    if chosen:
        raise ConfigError(
            f"{path}.model_info.id: another deployment has the id '{wanted}' already", f"{path}.model_info.id"
        )
    return f"{wanted}#{count}"


def _base(value: Any, path: str) -> str | None:
    if value is None:
        return None
    base = text(value, path)
    if not base.startswith(("http://", "https://")) or len(base) <= len("https://"):
        raise ConfigError(f"{path}: must be a URL that begins with http:// or https://", path)
    return base.rstrip("/")


def _strings(value: Any, path: str) -> dict[str, str]:
    found = mapping(value or {}, path)
    return {name.lower(): text(item, f"{path}.{name}") for name, item in found.items()}
