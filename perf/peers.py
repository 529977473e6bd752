"""The gateways that are measured side by side, each in front of the same local upstream.

Every peer is started the way its own documentation recommends for production, with one worker, no database and no
callbacks; Helix is started with a real key that has a budget. `stage` is a context manager over all of them.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from perf import install
from perf.process import Server, Unavailable, free_port

__all__ = [
    "PEERS",
    "PERSONAL_KINDS",
    "Gateway",
    "Place",
    "Start",
    "Target",
    "call_admin",
    "direct",
    "helix",
    "litellm_presidio",
    "post_chat",
    "stage",
]

MODEL = "gpt-4o-mini"
PERSONAL_KINDS = ("EMAIL_ADDRESS", "CREDIT_CARD", "PHONE_NUMBER", "IBAN_CODE", "US_SSN", "IP_ADDRESS", "CRYPTO")
"""What both sides look for where redaction is compared."""
_KEY = "sk-perf-upstream"
_MASTER = "sk-perf-master"
_START_SECONDS = 180.0


@dataclass(frozen=True)
class Place:
    """Where a run happens: its folder, its CPUs (none: anywhere) and the upstream's port."""

    folder: Path
    load_cpus: tuple[int, ...] = ()
    gateway_cpus: tuple[int, ...] = ()
    upstream_port: int = 0


@dataclass(frozen=True)
class Target:
    """How one upstream route is reached through a gateway."""

    port: int
    path: str = "/v1/chat/completions"
    model: str = MODEL
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Gateway:
    """A running gateway. `paced` leads to the upstream's paced streams."""

    name: str
    version: str
    server: Server
    plain: Target
    paced: Target
    master_key: str = ""


Start = Callable[[Place, ExitStack], Gateway]


def environment(**more: str) -> dict[str, str]:
    """The environment of a gateway: nothing of Helix's or a provider's that happens to be set here."""
    ours = ("HELIX_", "LITELLM_", "RAY_", "REDIS_URL", "CLICKHOUSE_URL", "OPENAI_", "ANTHROPIC_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more


def direct(place: Place, stack: ExitStack) -> Gateway:
    """No gateway: the upstream itself, which shows how far the load generator reaches."""
    command = [sys.executable, "-m", "perf.upstream", "--port", str(place.upstream_port)]
    log = place.folder / "upstream.log"
    server = stack.enter_context(
        Server(command, port=place.upstream_port, ready="/health", log=log, cpus=place.load_cpus)
    )
    port = place.upstream_port
    return Gateway("direct", "", server, Target(port), Target(port, "/paced/v1/chat/completions"))


def bare(place: Place, stack: ExitStack) -> Gateway:
    """A proxy that only passes bytes on: the limit."""
    port = free_port()
    upstream = f"http://127.0.0.1:{place.upstream_port}"
    command = [sys.executable, "-m", "perf.bare", "--port", str(port), "--upstream", upstream]
    server = _start(place, stack, "bare", command, port, "/health")
    return Gateway("bare", _version("aiohttp"), server, Target(port), Target(port, "/paced/v1/chat/completions"))


def litellm(place: Place, stack: ExitStack) -> Gateway:
    """LiteLLM's proxy: one worker, production settings, no database, no callbacks."""
    return _litellm(place, stack, "litellm", {})


def litellm_presidio(place: Place, stack: ExitStack) -> Gateway:
    """The same with its guardrail for personal data, and Presidio's services beside it, in one process tree."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    guardrail = {
        "guardrail": "presidio",
        "mode": "pre_call",
        "default_on": True,
        "output_parse_pii": True,
        "presidio_filter_scope": "input",  # with "both", its default, it masks again what it has just restored
        "presidio_analyzer_api_base": base,
        "presidio_anonymizer_api_base": base,
        "pii_entities_config": dict.fromkeys(PERSONAL_KINDS, "MASK"),
    }
    before = [sys.executable, "-m", "perf.presidio", "--port", str(port), "--"]
    config = {"guardrails": [{"guardrail_name": "presidio", "litellm_params": guardrail}]}
    return _litellm(place, stack, "litellm_presidio", config, before)


def _litellm(place: Place, stack: ExitStack, name: str, more: Mapping[str, Any], before: Sequence[str] = ()) -> Gateway:
    command, version = install.litellm()
    port = free_port()
    config = place.folder / f"{name}.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "model_list": _model_list(place),
                "litellm_settings": {
                    "request_timeout": 600,
                    "set_verbose": False,
                    "json_logs": True,
                    "telemetry": False,
                },
                "general_settings": {"master_key": _MASTER, "disable_error_logs": True},
                **more,
            }
        )
    )
    settings = environment(
        LITELLM_MODE="PRODUCTION", LITELLM_LOG="ERROR", LITELLM_LOCAL_MODEL_COST_MAP="True", NO_DOCS="True"
    )
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    started = [*before, str(command), *arguments]
    server = _start(place, stack, name, started, port, "/health/liveliness", settings)
    return _by_name(name, version, server, _MASTER)


def portkey(place: Place, stack: ExitStack) -> Gateway:
    """Portkey's gateway on Node, with its provider and host by header."""
    script, version = install.portkey()
    port = free_port()
    command = ["node", str(script), f"--port={port}", "--headless"]
    server = _start(place, stack, "portkey", command, port, "/", environment(NODE_ENV="production"))

    def target(base: str) -> Target:
        host = f"http://127.0.0.1:{place.upstream_port}{base}"
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": host, "authorization": f"Bearer {_KEY}"}
        return Target(port, headers=headers)

    return Gateway("portkey", version, server, target("/v1"), target("/paced/v1"))


def helix(name: str, blocks: Mapping[str, Any], *, ray: bool = False, config: bool = True) -> Start:
    """Helix under a name, with some blocks of its configuration, in one process or on Ray Serve.

    Without `config` it runs as it comes, on its default configuration.
    """

    def start(place: Place, stack: ExitStack) -> Gateway:
        folder = place.folder / name
        folder.mkdir(exist_ok=True)
        port = free_port()
        command = [sys.executable, "-m", "helix.cli", "up", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--data", str(folder / "data")] + ([] if ray else ["--no-ray"])
        if config:
            file = folder / "helix.yaml"
            file.write_text(yaml.safe_dump(helix_config(place, blocks)))
            command += ["--config", str(file)]
        master = f"sk-master-{secrets.token_hex(16)}"
        settings = environment(HELIX_MASTER_KEY=master, HF_HUB_OFFLINE="1")
        server = _start(place, stack, name, command, port, "/health/ready", settings)
        budgets = [{"limit_usd": 1_000_000, "window": "total"}]
        made = call_admin(
            f"http://127.0.0.1:{port}", "POST", "/helix/keys", master, {"name": "perf", "budgets": budgets}
        )
        return _by_name(name, _version("helix-gateway"), server, made["key"], master)

    return start


def helix_config(place: Place, blocks: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that Helix is measured with: the local upstream, and the given blocks."""
    return {"model_list": _model_list(place), "helix": dict(blocks)}


PEERS: dict[str, Start] = {"direct": direct, "bare": bare, "litellm": litellm, "portkey": portkey}


@contextmanager
def stage(place: Place, starts: Mapping[str, Start]) -> Iterator[tuple[dict[str, Gateway], dict[str, str]]]:
    """Start gateways; give those that run, and for each that does not the reason. All are stopped at the end."""
    running: dict[str, Gateway] = {}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        for name, start in starts.items():
            try:
                running[name] = start(place, stack)
            except Unavailable as error:
                missing[name] = str(error)
        yield running, missing


def call_admin(origin: str, method: str, path: str, key: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Ask a gateway for JSON; `origin` such as http://127.0.0.1:8000. Raises Unavailable."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(origin + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{method} {path}: {error.code} {error.read()[:300].decode(errors='replace')}") from None
    except OSError as error:
        raise Unavailable(f"{method} {path}: {error}") from None


def post_chat(to: Target, text: str, *, model: str = "") -> str:
    """Ask one question and return the body of the answer. Raises Unavailable."""
    body = {"model": model or to.model, "messages": [{"role": "user", "content": text}]}
    key = to.headers["authorization"].removeprefix("Bearer ")
    return json.dumps(call_admin(f"http://127.0.0.1:{to.port}", "POST", to.path, key, body))


def _start(
    place: Place,
    stack: ExitStack,
    name: str,
    command: list[str],
    port: int,
    ready: str,
    settings: Mapping[str, str] | None = None,
) -> Server:
    server = Server(
        command, port=port, ready=ready, log=place.folder / f"{name}.log", environment=settings,
        cpus=place.gateway_cpus, start_seconds=_START_SECONDS,
    )  # fmt: skip
    return stack.enter_context(server)


def _model_list(place: Place) -> list[dict[str, Any]]:
    origin = f"http://127.0.0.1:{place.upstream_port}"
    return [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"{origin}{base}", "api_key": _KEY},
        }
        for name, base in ((MODEL, "/v1"), ("paced", "/paced/v1"), ("strict", "/strict/v1"))
    ]


def _by_name(name: str, version: str, server: Server, key: str, master: str = "") -> Gateway:
    headers = {"authorization": f"Bearer {key}"}
    plain, paced = (Target(server.port, model=model, headers=headers) for model in (MODEL, "paced"))
    return Gateway(name, version, server, plain, paced, master)


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
