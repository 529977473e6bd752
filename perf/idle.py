"""`idle`: what Helix costs before it does anything: importing, starting, the first request, and memory at rest."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from perf.measure import target
from perf.peers import Gateway, Place, helix, post_chat
from perf.process import ROOT, Unavailable

__all__ = ["measure"]

_IMPORTS = 7
_HEAVY = frozenset(
    "aiohttp chdb clickhouse_connect gradio litellm numpy pandas presidio_analyzer ray redis redisvl "  # noqa: SIM905
    "sentence_transformers spacy torch transformers".split()
)
_IMPORT = """
import json, sys, time
begun = time.perf_counter()
import helix
taken = time.perf_counter() - begun
print(json.dumps({"ms": taken * 1000, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def measure(place: Place, seconds: float) -> dict[str, Any]:
    """Import Helix; start it as it comes (`helix up --no-ray`), let it rest for `seconds`; start it again."""
    imported = _imports()
    folder = Path(tempfile.mkdtemp(dir=place.folder))
    first = _start(replace(place, folder=folder), seconds)
    again = _start(replace(place, folder=folder), 0.0)
    memory = max(first["at_rest"]["rss_mib"], first["after_requests"]["rss_mib"])
    return {
        "import": imported,
        "first_start": first,
        "second_start": again,
        "targets": [
            target("import helix, ms", imported["median_ms"], at_most=150.0),
            target("heavy packages that it imports", float(len(imported["heavy"])), at_most=0.0),
            target("resident memory at rest, MiB", memory, at_most=1300 * 1e6 / 2**20),
            target("second start to the first answer, s", again["first_answer_after_seconds"], at_most=30.0),
        ],
    }


def _imports() -> dict[str, Any]:
    found = []
    for _ in range(_IMPORTS):
        done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode != 0:
            raise Unavailable(f"import helix: {' '.join(done.stderr.strip().splitlines()[-1:])}")
        found.append(json.loads(done.stdout))
    times = [one["ms"] for one in found]
    modules = found[0]["modules"]
    return {
        "median_ms": round(median(times), 2),
        "least_ms": round(min(times), 2),
        "heavy": sorted(_HEAVY.intersection(modules)),
        "modules": len(modules),
    }


def _start(place: Place, seconds: float) -> dict[str, Any]:
    with ExitStack() as stack:
        gateway = helix("default", {}, config=False)(place, stack)
        found: dict[str, Any] = {"ready_after_seconds": gateway.server.started_in_seconds, "ready": _memory(gateway)}
        first_ms, *others = [_ask(gateway, number) for number in range(5)]
        found |= {
            "first_request_ms": first_ms,
            "later_request_ms": round(median(others), 2),
            "first_answer_after_seconds": round(gateway.server.started_in_seconds + first_ms / 1000, 2),
            "after_requests": _memory(gateway),
        }
        cpu = gateway.server.cpu_seconds()
        time.sleep(seconds)
        if seconds:
            found["cpu_at_rest"] = round((gateway.server.cpu_seconds() - cpu) / seconds, 4)
        return found | {"at_rest": _memory(gateway)}


def _ask(gateway: Gateway, number: int) -> float:
    text = f"Question {number}: my e-mail is someone.{number}@example.com, when will my card arrive?"
    begun = time.perf_counter()
    answer = post_chat(gateway.plain, text, model="demo/echo")
    taken = time.perf_counter() - begun
    if f"someone.{number}@example.com" not in answer:
        raise Unavailable("the first requests were not answered with the caller's own values")
    return round(taken * 1000, 2)


def _memory(gateway: Gateway) -> dict[str, Any]:
    by_process = gateway.server.memory()
    return {"rss_mib": gateway.server.rss_mib(), "pss_mib": by_process.total, "pss_mib_by_process": by_process}
