"""`exact_hit`, `semantic_hit`, `full`: Helix alone, with its stages at work, against the local upstream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from perf.load import Load
from perf.measure import ROUNDS, WARMUP_SECONDS, load_of, perform, side_by_side, target
from perf.passthrough import CONNECTIONS
from perf.peers import Gateway, Place, Start, helix
from perf.process import Unavailable

__all__ = ["ALL_STAGES", "exact_hit", "full", "semantic_hit"]

_TALLY = "x-helix-cache"
_LEAST_SHARE = 0.9
_NO_CONSOLE: dict[str, Any] = {"console": {"enabled": False}}
ALL_STAGES: dict[str, Start] = {"all_stages": helix("all_stages", _NO_CONSOLE)}
_WITHOUT_REDACT: dict[str, Start] = {
    "without_redact": helix("without_redact", {**_NO_CONSOLE, "redact": {"enabled": False}})
}


def exact_hit(place: Place, seconds: float) -> dict[str, Any]:
    """The same questions word for word: with all stages on, and with redact off."""
    found = _measure(place, {**ALL_STAGES, **_WITHOUT_REDACT}, seconds, "repeated", expect="exact")
    found["targets"] = [
        target("exact hit, p50 ms at 1 connection", _figure(found, "1", "ms"), at_most=2.0),
        target("exact hit, requests/s at 32 connections", _figure(found, "32", "rps"), at_least=1000.0),
    ]
    return found


def semantic_hit(place: Place, seconds: float) -> dict[str, Any]:
    """Stored questions with other words round them, no two requests the same; all stages on."""
    return _measure(place, ALL_STAGES, seconds, "paraphrased", expect="semantic")


def full(place: Place, seconds: float) -> dict[str, Any]:
    """All stages on and every question new, half of them with an e-mail address that must come back."""
    return _measure(place, ALL_STAGES, seconds, "fresh", expect="miss")


def _measure(
    place: Place, starts: Mapping[str, Start], seconds: float, questions: str, *, expect: str
) -> dict[str, Any]:
    loads: dict[str, Callable[[Gateway, int], Load]] = {
        str(count): partial(_load, questions, count, seconds / ROUNDS) for count in CONNECTIONS
    }
    side = side_by_side(place, starts, loads, prepare=_fill, count=ROUNDS)
    results = side.results()
    for name in side.reports:
        for load in loads:
            # Another outcome here and there is the cache's judgement, and shown; a run of mostly others is not good.
            summary = results[name][load]
            share = summary.get("by", {}).get(expect, 0) / max(1, summary["requests"])
            summary |= {f"{expect}_share": round(share, 4), "good": summary["good"] and share >= _LEAST_SHARE}
    return {"gateways": results, "missing": side.missing}


def _figure(found: Mapping[str, Any], load: str, figure: str) -> float | None:
    summary = found["gateways"].get("all_stages", {}).get(load, {})
    if not summary.get("good"):
        return None
    return float(summary["ms"]["p50"] if figure == "ms" else summary[figure])


def _fill(gateway: Gateway, place: Place) -> None:
    """Have the stored questions answered, twice over, so that models are loaded and entries stored."""
    for _ in range(2):
        report = perform(load_of(gateway.plain, "bases", connections=1, seconds=60.0, warmup_seconds=0.0), place)
        if report["errors"]:
            raise Unavailable(f"it did not answer the first questions: {report['errors']}")


def _load(questions: str, connections: int, seconds: float, gateway: Gateway, number: int) -> Load:
    seed = number * len(CONNECTIONS) + CONNECTIONS.index(connections)
    more = {"warmup_seconds": WARMUP_SECONDS, "seed": seed, "tally": _TALLY}
    return load_of(gateway.plain, questions, connections=connections, seconds=seconds, **more)
