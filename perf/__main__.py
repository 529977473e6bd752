"""`python -m perf NAME`: measures, prints a table, and as the last line one JSON object.

Exit codes: 0 measured, 1 something that was to be measured did not run or answered wrongly, 2 a wrong argument.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perf import (
    bound,
    embed,
    idle,
    ledger,
    million,
    passthrough,
    pii,
    race,
    redact,
    roundtrip,
    semcache,
    soak,
    stages,
    stampede,
    stream,
    table,
)
from perf.peers import Place, helix
from perf.process import ROOT, Unavailable, status_of

Options = argparse.Namespace
Measure = Callable[[Place, Options], dict[str, Any]]

RESULTS = ROOT / "perf" / "results" / "latest.json"
_DATA = ROOT.parent / "shared" / "data"
QUESTIONS = _DATA / "semcache" / "banking77_dev.jsonl"
_PORT = 8000


def _replay(place: Place, options: Options) -> dict[str, Any]:
    # Imported here: the official client takes a second to import, and the other measurements do without.
    from perf.replay import replay

    with ExitStack() as stack:
        origin, key = options.base_url, _master_key()
        if origin is None and _answers(_PORT) and key:
            origin = f"http://127.0.0.1:{_PORT}"
        if origin is None:
            gateway = helix("replay", {}, config=False)(place, stack)
            origin, key = f"http://127.0.0.1:{gateway.plain.port}", gateway.master_key
        if not key:
            raise Unavailable("no master key: set HELIX_MASTER_KEY, or HELIX_DATA_DIR to the gateway's data folder")
        report = replay(origin.rstrip("/"), key, options.file, count=options.count or 1000, model=options.model)
    return report | {"gateway": origin, "file": options.file.name}


NAMES: dict[str, Measure] = {
    "passthrough": lambda place, options: passthrough.measure(place, options.seconds or 10.0),
    "exact_hit": lambda place, options: stages.exact_hit(place, options.seconds or 10.0),
    "semantic_hit": lambda place, options: stages.semantic_hit(place, options.seconds or 10.0),
    "full": lambda place, options: stages.full(place, options.seconds or 10.0),
    "redact": lambda place, options: redact.measure(place, options.seconds or 10.0),
    "stream": lambda place, options: stream.measure(place, options.seconds or 10.0),
    "idle": lambda place, options: idle.measure(place, options.seconds or 20.0),
    "soak": lambda place, options: soak.measure(place, options.seconds or 600.0, options.rate),
    "replay": _replay,
    "pii": lambda place, options: pii.measure(options.data),
    "roundtrip": lambda place, options: roundtrip.measure(
        options.count or 10_000, options.data, options.seed, options.strategy
    ),
    "embed": lambda place, options: embed.measure(options.data),
    "bound": lambda place, options: bound.measure(options.data),
    "stampede": lambda place, options: stampede.measure(place, options.count or 200),
    "semcache": lambda place, options: semcache.measure(options.data, options.seed),
    "race": lambda place, options: race.measure(place.folder),
    "ledger": lambda place, options: ledger.measure(place.folder, options.count or 1_000_000),
    "million": lambda place, options: million.measure(place.folder, options.entries),
}
_ON_ALL_CPUS = {
    "bound",
    "replay",
    "idle",
    "soak",
    "pii",
    "roundtrip",
    "embed",
    "semcache",
    "million",
    "ledger",
    "stampede",
}
_NOT_IN_ALL = {"million", "soak", "roundtrip"}
_PEERS = ("litellm", "litellm_presidio", "portkey")


def main() -> int:
    """Measure what the arguments name."""
    # Told to end (by `timeout`, say), it ends what it started, as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = _arguments()
    names = [options.name]
    if options.name == "all":
        left_out = _NOT_IN_ALL if options.data.is_dir() else _NOT_IN_ALL | {"bound", "pii", "embed", "semcache"}
        names = [name for name in NAMES if name not in left_out]
    results: dict[str, Any] = {}
    cpus = sorted(os.sched_getaffinity(0))
    pinned = not options.unpinned and len(cpus) > 1
    for name in names:
        if not options.json:
            print(f"measuring {name} …", flush=True)
        with tempfile.TemporaryDirectory(prefix="helix-perf-") as folder:
            # These are no comparisons, so nothing has to keep out of another's way.
            apart = pinned and name not in _ON_ALL_CPUS
            place = Place(Path(folder), tuple(cpus[:1]) if apart else (), tuple(cpus[1:2]) if apart else ())
            try:
                results[name] = NAMES[name](place, options)
            except Unavailable as error:
                results[name] = {"unavailable": str(error)}
        if not options.json:
            table.show(name, results[name])
    found = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": _machine(len(cpus), pinned)}
    if options.name == "all":
        found["results"] = results
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    else:
        found |= {"name": options.name, "result": results[options.name]}
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))
    return 0 if all(_is_good(result) for result in results.values()) else 1


def _is_good(result: dict[str, Any]) -> bool:
    """Whether it ran, its books balance, and Helix answered without errors; a target that is missed is no failure."""
    if "unavailable" in result or result.get("faults"):
        return False
    blocks = [block for block in (result, *result.values()) if isinstance(block, dict) and "gateways" in block]
    ours = [
        one
        for block in blocks
        for name, found in block["gateways"].items()
        if name not in ("direct", "bare", *_PEERS)
        for one in found.values()
        if isinstance(one, dict)
    ]
    absent = [name for block in blocks for name in block["missing"] if name not in _PEERS]
    return not absent and all(one["good"] for one in ours)


def _machine(cpus: int, pinned: bool) -> dict[str, Any]:
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpus": cpus, "model": model, "python": platform.python_version(), "pinned": pinned}


def _master_key() -> str:
    file = Path(os.environ.get("HELIX_DATA_DIR") or ROOT / ".helix") / "master.key"
    return os.environ.get("HELIX_MASTER_KEY") or (file.read_text().strip() if file.exists() else "")


def _answers(port: int) -> bool:
    try:
        return status_of(port, "/health/ready") == 200
    except OSError:
        return False


def _arguments() -> Options:
    parser = argparse.ArgumentParser(prog="python -m perf", description=__doc__)
    parser.add_argument(
        "name", choices=[*NAMES, "all"], help="what to measure; all leaves the long soak and roundtrip out"
    )
    parser.add_argument("--seconds", type=float, help="measured time a gateway and load, in all rounds together")
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    parser.add_argument("--unpinned", action="store_true", help="let gateways and load run on all CPUs")
    parser.add_argument("--rate", type=float, default=100.0, help="soak: requests a second")
    parser.add_argument("--file", type=Path, default=QUESTIONS, help="replay: JSON Lines with q, or a and b")
    parser.add_argument("--base-url", help="replay: the gateway; without it the one on port 8000, else one is started")
    parser.add_argument(
        "--count",
        type=int,
        help="replay: how many requests (1,000); roundtrip: conversations (10,000); ledger: keys (1,000,000)",
    )
    parser.add_argument("--model", default="demo/echo", help="replay: the model; one that restates the question")
    parser.add_argument(
        "--data",
        type=Path,
        default=_DATA,
        help="pii, embed, semcache: the folder with their texts; all leaves them out without",
    )
    parser.add_argument("--entries", type=int, default=1_000_000, help="million: how many answers, 10,000 or more")
    parser.add_argument("--seed", type=int, default=0, help="roundtrip: other conversations; semcache: other orders")
    parser.add_argument("--strategy", choices=["placeholder", "surrogate"], default="placeholder", help="roundtrip")
    parser.add_argument("--out", type=Path, help="write the JSON object to this file too")
    options = parser.parse_args()
    if options.seconds is not None and options.seconds <= 0:
        parser.error("--seconds must be above 0")
    if options.entries < 10_000:
        parser.error("--entries must be 10000 or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
