"""`stream`: how long a stream's first event takes, and how long each later event is under way.

The upstream stamps every event with the time at which it wrote it, on the clock that the reader uses too. Helix runs as
for `passthrough`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from perf.load import Load
from perf.measure import ROUNDS, load_of, side_by_side, target
from perf.passthrough import WITH_PEERS, WITH_RAY, warm
from perf.peers import Gateway, Place, Start

__all__ = ["measure"]

# name → (connections, events a stream): short streams for many first events, long ones for the events in between
_SHAPES = {"first, 1": (1, 4), "first, 32": (32, 4), "events, 1": (1, 100), "events, 16": (16, 100)}


def measure(place: Place, seconds: float) -> dict[str, Any]:
    """Measure every gateway for `seconds` with each shape of streams."""
    found = {name: _block(place, starts, seconds) for name, starts in (("peers", WITH_PEERS), ("ray", WITH_RAY))}
    beside_bare = _difference(found["peers"]["gateways"], "helix", "bare", "first, 1")
    beside_one = _difference(found["ray"]["gateways"], "helix_ray", "helix", "first, 1")
    targets = [
        target("first event, helix − bare, p50 ms", beside_bare, at_most=2.0),
        target("first event, helix on Ray Serve − helix, p50 ms", beside_one, at_most=2.0),
    ]
    return {**found, "targets": targets}


def _block(place: Place, starts: Mapping[str, Start], seconds: float) -> dict[str, Any]:
    loads: dict[str, Callable[[Gateway, int], Load]] = {
        name: partial(_load, *shape, seconds / ROUNDS) for name, shape in _SHAPES.items()
    }
    side = side_by_side(place, starts, loads, prepare=warm, count=ROUNDS)
    results = side.results()
    more = {
        name: {load: _difference(results, name, "bare", load) for load in _SHAPES}
        for name in results
        if name not in ("direct", "bare")
    }
    return {"gateways": results, "more_than_bare_p50_ms": more, "missing": side.missing}


def _difference(results: Mapping[str, Any], name: str, other: str, load: str) -> float | None:
    """How much more one gateway's p50 is than another's, in milliseconds; None where one is missing or had errors."""
    figure = "first_ms" if load.startswith("first") else "event_ms"
    found = [results.get(which, {}).get(load, {}) for which in (name, other)]
    if not all(one.get("good") and figure in one for one in found):
        return None
    mine, others = (float(one[figure]["p50"]) for one in found)
    return round(mine - others, 3)


def _load(connections: int, events: int, seconds: float, gateway: Gateway, number: int) -> Load:
    return load_of(gateway.paced, "same", connections=connections, seconds=seconds, stream=True, max_tokens=events)
