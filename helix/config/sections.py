"""The keys under `helix:`, each with its type, its default and its meaning; docs/configuration.md is made from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, SecretStr, field_validator, model_validator

from helix.config.answers import EligibilityConfig, QuotaConfig, StoringConfig
from helix.config.base import Section
from helix.config.recognizers import RecognizerConfig
from helix.kernel.windows import window_of

Share = Literal["key", "user", "team", "organization", "everyone"]
Outage = Literal["refuse", "pass"]
_UNITS = ("usd", "tokens", "input_tokens", "output_tokens", "requests")
Seconds = Annotated[float, Field(gt=0)]
Score = Annotated[float, Field(ge=0, le=1)]
ExecutionProvider = Literal[
    "CPUExecutionProvider",
    "CUDAExecutionProvider",
    "TensorrtExecutionProvider",
    "MIGraphXExecutionProvider",
    "OpenVINOExecutionProvider",
    "DmlExecutionProvider",
    "CoreMLExecutionProvider",
]


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


Strategy = Literal["placeholder", "mask", "hash", "encrypt", "surrogate", "keep", "block"]


class EntityConfig(Section):
    """What is done with one kind; a strategy's bare name is the same as `{strategy: NAME}`."""

    strategy: Strategy = Field(description="What is done with it; docs/redact.md says what each does.")
    first: int = Field(0, ge=0, description="Letters and digits that a mask leaves at the beginning.")
    last: int = Field(4, ge=0, description="Letters and digits that a mask leaves at the end.")
    character: str = Field("*", min_length=1, max_length=1, description="What a mask puts in the place of the others.")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in get_args(Strategy):
            raise ValueError(f"input should be {', '.join(map(repr, get_args(Strategy)))}, found {value!r}")
        return {"strategy": value}


class PatternConfig(Section):
    """Values that are allowed by a pattern."""

    pattern: str = Field(
        min_length=1,
        max_length=500,
        description="A regular expression that the whole value must match, decided within 20 ms.",
    )


AllowList = tuple[str | PatternConfig, ...]
_WHOSE = re.compile(r"(key|user|team|organization):.+")


class AnswersConfig(Section):
    """Personal data in answers that was not in the request."""

    entities: dict[str, Literal["keep", "mask", "placeholder", "block"]] = Field(
        description="Kind of personal data → `keep` (only counted), `mask`, `placeholder` (its kind, `<PERSON>`) or"
        " `block` (the answer ends with an error). Other kinds are not looked at."
    )
    score_threshold: Score = Field(0.4, description="Findings that are less sure than this are left alone.")
    on_outage: Outage = Field("refuse", description="`pass` lets answers through while no detector answers.")
    max_chars: int = Field(
        400, ge=1, description="A streamed text waits for its sentence's end, but for no more characters than these."
    )
    max_wait_seconds: Seconds = Field(1.0, description="And no longer than this where the provider says nothing.")


class RedactConfig(Section):
    """Personal data out of requests, and back into answers."""

    enabled: bool = Field(True, description="Whether personal data is taken out.")
    entities: dict[str, EntityConfig] | None = Field(
        None,
        description="Kind of personal data → `placeholder`, `mask`, `hash`, `encrypt`, `surrogate`, `block`, `keep`, or"
        " `{strategy: mask, last: 4}`. Unset: placeholders for the default kinds.",
    )
    score_threshold: Score | dict[str, Score] = Field(
        0.4,
        description="Findings that are less sure than this are left alone; by kind: `{default: 0.4, PERSON: 0.6}`.",
    )
    allow_list: AllowList = Field(
        (), description="Values that stay as they are, whatever their case and spacing, or `{pattern: ...}`."
    )
    allow_lists: dict[str, AllowList] = Field(
        default_factory=dict,
        description="The same for some callers alone: `key:ID`, `user:NAME`, `team:NAME` or `organization:NAME` → list."
        " A key's own metadata may have an `allow_list` too.",
    )
    secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="What hashes and surrogates derive from. Unset: `HELIX_REDACT_SECRET`, else the keys' secret.",
    )
    encryption_key: SecretStr | None = Field(
        None,
        description="AES key of the strategy `encrypt`: 16, 24 or 32 characters. Unset: `HELIX_REDACT_KEY`.",
    )
    languages: tuple[str, ...] = Field(
        ("en",),
        min_length=1,
        description="ISO 639-1 codes of the languages of the texts; each text is looked through in all of them: their "
        "countries' identity numbers, and the words that tell what a number is.",
    )
    recognizers: tuple[RecognizerConfig, ...] = Field(
        (), description="Recognizers of your own. What they find is on, unless `entities` says `keep`."
    )
    recognizer_registry: Path | None = Field(None, description="A recognizer registry in Presidio's own YAML form.")
    names: str = Field(
        "pii-en",
        min_length=1,
        description="The model that finds names and places: `pii-en`, which comes with Helix, `none`, or the folder of "
        "one that was made like it.",
    )
    execution_providers: tuple[ExecutionProvider, ...] = Field(
        ("CPUExecutionProvider",),
        min_length=1,
        description="What runs that model, in order of preference; those of ONNX Runtime.",
    )
    nlp_engine: dict[str, Any] | None = Field(
        None,
        description="An NLP engine in Presidio's own form (`nlp_engine_name`, `models`, `ner_model_configuration`), "
        "whose findings are added: any spaCy package, transformers or stanza model.",
    )
    timeout_seconds: Seconds = Field(10.0, description="A detector that takes longer is an outage.")
    on_outage: Outage = Field("refuse", description="`pass` sends requests on unredacted while no detector answers.")
    tool_definitions: bool = Field(
        False, description="Whether descriptions of tools and of answer formats are looked through too."
    )
    answers: AnswersConfig | None = Field(
        None, description="Which personal data answers are looked through for, if any that was not in the request."
    )
    token_ids: Outage = Field(
        "refuse", description="`pass` sends on inputs of token ids, in which personal data cannot be looked for."
    )

    @field_validator("allow_lists")
    @classmethod
    def _whose(cls, value: dict[str, AllowList]) -> dict[str, AllowList]:
        for whose in value:
            if not _WHOSE.fullmatch(whose):
                raise ValueError(f"a list is for key:ID, user:NAME, team:NAME or organization:NAME, found {whose!r}")
        return value


class ChecksConfig(Section):
    """Which hits are also sent upstream, to learn whether they were right."""

    share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of hits that is checked where errors are about as frequent as promised; fewer where they "
        "are rarer, more where nothing is known. 0: none.",
    )
    per_minute: float = Field(
        30.0,
        ge=0,
        description="Checks a minute at the most, of each process, what a judge is asked included.",
    )
    usd_per_day: float = Field(1.0, ge=0, description="What checks may cost a day (UTC), in all processes, in USD.")


class SemanticConfig(Section):
    """Answers to questions that mean the same."""

    max_false_hit_rate: float = Field(
        0.01, gt=0, le=0.5, description="The most of the requests that may get a wrong answer to a near question."
    )
    confidence: float = Field(0.9, gt=0, le=0.999, description="With which probability that is to hold.")
    checks: ChecksConfig = Field(
        default_factory=ChecksConfig, description="Comparing hits with what the provider says, in the background."
    )
    judge: str | None = Field(
        None,
        description="Model, as callers name it, that decides whether two answers say the same where words and vectors "
        "leave a doubt. Unset: what is in doubt counts against the promise.",
    )
    calibration: Path | None = Field(
        None,
        description="What `helix cache calibrate` wrote for the embedding model. Unset: the one that comes with Helix "
        "for the default model; others serve by what checks have shown alone.",
    )
    threshold: float = Field(
        0.6, gt=0, le=1, description="Cosine similarity below which nothing is served; callers may raise it."
    )
    model: str | None = Field(
        None,
        description="A sentence-transformers name or folder. Unset: the all-MiniLM-L6-v2 that is installed with Helix.",
    )
    backend: Literal["auto", "onnx-int8", "onnx", "torch"] = Field(
        "auto",
        description="What runs the model: ONNX Runtime in integers or in float32, or torch. `auto`: `onnx-int8` on the "
        "CPU, `onnx` on other `providers`, `torch` for what only it can run and for replicas that reserve a GPU.",
    )
    dim: int | None = Field(
        None,
        ge=1,
        description="Keep so many floats of a vector, the first; for models that were trained for it (Matryoshka).",
    )
    providers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="ONNX Runtime's execution providers, in order, such as `CUDAExecutionProvider`. Unset: the CPU's.",
    )
    vector_type: Literal["float32", "float16"] = Field(
        "float16",
        description="How Redis keeps vectors; `float16` takes half the memory. One does not find what the other kept.",
    )
    migrated_texts_per_second: float = Field(
        20.0,
        gt=0,
        description="After a change of model, backend, `dim` or `vector_type`: how many cached questions a second are "
        "embedded anew, in the background, by one process.",
    )
    threads: int | None = Field(
        None, ge=1, description="Threads that work on one text. Unset: 1 below 16 cores, then one for every 8, up to 4."
    )


class StampedeConfig(Section):
    """Equal requests in flight at once make one upstream call, in all processes together."""

    enabled: bool = Field(True, description="Whether they do.")
    lease_seconds: Seconds = Field(
        10.0, description="How long after the process that asks has died the others ask for themselves."
    )
    wait_seconds: Seconds = Field(
        120.0,
        description="How long a request waits for the beginning of an answer that another one asked for, before it "
        "asks for itself.",
    )


class SideChannelConfig(Section):
    """Hiding from callers who share answers which replies are hits, so that none can tell what others asked."""

    enabled: bool = Field(
        False,
        description="Whether hits are given at the pace of misses, and without what says that they are hits, wherever "
        "`share` is not `key`.",
    )
    max_delay_seconds: Seconds = Field(30.0, description="No hit is kept back longer.")
    default_delay_seconds: Seconds = Field(
        1.0, description="About so long a hit takes until enough misses of its model have been seen."
    )


class CacheConfig(Section):
    """Answers from earlier ones."""

    enabled: bool = Field(True, description="Whether answers are cached.")
    mode: Literal["exact", "semantic", "hybrid"] = Field(
        "hybrid", description="Which tiers are asked; `hybrid` is both."
    )
    semantic: SemanticConfig = Field(default_factory=SemanticConfig, description="The semantic tier.")
    eligibility: EligibilityConfig = Field(
        default_factory=EligibilityConfig, description="What may be answered by meaning."
    )
    storing: StoringConfig = Field(default_factory=StoringConfig, description="Which answers are kept.")
    stampede: StampedeConfig = Field(default_factory=StampedeConfig, description="Equal requests in flight at once.")
    side_channel: SideChannelConfig = Field(
        default_factory=SideChannelConfig, description="Hits that look like misses."
    )
    quota: QuotaConfig = Field(default_factory=QuotaConfig, description="The most that one partition may keep.")
    ttl_seconds: Seconds = Field(3600.0, description="How long an answer is kept; callers may shorten it.")
    share: Share = Field("key", description="Who shares answers with whom.")
    encryption_keys: tuple[Annotated[SecretStr, Field(min_length=32)], ...] = Field(
        (),
        description="Secrets of 32 characters or more, best by reference (`os.environ/NAME`). Answers and questions "
        "are kept encrypted with the first (AES-256-GCM) and read with any, so that keys can be changed. "
        "Unset: `HELIX_CACHE_KEYS`, separated by commas.",
    )
    secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="What entries' keys are digested under. Unset: derived from `admit.key_secret`. Another secret is "
        "another cache.",
    )
    on_outage: Outage = Field("pass", description="`pass` treats an outage as a miss.")


class LimitFields(Section):
    """How much, of what, within which time."""

    limit_usd: float | None = Field(
        ge=0, le=9_000_000, description="The most that may be spent in the window, in USD; or one of the next four."
    )
    limit_tokens: int | None = Field(None, ge=0, lt=2**53, description="The most tokens, input and output.")
    limit_input_tokens: int | None = Field(None, ge=0, lt=2**53, description="The most input tokens.")
    limit_output_tokens: int | None = Field(None, ge=0, lt=2**53, description="The most output tokens.")
    limit_requests: int | None = Field(None, ge=0, lt=2**53, description="The most requests.")
    window: str = Field(
        description="A window of the calendar: `minute`, `hour`, `day`, `week` (from Monday), `month`, `quarter`,"
        " `year`; `total` for ever; or any stretch of a length from `1m` to `366d`, such as `90m`, `24h`, `30d`."
    )
    time_zone: str = Field("UTC", description="Whose calendar, by its name in the IANA database.")
    soft: bool = Field(False, description="Whether passing it only warns, by `x-helix-budget-warning`.")

    @model_validator(mode="before")
    @classmethod
    def _usd_or_another(cls, given: Any) -> Any:
        # Without any of them it is the limit in USD that is missing.
        if isinstance(given, dict) and "limit_usd" not in given and any(f"limit_{unit}" in given for unit in _UNITS):
            return {**given, "limit_usd": None}
        return given

    @field_validator("window")
    @classmethod
    def _known(cls, window: str) -> str:
        window_of(window)
        return window

    @field_validator("time_zone")
    @classmethod
    def _on_the_map(cls, time_zone: str) -> str:
        window_of("day", time_zone)
        return time_zone

    @model_validator(mode="after")
    def _exactly_one(self) -> LimitFields:
        units = [unit for unit in _UNITS if getattr(self, f"limit_{unit}") is not None]
        if len(units) != 1:
            raise ValueError(f"there must be exactly one of {', '.join(f'limit_{unit}' for unit in _UNITS)}")
        return self

    @property
    def unit(self) -> str:
        """What is limited."""
        return next(unit for unit in _UNITS if getattr(self, f"limit_{unit}") is not None)

    @property
    def most(self) -> float:
        """How much, in its unit."""
        most: float = getattr(self, f"limit_{self.unit}")
        return most


class LimitConfig(LimitFields):
    """One limit, for everybody together or for one kind of scope."""

    name: str = Field(min_length=1, description="What people call it; errors name it.")
    scope: Literal["everybody", "organization", "team", "user", "key", "model", "provider", "tag", "end_user"] = Field(
        "everybody",
        description="Whose spending it limits; `end_user` is the `user` in the request, or `x-helix-end-user`; `model`"
        " the name that was asked for.",
    )
    of: str | None = Field(
        None, min_length=1, description="Which organization, team, …; unset: each of them by itself has this limit."
    )

    @model_validator(mode="after")
    def _everybody_has_no_name(self) -> LimitConfig:
        if self.of is not None and self.scope == "everybody":
            raise ValueError("`of` says which one of a scope it is; write `scope` too")
        return self

    @property
    def whose(self) -> str:
        """The scope in words."""
        if self.scope == "everybody":
            return ""
        return f" of {self.scope} {self.of!r}" if self.of is not None else f" of each {self.scope}"

    @property
    def sum(self) -> tuple[object, ...]:
        """What tells the sum that it looks at from others."""
        return (self.scope, self.of, window_of(self.window, self.time_zone).stem, self.unit)


class BudgetConfig(Section):
    """Spending inside limits."""

    enabled: bool = Field(True, description="Whether spending is counted and limited.")
    limits: tuple[LimitConfig, ...] = Field((), description="Limits; a key's own are made with the key.")
    default_max_output_tokens: int = Field(
        4096,
        ge=1,
        description="The cap on an answer where neither the caller nor the price table gives one: reserved for, and"
        " sent to the provider.",
    )
    min_output_tokens: int = Field(
        256,
        ge=1,
        description="Where the rest of a budget cannot pay for an answer as long as the caller's cap, the request goes"
        " on with the cap that it can pay for; it is refused where that is under this (or under the caller's own).",
    )
    unpriced: Literal["refuse", "allow"] = Field(
        "refuse", description="Whether a model without a price may be used by callers who have a limit in USD."
    )
    price_table: Path | None = Field(
        None, description="A price table in LiteLLM's form, a JSON file; without one, the table that LiteLLM brings."
    )
    on_outage: Outage = Field("refuse", description="`pass` lets requests through unbooked while the ledger is gone.")
    abandoned: Literal["release", "charge"] = Field(
        "release",
        description="What becomes of what a request held whose gateway died: it is free again, or booked as used, until"
        " the request is settled all the same.",
    )

    @field_validator("limits")
    @classmethod
    def _one_a_window(cls, limits: tuple[LimitConfig, ...]) -> tuple[LimitConfig, ...]:
        taken: dict[tuple[object, ...], LimitConfig] = {}
        for item in limits:
            other = taken.setdefault((*item.sum, item.soft), item)
            if other is not item:
                raise ValueError(
                    f"{other.name!r} and {item.name!r} are both for the window {item.window!r}{item.whose}; "
                    "write the lower of them"
                )
        for item in limits:
            hard = taken.get((*item.sum, False))
            if item.soft and hard is not None and item.most >= hard.most:
                raise ValueError(f"{item.name!r} warns no sooner than {hard.name!r} refuses; write less than that")
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


class EmbeddedRedisConfig(Section):
    """The Redis that Helix starts where there is no other."""

    max_memory_bytes: int = Field(
        512 * 1024 * 1024,
        ge=16 * 1024 * 1024,
        description="How much it may hold. When it is full, what has a time to live goes: cached answers above all.",
    )
    eviction: Literal["lru", "lfu"] = Field(
        "lru", description="What goes first: `lru` what was longest not used, `lfu` what was used least often."
    )


class HelixConfig(Section):
    """Everything that is Helix's own."""

    data_dir: Path = Field(
        Path(".helix"), description="Folder of the embedded Redis and ClickHouse and the master key."
    )
    redis_url: SecretStr | None = Field(
        None,
        description="URL of a Redis with search. Unset: `REDIS_URL`, else the embedded one in the data folder.",
    )
    embedded_redis: EmbeddedRedisConfig = Field(
        default_factory=EmbeddedRedisConfig, description="The embedded Redis, where there is no `redis_url`."
    )
    server: ServerConfig = Field(default_factory=ServerConfig, description="How requests come in.")
    admit: AdmitConfig = Field(default_factory=AdmitConfig, description="Who may call.")
    redact: RedactConfig = Field(default_factory=RedactConfig, description="Personal data out, and back.")
    cache: CacheConfig = Field(default_factory=CacheConfig, description="Answers from earlier ones.")
    budget: BudgetConfig = Field(default_factory=BudgetConfig, description="Spending inside hard limits.")
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig, description="A row per request.")
    console: ConsoleConfig = Field(default_factory=ConsoleConfig, description="The pages at /console.")
    serve: ServeConfig = Field(default_factory=ServeConfig, description="The Ray Serve deployments.")
