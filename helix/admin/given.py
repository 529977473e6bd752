"""What callers send to the administration API. These models validate it, and the OpenAPI document shows them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, AwareDatetime, Base64Bytes, BeforeValidator, Field, JsonValue, model_validator

from helix.admin.endpoint import Given
from helix.kernel.windows import ALLOWED, window_of

GroupBy: TypeAlias = Literal["key", "model", "team", "day"]
CacheStatus: TypeAlias = Literal["exact", "semantic", "shared", "miss", "bypass", "refresh"]

RedactOutcome: TypeAlias = Literal["redacted", "blocked", "outage", "passed", "token_ids"]

_LIMITS = frozenset(("limit_usd", "limit_tokens", "limit_input_tokens", "limit_output_tokens", "limit_requests"))
MAX_PAGE = 500
MAX_CARRIED = 100
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d{1,9})([smhdw])")
_SINCE = "must be a span back from now such as 15m, 24h or 7d, or an ISO 8601 time with its zone"


def _since(value: object) -> datetime:
    """A point in time. Raises ValueError that says what is allowed."""
    now = datetime.now(UTC)
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError(_SINCE)
    ago = _AGO.fullmatch(value)
    try:
        if ago is not None:
            return now - timedelta(seconds=int(ago[1]) * _UNIT_SECONDS[ago[2]])
        # In a query string an unescaped "+" of the zone reads as a space.
        moment = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
    except (ValueError, OverflowError):
        raise ValueError(_SINCE) from None
    if moment.tzinfo is None:
        raise ValueError(_SINCE)
    return moment.astimezone(UTC)


Since: TypeAlias = Annotated[
    datetime,
    BeforeValidator(_since, json_schema_input_type=str),
    Field(description=f"Start of the time that is looked at; {_SINCE}.", examples=["24h", "2026-11-01T00:00:00Z"]),
]
Cursor: TypeAlias = Annotated[
    str | None, Field(max_length=500, description="`next_cursor` of the page before; leave out for the first page.")
]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]


def _window(value: str) -> str:
    try:
        window_of(value)
    except ValueError:
        raise ValueError(f"must be {ALLOWED}") from None
    return value


def _time_zone(value: str) -> str:
    try:
        window_of("day", value)
    except ValueError:
        raise ValueError("must be a time zone of the IANA database, for example Europe/Berlin") from None
    return value


Window: TypeAlias = Annotated[str, AfterValidator(_window)]
TimeZone: TypeAlias = Annotated[str, AfterValidator(_time_zone)]
Count: TypeAlias = Annotated[int | None, Field(ge=0, lt=2**53)]


class Amount(Given):
    """How much, of what, within which time: exactly one of the five limits."""

    limit_usd: float | None = Field(
        None, ge=0, le=9_000_000, allow_inf_nan=False, description="The most that may be spent, in USD."
    )
    limit_tokens: Count = Field(None, description="The most tokens, input and output.")
    limit_input_tokens: Count = Field(None, description="The most input tokens.")
    limit_output_tokens: Count = Field(None, description="The most output tokens.")
    limit_requests: Count = Field(None, description="The most requests.")
    window: Window = Field(
        description="A window of the calendar, minute to year; `total` for ever; or any stretch of a length like 24h."
    )
    time_zone: TimeZone = Field("UTC", description="Whose calendar.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Amount:
        if len(self.model_fields_set & _LIMITS) != 1 or self.most is None:
            raise ValueError(f"a budget must have exactly one of the fields {', '.join(sorted(_LIMITS))}")
        return self

    @property
    def unit(self) -> str:
        """What is limited."""
        (name,) = self.model_fields_set & _LIMITS
        return name.removeprefix("limit_")

    @property
    def most(self) -> float | None:
        """How much, in its unit."""
        most: float | None = getattr(self, f"limit_{self.unit}")
        return most


class BudgetGiven(Amount):
    """A limit over one window."""

    soft: bool = Field(False, description="Whether passing it only warns.")


class RaiseGiven(Amount):
    """To what a hard limit is raised, and until when."""

    scope: Literal["everybody", "organization", "team", "user", "key", "model", "provider", "tag", "end_user"]
    of: Name | None = Field(None, description="Which one; for a key its id.")
    until: AwareDatetime = Field(description="When the limit is what it was again; a time that has come ends a raise.")
    reason: str = Field(min_length=1, max_length=1000, pattern=r"\S", description="Why; it is kept.")


class KeyGiven(Given):
    """A new virtual key."""

    name: Name = Field(description="What people call it.")
    models: tuple[Name, ...] = Field((), max_length=1000, description="Model names it may use; none means all.")
    rpm: int | None = Field(None, ge=1, le=10_000_000, description="Requests a minute; unset: no limit.")
    parallel: int | None = Field(None, ge=1, le=100_000, description="Requests at the same time; unset: no limit.")
    budgets: tuple[BudgetGiven, ...] = Field((), max_length=20, description="At most one a window, unit and softness.")
    user: str = Field("", max_length=200, description="Whose key it is.")
    team: str = Field("", max_length=200, description="That person's team.")
    organization: str = Field("", max_length=200, description="That team's organization.")
    tags: tuple[Name, ...] = Field((), max_length=100, description="Labels that its requests are recorded with.")
    metadata: dict[str, JsonValue] = Field(default_factory=dict, description="Anything that is to be kept with it.")
    is_admin: bool = Field(False, description="Whether it opens this administration API.")

    @model_validator(mode="after")
    def _one_budget_a_window(self) -> KeyGiven:
        windows = [
            (window_of(budget.window, budget.time_zone).stem, budget.unit, budget.soft) for budget in self.budgets
        ]
        if len(set(windows)) != len(windows):
            raise ValueError("the field 'budgets' must name each window at most once")
        return self


class RedactGiven(Given):
    """A text to look for personal data in."""

    text: str = Field(max_length=200_000, description="The text; it is neither kept nor logged.")


class PageQuery(Given):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=MAX_PAGE, description="How many entries at the most.")
    cursor: Cursor = None


class RequestsQuery(PageQuery):
    """Which requests."""

    model: str | None = Field(None, max_length=200, description="Model name that was asked for.")
    status: int | None = Field(None, ge=100, le=599, description="HTTP status of the reply.")
    cache: CacheStatus | None = Field(None, description="What the cache did.")
    key: str | None = Field(None, max_length=100, description="Id of the key.")
    since: Since | None = None


class RedactionsQuery(PageQuery):
    """Which redaction events."""

    outcome: RedactOutcome | None = Field(None, description="What was decided.")
    kind: str | None = Field(None, max_length=100, description="Kind of personal data that was taken out.")
    key: str | None = Field(None, max_length=100, description="Id of the key.")
    since: Since | None = None


class SpendQuery(Given):
    """Which spending."""

    group_by: GroupBy = Field("model", description="What one row stands for.")
    since: Since = Field(default="30d", validate_default=True)


class OverviewQuery(Given):
    """Which time the overview looks at."""

    since: Since = Field(default="1h", validate_default=True)


class Meant(Given):
    """Which cached answers; what is said together must fit together."""

    entry: str | None = Field(None, min_length=1, max_length=200, description="One entry, by its id.")
    scope: str | None = Field(None, min_length=1, max_length=200, description="A scope, as a list shows it.")
    namespace: str | None = Field(None, max_length=200, description="A namespace; empty: the default one.")
    tag: str | None = Field(None, min_length=1, max_length=200, description="A tag.")
    model: str | None = Field(None, min_length=1, max_length=300, description="The model asked for, or that answered.")
    user: str | None = Field(None, min_length=1, max_length=300, description="A user's name, or digest (`u_…`).")
    partition: str | None = Field(
        None,
        min_length=1,
        max_length=300,
        description="Who shares answers: `key:ID`, `team:NAME` …, or digest (`p_…`).",
    )

    def said(self) -> dict[str, object]:
        """What is said, as the cache takes it."""
        found: dict[str, object] = self.model_dump(include=set(Meant.model_fields), exclude_none=True)
        if (entry := found.pop("entry", None)) is not None:
            found["entries"] = (entry,)
        return found


class FlushQuery(Meant):
    """Which cached answers to remove."""

    all: bool | None = Field(None, description="`true` removes everything; goes with nothing else.")
    dry_run: bool = Field(False, description="`true` counts what would go, and removes nothing.")

    @model_validator(mode="after")
    def _says_what(self) -> FlushQuery:
        said = self.said()
        if (self.all is True) == bool(said):
            raise ValueError(
                "say what to remove by the query parameters entry, scope, namespace, tag, model, user, partition, "
                "or by all=true alone"
            )
        if "entries" in said and len(said) > 1:
            raise ValueError("the query parameter 'entry' goes with no other")
        return self


class EntriesQuery(Meant, PageQuery):
    """Which cached answers to list."""

    sort: Literal["latest", "used"] = Field(
        "latest", description="`used`: those given most often first, of all entries, on one page."
    )

    @model_validator(mode="after")
    def _sorts_all(self) -> EntriesQuery:
        if self.sort == "used" and (self.said() or self.cursor):
            raise ValueError("sort=used lists all entries: it goes with limit alone")
        return self


class ExportQuery(Meant):
    """Which cached answers to carry elsewhere."""

    limit: int = Field(50, ge=1, le=MAX_CARRIED, description="How many entries at the most.")
    cursor: Cursor = None


class SimilarGiven(Meant):
    """A text, and which cached answers may be like it."""

    text: str = Field(min_length=1, max_length=20_000, description="Redacted first; it is neither kept nor logged.")
    min_similarity: float = Field(0.8, ge=0, le=1, allow_inf_nan=False, description="Least cosine similarity.")
    limit: int = Field(20, ge=1, le=MAX_PAGE, description="How many entries at the most.")
    remove: bool = Field(False, description="`true` removes what is listed.")


class ExtendGiven(Given):
    """Which cached answers shall live longer."""

    ttl_seconds: float = Field(gt=0, le=31_536_000, allow_inf_nan=False, description="At least so long from now.")
    most_used: int = Field(0, ge=0, le=MAX_PAGE, description="So many of those given most often.")
    entries: tuple[str, ...] = Field((), max_length=MAX_PAGE, description="Ids.")

    @model_validator(mode="after")
    def _says_which(self) -> ExtendGiven:
        if not self.most_used and not self.entries:
            raise ValueError("say which entries by the fields 'entries' or 'most_used'")
        return self


class FeedbackGiven(Given):
    """What somebody says who saw a cached answer: exactly one of `request_id` and `entry` says which."""

    verdict: Literal["wrong", "right"]
    request_id: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="A request that was answered from near within the last day: the id in `x-helix-request-id`.",
    )
    entry: str | None = Field(
        None, min_length=1, max_length=200, description="A cached answer: the id in `x-helix-cache-entry`."
    )

    @model_validator(mode="after")
    def _says_which(self) -> FeedbackGiven:
        if (self.request_id is None) == (self.entry is None):
            raise ValueError("say which answer by exactly one of the fields 'request_id' and 'entry'")
        return self


class CarriedEntry(Given):
    """A cached answer as it is kept."""

    id: str = Field(min_length=1, max_length=200)
    expires_at: float = Field(ge=0, le=1e11, allow_inf_nan=False, description="Unix time in seconds.")
    fields: dict[str, Base64Bytes] = Field(max_length=32, description="In base64; what is encrypted stays so.")


class CarriedGiven(Given):
    """Cached answers that an export gave."""

    layout: str = Field(max_length=100, description="The export's.")
    entries: tuple[CarriedEntry, ...] = Field(min_length=1, max_length=MAX_CARRIED)
