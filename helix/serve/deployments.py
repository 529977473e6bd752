"""What each replica holds. Every class is given the raw configuration and reads its own part of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette
from starlette.routing import Mount

from helix.config import Config
from helix.datadir import DataDir
from helix.gateway import Parts, build_app
from helix.kernel.errors import BackendUnavailable, ConfigError
from helix.kernel.types import Span, Vector
from helix.local import (
    clickhouse,
    configured_redis,
    console_app,
    detector,
    embedded_redis,
    embedder,
    key_secret,
    master_key,
)
from helix.serve.remote import RemoteDetector, RemoteEmbedder, RemoteStore

__all__ = ["Console", "Detect", "Embed", "Gateway", "Redis", "Telemetry"]


class Embed:
    """Holds the embedding model."""

    async def __init__(self, raw: dict[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        config = Config.of(raw)
        reserved = config.helix.serve.embedder.num_gpus > 0
        found = embedder(config, DataDir(config.helix.data_dir).path, gpu=reserved)
        if found is None:
            raise ConfigError("the cache does not look for meaning: there is nothing to embed")
        self._embedder = found
        await found.open()

    async def describe(self) -> dict[str, Any]:
        """What the stages must know of the model."""
        found = self._embedder
        return {"name": found.name, "dim": found.dim, "max_tokens": found.max_tokens}

    async def embed(self, texts: list[str]) -> Sequence[Vector]:
        """One unit vector a text; the calls of one tick go through the model together."""
        return await self._embedder.embed(texts)


class Detect:
    """Holds the detector of personal data."""

    async def __init__(self, raw: dict[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        found = detector(Config.of(raw))
        if found is None:
            raise ConfigError("helix.redact.enabled is false: there is nothing to detect")
        self._detector = found
        await found.open()

    async def version(self) -> str:
        """What finds, for the record."""
        return self._detector.version

    async def detect(self, texts: list[str], language: str | None = None) -> Sequence[Sequence[Span]]:
        """The spans of each text."""
        return await self._detector.detect(texts, language=language)


class Redis:
    """Holds the embedded Redis; one process may hold its folder."""

    async def __init__(self, raw: dict[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        config = Config.of(raw)
        self._server = embedded_redis(config, DataDir(config.helix.data_dir))
        self._url = await self._server.open()

    async def url(self) -> str:
        """Where it listens."""
        return self._url

    async def check_health(self) -> None:
        """Raise while it does not answer; it is started again by itself, and after a while Serve tries another."""
        await self._server.ping()

    async def __del__(self) -> None:
        await self._server.close()


class Telemetry:
    """Holds the ClickHouse client, and with it the embedded engine; one process may hold its folder."""

    async def __init__(self, raw: dict[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        config = Config.of(raw)
        store = clickhouse(config, DataDir(config.helix.data_dir).path)
        if store is None:
            raise ConfigError("helix.telemetry.enabled is false: there is nothing to store")
        self._store = store
        # A ClickHouse that does not answer now may later: rows wait on the gateway's disk.
        with suppress(BackendUnavailable):
            await store.open()

    async def insert(self, names: Sequence[str], rows: Sequence[Any], token: str) -> None:
        """Store rows, once however often it is called with this token."""
        await self._store.insert(names, rows, token)

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Ask."""
        return await self._store.query(sql, parameters)

    async def ping(self) -> None:
        """Raise unless it answers."""
        await self._store.ping()

    async def __del__(self) -> None:
        await self._store.close()


class Gateway:
    """The HTTP stages. The app is built on the replica, so that nothing open is ever pickled."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        raw: dict[str, Any],
        redis: DeploymentHandle | None,
        telemetry: DeploymentHandle | None,
        detect: DeploymentHandle | None,
        embed: DeploymentHandle | None,
    ) -> None:
        self._config = config = Config.of(raw)
        data = DataDir(config.helix.data_dir)
        wait = config.helix.serve.call_timeout_seconds
        redis_url = configured_redis(config) if redis is None else await redis.url.remote()
        if redis_url is None:
            raise ConfigError("no Redis is configured and none is embedded", "helix.redis_url")
        remote_embedder = None
        if embed is not None:
            remote_embedder = RemoteEmbedder(embed, await embed.describe.remote(), timeout_seconds=wait)
        remote_detector = None
        if detect is not None:
            remote_detector = RemoteDetector(detect, timeout_seconds=wait, version=await detect.version.remote())
        self._parts = Parts(
            redis_url=redis_url,
            master_key=master_key(config, data)[0],
            key_secret=key_secret(config, data),
            store=RemoteStore(telemetry) if telemetry is not None else None,
            spool_dir=data.path / "spool",
            embedder=remote_embedder,
            detector=remote_detector,
            trusts_loopback=False,
        )

    def __serve_build_asgi_app__(self) -> Starlette:
        return build_app(self._config, self._parts)


class Console:
    """The pages; one replica, since Gradio's queued events stall over two."""

    def __init__(self, raw: dict[str, Any]) -> None:
        config = Config.of(raw)
        key, _ = master_key(config, DataDir(config.helix.data_dir))
        self._app = console_app(config, key)

    def __serve_build_asgi_app__(self) -> Starlette:
        app = self._app

        @asynccontextmanager
        async def closing(_: Starlette) -> AsyncIterator[None]:
            yield
            await app.close()

        return Starlette(routes=[Mount("/", app=app)], lifespan=closing)
