"""`stampede`: equal requests at once over several processes of a gateway; how often upstream is asked.

LiteLLM's proxy, with its Redis cache on, is asked the same where it is installed.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import yaml

from helix.embedded.redis import EmbeddedRedis
from perf import install
from perf.measure import target
from perf.peers import Place, direct, environment, helix_config
from perf.process import Server, Unavailable, free_port

__all__ = ["measure"]

PROCESSES = 4
EVENTS = 200
"""Of a stream; one every five milliseconds makes a second, about what a short answer takes."""
_KEY = "sk-perf-stampede-0123456789abcdef"
_TIMEOUT_SECONDS = 120.0
_BLOCKS: dict[str, Any] = {
    "console": {"enabled": False},
    "redact": {"enabled": False},
    "telemetry": {"enabled": False},
    "cache": {"mode": "exact"},
}

Start = Callable[[Place, ExitStack, str], list[int]]


def measure(place: Place, count: int) -> dict[str, Any]:
    """Ask each gateway's processes `count` equal questions at once, and count the upstream's calls."""
    found: dict[str, Any] = {"requests": count, "processes": PROCESSES}
    missing: dict[str, str] = {}
    for name, start in (("helix", _helix), ("litellm", _litellm)):
        try:
            found[name] = _ask_all(replace(place, upstream_port=free_port()), start, count)
        except Unavailable as error:
            if name == "helix":
                raise
            missing[name] = str(error)
    found |= {"missing": missing} if missing else {}
    ours = found["helix"]
    found["targets"] = [
        target(f"upstream calls, {form}", ours[form]["upstream_calls"], at_least=1, at_most=1) for form in ours
    ]
    wrong = sum(part["wrong"] for part in ours.values())
    return found | ({"faults": f"{wrong} answers of Helix's were wrong"} if wrong else {})


def _ask_all(place: Place, start: Start, count: int) -> dict[str, Any]:
    with ExitStack() as stack:
        direct(place, stack)
        ports = start(place, stack, stack.enter_context(_redis()))
        found: dict[str, Any] = {}
        for form in ("whole", "streamed", "mixed"):
            before = _calls(place)
            question = f"What is asked so often in the form {form}?"
            seconds, tally, wrong = asyncio.run(_herd(ports, question, form, count))
            seconds.sort()
            found[form] = {
                "upstream_calls": _calls(place) - before,
                "wrong": wrong,
                "p50_ms": round(1000 * seconds[len(seconds) // 2], 1),
                "last_ms": round(1000 * seconds[-1], 1),
                "cache": dict(tally),
            }
        return found


async def _herd(ports: Sequence[int], question: str, form: str, count: int) -> tuple[list[float], Counter[str], int]:
    """How long each took, what the gateway said of its cache, and how many answers were wrong."""
    links = [await asyncio.open_connection("127.0.0.1", ports[number % len(ports)]) for number in range(count)]
    tally: Counter[str] = Counter()

    async def ask(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[float, bool]:
        streams = form == "streamed" or (form == "mixed" and number % 2 == 1)
        request = {"model": "paced", "messages": [{"role": "user", "content": question}], "max_tokens": EVENTS}
        body = json.dumps({**request, "stream": streams}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: perf\r\nauthorization: Bearer {_KEY}\r\n"
        head += f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + body)
        reply = await reader.read(-1)
        took = time.perf_counter() - began
        writer.close()
        start, _, said = reply.partition(b"\r\n\r\n")
        for line in start.split(b"\r\n")[1:]:
            name, _, value = line.partition(b": ")
            if name.lower() == b"x-helix-cache":
                tally[value.decode()] += 1
        whole = b"[DONE]" in said if streams else question.encode() in said or said.count(b";") >= EVENTS
        return took, start.startswith(b"HTTP/1.1 200") and whole

    async with asyncio.timeout(_TIMEOUT_SECONDS):
        done = await asyncio.gather(*(ask(number, *link) for number, link in enumerate(links)))
    return [took for took, _ in done], tally, sum(not good for _, good in done)


def _helix(place: Place, stack: ExitStack, redis_url: str) -> list[int]:
    config = place.folder / "helix.yaml"
    config.write_text(yaml.safe_dump(helix_config(place, _BLOCKS)))
    ports = []
    for number in range(PROCESSES):
        port = free_port()
        command = [sys.executable, "-m", "helix.cli", "up", "--no-ray", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--config", str(config), "--data", str(place.folder / f"data-{number}")]
        settings = environment(HELIX_MASTER_KEY=_KEY, HELIX_KEY_SECRET=_KEY, REDIS_URL=redis_url, HF_HUB_OFFLINE="1")
        log = place.folder / f"helix-{number}.log"
        stack.enter_context(Server(command, port=port, ready="/health/ready", log=log, environment=settings))
        ports.append(port)
    return ports


def _litellm(place: Place, stack: ExitStack, redis_url: str) -> list[int]:
    command, _ = install.litellm()
    config = place.folder / "litellm.yaml"
    cache = {"cache": True, "cache_params": {"type": "redis", "url": redis_url}}
    models = helix_config(place, {})["model_list"]
    general = {"master_key": _KEY, "disable_error_logs": True}
    config.write_text(yaml.safe_dump({"model_list": models, "litellm_settings": cache, "general_settings": general}))
    settings = environment(
        LITELLM_MODE="PRODUCTION", LITELLM_LOG="ERROR", LITELLM_LOCAL_MODEL_COST_MAP="True", NO_DOCS="True"
    )
    ports = []
    for number in range(PROCESSES):
        port = free_port()
        arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        log = place.folder / f"litellm-{number}.log"
        server = Server(
            [str(command), *arguments], port=port, ready="/health/liveliness", log=log, environment=settings,
            start_seconds=180.0,
        )  # fmt: skip
        stack.enter_context(server)
        ports.append(port)
    return ports


def _calls(place: Place) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", place.upstream_port, timeout=10)
    try:
        connection.request("GET", "/calls")
        return int(json.load(connection.getresponse())["calls"])
    finally:
        connection.close()


@contextmanager
def _redis() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="hx-") as folder, ThreadPoolExecutor(1) as thread:
        server = EmbeddedRedis(folder)
        yield thread.submit(asyncio.run, server.open()).result()
        thread.submit(asyncio.run, server.close()).result()
