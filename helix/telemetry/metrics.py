"""What Prometheus scrapes: `helix_*` metrics in base units, with label sets that no caller can make grow.

Requests add to plain integers; the exposition format is made when somebody asks. Labels come from configuration or are
one of a fixed number of values: a model is a name that `ModelNames` let pass, anything beyond the cap is "other".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from helix import __version__
from helix.kernel.types import NANO_PER_USD, Receive, Scope, Send
from helix.telemetry.row import NAMES, Row

__all__ = ["Metrics"]

MAX_LABELS = 200
"""Values of one label; a Prometheus server is asked for a series for each, buckets times as many for a histogram."""

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
FIRST_TOKEN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OVERHEAD_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

(
    _OPERATION,
    _STREAM,
    _MODEL,
    _STATUS,
    _ERROR,
    _COST,
    _SAVED,
    _BUDGET_REFUSED,
    _CACHE,
    _VETO,
    _REDACTIONS,
    _RESTORED,
    _REDACT_OUTCOME,
    _LEAKS,
    _DURATION,
    _FIRST_TOKEN,
    _OVERHEAD,
) = (
    NAMES.index(name)
    for name in (
        "operation_name",
        "stream",
        "request_model",
        "status",
        "error_code",
        "cost_nano_usd",
        "saved_nano_usd",
        "budget_refused",
        "cache_status",
        "cache_veto",
        "redactions",
        "restored",
        "redact_outcome",
        "leaks",
        "duration_ms",
        "first_token_ms",
        "overhead_ms",
    )
)
_TOKENS = tuple(
    (NAMES.index(name), kind)
    for name, kind in (
        ("input_tokens", "input"),
        ("output_tokens", "output"),
        ("cache_read_input_tokens", "cache_read"),
        ("cache_creation_input_tokens", "cache_creation"),
        ("reasoning_output_tokens", "reasoning"),
    )
)
_FIRST_TOKEN_COUNT, _LAST_TOKEN_COUNT = _TOKENS[0][0], _TOKENS[-1][0] + 1


class Histogram:
    """How often a value fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Take one value in."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated, as Prometheus has them."""
        so_far, found = 0, []
        for bound, number in zip((*map(str, self._bounds), "+Inf"), self.counts, strict=True):
            so_far += number
            found.append((bound, float(so_far)))
        return found


class _Model:
    """What is counted for one model name."""

    __slots__ = ("cost", "duration", "first_token", "requests", "saved", "tokens")

    def __init__(self) -> None:
        self.requests: dict[tuple[str, int], int] = {}
        self.tokens = [0] * len(_TOKENS)
        self.cost = 0
        self.saved = 0
        self.duration = Histogram(DURATION_BUCKETS)
        self.first_token = Histogram(FIRST_TOKEN_BUCKETS)


class Metrics:
    """Counts rows, and is the ASGI app behind /metrics.

    `sink_state` is `Sink.state`; `more` returns other collectors' metric families, for example of the router.
    """

    def __init__(
        self,
        *,
        sink_state: Callable[[], Mapping[str, Any]] | None = None,
        more: Callable[[], Iterable[Any]] | None = None,
        precision: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self.in_progress = 0
        """Requests inside now."""
        self._sink_state = sink_state
        self._more = more
        self._precision = precision
        self._models: dict[str, _Model] = {}
        self._errors: dict[str, int] = {}
        self._cache: dict[str, int] = {}
        self._vetoes: dict[str, int] = {}
        self._redactions: dict[str, int] = {}
        self._redact_outcomes: dict[str, int] = {}
        self._leaks: dict[str, int] = {}
        self._restored = 0
        self._budget_refusals = 0
        self._overhead = Histogram(OVERHEAD_BUCKETS)
        self._registry: Any = None

    def count(self, row: Row) -> None:
        """Take one request's row in."""
        model = self._models.get(row[_MODEL]) or self._model(row[_MODEL])
        key = (row[_OPERATION], row[_STATUS])
        model.requests[key] = model.requests.get(key, 0) + 1
        model.duration.observe(row[_DURATION] * 1e-3)
        self._overhead.observe(row[_OVERHEAD] * 1e-3)
        if row[_FIRST_TOKEN] is not None:
            model.first_token.observe(row[_FIRST_TOKEN] * 1e-3)
        for index, number in enumerate(row[_FIRST_TOKEN_COUNT:_LAST_TOKEN_COUNT]):
            if number:
                model.tokens[index] += number
        model.cost += row[_COST]
        model.saved += row[_SAVED]
        if row[_CACHE]:
            _add(self._cache, row[_CACHE], 1)
        if row[_VETO]:
            _add(self._vetoes, row[_VETO], 1)
        if row[_ERROR]:
            _add(self._errors, row[_ERROR], 1)
        for kind, number in row[_REDACTIONS].items():
            _add(self._redactions, kind, number)
        self._restored += row[_RESTORED]
        if row[_REDACT_OUTCOME]:
            _add(self._redact_outcomes, row[_REDACT_OUTCOME], 1)
        for kind, number in row[_LEAKS].items():
            _add(self._leaks, kind, number)
        if row[_BUDGET_REFUSED]:
            self._budget_refusals += 1

    def _model(self, name: str) -> _Model:
        if len(self._models) >= MAX_LABELS:
            name = "other"
        return self._models.setdefault(name, _Model())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply with the metrics in Prometheus's text format."""
        body, media_type = self.exposition()
        headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def exposition(self) -> tuple[bytes, str]:
        """The metrics in Prometheus's text format, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self)
            ProcessCollector(registry=self._registry)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def collect(self) -> Iterator[Any]:
        """The metric families, as a prometheus_client collector gives them."""
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        models = self._models
        yield InfoMetricFamily("helix_build", "The version of Helix.", value={"version": __version__})
        yield GaugeMetricFamily("helix_requests_in_progress", "Requests inside now.", value=self.in_progress)
        yield _counter(
            "helix_requests",
            "Requests that have ended, by HTTP status; 499: the caller left.",
            ("model", "operation", "status"),
            (
                ((name, operation, str(status)), number)
                for name, model in models.items()
                for (operation, status), number in model.requests.items()
            ),
        )
        yield _counter("helix_errors", "Requests that ended in an error.", ("code",), _single(self._errors))
        yield _counter("helix_cache_requests", "What the cache did.", ("status",), _single(self._cache))
        yield _counter(
            "helix_cache_vetoes", "Nearest questions that a guard kept apart.", ("guard",), _single(self._vetoes)
        )
        yield _counter("helix_redactions", "Personal data taken out.", ("entity",), _single(self._redactions))
        yield _counter(
            "helix_redact_requests",
            "What the redact stage decided; passed: sent on unredacted in an outage.",
            ("outcome",),
            _single(self._redact_outcomes),
        )
        yield _counter(
            "helix_leaks", "Personal data in answers that was not in the request.", ("entity",), _single(self._leaks)
        )
        yield _counter("helix_restored", "Values put back into answers.", (), [((), self._restored)])
        yield _counter("helix_budget_refusals", "Refused for a budget.", (), [((), self._budget_refusals)])
        yield _counter(
            "helix_tokens",
            "Tokens; input includes cache_read and cache_creation, output includes reasoning.",
            ("model", "type"),
            (
                ((name, kind), number)
                for name, model in models.items()
                for (_, kind), number in zip(_TOKENS, model.tokens, strict=True)
            ),
        )
        cost = (((name,), model.cost / NANO_PER_USD) for name, model in models.items())
        yield _counter("helix_cost_usd", "Spending in USD.", ("model",), cost)
        saved = (((name,), model.saved / NANO_PER_USD) for name, model in models.items())
        yield _counter("helix_saved_usd", "What cache hits did not cost, in USD.", ("model",), saved)
        yield _histogram(
            "helix_request_duration_seconds",
            "Whole requests, from arrival to the last byte.",
            {name: model.duration for name, model in models.items()},
        )
        yield _histogram(
            "helix_time_to_first_token_seconds",
            "Streams, from arrival to the first event.",
            {name: model.first_token for name, model in models.items()},
        )
        yield _histogram("helix_overhead_seconds", "Helix's own part.", {"": self._overhead})
        if self._sink_state is not None:
            yield from _sink_families(self._sink_state())
        if self._precision is not None:
            yield from _precision_families(self._precision())
        if self._more is not None:
            yield from self._more()


def _precision_families(found: Mapping[str, Any]) -> Iterator[Any]:
    """How right the cache's hits from near were; nothing before the first check."""
    from prometheus_client.core import GaugeMetricFamily

    yield GaugeMetricFamily("helix_cache_checks", "Hits from near that were compared.", value=found["checks"])
    yield GaugeMetricFamily("helix_cache_checks_wrong", "Those of them that were wrong.", value=found["wrong"])
    if found["precision"] is not None:
        family = GaugeMetricFamily(
            "helix_cache_precision_ratio", "Share of hits from near that were right, 95 % interval.", labels=("bound",)
        )
        for bound, name in (("low", "precision_low"), ("estimate", "precision"), ("high", "precision_high")):
            family.add_metric((bound,), found[name])
        yield family


def _sink_families(state: Mapping[str, Any]) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    kinds = ("queued", "written", "spilled", "rejected", "lost")
    yield _counter("helix_telemetry_rows", "Rows, by what became of them.", ("state",), _single(state, kinds))
    yield GaugeMetricFamily("helix_telemetry_queue_rows", "Rows in memory.", value=state["waiting"])
    yield GaugeMetricFamily("helix_telemetry_backlog_batches", "Batches to write.", value=state["backlog"])
    is_up = 0 if state["error"] else 1
    yield GaugeMetricFamily("helix_telemetry_up", "1 while the store takes rows.", value=is_up)


def _add(counts: dict[str, int], label: str, number: int) -> None:
    if label not in counts and len(counts) >= MAX_LABELS:
        label = "other"
    counts[label] = counts.get(label, 0) + number


def _single(counts: Mapping[str, Any], names: Iterable[str] | None = None) -> list[tuple[tuple[str], float]]:
    return [((name,), counts[name]) for name in (counts if names is None else names)]


def _counter(name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Any:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def _histogram(name: str, text: str, by_model: Mapping[str, Histogram]) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, text, labels=() if "" in by_model and len(by_model) == 1 else ("model",))
    for model, histogram in by_model.items():
        labels = (model,) if family._labelnames else ()
        family.add_metric(labels, histogram.buckets(), histogram.total)
    return family
