"""Runs loads against gateways side by side in interleaved rounds, and puts the rounds together."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from perf.load import Load
from perf.peers import Gateway, Place, Start, Target, direct, stage
from perf.process import ROOT, Unavailable, free_port, pinned

__all__ = ["ROUNDS", "WARMUP_SECONDS", "Side", "load_of", "perform", "ratio", "side_by_side", "summarize", "target"]

ROUNDS = 5
WARMUP_SECONDS = 0.5
_MARGIN_SECONDS = 60.0
_MEDIANS = ("ms", "first_ms", "event_ms")


def load_of(to: Target, questions: str, *, connections: int, seconds: float, **more: Any) -> Load:
    """A load on one upstream route through a gateway."""
    return Load(
        port=to.port, path=to.path, model=to.model, headers=dict(to.headers), questions=questions,
        connections=connections, seconds=seconds, **more,
    )  # fmt: skip


def perform(load: Load, place: Place) -> dict[str, Any]:
    """Carry out one load in a process of its own. Raises Unavailable when the generator itself fails."""
    with pinned(place.load_cpus):
        done = subprocess.run(
            [sys.executable, "-m", "perf.load"],
            input=json.dumps(asdict(load)).encode(),
            capture_output=True,
            cwd=ROOT,
            timeout=load.warmup_seconds + load.seconds + _MARGIN_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Unavailable(f"the load generator failed: {' '.join(last)}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@dataclass(frozen=True)
class Side:
    """What was measured side by side: each round's reports by gateway and load, and what is missing, with why."""

    reports: dict[str, dict[str, list[dict[str, Any]]]]
    about: dict[str, dict[str, Any]]
    missing: dict[str, str]

    def results(self) -> dict[str, Any]:
        """What each gateway is, and one summary a load."""
        return {
            name: self.about[name] | {load: summarize(found) for load, found in by_load.items()}
            for name, by_load in self.reports.items()
        }


def side_by_side(
    place: Place,
    starts: Mapping[str, Start],
    loads: Mapping[str, Callable[[Gateway, int], Load]],
    *,
    prepare: Callable[[Gateway, Place], None],
    count: int,
) -> Side:
    """Start gateways before one upstream and put every load on each, round after round, so that all share the noise.

    `loads` maps a name to what makes the Load of one gateway and round. Raises Unavailable where the upstream, or the
    load generator, does not run; a gateway that does not is named as missing.
    """
    folder = Path(tempfile.mkdtemp(dir=place.folder))
    place = replace(place, folder=folder, upstream_port=free_port())
    with stage(place, {"direct": direct, **starts}) as (running, missing):
        if "direct" not in running:
            raise Unavailable(missing["direct"])
        gateways = {name: gateway for name, gateway in running.items() if name in starts}
        for name in list(gateways):
            try:
                prepare(gateways[name], place)
            except Unavailable as error:
                missing[name] = str(error)
                del gateways[name]
        reports: dict[str, dict[str, list[dict[str, Any]]]] = {name: {load: [] for load in loads} for name in gateways}
        for number in range(count):
            for load, make in loads.items():
                for name, gateway in gateways.items():
                    before = gateway.server.cpu_seconds()
                    report = perform(make(gateway, number), place)
                    taken = gateway.server.cpu_seconds() - before
                    report["cpu_ms"] = 1000 * taken / report["answered"] if report["answered"] else None
                    reports[name][load].append(report)
        return Side(reports, describe(gateways), missing)


def summarize(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One report of several rounds: the median of each figure over the rounds, sums of requests and errors."""
    found: dict[str, Any] = {"requests": sum(report["requests"] for report in reports)}
    for figure in _MEDIANS:
        values = [report[figure] for report in reports if report.get(figure)]
        if values:
            found[figure] = {key: round(median(value[key] for value in values), 3) for key in values[0]}
    rates = [report["rps"] for report in reports]
    found |= {"rps": round(median(rates), 1), "rps_rounds": rates}
    taken = [report["cpu_ms"] for report in reports if report.get("cpu_ms") is not None]
    if taken:
        found["cpu_ms"] = round(median(taken), 4)
    found["errors"] = _added(report["errors"] for report in reports)
    counted = [{tally: part["requests"] for tally, part in report.get("by", {}).items()} for report in reports]
    if any(counted):
        found["by"] = _added(counted)
    found["good"] = not found["errors"] and found["requests"] > 0
    return found


def ratio(reports: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> float | None:
    """The median over the rounds of one gateway's requests/s over another's; None where there is no good round."""
    pairs = [
        (one["rps"], other["rps"])
        for one, other in zip(reports, others, strict=True)
        if one["rps"] and other["rps"] and not one["errors"] and not other["errors"]
    ]
    return round(median(one / other for one, other in pairs), 3) if pairs else None


def describe(gateways: Mapping[str, Gateway]) -> dict[str, Any]:
    """What each gateway is, what it took to start, and what it holds in memory now."""
    return {
        name: {
            "version": gateway.version,
            "ready_in_seconds": gateway.server.started_in_seconds,
            "memory_mib": gateway.server.memory().total,
        }
        for name, gateway in gateways.items()
    }


def target(
    name: str, got: float | None, *, at_least: float | None = None, at_most: float | None = None
) -> dict[str, Any]:
    """A figure to reach, what was measured, and whether it is reached; `met` is None where nothing was measured."""
    met = None
    if got is not None:
        met = (at_least is None or got >= at_least) and (at_most is None or got <= at_most)
    want = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"
    return {"name": name, "want": want, "got": got, "met": met}


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for key, value in count.items():
            total[key] = total.get(key, 0) + value
    return total
