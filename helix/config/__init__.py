"""The deployment's configuration: one YAML file, read once, validated whole.

    Config.load("helix.yaml")      a file
    Config.of({...})               the same as a dict, as Ray Serve passes it in `args:`
    Config.default()               no file: the demo models, and every provider whose key is in the environment

A wrong configuration raises ConfigError, whose message gives for each fault the key's path, what was found and what is
allowed. Secrets are never shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator

from helix.config.base import Section
from helix.config.faults import explain, names
from helix.config.sections import HelixConfig, ReplicasConfig, Share
from helix.kernel.errors import ConfigError

__all__ = ["LOOPBACK", "Config", "HelixConfig", "ReplicasConfig", "Share"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")

_CREDENTIAL = re.compile(r"[!-~]+")


class Config(Section):
    """One gateway. `model_list` and `router_settings` are LiteLLM's own; the router checks what is in them."""

    model_list: tuple[dict[str, Any], ...] = Field(
        min_length=1,
        description="The deployments: `model_name` and `litellm_params` (and `model_info`), as in LiteLLM.",
    )
    router_settings: dict[str, Any] = Field(
        default_factory=dict, description="Retries, fallbacks, cool-down and strategy, as in LiteLLM."
    )
    helix: HelixConfig = Field(default_factory=HelixConfig, description="Everything that is Helix's own.")

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def raw(self) -> dict[str, Any]:
        """What this was made of, references to the environment not filled in: fit to be handed to other processes."""
        return self._raw

    @field_validator("helix")
    @classmethod
    def _sendable(cls, value: HelixConfig) -> HelixConfig:
        key = value.admit.master_key
        if key is not None and not _CREDENTIAL.fullmatch(key.get_secret_value()):
            raise ValueError("the master key must be of visible ASCII characters, since it travels in a header")
        return value

    @field_validator("helix", mode="before")
    @classmethod
    def _empty_means_default(cls, value: Any) -> Any:
        return {} if value is None else value

    @classmethod
    def load(cls, path: str | Path, environ: Mapping[str, str] = os.environ) -> Config:
        """Read a YAML file. Raises ConfigError."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"the configuration file {path} is not UTF-8 text") from None
        try:
            raw = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            raise ConfigError(f"the configuration file {path} is not valid YAML{at}") from None
        if not isinstance(raw, dict):
            raise ConfigError(f"the configuration file {path} must hold a mapping with the keys {names(cls)}")
        return cls.of(raw, environ)

    @classmethod
    def of(cls, raw: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Config:
        """Check a mapping, with `os.environ/NAME` values and the HELIX_, REDIS_ and CLICKHOUSE_ variables filled in."""
        try:
            config = cls.model_validate(_resolved(dict(raw), environ, ""))
        except ValidationError as error:
            raise ConfigError(explain(error, cls, raw)) from None
        config = config._with_environment(environ)
        config._raw = dict(raw)
        return config

    def but(self, helix: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Config:
        """The same configuration with some keys of `helix` changed; of `server`, only those that are given."""
        ours = dict(self._raw.get("helix") or {})
        ours |= {**helix, "server": {**(ours.get("server") or {}), **helix.get("server", {})}}
        return Config.of({**self._raw, "helix": ours}, environ)

    @classmethod
    def default(cls, environ: Mapping[str, str] = os.environ) -> Config:
        """The configuration without a file."""
        models = [dict(model) for model in DEMO_MODELS]
        for provider, variable in (("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")):
            if environ.get(variable):
                params = {"model": f"{provider}/*", "api_key": f"os.environ/{variable}"}
                models.append({"model_name": f"{provider}/*", "litellm_params": params})
        return cls.of({"model_list": models}, environ)

    def _with_environment(self, environ: Mapping[str, str]) -> Config:
        helix = self.helix
        update: dict[str, Any] = {}
        if helix.redis_url is None and environ.get("REDIS_URL"):
            update["redis_url"] = SecretStr(environ["REDIS_URL"])
        if environ.get("HELIX_DATA_DIR") and "data_dir" not in helix.model_fields_set:
            update["data_dir"] = Path(environ["HELIX_DATA_DIR"])
        if helix.telemetry.clickhouse_url is None and environ.get("CLICKHOUSE_URL"):
            url = SecretStr(environ["CLICKHOUSE_URL"])
            update["telemetry"] = helix.telemetry.model_copy(update={"clickhouse_url": url})
        admit: dict[str, Any] = {}
        if helix.admit.master_key is None and environ.get("HELIX_MASTER_KEY"):
            if not _CREDENTIAL.fullmatch(environ["HELIX_MASTER_KEY"]):
                raise ConfigError("HELIX_MASTER_KEY must be of visible ASCII characters, since it travels in a header")
            admit["master_key"] = SecretStr(environ["HELIX_MASTER_KEY"])
        if helix.admit.key_secret is None and environ.get("HELIX_KEY_SECRET"):
            admit["key_secret"] = SecretStr(environ["HELIX_KEY_SECRET"])
        redact = {
            name: SecretStr(environ[variable])
            for name, variable in (("secret", "HELIX_REDACT_SECRET"), ("encryption_key", "HELIX_REDACT_KEY"))
            if getattr(helix.redact, name) is None and environ.get(variable)
        }
        if redact:
            update["redact"] = helix.redact.model_copy(update=redact)
        if not helix.cache.encryption_keys and environ.get("HELIX_CACHE_KEYS"):
            secrets = environ["HELIX_CACHE_KEYS"].split(",")
            if min(map(len, secrets)) < 32:
                raise ConfigError("HELIX_CACHE_KEYS must be secrets of at least 32 characters, separated by commas")
            keys = tuple(map(SecretStr, secrets))
            update["cache"] = helix.cache.model_copy(update={"encryption_keys": keys})
        if environ.get("HELIX_AUTH"):
            if environ["HELIX_AUTH"] not in ("on", "off"):
                raise ConfigError("HELIX_AUTH must be 'on' or 'off'", "HELIX_AUTH")
            if "auth" not in helix.admit.model_fields_set:
                admit["auth"] = environ["HELIX_AUTH"]
        models = tuple(_with_key(model, environ) for model in self.model_list)
        if admit:
            update["admit"] = helix.admit.model_copy(update=admit)
        if environ.get("HELIX_PORT") and "port" not in helix.server.model_fields_set:
            port = environ["HELIX_PORT"]
            if not port.isdigit() or not 1 <= int(port) <= 65535:
                raise ConfigError("HELIX_PORT must be a whole number from 1 to 65535", "HELIX_PORT")
            update["server"] = helix.server.model_copy(update={"port": int(port)})
        return self.model_copy(update={"model_list": models, "helix": helix.model_copy(update=update)})

    def check_exposure(self) -> None:
        """Raise ConfigError where everybody would be let in from everywhere."""
        host = self.helix.server.host
        admit = self.helix.admit
        if (admit.auth == "off" or not admit.enabled) and host not in LOOPBACK:
            raise ConfigError(
                f"helix.admit lets everybody in while helix.server.host is {host}: "
                "that is allowed on loopback (127.0.0.1) only",
                "helix.admit.auth",
            )


DEMO_MODELS: tuple[dict[str, Any], ...] = (
    {
        "model_name": "demo/echo",
        "litellm_params": {"model": "demo/echo"},
        # A nominal price, that of a small hosted model, so that spend and savings can be seen without a key.
        "model_info": {"input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07},
    },
    {
        "model_name": "demo/slow",
        "litellm_params": {"model": "demo/slow"},
        "model_info": {"input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07},
    },
)


# As LiteLLM does, where a deployment of the provider itself says nothing of a key.
_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


def _with_key(model: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    params = model.get("litellm_params")
    if not isinstance(params, dict) or "api_key" in params or "api_base" in params:
        return model
    key = environ.get(_KEYS.get(str(params.get("model")).partition("/")[0], ""))
    return {**model, "litellm_params": {**params, "api_key": key}} if key else model


def _resolved(value: Any, environ: Mapping[str, str], path: str) -> Any:
    """LiteLLM's `os.environ/NAME`, filled in wherever it stands."""
    if isinstance(value, str) and value.startswith("os.environ/"):
        name = value.removeprefix("os.environ/")
        if name not in environ:
            raise ConfigError(f"{path}: the environment variable {name} is not set", path)
        return environ[name]
    if isinstance(value, Mapping):
        return {key: _resolved(item, environ, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item, environ, f"{path}[{index}]") for index, item in enumerate(value)]
    return value
