"""`soak`: does memory grow? A steady rate of mixed requests through all stages, memory sampled all the while.

New entries of the cache and new rows of ClickHouse are data and do grow; memory is told apart by process.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from perf.measure import load_of, perform, target
from perf.peers import Gateway, Place, direct, helix, stage
from perf.process import Memory, Unavailable, free_port

__all__ = ["measure"]

_CONNECTIONS = 16
_SAMPLE_SECONDS = 5.0
_TALLY = "x-helix-cache"


def measure(place: Place, seconds: float, rate: float) -> dict[str, Any]:
    """Send `rate` requests a second for `seconds`; compare memory in the second tenth of the time and in the last."""
    place = replace(place, folder=Path(tempfile.mkdtemp(dir=place.folder)), upstream_port=free_port())
    with stage(place, {"direct": direct, "all_stages": helix("all_stages", {})}) as (running, missing):
        if missing:
            raise Unavailable("; ".join(f"{name}: {reason}" for name, reason in missing.items()))
        gateway = running["all_stages"]
        warmup = min(30.0, seconds / 10)
        more = {"rate": rate, "warmup_seconds": warmup, "tally": _TALLY}
        load = load_of(gateway.plain, "mixed", connections=_CONNECTIONS, seconds=seconds, **more)
        with ThreadPoolExecutor(1) as pool:
            samples, report = _watch(gateway, pool.submit(perform, load, place))
    growth = {name: _growth([sample.get(name, 0.0) for sample in samples]) for name in samples[-1]}
    whole = _growth([sample.total for sample in samples])
    report.pop("load")
    faults = [f"{number} × {kind}" for kind, number in report["errors"].items() if number]
    return {
        "faults": faults if report["answered"] else [*faults, "nothing was answered"],
        "rate": rate,
        "load": report,
        "samples": len(samples),
        "pss_mib_first": samples[0].total,
        "pss_mib_last": samples[-1].total,
        "growth": whole,
        "growth_by_process": growth,
        "targets": [
            target("growth of memory", whole, at_most=0.05),
            target("errors", float(sum(report["errors"].values())), at_most=0.0),
        ],
    }


def _watch(gateway: Gateway, load: Future[dict[str, Any]]) -> tuple[list[Memory], dict[str, Any]]:
    samples = [gateway.server.memory()]
    while True:
        try:
            return samples, load.result(timeout=_SAMPLE_SECONDS)
        except NotYet:
            samples.append(gateway.server.memory())


def _growth(samples: list[float]) -> float:
    """The last tenth over the second tenth, less one."""
    tenth = max(1, len(samples) // 10)
    before, after = median(samples[tenth : 2 * tenth] or samples[:1]), median(samples[-tenth:])
    return round(after / before - 1, 4) if before else 0.0
