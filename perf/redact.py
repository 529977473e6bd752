"""`redact`: what taking personal data out, and putting it back, costs the whole gateway.

`whole`: requests a second at 32 connections of Helix, with redaction and without caching, beside LiteLLM's proxy with
its own guardrail that calls Presidio's services. The upstream refuses a request in which it finds a made-up value, and
the load counts an answer without its own values as wrong, so that what is measured did mask, and did restore. LiteLLM
restores some answers wrongly, where Presidio's findings overlap (digits of a card or an address as a telephone number):
they are shown as errors, and in the ratio count as if they were right.

`stream`: Helix with redaction beside Helix without: a stream's first event, where every request holds other personal
data; and the CPU time that an event costs when nothing in it is to be restored, and that comes before the first, by
themselves in this process: on a machine that others use at the same time, they say more than the clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

import orjson

from helix.kernel.sse import DONE, encode
from helix.kernel.types import Message, Receive, Scope, Send
from helix.kernel.wire import CHAT
from helix.redact import RedactMiddleware
from perf.load import Load
from perf.measure import ROUNDS, WARMUP_SECONDS, load_of, perform, ratio, side_by_side, target
from perf.peers import PERSONAL_KINDS, Gateway, Place, Start, helix, litellm_presidio
from perf.personal import found_in
from perf.questions import body_of, personal

__all__ = ["measure"]

CONNECTIONS = 32
_OFF: dict[str, Any] = {"cache": {"enabled": False}, "console": {"enabled": False}}
_ON = {**_OFF, "redact": {"entities": dict.fromkeys(PERSONAL_KINDS, "placeholder")}}
_STARTS: dict[str, Start] = {
    "litellm_presidio": litellm_presidio,
    "helix": helix("helix", _ON),
    "helix_default": helix("helix_default", _OFF),
}
_WITH_AND_WITHOUT: dict[str, Start] = {
    "helix": helix("helix", _ON),
    "helix_off": helix("helix_off", {**_OFF, "redact": {"enabled": False}}),
}
_SHAPES = {"first, 1": (1, 4), "events, 16": (16, 100)}
_PREPARE_SECONDS = 3.0
_EVENTS = 20_000
_QUESTIONS = 300


def measure(place: Place, seconds: float) -> dict[str, Any]:
    """Measure every gateway for `seconds`, and what an event costs."""
    whole, ratios = _whole(place, seconds)
    stream, first = _stream(place, seconds)
    event_us = min(_event_us() for _ in range(ROUNDS))
    question_ms = asyncio.run(_question_ms())
    asked = f"requests/s at {CONNECTIONS} connections"
    targets = [
        target(f"helix ÷ litellm with Presidio over HTTP, {asked}", ratios["helix/litellm_presidio"], at_least=10.0),
        target("first event, with redaction − without, p50 ms", first, at_most=1.0),
        target("CPU ms before the first event, new prompts, p50", round(question_ms, 3), at_most=1.0),
        target("CPU µs an event when nothing is restored", round(event_us, 2), at_most=20.0),
    ]
    return {"whole": whole, "stream": stream, "targets": targets}


def _whole(place: Place, seconds: float) -> tuple[dict[str, Any], dict[str, float | None]]:
    load = f"{CONNECTIONS}, mixed prompts"
    loads: dict[str, Callable[[Gateway, int], Load]] = {load: partial(_conversations, seconds / ROUNDS)}
    side = side_by_side(place, _STARTS, loads, prepare=_warm, count=ROUNDS)
    peer = side.reports.get("litellm_presidio", {}).get(load, [])
    ratios: dict[str, float | None] = {
        f"{name}/litellm_presidio": ratio(side.reports[name][load], [_at_best(report) for report in peer])
        if peer and name in side.reports
        else None
        for name in ("helix", "helix_default")
    }
    shown = {name: {load: got} for name, got in ratios.items()}
    results = side.results()
    for name, by_load in shown.items():
        mine, others = (results.get(one, {}).get(load, {}).get("cpu_ms") for one in name.split("/"))
        by_load["CPU"] = round(others / mine, 1) if mine and others else None
    return {"gateways": results, "ratios": shown, "missing": side.missing}, ratios


def _at_best(report: Mapping[str, Any]) -> dict[str, Any]:
    """A peer's report with its wrong answers counted as right ones: they took it as long."""
    errors = dict(report["errors"])
    wrong = errors.pop("wrong_body", 0)
    answered = report["answered"]
    return {**report, "errors": errors, "rps": report["rps"] * (answered + wrong) / answered if answered else 0.0}


def _conversations(seconds: float, gateway: Gateway, number: int) -> Load:
    return load_of(
        replace(gateway.plain, model="strict"),
        "conversations",
        connections=CONNECTIONS,
        seconds=seconds,
        warmup_seconds=WARMUP_SECONDS,
        seed=number + 1,  # no round asks what another has asked, so that nothing is remembered from it
    )


def _warm(gateway: Gateway, place: Place) -> None:
    perform(_conversations(_PREPARE_SECONDS, gateway, 1_000), place)


def _stream(place: Place, seconds: float) -> tuple[dict[str, Any], float | None]:
    loads: dict[str, Callable[[Gateway, int], Load]] = {
        name: partial(_paced, *shape, seconds / ROUNDS) for name, shape in _SHAPES.items()
    }
    side = side_by_side(place, _WITH_AND_WITHOUT, loads, prepare=_warm_stream, count=ROUNDS)
    results = side.results()
    first = None
    if not side.missing and all(found["first, 1"]["good"] for found in results.values()):
        on, off = (results[name]["first, 1"]["first_ms"]["p50"] for name in _WITH_AND_WITHOUT)
        first = round(on - off, 3)
    return {"gateways": results, "missing": side.missing}, first


def _paced(connections: int, events: int, seconds: float, gateway: Gateway, number: int) -> Load:
    return load_of(
        gateway.paced,
        "personal",
        connections=connections,
        seconds=seconds,
        stream=True,
        max_tokens=events,
        seed=number + 1,
    )


def _warm_stream(gateway: Gateway, place: Place) -> None:
    perform(_paced(8, 20, _PREPARE_SECONDS, gateway, 1_000), place)


async def _question_ms() -> float:
    """The CPU ms of this process that RedactMiddleware takes for a new prompt with values, median of many."""
    taken: list[float] = []
    before = 0.0

    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        taken.append(time.process_time() - before)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": encode([DONE]), "more_body": False})

    async def send(message: Message) -> None:
        pass

    redaction = RedactMiddleware(upstream, entities=dict.fromkeys(PERSONAL_KINDS, "placeholder"))
    for question in islice(personal(2), _QUESTIONS):
        body = body_of(question, "gpt-4o-mini", stream=True)
        message = {"type": "http.request", "body": body, "more_body": False}
        scope = {"type": "http", "method": "POST", "path": CHAT.path, "query_string": b"", "headers": []}
        before = time.process_time()
        await redaction(scope, partial(_once, message), send)
    await redaction.close()
    return median(taken) * 1000


async def _once(message: Message) -> Message:
    return message


def _event_us() -> float:
    """The CPU µs that RedactMiddleware adds to an event of a stream in which nothing is restored."""
    question = next(personal(1))
    with_values = body_of(question, "gpt-4o-mini", stream=True)
    if not found_in(with_values.decode()):
        raise RuntimeError("the request must hold something to restore")
    taken = [asyncio.run(_cpu_seconds(with_values, is_redacted=is_redacted)) for is_redacted in (True, False)]
    return (taken[0] - taken[1]) / _EVENTS * 1e6


async def _cpu_seconds(body: bytes, *, is_redacted: bool) -> float:
    """The CPU time of this thread while a stream passes, event by event."""
    pieces = [_message(f"word{number % 97} ") for number in range(_EVENTS)]
    taken = 0.0

    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal taken
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        before = time.thread_time()
        for piece in pieces:
            await send(piece)
        taken = time.thread_time() - before
        await send({"type": "http.response.body", "body": encode([DONE]), "more_body": False})

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    passed: list[Mapping[str, Any]] = []

    async def send(message: Message) -> None:
        passed.append(message)

    scope = {"type": "http", "method": "POST", "path": CHAT.path, "query_string": b"", "headers": []}
    redaction = RedactMiddleware(upstream, entities=dict.fromkeys(PERSONAL_KINDS, "placeholder"))
    await (redaction if is_redacted else upstream)(scope, receive, send)
    await redaction.close()
    if is_redacted and not any(name == b"x-helix-redactions" for name, _ in passed[0]["headers"]):
        raise RuntimeError("nothing was redacted")
    if len(passed) != _EVENTS + 2:
        raise RuntimeError("not every event passed")
    return taken


def _message(text: str) -> Message:
    chunk = {
        "id": "chatcmpl-perf",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}],
    }
    return {"type": "http.response.body", "body": b"data: %b\n\n" % orjson.dumps(chunk), "more_body": True}
