"""`helix up`: start everything, show one screen, run until Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import gc
import importlib.util
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import uvicorn
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from helix.config import Config
from helix.datadir import DataDir
from helix.gateway import build_app
from helix.kernel.errors import BackendUnavailable, ConfigError, HelixError
from helix.local import check, clickhouse, local_parts, local_url, master_key
from helix.serve.haproxy import listeners

__all__ = ["PortInUse", "migrate", "run_in_one_process", "run_on_ray"]

T = TypeVar("T")


class PortInUse(HelixError):
    """Somebody else listens there."""


class Progress:
    """One line a part while it loads: what, then how long it took."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    async def __call__(self, what: str, work: Awaitable[T]) -> T:
        """Await the work, showing that it is going on."""
        with self.part(what):
            return await work

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        """Show that the block is going on, and how it ended."""
        started = time.monotonic()
        with self._console.status(f"{what} …"):
            try:
                yield
            except HelixError:
                self._console.print(f"  [red]✗[/] {what}")
                raise
        self._console.print(f"  [green]✓[/] {what} [dim]{time.monotonic() - started:.1f} s[/]")

    def warn(self, text: str) -> None:
        """Say what will be missing for now."""
        self._console.print(f"  [yellow]![/] {escape(text)}", soft_wrap=True)

    def say(self, text: str) -> None:
        """Say what is going on."""
        self._console.print(text)


class Server(uvicorn.Server):
    """A uvicorn that calls back when it listens, and leaves a signal's end to us, so that all is closed in order."""

    def __init__(
        self, config: uvicorn.Config, when_started: Callable[[], None], when_stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._when_started = when_started
        self._when_stopping = when_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._when_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on the first SIGINT or SIGTERM, at once on a second SIGINT."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        if not self.should_exit:
            self._when_stopping()
        self.handle_exit(number, None)


def run_in_one_process(config: Config) -> None:
    """Serve from this process until SIGINT or SIGTERM ends it. Raises HelixError for what does not come up."""
    check(config)
    data = DataDir(config.helix.data_dir)
    check_port(config)
    with data.claimed():
        try:
            uvloop.run(_serve(config, data))
        except asyncio.CancelledError:
            sys.exit(128 + signal.SIGTERM)  # while starting; once up, a signal is the ordinary end


async def _serve(config: Config, data: DataDir) -> None:
    server = config.helix.server
    key, is_new = master_key(config, data)
    progress = Progress()
    starting = asyncio.current_task()
    if starting is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, starting.cancel)
    async with local_parts(config, data, progress) as parts:
        options = uvicorn.Config(
            build_app(config, parts),
            host=server.host,
            port=server.port,
            http="httptools",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody's word but the socket's for who is local
            timeout_graceful_shutdown=30,
        )
        # What is loaded now stays: the collector need not walk it again and again, nor for each few requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        running = Server(
            options,
            lambda: show_addresses(config, data, key, is_new, "one process"),
            lambda: progress.say("Stopping: requests in flight are answered first."),
        )
        await running.serve()
    if not running.started:
        raise BackendUnavailable("the gateway could not start; the lines above say why")


def run_on_ray(config: Config) -> None:
    """Serve from Ray Serve deployments until SIGINT or SIGTERM ends it. Raises HelixError for what does not come up."""
    if importlib.util.find_spec("ray") is None:
        raise BackendUnavailable("Ray is not installed: pip install 'helix-gateway[serve]', or run with --no-ray")
    check(config)
    data = DataDir(config.helix.data_dir)
    check_port(config)
    with data.claimed():
        key, is_new = master_key(config, data)
        # Ray's workers have working folders of their own.
        config = config.but({"data_dir": str(data.path)})
        from helix.serve.run import running

        progress = Progress()
        ended = threading.Event()
        with running(config, progress.part):
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: ended.set())
            show_addresses(config, data, key, is_new, "Ray Serve")
            ended.wait()
            progress.say("Stopping: requests in flight are answered first.")


def migrate(config: Config) -> None:
    """Apply the migrations that the store does not have yet, and say which."""
    data = DataDir(config.helix.data_dir)
    store = clickhouse(config, data.path, migrate=False)
    if store is None:
        raise ConfigError("helix.telemetry.enabled is false: there is nothing to migrate", "helix.telemetry.enabled")
    # The embedded engine is one process's; a ClickHouse server migrates beside running gateways.
    claim = data.claimed() if config.helix.telemetry.clickhouse_url is None else nullcontext()

    async def run() -> list[str]:
        try:
            return await store.migrate()
        finally:
            await store.close()

    with claim:
        applied = asyncio.run(run())
    print(f"{store.name}: " + (f"applied {', '.join(applied)}" if applied else "up to date"))


def check_port(config: Config) -> None:
    """Raise PortInUse while somebody listens on the address, ConfigError for one that this machine does not have."""
    server = config.helix.server
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                left = f" by HAProxy (pid {', '.join(map(str, found))})" if (found := listeners(server.port)) else ""
                raise PortInUse(
                    f"port {server.port} on {server.host} is in use{left}: "
                    "end what listens there, or choose another with --port"
                ) from None
            raise ConfigError(f"cannot listen on {server.host}:{server.port}: {error.strerror or error}") from None


def show_addresses(config: Config, data: DataDir, key: str, is_new: bool, how: str) -> None:
    """The one screen: addresses, models, what is embedded, and a request that works as it stands."""
    helix = config.helix
    url = local_url(config)
    shown = Table.grid(padding=(0, 2))
    shown.add_row("API", f"{url}/v1")
    if helix.console.enabled:
        shown.add_row("Console", f"{url}/console")
    models = dict.fromkeys(str(model.get("model_name")) for model in config.model_list)
    shown.add_row("Models", Text(", ".join(models)))
    shown.add_row("Redis", "embedded" if helix.redis_url is None else "remote")
    if helix.telemetry.enabled:
        shown.add_row("ClickHouse", "embedded" if helix.telemetry.clickhouse_url is None else "remote")
    off = [name for name in ("admit", "redact", "cache", "budget", "telemetry") if not getattr(helix, name).enabled]
    if off:
        shown.add_row("Off", ", ".join(off))
    shown.add_row("Data", Text(str(data.path)))
    if helix.admit.master_key is None:
        file = data.path / "master.key"
        shown.add_row("Master key", Text(f"{key} (shown this once; kept in {file})" if is_new else f"in {file}"))
        token = f"$(cat {shlex.quote(str(file))})"
    else:
        token = "$HELIX_MASTER_KEY"
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"\n[bold]Helix is up[/], in {how}.\n")
    out.print(shown)
    out.print("\nTry it:\n")
    # Plain print, so that the line can be copied whole whatever the terminal's width.
    print(
        f"curl {url}/v1/chat/completions -H \"Authorization: Bearer {token}\" -H 'Content-Type: application/json' \\\n"
        f'  -d \'{{"model": "{_first_model(config)}", "messages": [{{"role": "user", '
        '"content": "I am ann@example.com, why was card 4111 1111 1111 1111 charged twice?"}]}\'\n'
    )
    sys.stdout.flush()


def _first_model(config: Config) -> str:
    names = [str(model.get("model_name")) for model in config.model_list]
    return next((name for name in names if "*" not in name), names[0].replace("*", "MODEL"))
