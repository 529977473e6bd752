"""`replay`: real questions through a running gateway with the official client, and the books checked afterwards.

Half of the questions are streamed; every third carries made-up personal data, every fifth repeats an earlier one (with
other personal data, where it had any), one in a hundred asks for a model that does not exist. What came back is counted
from the answers themselves. Every answer and every refusal must be a row in ClickHouse.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI

from perf.peers import call_admin
from perf.personal import KINDS, LEFTOVER, found_in, insert
from perf.process import Unavailable

__all__ = ["Ask", "plan", "questions_of", "replay"]

UNKNOWN_MODEL = "perf/no-such-model"
_IN_FLIGHT = 6
_ROWS_SECONDS = 60.0
_POLL_SECONDS = 0.5
_COMBINATIONS = (("EMAIL_ADDRESS",), ("CREDIT_CARD",), ("PHONE_NUMBER",), tuple(KINDS))


@dataclass(frozen=True)
class Ask:
    """One request to send."""

    text: str
    values: dict[str, str] = field(default_factory=dict)
    stream: bool = False
    model: str = ""


@dataclass
class Outcome:
    """What came of one request. `error` is empty for an answer; `refused` tells a refusal from a failure."""

    ask: Ask
    text: str = ""
    cache: str = ""
    redactions: Counter[str] = field(default_factory=Counter)
    error: str = ""
    refused: bool = False


def questions_of(path: Path) -> Iterator[str]:
    """The questions of a JSON Lines file: field `q`, or `a` and `b`. Raises Unavailable."""
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield from (row[name] for name in ("q", "a", "b") if name in row)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from None


def plan(questions: Sequence[str], count: int, *, model: str, seed: int) -> list[Ask]:
    """What to send, in order; the same for the same seed."""
    rng = random.Random(seed)
    fresh = cycle(questions)
    combinations = cycle(_COMBINATIONS)
    told: list[tuple[str, tuple[str, ...]]] = []
    asks = []
    for number in range(count):
        if number % 5 == 4 and told:
            text, kinds = rng.choice(told)
        else:
            text, kinds = next(fresh), next(combinations) if number % 3 == 0 else ()
            told.append((text, kinds))
        filled, values = insert(text, kinds, rng)
        asks.append(Ask(filled, values, number % 2 == 1, UNKNOWN_MODEL if number % 100 == 99 else model))
    return asks


def replay(origin: str, master_key: str, file: Path, *, count: int, model: str, seed: int = 0) -> dict[str, Any]:
    """Send `count` requests and check the books. Raises Unavailable."""
    # Repeats come from the plan, not from reading the file twice: take as many questions as can be asked.
    questions = list(islice(questions_of(file), count))
    if not questions:
        raise Unavailable(f"{file} holds no questions")
    asks = plan(questions, count, model=model, seed=seed)
    budget = {"limit_usd": 1000, "window": "total"}
    key = call_admin(origin, "POST", "/helix/keys", master_key, {"name": "replay", "budgets": [budget]})
    begun = time.monotonic()
    outcomes = asyncio.run(_send(origin, key["key"], asks))
    seconds = time.monotonic() - begun
    report = _count(outcomes) | {"seconds": round(seconds, 1)}
    rows = _rows(origin, master_key, key["id"], report["answered"] + report["refused"])
    report |= {
        "rows": len(rows),
        "rows_by_cache": dict(Counter(row["cache"] or "none" for row in rows)),
        "rows_restored": sum(row["restored"] for row in rows),
        "cost_usd": round(sum(row["cost_usd"] for row in rows), 9),
        "saved_usd": round(sum(row["saved_usd"] for row in rows), 9),
    }
    call_admin(origin, "DELETE", f"/helix/keys/{key['id']}", master_key)
    report["faults"] = _faults(report)
    return report


async def _send(origin: str, key: str, asks: Sequence[Ask]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    waiting = iter(asks)
    async with AsyncOpenAI(base_url=f"{origin}/v1", api_key=key, max_retries=0, timeout=60.0) as client:

        async def work() -> None:
            for ask in waiting:
                outcomes.append(await _one(client, ask))

        async with asyncio.TaskGroup() as group:
            for _ in range(_IN_FLIGHT):
                group.create_task(work())
    return outcomes


async def _one(client: AsyncOpenAI, ask: Ask) -> Outcome:
    outcome = Outcome(ask)
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model=ask.model, messages=[{"role": "user", "content": ask.text}], stream=ask.stream
        )
        outcome.cache = raw.headers.get("x-helix-cache", "")
        for part in filter(None, raw.headers.get("x-helix-redactions", "").split(",")):
            kind, _, number = part.partition("=")
            outcome.redactions[kind.strip()] += int(number)
        answer: Any = raw.parse()
        if ask.stream:
            async for chunk in answer:
                outcome.text += "".join(choice.delta.content or "" for choice in chunk.choices)
        else:
            outcome.text = answer.choices[0].message.content or ""
    except APIStatusError as error:
        outcome.error = f"{error.status_code} {error.code or ''}".strip()
        # Only a model that is not served is refused on purpose; an outage is no refusal.
        outcome.refused = error.code == "model_not_found"
    except APIConnectionError as error:
        outcome.error = f"connection: {type(error.__cause__ or error).__name__}"
    except APIError as error:
        outcome.error = f"stream: {error.code or type(error).__name__}"
    return outcome


def _count(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    answered = [outcome for outcome in outcomes if not outcome.error]
    caches = Counter(outcome.cache or "none" for outcome in answered)
    redactions: Counter[str] = sum((outcome.redactions for outcome in answered), Counter())
    inserted: Counter[str] = Counter()
    restored: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    foreign = leftover = empty = 0
    for outcome in answered:
        inserted.update(list(outcome.ask.values))
        back = {kind for kind, value in outcome.ask.values.items() if value in outcome.text}
        restored.update(back)
        # An answer to another wording need not restate what this one said.
        if outcome.cache != "semantic":
            lost.update(set(outcome.ask.values) - back)
        foreign += len(found_in(outcome.text) - set(outcome.ask.values.values()))
        leftover += len(LEFTOVER.findall(outcome.text))
        empty += not outcome.text.strip()
    return {
        "sent": len(outcomes),
        "streamed": sum(outcome.ask.stream for outcome in outcomes),
        "answered": len(answered),
        "refused": sum(outcome.refused for outcome in outcomes),
        "refusals": dict(Counter(outcome.error for outcome in outcomes if outcome.refused)),
        "failures": dict(Counter(outcome.error for outcome in outcomes if outcome.error and not outcome.refused)),
        "exact_hits": caches["exact"],
        "semantic_hits": caches["semantic"],
        "misses": caches["miss"],
        "other": sum(number for cache, number in caches.items() if cache not in ("exact", "semantic", "miss")),
        "redactions": dict(redactions),
        "inserted": dict(inserted),
        "restored": dict(restored),
        "restored_total": restored.total(),
        "lost": dict(lost),
        "values_of_others": foreign,
        "placeholders_left": leftover,
        "empty_answers": empty,
    }


def _rows(origin: str, master_key: str, key_id: str, wanted: int) -> list[dict[str, Any]]:
    """The rows of the key, once there are as many as wanted or no more come."""
    deadline = time.monotonic() + _ROWS_SECONDS
    while True:
        rows: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            page = call_admin(origin, "GET", f"/helix/requests?key={key_id}&limit=500{more}", master_key)
            rows += page["data"]
            cursor = page["next_cursor"]
        if len(rows) >= wanted or time.monotonic() > deadline:
            return rows
        time.sleep(_POLL_SECONDS)


def _faults(report: dict[str, Any]) -> list[str]:
    """What is wrong with the books; empty where they balance."""
    whole = report["answered"] + report["refused"]
    checks = {
        f"answered + refused is {whole}, sent {report['sent']}": whole == report["sent"],
        f"rows in ClickHouse are {report['rows']}, answered + refused {whole}": report["rows"] == whole,
        f"{report['values_of_others']} values of other callers in answers": report["values_of_others"] == 0,
        f"{report['placeholders_left']} placeholders left in answers": report["placeholders_left"] == 0,
        f"values that did not come back: {report['lost']}": not report["lost"],
        f"{report['empty_answers']} empty answers": report["empty_answers"] == 0,
    }
    return [fault for fault, holds in checks.items() if not holds]
