"""The deployment's configuration: one YAML file, read once, validated whole.

    Config.load("helix.yaml")      a file
    Config.of({...})               the same as a dict, as Ray Serve passes it in `args:`
    Config.default()               no file: the demo models, and every provider whose key is in the environment

A wrong configuration raises ConfigError, whose message gives for each fault the key's path, what was found and what is
allowed. Secrets are never shown.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError, field_validator

from helix.kernel.errors import ConfigError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
Share = Literal["key", "user", "team", "organization", "everyone"]
Outage = Literal["refuse", "pass"]
Seconds = Annotated[float, Field(gt=0)]


_CREDENTIAL = re.compile(r"[!-~]+")


class Section(BaseModel):
    """What every part has in common: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ServerConfig(Section):
    """How requests come in."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    max_body_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        description="Cap on a request's body; a larger one is refused with 413 before it is read.",
    )
    body_timeout_seconds: Seconds = Field(60.0, description="A body that has not arrived by then is refused with 408.")


class AdmitConfig(Section):
    """Who may call."""

    enabled: bool = Field(True, description="Whether callers must show a key.")
    auth: Literal["on", "off"] = Field(
        "on", description="`off` lets everybody in and makes them administrators: only when listening on loopback."
    )
    master_key: SecretStr | None = Field(
        None,
        min_length=1,
        description="Opens everything. Unset: `HELIX_MASTER_KEY`, else one is made and kept in the data folder.",
    )
    key_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="What virtual keys are hashed with. Unset: `HELIX_KEY_SECRET`, else kept in the data folder.",
    )
    cache_seconds: Seconds = Field(
        5.0, description="How long a key's record is remembered, and so how long revoking takes."
    )
    on_outage: Outage = Field("refuse", description="What happens to unknown keys while Redis is gone.")


class RedactConfig(Section):
    """Personal data out of requests, and back into answers."""

    enabled: bool = Field(True, description="Whether personal data is taken out.")
    entities: dict[str, Literal["placeholder", "mask", "block", "keep"]] | None = Field(
        None,
        description="Kind of personal data → `placeholder`, `mask`, `block` or `keep`. Unset: the default kinds.",
    )
    score_threshold: float = Field(0.4, ge=0, le=1, description="Findings that are less sure than this are left alone.")
    language: str = Field("en", description="Language of the recognizers' context words.")
    on_outage: Outage = Field("refuse", description="`pass` sends requests on unredacted while no detector answers.")


class SemanticConfig(Section):
    """Answers to questions that mean the same."""

    threshold: float = Field(0.92, gt=0, le=1, description="Least cosine similarity of a hit; callers may raise it.")
    model: str | None = Field(
        None,
        description="A sentence-transformers name or folder. Unset: the all-MiniLM-L6-v2 that is installed with Helix.",
    )


class CacheConfig(Section):
    """Answers from earlier ones."""

    enabled: bool = Field(True, description="Whether answers are cached.")
    mode: Literal["exact", "semantic", "hybrid"] = Field(
        "hybrid", description="Which tiers are asked; `hybrid` is both."
    )
    semantic: SemanticConfig = Field(default_factory=SemanticConfig, description="The semantic tier.")
    ttl_seconds: Seconds = Field(3600.0, description="How long an answer is kept; callers may shorten it.")
    share: Share = Field("key", description="Who shares answers with whom.")
    on_outage: Outage = Field("pass", description="`pass` treats an outage as a miss.")


class LimitConfig(Section):
    """One hard limit for everybody together."""

    name: str = Field(min_length=1, description="What people call it; errors name it.")
    limit_usd: float = Field(ge=0, le=9_000_000, description="The most that may be spent in the window, in USD.")
    window: Literal["day", "month", "total"] = Field(description="Calendar window in UTC, or `total` for ever.")


class BudgetConfig(Section):
    """Spending inside hard limits."""

    enabled: bool = Field(True, description="Whether spending is counted and limited.")
    limits: tuple[LimitConfig, ...] = Field(
        (), description="Limits for everybody together; a key's own are made with the key."
    )
    default_max_output_tokens: int = Field(
        4096, ge=1, description="Output tokens to reserve for where the caller gives no cap."
    )
    unpriced: Literal["refuse", "allow"] = Field(
        "refuse", description="Whether a model without a price may be used by callers who have a limit."
    )
    on_outage: Outage = Field("refuse", description="`pass` lets requests through unbooked while the ledger is gone.")

    @field_validator("limits")
    @classmethod
    def _one_a_window(cls, limits: tuple[LimitConfig, ...]) -> tuple[LimitConfig, ...]:
        names: dict[str, str] = {}
        for item in limits:
            if item.window in names:
                raise ValueError(
                    f"{names[item.window]!r} and {item.name!r} are both for the window {item.window!r}; "
                    "write the lower of them"
                )
            names[item.window] = item.name
        return limits


class TelemetryConfig(Section):
    """A row per request in ClickHouse, and metrics."""

    enabled: bool = Field(True, description="Whether requests are recorded.")
    clickhouse_url: SecretStr | None = Field(
        None, description="URL of a ClickHouse. Unset: `CLICKHOUSE_URL`, else the embedded engine in the data folder."
    )
    batch_rows: int = Field(10_000, ge=1, le=100_000, description="Rows that are written together at the most.")
    flush_seconds: Seconds = Field(
        1.0, description="A row waits this long before it is written; under load up to five times as long."
    )
    queue_rows: int = Field(
        20_000, ge=100, description="Rows held in memory; past that they go to disk until they can be written."
    )


class ConsoleConfig(Section):
    """The pages at /console."""

    enabled: bool = Field(True, description="Whether the console is served.")


class ReplicasConfig(Section):
    """How many replicas of a Ray Serve deployment, and on what."""

    min_replicas: int = Field(1, ge=1, description="Fewest replicas.")
    max_replicas: int = Field(1, ge=1, description="Most replicas; above the fewest, Serve scales by load.")
    num_cpus: float = Field(1.0, ge=0, description="CPUs that a replica reserves.")
    num_gpus: float = Field(0.0, ge=0, description="GPUs that a replica reserves.")


class ServeConfig(Section):
    """The Ray Serve deployments."""

    gateway: ReplicasConfig = Field(
        default_factory=lambda: ReplicasConfig(num_cpus=0.5), description="The HTTP stages."
    )
    embedder: ReplicasConfig = Field(default_factory=lambda: ReplicasConfig(num_cpus=0.25), description="Embeddings.")
    detector: ReplicasConfig = Field(
        default_factory=lambda: ReplicasConfig(num_cpus=0.25), description="Detection of personal data."
    )
    call_timeout_seconds: Seconds = Field(5.0, description="How long a stage waits for the embedder or the detector.")


class HelixConfig(Section):
    """Everything that is Helix's own."""

    data_dir: Path = Field(
        Path(".helix"), description="Folder of the embedded Redis and ClickHouse and the master key."
    )
    redis_url: SecretStr | None = Field(
        None,
        description="URL of a Redis with search. Unset: `REDIS_URL`, else the embedded one in the data folder.",
    )
    server: ServerConfig = Field(default_factory=ServerConfig, description="How requests come in.")
    admit: AdmitConfig = Field(default_factory=AdmitConfig, description="Who may call.")
    redact: RedactConfig = Field(default_factory=RedactConfig, description="Personal data out, and back.")
    cache: CacheConfig = Field(default_factory=CacheConfig, description="Answers from earlier ones.")
    budget: BudgetConfig = Field(default_factory=BudgetConfig, description="Spending inside hard limits.")
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig, description="A row per request.")
    console: ConsoleConfig = Field(default_factory=ConsoleConfig, description="The pages at /console.")
    serve: ServeConfig = Field(default_factory=ServeConfig, description="The Ray Serve deployments.")


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
            raise ConfigError(f"the configuration file {path} must hold a mapping with the keys {_names(cls)}")
        return cls.of(raw, environ)

    @classmethod
    def of(cls, raw: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Config:
        """Check a mapping, with `os.environ/NAME` values and the HELIX_, REDIS_ and CLICKHOUSE_ variables filled in."""
        try:
            config = cls.model_validate(_resolved(dict(raw), environ, ""))
        except ValidationError as error:
            raise ConfigError(_explain(error, cls, raw)) from None
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


def _names(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def _explain(error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any]) -> str:
    """One clear sentence a fault: path, what was found, what is allowed."""
    lines = []
    faults = error.errors(include_url=False, include_input=False)
    for fault in faults:
        if fault["type"] == "too_short" and any(other["loc"][:-1] == fault["loc"] for other in faults):
            continue  # it says "none" only because the ones that are there are wrong
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
        if fault["type"] == "extra_forbidden":
            name = str(fault["loc"][-1])
            allowed = _fields_at(model, fault["loc"][:-1])
            near = difflib.get_close_matches(name, allowed, 1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            lines.append(f"{path}: unknown key{hint}; allowed here: {', '.join(allowed)}")
        elif fault["type"] == "value_error":  # a sentence of ours, which needs nothing added
            lines.append(f"{path}: {fault['msg'].removeprefix('Value error, ')}")
        else:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            lines.append(f"{path}: {message}{_found(raw, fault['loc'], fault['type'])}")
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        annotation: Any = field.annotation if field is not None else None
        inner = next((a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)), annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)


def _found(raw: Any, path: tuple[int | str, ...], kind: str) -> str:
    # What stands in the place of a section may be a secret as well.
    if kind.startswith("model_") or any(word in str(path[-1]) for word in ("key", "url", "secret", "password")):
        return ""
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return ""
    return f", found {raw!r}" if isinstance(raw, str | int | float | bool) else f", found {type(raw).__name__}"
