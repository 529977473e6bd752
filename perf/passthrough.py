"""`passthrough`: requests per second and latency of gateways that forward everything.

Helix has telemetry, admit and budget on (a real key with a budget), redact and cache off. Helix on Ray Serve is
measured in rounds of its own, beside the bare proxy and Helix in one process, since Ray's processes need CPU even while
they are idle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from perf.load import Load
from perf.measure import ROUNDS, WARMUP_SECONDS, load_of, perform, ratio, side_by_side, target
from perf.peers import PEERS, Gateway, Place, Start, helix

__all__ = ["CONNECTIONS", "WITH_PEERS", "WITH_RAY", "measure", "warm"]

CONNECTIONS = (1, 32)
BLOCKS: dict[str, Any] = {"redact": {"enabled": False}, "cache": {"enabled": False}, "console": {"enabled": False}}
WITH_PEERS: dict[str, Start] = {**PEERS, "helix": helix("helix", BLOCKS)}
WITH_RAY: dict[str, Start] = {
    "bare": PEERS["bare"],
    "helix": helix("helix", BLOCKS),
    "helix_ray": helix("helix_ray", BLOCKS, ray=True),
}
_FIRST_WARMUP_SECONDS = 3.0


def measure(place: Place, seconds: float) -> dict[str, Any]:
    """Measure every gateway for `seconds` at each number of connections."""
    found = {name: _block(place, starts, seconds) for name, starts in (("peers", WITH_PEERS), ("ray", WITH_RAY))}
    ratios = found["peers"]["ratios"]
    wanted = (("litellm", 30.0), ("portkey", 3.0), ("bare", 0.5))
    targets = []
    for other, want in wanted:
        got = ratios.get(f"helix/{other}", {}).get("32")
        targets.append(target(f"helix ÷ {other}, requests/s at 32 connections", got, at_least=want))
    return {**found, "targets": targets}


def _block(place: Place, starts: Mapping[str, Start], seconds: float) -> dict[str, Any]:
    loads: dict[str, Callable[[Gateway, int], Load]] = {
        str(count): partial(_load, count, seconds / ROUNDS) for count in CONNECTIONS
    }
    side = side_by_side(place, starts, loads, prepare=warm, count=ROUNDS)
    ratios = {
        f"{name}/{other}": {load: ratio(side.reports[name][load], side.reports[other][load]) for load in loads}
        for name in side.reports
        if name.startswith("helix")
        for other in side.reports
        if other not in ("direct", name)
    }
    return {"gateways": side.results(), "ratios": ratios, "missing": side.missing}


def warm(gateway: Gateway, place: Place) -> None:
    """Ask for a while without measuring: compilers, connection pools and caches settle."""
    seconds = _FIRST_WARMUP_SECONDS
    perform(load_of(gateway.plain, "same", connections=8, seconds=seconds, warmup_seconds=0.0), place)


def _load(connections: int, seconds: float, gateway: Gateway, number: int) -> Load:
    return load_of(gateway.plain, "same", connections=connections, seconds=seconds, warmup_seconds=WARMUP_SECONDS)
