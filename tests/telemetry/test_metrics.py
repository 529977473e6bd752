"""What Prometheus is shown."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from helix.telemetry.metrics import MAX_LABELS, Metrics
from helix.telemetry.models import ModelNames
from helix.telemetry.row import token

from .rows import make_row


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample by its name and labels, as a Prometheus server reads them."""
    text = metrics.exposition()[0].decode()
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_request_is_counted_in_base_units() -> None:
    """Seconds, USD and tokens, by model."""
    metrics = Metrics()
    metrics.count(
        make_row(
            duration_ms=30.0,
            overhead_ms=2.0,
            first_token_ms=20.0,
            cost_nano_usd=1_500_000_000,
            saved_nano_usd=500_000_000,
            cache_status="exact",
            redactions={"PERSON": 2},
            restored=1,
            cache_read_input_tokens=5,
        )
    )
    found = samples(metrics)
    assert found["helix_requests_total{model=gpt-4o,operation=chat,status=200}"] == 1
    assert found["helix_cost_usd_total{model=gpt-4o}"] == 1.5
    assert found["helix_saved_usd_total{model=gpt-4o}"] == 0.5
    assert found["helix_tokens_total{model=gpt-4o,type=input}"] == 10
    assert found["helix_tokens_total{model=gpt-4o,type=output}"] == 20
    assert found["helix_tokens_total{model=gpt-4o,type=cache_read}"] == 5
    assert found["helix_cache_requests_total{status=exact}"] == 1
    assert found["helix_redactions_total{entity=PERSON}"] == 2
    assert found["helix_restored_total{}"] == 1
    assert found["helix_request_duration_seconds_sum{model=gpt-4o}"] == pytest.approx(0.03)
    assert found["helix_request_duration_seconds_bucket{le=0.025,model=gpt-4o}"] == 0
    assert found["helix_request_duration_seconds_bucket{le=0.05,model=gpt-4o}"] == 1
    assert found["helix_time_to_first_token_seconds_count{model=gpt-4o}"] == 1
    assert found["helix_overhead_seconds_bucket{le=0.001}"] == 0
    assert found["helix_overhead_seconds_bucket{le=0.0025}"] == 1


def test_errors_and_refusals_are_counted() -> None:
    """Errors by code; refusals for a budget without naming whose."""
    metrics = Metrics()
    metrics.count(make_row(status=429, error_code="budget_exceeded", budget_refused="somebody's budget"))
    found = samples(metrics)
    assert found["helix_errors_total{code=budget_exceeded}"] == 1
    assert found["helix_budget_refusals_total{}"] == 1
    assert "somebody" not in metrics.exposition()[0].decode()


def test_the_sink_is_shown() -> None:
    """What became of the rows, and whether the store takes them."""
    state = {
        "queued": 9,
        "written": 5,
        "spilled": 4,
        "rejected": 0,
        "lost": 0,
        "waiting": 3,
        "backlog": 2,
        "error": "x",
    }
    found = samples(Metrics(sink_state=lambda: state))
    assert found["helix_telemetry_rows_total{state=spilled}"] == 4
    assert found["helix_telemetry_queue_rows{}"] == 3
    assert found["helix_telemetry_backlog_batches{}"] == 2
    assert found["helix_telemetry_up{}"] == 0


def test_labels_do_not_grow() -> None:
    """However many models, kinds and codes come by, the series stay under a cap."""
    metrics = Metrics()
    for n in range(MAX_LABELS * 2):
        metrics.count(make_row(request_model=f"m{n}", error_code=f"e{n}", redactions={f"K{n}": 1}))
    found = samples(metrics)
    models = [name for name in found if name.startswith("helix_cost_usd_total")]
    assert len(models) <= MAX_LABELS + 1
    assert found["helix_cost_usd_total{model=other}"] > 0
    assert len([name for name in found if name.startswith("helix_errors_total")]) <= MAX_LABELS + 1


async def test_the_metrics_page() -> None:
    """The metrics are an ASGI app of their own."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Metrics()), base_url="http://helix") as client:
        reply = await client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert "helix_build_info" in reply.text


def test_model_names_that_are_configured_pass() -> None:
    """A configured name passes in any case; a pattern needs an answer; anything else is "other"."""
    names = ModelNames(["gpt-4o", "openai/*"])
    assert names("gpt-4o", is_served=False) == "gpt-4o"
    assert names("openai/o3", is_served=False) == "other"
    assert names("openai/o3", is_served=True) == "openai/o3"
    assert names("openai/o3", is_served=False) == "openai/o3"
    assert names("claude", is_served=True) == "other"
    assert names("", is_served=False) == ""


def test_without_configured_models_an_answer_vouches_for_a_name() -> None:
    """In a bare app, a name that somebody serves and that looks like one passes."""
    names = ModelNames()
    assert names("gpt-4o", is_served=True) == "gpt-4o"
    assert names("what is my name? Ann", is_served=True) == "other"
    assert names("gpt-5", is_served=False) == "other"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("stop", "stop"), (None, ""), ("", ""), ("a b", "other"), ("x" * 129, "other"), (5, "other"), ("ä", "other")],
)
def test_words_from_outside(value: object, expected: str) -> None:
    """What looks like an identifier passes."""
    assert token(value) == expected


def test_guards_are_counted() -> None:
    """A nearest question that a guard kept apart counts under the guard's name; a request without one under none."""
    metrics = Metrics()
    for values in ({"cache_veto": "numbers"}, {"cache_veto": "numbers"}, {}):
        metrics.count(make_row(**values))
    found = {name: value for name, value in samples(metrics).items() if name.startswith("helix_cache_vetoes")}
    assert found == {"helix_cache_vetoes_total{guard=numbers}": 2}


def test_the_precision_of_the_cache_with_its_interval() -> None:
    """What checks have shown of hits from near is told with both ends of its interval; nothing before the first."""
    found = {"checks": 40, "wrong": 1, "precision": 0.975, "precision_low": 0.87, "precision_high": 0.996}
    text = Metrics(precision=lambda: found).exposition()[0].decode()
    assert 'helix_cache_precision_ratio{bound="low"} 0.87' in text
    assert 'helix_cache_precision_ratio{bound="high"} 0.996' in text
    assert "helix_cache_checks_wrong 1.0" in text
    unknown = {"checks": 0, "wrong": 0, "precision": None, "precision_low": None, "precision_high": None}
    assert "helix_cache_precision_ratio" not in Metrics(precision=lambda: unknown).exposition()[0].decode()
