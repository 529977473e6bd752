"""Everything a gateway stands on, in this process: the embedded servers, the models, the console."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from helix.config import Config
from helix.datadir import DataDir
from helix.embed import SentenceTransformerEmbedder
from helix.embedded.redis import EmbeddedRedis
from helix.gateway import Parts, build_app, redact_answers, redact_policy
from helix.kernel.errors import BackendUnavailable, ConfigError
from helix.kernel.redis import Pipe, connect
from helix.redact.custom import CustomRecognizers
from helix.redact.encryption import KEY_BYTES, decrypted
from helix.redact.entities import KNOWN_ENTITIES, check_known
from helix.redact.languages import check_languages, check_spoken
from helix.redact.nlp_settings import check_nlp_engine, nlp_kinds, nlp_languages
from helix.redact.presidio import PresidioDetector
from helix.telemetry.clickhouse import ClickHouse

if TYPE_CHECKING:
    from helix.console.gate import Gate

__all__ = [
    "Progress",
    "check",
    "clickhouse",
    "configured_redis",
    "console_app",
    "detector",
    "embedded_redis",
    "embedder",
    "key_secret",
    "local_parts",
    "local_url",
    "master_key",
]

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


def check(config: Config) -> None:
    """Raise ConfigError for all that is wrong with a configuration, before anything is started. Opens nothing."""
    config.check_exposure()
    folder = config.helix.data_dir
    build_app(
        config,
        Parts(
            redis_url=configured_redis(config) or "unix:///dev/null",
            master_key="not asked for here",
            key_secret="not asked for here",
            store=clickhouse(config, folder),
            spool_dir=folder / "spool",
            embedder=embedder(config, folder),
            detector=detector(config),
        ),
    )


def configured_redis(config: Config) -> str | None:
    """The URL of the Redis to use; None for the embedded one. Raises ConfigError for a wrong URL."""
    if config.helix.redis_url is None:
        return None
    url = config.helix.redis_url.get_secret_value()
    try:
        connect(url)
    except ValueError:
        # The message is not redis-py's, which may quote the URL and so a password.
        raise ConfigError(
            "helix.redis_url: must be redis://, rediss:// or unix://, with a port that is a number", "helix.redis_url"
        ) from None
    return url


def embedded_redis(config: Config, data: DataDir) -> EmbeddedRedis:
    """The embedded Redis, not started."""
    said = config.helix.embedded_redis
    return EmbeddedRedis(data.path / "redis", max_memory_bytes=said.max_memory_bytes, eviction=said.eviction)


def clickhouse(config: Config, data_dir: Path, *, migrate: bool = True) -> ClickHouse | None:
    """The store of rows, not opened; None where telemetry is off. Raises ConfigError for a wrong URL.

    `migrate` says whether opening it brings its schema up to date.
    """
    telemetry = config.helix.telemetry
    if not telemetry.enabled:
        return None
    url = telemetry.clickhouse_url
    try:
        return ClickHouse(data_dir / "clickhouse" if url is None else url.get_secret_value(), migrate=migrate)
    except ValueError as error:
        raise ConfigError(f"helix.telemetry.clickhouse_url: {error}", "helix.telemetry.clickhouse_url") from None


def embedder(config: Config, data_dir: Path, *, gpu: bool = False) -> SentenceTransformerEmbedder | None:
    """The embedder, not loaded; None where nothing is looked up by meaning. Raises ConfigError.

    `gpu` says that a GPU was reserved for it: the backend is torch then, unless another, or a provider, was configured.
    """
    cache, semantic = config.helix.cache, config.helix.cache.semantic
    if not cache.enabled or cache.mode == "exact":
        return None
    is_chosen = semantic.backend != "auto" or semantic.providers is not None
    try:
        return SentenceTransformerEmbedder(
            semantic.model,
            backend="torch" if gpu and not is_chosen else semantic.backend,
            dim=semantic.dim,
            providers=semantic.providers,
            threads=semantic.threads,
            cache_dir=data_dir / "models",
        )
    except ValueError as error:
        raise ConfigError(f"helix.cache.semantic: {error}", "helix.cache.semantic") from None


def readable(config: Config, text: str) -> tuple[str, int]:
    """A text with what `encrypt` took out of it, and how many values another key encrypted. Raises ConfigError."""
    found = config.helix.redact.encryption_key
    key = b"" if found is None else found.get_secret_value().encode()
    if len(key) not in KEY_BYTES:
        raise ConfigError(
            "helix.redact.encryption_key, or HELIX_REDACT_KEY, must be a key of 16, 24 or 32 bytes",
            "helix.redact.encryption_key",
        )
    try:
        return decrypted(text, key)
    except ImportError:
        raise ConfigError("Presidio's anonymizer is not installed: pip install 'helix-gateway[redact]'") from None


def detector(config: Config) -> PresidioDetector | None:
    """The detector, not loaded; None where redaction is off. Raises ConfigError for what is wrong in its settings."""
    redact = config.helix.redact
    if not redact.enabled:
        return None
    try:
        check_languages(redact.languages, nlp_languages(redact.nlp_engine))
    except ValueError as error:
        raise ConfigError(f"helix.redact.languages: {error}", "helix.redact.languages") from None
    try:
        if redact.nlp_engine is not None:
            check_nlp_engine(redact.nlp_engine, redact.languages)
        recognizers = CustomRecognizers(
            (recognizer.plain() for recognizer in redact.recognizers),
            registry=redact.recognizer_registry,
            languages=redact.languages,
        )
    except ValueError as error:  # which begins with the place
        raise ConfigError(f"helix.redact.{error}", f"helix.redact.{str(error).partition(':')[0]}") from None
    policy, answers = redact_policy(config, ""), redact_answers(config)
    sought = {"entities": policy.sought, "answers.entities": [] if answers is None else list(answers.entities)}
    for place, kinds in {**sought, "score_threshold": policy.scored}.items():
        if not recognizers.is_open:
            try:
                check_known(kinds, {*KNOWN_ENTITIES, *nlp_kinds(redact.nlp_engine)} | recognizers.kinds)
                check_spoken({*kinds} - recognizers.kinds, redact.languages)
            except ValueError as error:
                raise ConfigError(f"helix.redact.{place}: {error}", f"helix.redact.{place}") from None
    return PresidioDetector(
        entities=dict.fromkeys(kind for kinds in sought.values() for kind in kinds),
        # What code and models find is known when they are opened.
        with_added=redact.entities is None,
        score_threshold=min(policy.least_score, 1.0 if answers is None else answers.score_threshold),
        languages=redact.languages,
        recognizers=recognizers,
        names=None if redact.names == "none" else redact.names,
        nlp_engine=redact.nlp_engine,
        providers=redact.execution_providers,
    )


async def open_detector(detector: PresidioDetector) -> None:
    """Open a detector. Raises ConfigError for what shows only now: code that is not there, unknown kinds."""
    try:
        await detector.open()
    except ValueError as error:
        raise ConfigError(f"helix.redact: {error}", "helix.redact") from None


@asynccontextmanager
async def local_parts(config: Config, data: DataDir, progress: Progress) -> AsyncIterator[Parts]:
    """Open everything, one after the other with progress shown; close it again at the end.

    A Redis or ClickHouse of your own that does not answer is no reason not to start: /health/ready names it, and rows
    wait on disk. Raises ConfigError, and BackendUnavailable for what nothing works without.
    """
    helix = config.helix
    async with AsyncExitStack() as stack:
        redis_url = configured_redis(config)
        if redis_url is None:
            server = embedded_redis(config, data)
            stack.push_async_callback(server.close)
            redis_url = await progress("Redis", server.open())
        else:
            try:
                await progress("Redis", _ping(redis_url))
            except BackendUnavailable as error:
                progress.warn(f"{error}; what needs it is refused until it answers")
        store = clickhouse(config, data.path)
        if store is not None:
            stack.push_async_callback(store.close)
            try:
                await progress("ClickHouse", store.open())
            except BackendUnavailable as error:
                progress.warn(f"{error}; rows wait in {data.path / 'spool'} until it answers")
        find = detector(config)
        if find is not None:
            stack.push_async_callback(find.close)
            await progress("detector of personal data", open_detector(find))
        embed = embedder(config, data.path)
        if embed is not None:
            stack.push_async_callback(embed.close)
            await progress("embedding model", embed.open())
        key, _ = master_key(config, data)
        console = None
        if helix.console.enabled:
            console = await progress("console", asyncio.to_thread(console_app, config, key))
            stack.push_async_callback(console.close)  # mounted, it sees no lifespan
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


async def _ping(redis_url: str) -> None:
    pipe = Pipe(connect(redis_url))
    try:
        await pipe.call("PING")
    finally:
        await pipe.close()


def console_app(config: Config, key: str) -> Gate:
    """The console, talking to the gateway that this configuration starts."""
    if importlib.util.find_spec("gradio") is None:
        raise BackendUnavailable(
            "the console needs Gradio: pip install 'helix-gateway[console]', or set helix.console.enabled: false"
        )
    from helix.console import build

    return build(api_url=local_url(config), api_key=key)


def local_url(config: Config) -> str:
    """The gateway's base URL as this machine reaches it."""
    server = config.helix.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"
