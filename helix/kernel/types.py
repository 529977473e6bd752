"""The Protocols between stages and their backends, and the frozen values that cross them.

Everything here is plain and picklable, so that a backend may live in this process or behind a Ray Serve handle.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "NO_EVIDENCE",
    "NO_USAGE",
    "ASGIApp",
    "CacheCatalog",
    "CacheStore",
    "Candidate",
    "Detector",
    "Embedder",
    "Entry",
    "Evidence",
    "Ledger",
    "Limit",
    "Listed",
    "Loaded",
    "Lower",
    "Message",
    "Money",
    "Observer",
    "Packed",
    "Price",
    "Principal",
    "Raise",
    "Receive",
    "Reservation",
    "Scope",
    "Selection",
    "Send",
    "Span",
    "Standing",
    "Usage",
    "Vector",
]

Vector: TypeAlias = Sequence[float]
"""An embedding: `dim` floats of unit length."""

NANO_PER_USD = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in nano-USD (1e-9 USD), an integer, so that sums are exact."""

    nano_usd: int

    @classmethod
    def from_usd(cls, usd: float) -> Money:
        """Round an amount in USD to the nearest nano-USD."""
        return cls(round(usd * NANO_PER_USD))

    @property
    def usd(self) -> float:
        """The amount in USD."""
        return self.nano_usd / NANO_PER_USD

    def __str__(self) -> str:
        return f"{self.usd:.9f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider counted for one request, and what else its price depends on.

    `input_tokens` is all of the input and `output_tokens` all of the output (OpenAI's convention; the dialects that
    count some apart are brought to it); the other counts of tokens say what part of them is of another kind.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    """Of the input: read from the provider's cache."""
    cache_write_tokens: int = 0
    """Of the input: written to the provider's cache."""
    reasoning_tokens: int = 0
    """Of the output."""
    cache_write_1h_tokens: int = 0
    """Of those written to the cache: for an hour instead of five minutes."""
    cached_audio_tokens: int = 0
    """Of those read from the cache: sound."""
    audio_input_tokens: int = 0
    """Of the input, neither cached nor written to the cache: sound."""
    image_input_tokens: int = 0
    video_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    video_output_tokens: int = 0
    citation_tokens: int = 0
    """Beside the input: what the provider read to cite (Perplexity)."""
    input_characters: int = 0
    input_images: int = 0
    audio_input_seconds: float = 0.0
    video_input_seconds: float = 0.0
    queries: int = 0
    """Requests of a model that is paid by the request."""
    searches: int = 0
    """Searches in the web that the provider made for the answer."""
    map_searches: int = 0
    """Searches in maps (Gemini)."""
    page_visits: int = 0
    """Pages opened by the provider's browser (Groq)."""
    elapsed_seconds: float = 0.0
    """How long the provider took: what a model costs that is paid by the second."""
    search_context: str = ""
    """How much of what a search found is read: "low", "medium" or "high"; "" for the usual."""
    service_tier: str = ""
    """The tier that served it ("flex", "priority", "batch" …); "" for the ordinary one."""
    region: str = ""
    """Where it was served, if that has a price of its own (Anthropic's `inference_geo`)."""
    speed: str = ""
    """"fast" for Anthropic's fast mode."""
    stated_nano_usd: int | None = None
    """What the provider itself says that it costs."""
    doubtful: bool = False
    """Whether the provider's figures contradict each other, or some are none: what Helix counts itself is the least."""


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Span:
    """Personal data found in a text: characters [start, end), what kind, how sure (0 to 1), and by which recognizer.

    `reason` says why for people, in words of the recognizer's own (a pattern's name, a context word's): never the text.
    """

    start: int
    end: int
    kind: str
    score: float
    recognizer: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as the admit stage found out.

    `models` lists the model names the caller may use, empty for all of them; `is_admin` opens the administration API.
    """

    key_id: str
    name: str = ""
    user: str = ""
    team: str = ""
    organization: str = ""
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    rpm: int | None = None
    parallel: int | None = None
    budgets: tuple[Limit, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on what one `scope` takes within one `window`.

    `scope` names whose budget it is, for example "key:k_7f3a": part of a key in the ledger, so it must not tell a
    person; `name` is what people call it. `window` is a period of the calendar in `time_zone` ("minute", "hour", "day",
    "week" from Monday, "month", "quarter", "year"), "total", or any span of a length ("90m", "24h", "30d").
    """

    scope: str
    window: str
    limit: Money | int
    """Money where `unit` is "usd"; else a number of tokens or requests."""
    name: str = ""
    unit: str = "usd"
    """"usd", "tokens" (input and output), "input_tokens", "output_tokens" or "requests"."""
    time_zone: str = "UTC"
    """Of the IANA database, for example "Europe/Berlin"; a span of a length and "total" have none."""
    soft: bool = False
    """Whether passing it is only told, not refused."""

    @property
    def most(self) -> int:
        """The limit in the smallest amount of its unit: nano-USD, tokens, requests."""
        return self.limit.nano_usd if isinstance(self.limit, Money) else self.limit


@dataclass(frozen=True, slots=True)
class Raise:
    """To what a limit is raised, until when (Unix milliseconds), why and by whom; a raise without a reason is none."""

    limit: Money | int
    until_ms: int
    reason: str
    by: str = ""

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("a raise must have a reason")
        if not 0 < self.until_ms < 2**53:
            raise ValueError("a raise must end at a time in Unix milliseconds")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a limit stands in its present window, in the smallest amount of its unit (see `Limit.most`)."""

    limit: Limit
    settled: int
    reserved: int
    most: int
    """The limit in effect: the limit's own, or what it is raised to at present."""
    resets_ms: int | None = None
    """When the window ends, in Unix milliseconds; None for one that has no end."""

    @property
    def remaining(self) -> int:
        """What is neither used nor held, never less than nothing."""
        return max(0, self.most - self.settled - self.reserved)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a ledger holds for one request until it is settled."""

    request_id: str
    limits: tuple[Limit, ...]
    amount: Money
    remaining: Money | None = None
    """The least that remains in any hard limit in USD after this reservation; None where there is none."""
    usage: Usage = NO_USAGE
    """The tokens that are held."""
    warnings: tuple[Standing, ...] = ()
    """The soft limits that are used up."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A complete answer as the cache keeps it: the redacted body of a whole answer, in one dialect."""

    id: str
    dialect: str
    model: str
    body: bytes
    stored_at: float
    """Unix time in seconds."""
    headers: tuple[tuple[str, str], ...] = ()
    namespace: str = ""
    usage: Usage | None = None
    """What the provider counted for it, so that a hit can say what it saved."""
    # What the catalog keeps beside it; the stores' `get` leaves it out.
    asked_model: str = ""
    """The model that was asked for; `model` is the one that answered."""
    partition: str = ""
    """A digest of whose it is: those who share answers. Quotas count by it."""
    users: tuple[str, ...] = ()
    """Digests of the users who caused it: the key's, and the end user whom the request names."""
    tags: tuple[str, ...] = ()
    """Labels of the caller's choice, by which entries are removed together."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cached entries are meant: those that fit everything that is said. Raises ValueError where nothing is.

    `partition` and `users` of an entry are digests, and so they are here. `model` fits the one that was asked for and
    the one that answered. `namespace` "" is the default one.
    """

    entries: tuple[str, ...] = ()
    scope: str | None = None
    namespace: str | None = None
    tag: str | None = None
    model: str | None = None
    user: str | None = None
    partition: str | None = None
    everything: bool = False
    """Every entry; goes with nothing else."""

    def __post_init__(self) -> None:
        parts = (self.scope, self.namespace, self.tag, self.model, self.user, self.partition)
        if self.everything == (bool(self.entries) or any(part is not None for part in parts)):
            raise ValueError("a selection is everything, or says what it is that is meant")


@dataclass(frozen=True, slots=True)
class Listed:
    """A cached entry as it is listed: what it is about, not what it answers. Times are Unix times in seconds."""

    id: str
    dialect: str
    model: str
    asked_model: str
    namespace: str
    stored_at: float
    expires_at: float
    bytes: int
    hits: int = 0
    """How often it was given, as far as it was counted."""
    scope: str = ""
    partition: str = ""
    users: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    text: str = ""
    """The question's text, with placeholders; empty for an entry of the exact tier alone."""
    similarity: float | None = None
    """Where entries are listed by nearness to a text."""


@dataclass(frozen=True, slots=True)
class Packed:
    """An entry as a store keeps it, field by field, to be carried to another store of the same `layout`.

    What the store encrypts is still encrypted.
    """

    id: str
    fields: Mapping[str, bytes]
    expires_at: float
    """Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of entries that were carried to a store."""

    stored: int = 0
    present: int = 0
    """Were there already, and stayed as they were."""
    expired: int = 0
    refused: int = 0
    """Cannot be read here: damaged, of another version, or encrypted with a key that is not known."""

    def __add__(self, other: Loaded) -> Loaded:
        return Loaded(
            self.stored + other.stored,
            self.present + other.present,
            self.expired + other.expired,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What comparing answers has taught about one entry: sums, so that many processes may add to them at once.

    Each time the upstream answered a text near to the entry's own, its answer and the entry's were compared.
    """

    right: float = 0.0
    """How often they were the same."""
    wrong: float = 0.0
    """How often they were not."""
    surplus: float = 0.0
    """The sum of (1 where they were the same, else 0) - (the probability that was expected of it)."""
    information: float = 0.0
    """The sum of p (1 - p) over the same probabilities."""

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            self.right + other.right,
            self.wrong + other.wrong,
            self.surplus + other.surplus,
            self.information + other.information,
        )


NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A near neighbour of a question: its entry's id, the text it was asked with, and the cosine similarity.

    `stored_at` (Unix time in seconds, 0 where unknown) and `model` are its entry's. `group` is the same for entries
    whose answers were found to be the same; an entry that was not compared yet is a group of its own, "".
    """

    entry_id: str
    text: str
    similarity: float
    stored_at: float = 0.0
    model: str = ""
    evidence: Evidence = NO_EVIDENCE
    group: str = ""


class Embedder(Protocol):
    """Turns texts into vectors."""

    name: str
    """Part of every cache key: a new model is a new cache."""
    dim: int

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector of `dim` floats a text. Raises BackendUnavailable.

        A text longer than the model's window gets an empty vector: cut off, it would be the same as any other text
        that begins like it.
        """
        ...


class Detector(Protocol):
    """Finds personal data in texts."""

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        """Return the spans of each text, sorted by start, none overlapping another. Raises BackendUnavailable.

        A text is taken to be in the language, an ISO 639-1 code; without one, in any that the detector knows.
        """
        ...


class CacheStore(Protocol):
    """Keeps answers by an exact key and finds them by a near text. Every method may raise BackendUnavailable."""

    async def get(self, key: str) -> Entry | None:
        """The entry stored under an exact key or an entry id, or None."""
        ...

    async def put(
        self,
        key: str,
        entry: Entry,
        *,
        ttl_seconds: float,
        scope: str = "",
        text: str = "",
        vector: Vector | None = None,
        embedder: str = "",
    ) -> None:
        """Store an entry; with an embedder's vector, make it findable by nearness to `text` inside `scope`.

        Another answer than the one that was there is another entry: what was learned about that one is forgotten.
        """
        ...

    async def near(self, scope: str, vector: Vector, *, count: int, embedder: str = "") -> Sequence[Candidate]:
        """The nearest entries inside a scope by the vectors of the embedder of this name, best first."""
        ...

    async def learn(self, entry_id: str, evidence: Evidence, *, group: str | None = None) -> None:
        """Add to what is known about a findable entry, and put it into a group if one is given.

        Nothing happens where the entry is gone. `near` tells both.
        """
        ...

    async def tally(self, name: str, added: Mapping[str, float], *, ttl_seconds: float) -> Mapping[str, float]:
        """Add to the named counters that `name` has in all processes, and return all of them as they then are.

        With nothing added they are only read. Counters that nobody added to for `ttl_seconds` are forgotten; those of
        another `name` are untouched, and so are they when entries are flushed.
        """
        ...

    async def append(self, name: str, lines: Sequence[str], *, most: int, ttl_seconds: float) -> None:
        """Add to the list that `name` has in all processes; of all lines the latest `most` are kept.

        A list that nobody added to for `ttl_seconds` is forgotten; flushed entries leave lists as they are.
        """
        ...

    async def lines(self, name: str) -> Sequence[str]:
        """A list, latest line first; empty where there is none."""
        ...

    async def flush(self, *, namespace: str | None = None, entry_id: str | None = None) -> int:
        """Remove one entry, one namespace or everything; return how many entries went."""
        ...

    async def stats(self) -> Mapping[str, Any]:
        """Entries and bytes, in all and by namespace."""
        ...


class CacheCatalog(Protocol):
    """What a store holds, for administration; by index, never by reading every key. Raises BackendUnavailable."""

    layout: str
    """How `Packed` entries are written: what one store dumps, another of the same layout loads."""

    async def stats(self) -> Mapping[str, Any]:
        """Entries and bytes, in all and by namespace."""
        ...

    async def used(self, hits: Mapping[tuple[str, str], int]) -> None:
        """Count hits, by entry id and the entry's partition; lists tell them, and a quota spares what is used."""
        ...

    async def count(self, selection: Selection) -> int:
        """How many entries `remove` would remove."""
        ...

    async def remove(self, selection: Selection) -> int:
        """Remove entries; return how many went."""
        ...

    async def page(
        self, selection: Selection, *, limit: int, cursor: str | None = None
    ) -> tuple[Sequence[Listed], str | None]:
        """Entries, latest first, and the next page's cursor. Raises InvalidRequest for a cursor it did not give."""
        ...

    async def most_used(self, limit: int) -> Sequence[Listed]:
        """The entries that were given most often, first the most used."""
        ...

    async def alike(
        self, selection: Selection, vector: Vector, *, least: float, limit: int, embedder: str = ""
    ) -> Sequence[Listed]:
        """Entries whose question is at least so similar to an embedder's vector, whatever their scope, best first."""
        ...

    async def prolong(self, entry_ids: Sequence[str], ttl_seconds: float) -> int:
        """Let entries live at least so long from now; return how many were found."""
        ...

    async def dump(
        self, selection: Selection, *, limit: int, cursor: str | None = None
    ) -> tuple[Sequence[Packed], str | None]:
        """Entries as they are kept; pages as `page` does."""
        ...

    async def load(self, entries: Sequence[Packed]) -> Loaded:
        """Store what a store of this layout dumped, each entry whole or not at all."""
        ...


Lower: TypeAlias = Callable[[Sequence[Standing]], Awaitable[tuple[Money, Usage] | None]]
"""What of a claim that does not fit would, given where its limits stand; None where too little remains."""


class Ledger(Protocol):
    """Holds spending inside limits. Every method may raise BackendUnavailable."""

    async def reserve(
        self,
        request_id: str,
        limits: Sequence[Limit],
        amount: Money,
        usage: Usage = NO_USAGE,
        *,
        lower: Lower | None = None,
    ) -> Reservation:
        """Hold money, tokens and one request against every limit, all or nothing.

        What does not fit is asked of `lower` again as less. Raises BudgetExceeded, naming the limit that decides.
        """
        ...

    async def settle(
        self, reservation: Reservation, cost: Money, usage: Usage = NO_USAGE, *, spared: Collection[str] = ()
    ) -> None:
        """Replace what is held by what was used, exactly once however often it is called.

        Limits of a scope in `spared` get nothing, not even the request: a provider that did not answer.
        """
        ...

    async def spent(self, limits: Sequence[Limit]) -> Sequence[tuple[Money, Money]]:
        """What is settled and what is reserved in the present window of each of these limits in USD."""
        ...

    async def standing(self, limits: Sequence[Limit]) -> Sequence[Standing]:
        """Where each limit stands."""
        ...

    async def raise_limit(self, limit: Limit, raised: Raise) -> None:
        """Raise a hard limit until a time; it is audited. Raises ValueError for a raise that raises nothing."""
        ...

    async def raises(self) -> Sequence[Mapping[str, Any]]:
        """Every raise that there was, latest first: `at_ms`, `budget`, `limit`, `until_ms`, `reason`, `by`."""
        ...


@runtime_checkable
class Observer(Protocol):
    """Told by a stage, once a request, what the stage decided; never given request or answer text."""

    def __call__(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Take note; must not block and must not raise."""
        ...


class Price(Protocol):
    """What a model charges."""

    def __call__(self, model: str, usage: Usage) -> Money | None:
        """The cost of a usage, or None for a model without a price."""
        ...
