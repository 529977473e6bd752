"""`bound`: how close what a budget reserves for a request's input is to what the provider will count, and its cost.

Each text is one chat completion. What the provider counts is what OpenAI says that it does: the tokens of the text,
three round the message, one for its role, three before the answer (its cookbook, "How to count tokens with tiktoken").
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import orjson

from helix.budget.estimate import worst_case
from helix.budget.price import PriceTable
from helix.budget.tokens import Encoding, encodings_of, load
from helix.kernel.exchange import Exchange
from helix.kernel.types import Usage
from perf.measure import target
from perf.process import Unavailable

__all__ = ["measure"]

MODEL = "gpt-4o"
_AROUND = 7
_MOST = 2000  # texts of a file, evenly spaced: the sets are sorted by kind
_LONG = 8000  # characters
_MOST_LONG = 100
_MOST_US = 32.0  # a tenth of what a request may cost
_ROUNDS = 5


def measure(folder: Path) -> dict[str, Any]:
    """The bound over the tokens for the texts of every file in a folder, by bytes and by tokenizer."""
    files = sorted(folder.rglob("*.jsonl"))
    names = encodings_of([MODEL])
    encodings = [encoding for name in names if (encoding := load(name)) is not None]
    if not files or not encodings:
        raise Unavailable(f"no JSON Lines under {folder}, or no tokenizer installed")
    price = PriceTable.load()
    found: dict[str, Any] = {"model": MODEL}
    for file in files:
        texts = list(_texts(file))
        if texts:
            found[file.stem] = _over(texts[:: max(len(texts) // _MOST, 1)], encodings)
            long = list(_joined(texts))[:_MOST_LONG]
            found[file.stem]["long"] = _over(long, encodings) if len(long) > 1 else None
    requests = [_exchange(text) for text in ["word " * 50, "word " * 200, "word " * 2000]]
    sizes = price.find(MODEL)
    if sizes is None:
        raise Unavailable(f"the price table does not know {MODEL}")
    worst = worst_case(requests[0], sizes, 4096)
    usage = Usage(1200, 300, cached_input_tokens=1024, reasoning_tokens=100)
    found["us_a_request"] = {
        "bound_by_bytes": _us(lambda: worst_case(requests[1], sizes, 4096)),
        **{
            f"bound_by_tokenizer_{len(one.body)}_bytes": _us(partial(worst_case, one, sizes, 4096, encodings))
            for one in requests
        },
        "most_it_costs": _us(lambda: price.dearest(MODEL, worst)),
        "what_it_costs": _us(lambda: price(MODEL, usage)),
    }
    hot = found["us_a_request"]["bound_by_bytes"] + found["us_a_request"]["most_it_costs"]
    hot += found["us_a_request"]["what_it_costs"]
    sets = [found[file.stem] for file in files if file.stem in found]
    below = sum(one["below"] for every in sets for one in (every, every["long"]) if one)
    found["targets"] = [
        target("bounds below the tokens", below, at_most=0),
        target("µs of pricing a request on its way", round(hot, 1), at_most=_MOST_US),
    ]
    return found


def _over(texts: Sequence[str], encodings: Sequence[Encoding]) -> dict[str, Any]:
    by_bytes, by_tokens, more_bytes, more_tokens, below = [], [], [], [], 0
    for text in texts:
        real = encodings[0](text) + _AROUND
        one = _exchange(text)
        bounds = [worst_case(one, None, 1, found).input_tokens for found in ((), encodings)]
        by_bytes.append(bounds[0] / real)
        by_tokens.append(bounds[1] / real)
        more_bytes.append(bounds[0] - real)
        more_tokens.append(bounds[1] - real)
        below += min(bounds) < real
    return {
        "texts": len(texts),
        "by_bytes": _spread(by_bytes, more_bytes),
        "by_tokenizer": _spread(by_tokens, more_tokens),
        "below": below,
    }


def _spread(ratios: Sequence[float], more: Sequence[int]) -> dict[str, float]:
    p95 = round(quantiles(ratios, n=20)[-1], 2)
    return {"median": round(median(ratios), 2), "p95": p95, "more_tokens": round(median(more))}


def _joined(texts: Sequence[str]) -> Iterator[str]:
    """The same texts as long prompts, such as those with found documents in them."""
    parts: list[str] = []
    for text in texts:
        parts.append(text)
        if sum(map(len, parts)) >= _LONG:
            yield "\n\n".join(parts)
            parts = []


def _texts(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield from (row[key] for key in ("q", "a", "b", "text") if isinstance(row.get(key), str))


def _exchange(text: str) -> Exchange:
    body = orjson.dumps({"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": text}]})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    made = Exchange({"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}, receive)
    asyncio.run(made.read())
    return made


def _us(work: Callable[[], object]) -> float:
    """CPU time of one call in µs: the best of some rounds."""
    work()
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.thread_time()
        for _ in range(200):
            work()
        best = min(best, time.thread_time() - began)
    return round(best / 200 * 1e6, 1)
