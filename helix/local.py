"""Everything a gateway stands on, in this process: the embedded servers, the models, the console."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from helix.config import Config
from helix.datadir import DataDir
from helix.embed import SentenceTransformerEmbedder
from helix.embedded.redis import EmbeddedRedis
from helix.gateway import Parts
from helix.kernel.errors import BackendUnavailable, ConfigError
from helix.redact.presidio import PresidioDetector
from helix.telemetry.clickhouse import ClickHouse

if TYPE_CHECKING:
    from helix.console.gate import Gate

__all__ = ["Progress", "clickhouse", "console_app", "detector", "embedder", "key_secret", "local_parts", "master_key"]

T = TypeVar("T")


class Progress(Protocol):
    """Shows people what is being waited for."""

    async def __call__(self, what: str, work: Awaitable[T]) -> T:
        """Await the work; what it returns or raises comes through."""
        ...

    def warn(self, text: str) -> None:
        """Say what will be missing for now."""
        ...


def master_key(config: Config, data: DataDir) -> tuple[str, bool]:
    """The master key, from the configuration or the data folder; and whether it was made just now."""
    if config.helix.admit.master_key is not None:
        return config.helix.admit.master_key.get_secret_value(), False
    return data.secret("master.key", "sk-hx-master-")


def key_secret(config: Config, data: DataDir) -> str:
    """The secret that virtual keys are hashed with, from the configuration or the data folder."""
    configured = config.helix.admit.key_secret
    return data.secret("keys.secret")[0] if configured is None else configured.get_secret_value()


def clickhouse(config: Config, data: DataDir) -> ClickHouse | None:
    """The store of rows, not opened; None where telemetry is off. Raises ConfigError for a wrong URL."""
    telemetry = config.helix.telemetry
    if not telemetry.enabled:
        return None
    url = telemetry.clickhouse_url
    try:
        return ClickHouse(data.path / "clickhouse" if url is None else url.get_secret_value())
    except ValueError as error:
        raise ConfigError(f"helix.telemetry.clickhouse_url: {error}", "helix.telemetry.clickhouse_url") from None


def embedder(config: Config) -> SentenceTransformerEmbedder | None:
    """The embedder, not loaded; None where nothing is looked up by meaning."""
    cache = config.helix.cache
    return SentenceTransformerEmbedder(cache.semantic.model) if cache.enabled and cache.mode != "exact" else None


def detector(config: Config) -> PresidioDetector | None:
    """The detector, not loaded; None where redaction is off."""
    redact = config.helix.redact
    if not redact.enabled:
        return None
    try:
        return PresidioDetector(
            entities=redact.entities, score_threshold=redact.score_threshold, languages=(redact.language,)
        )
    except ValueError as error:
        raise ConfigError(f"helix.redact.entities: {error}", "helix.redact.entities") from None


@asynccontextmanager
async def local_parts(config: Config, data: DataDir, progress: Progress) -> AsyncIterator[Parts]:
    """Open everything, one after the other with progress shown; close it again at the end.

    A ClickHouse that does not answer is no reason not to start: rows wait on disk. Raises ConfigError, and
    BackendUnavailable for what nothing works without.
    """
    helix = config.helix
    async with AsyncExitStack() as stack:
        if helix.redis_url is None:
            server = EmbeddedRedis(data.path / "redis")
            stack.push_async_callback(server.close)
            redis_url = await progress("Redis", server.open())
        else:
            redis_url = helix.redis_url.get_secret_value()
        store = clickhouse(config, data)
        if store is not None:
            stack.push_async_callback(store.close)
            try:
                await progress("ClickHouse", store.open())
            except BackendUnavailable as error:
                progress.warn(f"{error}; rows wait in {data.path / 'spool'} until it answers")
        find = detector(config)
        if find is not None:
            stack.push_async_callback(find.close)
            await progress("detector of personal data", find.open())
        embed = embedder(config)
        if embed is not None:
            stack.push_async_callback(embed.close)
            await progress("embedding model", embed.open())
        key, _ = master_key(config, data)
        console = None
        if helix.console.enabled:
            console = await progress("console", asyncio.to_thread(console_app, config, key))
        yield Parts(
            redis_url=redis_url,
            master_key=key,
            key_secret=key_secret(config, data),
            store=store,
            spool_dir=data.path / "spool",
            embedder=embed,
            detector=find,
            console=console,
        )


def console_app(config: Config, key: str) -> Gate:
    """The console, talking to the gateway that this configuration starts."""
    if importlib.util.find_spec("gradio") is None:
        raise BackendUnavailable(
            "the console needs Gradio: pip install 'helix-gateway[console]', or set helix.console.enabled: false"
        )
    from helix.console import build

    host = config.helix.server.host
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)
    return build(api_url=f"http://{host}:{config.helix.server.port}", api_key=key)
