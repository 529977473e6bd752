"""What looking for personal data costs: CPU time of one thread, texts never seen before, finders side by side."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from perf.pii.finders import Finder
from perf.pii.sets import of_length

__all__ = ["COUNTS", "repeated", "speed"]

COUNTS = {50: 120, 500: 60, 5000: 9}
"""How many texts of each length, in characters, a round takes."""

ROUNDS = 5
_WARMUP = 20


def speed(texts: Mapping[str, Sequence[str]], finders: Mapping[str, Finder], *, stock: str) -> dict[str, Any]:
    """Times by kind of text, length and finder, with ratios to `stock` in the same round.

    The finders take turns, round after round, so that all share the machine's noise. Within a round all are given the
    same texts, and each round has its own.
    """
    rng = random.Random(20)
    for finder in finders.values():
        finder.cpu_seconds(of_length(next(iter(texts.values())), 500, _WARMUP, random.Random(1)))
    in_threads = in_process = 0.0
    found: dict[str, Any] = {}
    for name, sources in texts.items():
        for length, count in COUNTS.items():
            rounds: dict[str, list[list[float]]] = {label: [] for label in finders}
            for _ in range(ROUNDS):
                given = list(of_length(sources, length, count, rng))
                for label, one in finders.items():
                    before = time.process_time()
                    rounds[label].append(one.cpu_seconds(given))
                    in_process += time.process_time() - before
                    in_threads += sum(rounds[label][-1])
            found[f"{name} {length}"] = {label: _figures(all_, rounds.get(stock)) for label, all_ in rounds.items()}
    # What a library does in threads of its own would go unseen.
    return {"times": found, "process_over_thread": round(in_process / in_threads, 3)}


def repeated(texts: Sequence[str], finder: Finder, *, turns: int = 20, characters: int = 500) -> dict[str, Any]:
    """CPU time of a turn of a conversation when it is new, and when it is sent again with the next turn."""
    rng = random.Random(21)
    new: list[float] = []
    again: list[float] = []
    for _ in range(ROUNDS):
        history = list(of_length(texts, characters, turns, rng))
        new += finder.cpu_seconds(history)
        again += finder.cpu_seconds(history)
    return {
        "turns": turns,
        "characters": characters,
        "new_p50_ms": round(1000 * median(new), 4),
        "again_p50_ms": round(1000 * median(again), 4),
    }


def _figures(rounds: Sequence[Sequence[float]], stock: Sequence[Sequence[float]] | None) -> dict[str, Any]:
    ordered = sorted(1000 * seconds for one in rounds for seconds in one)
    figures = {
        "p50_ms": round(median(ordered), 4),
        "p95_ms": round(ordered[round((len(ordered) - 1) * 0.95)], 4),
    }
    if stock is not None:
        ratios = [median(other) / median(one) for one, other in zip(rounds, stock, strict=True)]
        figures["times_stock"] = round(median(ratios), 2)
    return figures
