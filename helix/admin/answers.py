"""What the administration API answers. These models make the replies, and the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, Base64Bytes, ConfigDict, Field, JsonValue

from helix.admin.endpoint import Answer, Sparse

Usd: TypeAlias = Annotated[float, Field(description="USD.")]


class Error(Answer):
    """What went wrong."""

    message: str = Field(description="One sentence that names the place and what is allowed.")
    type: str
    param: str | None = Field(description="The place in the request, if it has one.")
    code: str


class ErrorAnswer(Answer):
    """OpenAI's form of an error."""

    error: Error


class Budget(Sparse):
    """A limit and where it stands in its present window."""

    scope: str = Field(description="Whose spending it limits: `key:<id>`, or the name of a limit for everybody.")
    name: str
    window: str
    time_zone: str = "UTC"
    soft: bool = Field(False, description="Whether passing it is told, not refused.")
    limit_usd: Usd | None = Field(None, description="While the limit is raised: what to.")
    used_usd: Usd | None = Field(None, description="Settled, in USD.")
    reserved_usd: Usd | None = Field(None, description="Held for requests in flight, in USD.")
    remaining_usd: Usd | None = Field(None, description="Neither used nor reserved, in USD.")
    unit: str = Field("usd", description="usd, tokens, input_tokens, output_tokens or requests.")
    limit: int | None = Field(None, description="The limit in a unit that is not USD, and so the next three.")
    used: int | None = None
    reserved: int | None = None
    remaining: int | None = None
    resets_at: AwareDatetime | None = Field(description="When the window ends; null for `total` and for any length.")


class BudgetPage(Answer):
    """Budgets: those for everybody first, then the keys' own."""

    data: list[Budget]
    next_cursor: str | None


class Raised(Answer):
    """A raise of a limit, as it is on record."""

    at: AwareDatetime
    by: str = Field(description="The id of the administrator's key.")
    reason: str
    scope: str
    name: str
    window: str
    time_zone: str
    unit: str
    limit: float = Field(description="The limit itself, in its unit.")
    raised_to: float = Field(description="In the same unit.")
    until: AwareDatetime


class RaisePage(Answer):
    """Raises, latest first."""

    data: list[Raised]
    next_cursor: str | None


class KeyBudget(Sparse):
    """A key's limit."""

    limit_usd: Usd | None = None
    limit_tokens: int | None = None
    limit_input_tokens: int | None = None
    limit_output_tokens: int | None = None
    limit_requests: int | None = None
    window: str
    time_zone: str = "UTC"
    soft: bool = False


class Key(Answer):
    """A virtual key; the secret itself is kept by nobody."""

    id: str
    name: str
    models: list[str] = Field(description="Model names it may use; empty: all.")
    rpm: int | None
    parallel: int | None
    budgets: list[KeyBudget]
    user: str
    team: str
    organization: str
    tags: list[str]
    metadata: dict[str, JsonValue]
    is_admin: bool
    created_at: AwareDatetime | None
    revoked: bool


class NewKey(Key):
    """A key just made."""

    key: str = Field(description="The secret, `sk-hx-…`. Shown this once.")


class KeyPage(Answer):
    """Keys, newest first."""

    data: list[Key]
    next_cursor: str | None


class Revoked(Answer):
    """A key that no longer opens anything."""

    id: str
    revoked: Literal[True] = True


class SpendRow(Answer):
    """Spending of one key, model, team or day; of these fields the one that was grouped by is set."""

    key: str | None = Field(None, description="Id of the key; set when grouped by it.")
    key_name: str | None = Field(None, description="Name of the key; set when grouped by it.")
    model: str | None = Field(None, description="Set when grouped by it.")
    team: str | None = Field(None, description="Set when grouped by it.")
    day: str | None = Field(None, description="UTC date, YYYY-MM-DD; set when grouped by it.")
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: Usd
    saved_usd: Usd


class Spend(Answer):
    """Spending, largest first; by day, earliest first."""

    data: list[SpendRow]


class CacheNamespace(Answer):
    """What one namespace holds."""

    namespace: str
    entries: int
    bytes: int | None = None


class Cache(Answer):
    """What the cache holds."""

    entries: int
    bytes: int | None = None
    bytes_estimated: bool = Field(False, description="Whether `bytes` is an estimate, from a sample of the entries.")
    namespaces: list[CacheNamespace]


class CacheEntry(Answer):
    """A cached answer: what it is about, not what it says."""

    id: str
    namespace: str
    dialect: str
    asked_model: str = Field(description="The model name that was asked for.")
    model: str = Field(description="The one that answered.")
    stored_at: AwareDatetime
    expires_at: AwareDatetime
    bytes: int
    hits: int = Field(description="How often it was given; counted for the most used.")
    scope: str = Field(description="Digest of all that a near question must have in common; empty: exact tier alone.")
    partition: str = Field(description="Digest of whose it is.")
    users: list[str] = Field(description="Digests.")
    tags: list[str]
    text: str = Field(description="The question, with placeholders; empty: exact tier alone.")
    similarity: float | None = Field(description="Where it was asked for by nearness: the cosine similarity.")


class CacheEntryPage(Answer):
    """Cached answers."""

    data: list[CacheEntry]
    next_cursor: str | None


class Flushed(Answer):
    """What was removed."""

    removed: int = Field(description="How many entries; with `dry_run`, how many would be.")
    dry_run: bool


class Similar(Answer):
    """Cached answers to what is near to a text, best first."""

    data: list[CacheEntry]
    removed: int = Field(description="How many of them were removed.")


class Extended(Answer):
    """What lives longer."""

    extended: int = Field(description="How many entries.")


class Marked(Answer):
    """What came of a verdict on a cached answer."""

    entry: str
    evicted: bool = Field(description="Whether the answer was there, and went.")
    counted: bool = Field(
        description="Whether the verdict counts; not where the answer was marked before, or was not given from near."
    )


class Precision(Answer):
    """How right answers from near have been."""

    requests: int = Field(description="Requests that the semantic tier looked for.")
    hits: int = Field(description="Those that were answered from near.")
    checks: int = Field(description="Those of them that were compared with the provider's answer, or marked wrong.")
    wrong: int = Field(description="Those of them that were wrong.")
    precision: float | None = Field(description="Share of answers from near that was right; null before any check.")
    precision_low: float | None = Field(description="Lower end of its 95 % interval.")
    precision_high: float | None = Field(description="Upper end.")


class Outcomes(Answer):
    """What traffic has shown of near questions, for calibration."""

    embedder: str
    outcomes: list[tuple[float, float, bool, float, str]] = Field(
        description="Cosine similarity, overlap, whether the answers were the same, how many such pairs it stands for, "
        "and the entry of the request; latest first."
    )


class Carried(Answer):
    """A cached answer as it is kept."""

    id: str
    expires_at: float = Field(description="Unix time in seconds.")
    fields: dict[str, Base64Bytes] = Field(description="In base64; what is encrypted stays so.")


class CarriedPage(Answer):
    """Cached answers as they are kept."""

    layout: str = Field(description="They fit where `POST /helix/cache/import` takes this.")
    data: list[Carried]
    next_cursor: str | None


class Loaded(Answer):
    """What became of imported answers."""

    stored: int
    present: int = Field(description="Were there already, and stayed as they were.")
    expired: int
    refused: int = Field(description="Cannot be read here: damaged, of another version, or encrypted otherwise.")


class RequestRow(Answer):
    """One request as it was recorded: names, counts, amounts and durations, never text."""

    request_id: str
    started_at: AwareDatetime
    operation: str = Field(description="OpenTelemetry's gen_ai.operation.name.")
    dialect: str
    stream: bool
    model: str = Field(description="The model name that was asked for.")
    response_model: str = Field(description="The one that answered.")
    provider: str
    deployment: str
    attempts: int
    fallbacks: int
    status: int
    error_code: str = Field(description="Empty: no error.")
    finish_reason: str
    key_id: str
    key_name: str
    user: str
    team: str
    organization: str
    tags: list[str]
    cache: str = Field(description="exact, semantic, miss, bypass or refresh; empty: no cache.")
    cache_entry: str
    cache_similarity: float | None = Field(description="Cosine similarity of a semantic hit.")
    cache_veto: str = Field(description="The guard that refused the nearest.")
    cache_age_seconds: float | None
    entities: dict[str, int] = Field(description="Personal data taken out: kind → how many.")
    restored: int = Field(description="Values put back into the answer.")
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = Field(description="Input that the provider had in its own cache.")
    cache_creation_input_tokens: int
    reasoning_output_tokens: int
    cost_usd: Usd
    saved_usd: Usd
    priced: bool = Field(description="Whether the model has a price.")
    budget_refused: str = Field(description="Name of the limit that refused.")
    duration_ms: float
    first_token_ms: float | None = Field(description="Time to a stream's first token.")
    overhead_ms: float = Field(description="Helix's own part of the time to the first byte.")
    upstream_ms: float = Field(description="The provider's part.")
    redact_ms: float
    cache_ms: float
    budget_ms: float


class RequestPage(Answer):
    """Requests, latest first."""

    data: list[RequestRow]
    next_cursor: str | None


class Percentiles(Answer):
    """Of a duration, in milliseconds; null where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


class Slice(Answer):
    """One step of the time that is looked at."""

    at: AwareDatetime = Field(description="Its start.")
    requests: int
    errors: int
    hits: int = Field(description="Answered from cache, exact and semantic.")
    cost_usd: Usd
    saved_usd: Usd


class ModelRow(Answer):
    """One model's part."""

    model: str
    requests: int
    cost_usd: Usd
    saved_usd: Usd


class Overview(Answer):
    """The state of the gateway at a glance."""

    since: AwareDatetime
    until: AwareDatetime
    step_seconds: int = Field(description="Length of one slice.")
    requests: int
    errors: int = Field(description="Requests that ended in an error.")
    streams: int
    input_tokens: int
    output_tokens: int
    cost_usd: Usd
    saved_usd: Usd
    cache: dict[str, int] = Field(description="What the cache did → how many requests.")
    hit_rate: float | None = Field(
        description="Hits ÷ (hits + misses), 0 to 1; null where the cache was asked nothing."
    )
    latency_ms: Percentiles = Field(description="Whole requests.")
    overhead_ms: Percentiles = Field(description="Helix's own part.")
    redactions: dict[str, int] = Field(description="Kind of personal data → how many were taken out.")
    restored: int
    slices: list[Slice] = Field(description="One a step, also where nothing happened.")
    models: list[ModelRow] = Field(description="The most used, at most ten.")


class RedactionFinding(Answer):
    """Where a piece of personal data stood in a request, how it was found and what was done with it."""

    kind: str
    place: str = Field(description="Path in the body; a key of the caller's own is `*`.")
    start: int = Field(description="First character of the text at that place.")
    end: int = Field(description="One past the last character.")
    score: float = Field(description="How sure, 0 to 1.")
    recognizer: str = Field(description="What found it; `elsewhere` for a value that was recognised in another place.")
    strategy: str


class RedactionEvent(Answer):
    """What the redact stage decided about one request; never a value."""

    request_id: str
    started_at: AwareDatetime
    outcome: str = Field(
        description="redacted, blocked, outage (refused), passed (sent on unredacted in an outage), leaked (in the"
        " answer alone) or token_ids (sent on though it cannot be read)."
    )
    entities: dict[str, int] = Field(description="Kind → how many.")
    leaks: dict[str, int] = Field(description="Kind → how many in the answer that were not in the request.")
    findings: list[RedactionFinding] = Field(description="At most a hundred.")
    more: int = Field(description="How many findings are not listed.")
    detector: str = Field(description="What looked, and its version.")
    restored: int = Field(description="Values put back into the answer.")
    unknown_placeholders: int = Field(description="Placeholders in the answer that stand for nothing.")
    redact_ms: float
    dialect: str
    model: str
    status: int
    error_code: str
    key_id: str
    key_name: str
    user: str
    team: str
    organization: str


class RedactionPage(Answer):
    """Redaction events, latest first."""

    data: list[RedactionEvent]
    next_cursor: str | None


class Found(Answer):
    """Personal data that was found, without the data itself."""

    start: int = Field(description="First character, counted from 0 in Unicode code points.")
    end: int = Field(description="One past the last character.")
    kind: str
    score: float = Field(description="How sure, 0 to 1.")
    recognizer: str = Field(description="What found it; `elsewhere` for a value that was recognised in another place.")
    reason: str = Field(description="Why, in the recognizer's own words; empty where it says nothing.")
    action: str = Field(
        description="What was done with it: a strategy's name, `allow` (on the allow-list) or `unsure` (score too low)."
    )
    replacement: str | None = Field(description="What stands in its place; null where it was kept.")


class Redacted(Answer):
    """A text without its personal data."""

    text: str
    spans: list[Found]
    blocked: bool = Field(description="Whether a request with this text would be refused.")


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(Answer):
    """Whether requests can be served, and what stands in the way."""

    status: Literal["ready", "not_ready"]
    not_ready: list[str] = Field(description="Names of the parts that are not ready.")
    checks: dict[str, str] = Field(description='Part → "ready", or one sentence that says what is wrong.')


class Document(Answer):
    """This document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
