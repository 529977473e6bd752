"""The gateway: the only place that names every stage and their order, and the only map from configuration to stages."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, Protocol

from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route

from helix.admin import Check, Redactor
from helix.admin import build as build_admin
from helix.admit import AdmitMiddleware
from helix.admit.keys import Authority
from helix.admit.redis import RedisKeyStore
from helix.budget import BudgetMiddleware, Rule
from helix.budget.price import GroupPrices, PriceTable
from helix.budget.rates import ModelPrice
from helix.budget.redis import RedisLedger
from helix.budget.row import read_row
from helix.budget.scopes import Identity, Rules, identity_of
from helix.cache import CacheMiddleware
from helix.cache.catalog.quota import Quota
from helix.cache.contents import CacheContents
from helix.cache.eligibility import Eligibility
from helix.cache.promise.calibrating import calibrated, calibrated_by
from helix.cache.promise.calibration import Calibration
from helix.cache.promise.checks import CheckBudget
from helix.cache.promise.learning import Promise
from helix.cache.redis import RedisCacheStore
from helix.cache.stampede import Sharing
from helix.cache.storable import Storable
from helix.cache.veil import Veil
from helix.config import Config
from helix.config.sections import LimitConfig, PatternConfig, SideChannelConfig, StampedeConfig
from helix.kernel.errors import ConfigError
from helix.kernel.exchange import Exchange
from helix.kernel.lifecycle import Closing, lifespan
from helix.kernel.types import ASGIApp, Detector, Embedder, Limit, Money, Receive, Scope, Send, Usage
from helix.redact import Policy, RedactMiddleware
from helix.redact.allowed import AllowList, Entry
from helix.redact.answers import Answers
from helix.redact.entities import default_entities
from helix.redact.explain import explain
from helix.redact.strategies import Given
from helix.telemetry import TelemetryMiddleware
from helix.telemetry.log import RequestLog
from helix.telemetry.metrics import Metrics
from helix.telemetry.sink import Sink
from helix.upstream import Router, Upstream
from helix.upstream.deployment import Deployment

__all__ = ["Gateway", "Parts", "Store", "build_app", "calibrated", "calibrated_by"]

_PAGES = ("/helix/", "/health", "/console", "/metrics")


class Store(Protocol):
    """Where the rows go: ClickHouse in this process, or the deployment that holds it."""

    async def insert(self, names: Any, rows: Any, token: str) -> None:
        """Store rows once, however often it is called with this token."""
        ...

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Ask."""
        ...

    async def ping(self) -> None:
        """Raise unless it answers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a gateway is built from. Each part may live in this process or behind a handle; it is lent, not given."""

    redis_url: str
    master_key: str
    key_secret: str
    store: Store | None = None
    spool_dir: Path | None = None
    embedder: Embedder | None = None
    detector: Detector | None = None
    console: ASGIApp | None = None
    trusts_loopback: bool = True
    """Whether a caller's address is their own; not so behind HAProxy, where all come from this machine."""


class Gateway(Starlette):
    """All stages, and inside them the providers, the administration API and the console.

    A Starlette object, as Ray Serve wants one. Every message goes through the stages, which pass on what is not theirs;
    so the lifespan reaches each of them, and the caller is known to the administration API as well.
    """

    def __init__(
        self,
        *,
        upstream: Upstream,
        admin: ASGIApp,
        console: ASGIApp | None = None,
        metrics: Metrics | None = None,
        closing: tuple[Closing, ...] = (),
    ) -> None:
        routes: list[BaseRoute] = []
        if console is not None:
            routes += [Route("/console", RedirectResponse("/console/")), Mount("/console", app=console)]
        if metrics is not None:
            routes.append(Route("/metrics", metrics))
        super().__init__(routes=[*routes, Mount("/", app=admin)])
        self.upstream = upstream
        self.stages: ASGIApp = self._inside
        self._pages = super().__call__
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request, or the server's start and stop, through the stages."""
        scope["app"] = self
        if scope["type"] == "lifespan":
            # Outermost, so that what stages share closes after each of them has settled and stored.
            send = lifespan(send, closing=self._closing)
        await self.stages(scope, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            own = (self.upstream.router,)
            await self._pages(scope, receive, lifespan(send, opening=own, closing=own))
        elif scope["type"] == "http" and not scope["path"].startswith(_PAGES):
            await self.upstream(scope, receive, send)
        else:
            await self._pages(scope, receive, send)


def build_app(config: Config, parts: Parts) -> Gateway:
    """The gateway of a configuration over its parts. Opens nothing. Raises ConfigError for a wrong model list."""
    helix = config.helix
    router = Router(config.model_list, config.router_settings)
    price = _price(router, helix.budget.price_table)
    rules = [Rule(_limit(item), item.of) for item in helix.budget.limits]
    budget_secret = hmac.digest(parts.key_secret.encode(), b"helix budget", "sha256")
    budgets = Rules(rules, secret=budget_secret)
    keys = RedisKeyStore(parts.redis_url, secret=parts.key_secret)
    authority = Authority(
        keys,
        master_key=parts.master_key,
        auth=helix.admit.enabled and helix.admit.auth == "on",
        trusts_loopback=parts.trusts_loopback,
        cache_seconds=helix.admit.cache_seconds,
    )
    ledger = RedisLedger(parts.redis_url, abandoned=helix.budget.abandoned) if helix.budget.enabled else None
    cache = None
    if helix.cache.enabled:
        cache = _cache_store(config, parts)
    sink = _sink(config, parts)
    stages: list[CacheMiddleware] = []  # made below, when the metrics are there already
    precision = (lambda: stages[0].known_precision()) if cache is not None else None
    metrics = Metrics(sink_state=sink.state, precision=precision) if sink is not None else None
    owned = tuple(item for item in (cache, ledger, keys) if item is not None)

    gateway = Gateway(
        upstream=Upstream(router),
        admin=build_admin(
            authorize=authority.authorize,
            keys=keys,
            ledger=ledger,
            limits=budgets.known,
            named=budgets.of,
            cache=None if cache is None else _contents(config, parts, cache, lambda: stages[0]),
            log=RequestLog(parts.store) if parts.store is not None else None,
            redact=_explained(config, parts) if parts.detector is not None else None,
            checks=_checks(keys, parts),
        ),
        console=parts.console,
        metrics=metrics,
        closing=owned,
    )

    # From the inside out: telemetry → admit → redact → cache → budget → upstream.
    app = gateway.stages
    if ledger is not None:
        app = BudgetMiddleware(
            app,
            ledger=ledger,
            limits=rules,
            identify=_identify(router),
            secret=budget_secret,
            price=price,
            default_max_output_tokens=helix.budget.default_max_output_tokens,
            min_output_tokens=helix.budget.min_output_tokens,
            unpriced=helix.budget.unpriced,
            on_outage=helix.budget.on_outage,
        )
    if cache is not None:
        app = caching = CacheMiddleware(
            app,
            store=cache,
            embedder=parts.embedder,
            mode=helix.cache.mode,
            promise=Promise(
                max_false_hit_rate=helix.cache.semantic.max_false_hit_rate,
                confidence=helix.cache.semantic.confidence,
                check_share=helix.cache.semantic.checks.share,
                least_similarity=helix.cache.semantic.threshold,
            ),
            calibration=_calibration(config),
            checks=CheckBudget(
                per_minute=helix.cache.semantic.checks.per_minute,
                usd_per_day=helix.cache.semantic.checks.usd_per_day,
            ),
            judge=helix.cache.semantic.judge,
            ttl_seconds=helix.cache.ttl_seconds,
            share=helix.cache.share,
            on_outage=helix.cache.on_outage,
            stampede=_sharing(helix.cache.stampede),
            veil=_veil(helix.cache.side_channel),
            price=price.table,
            secret=_cache_secret(config, parts.key_secret),
            eligibility=_eligibility(config),
            storable=Storable(**helix.cache.storing.model_dump()),
            migrated_texts_per_second=helix.cache.semantic.migrated_texts_per_second,
        )
        stages.append(caching)
    if parts.detector is not None:
        app = RedactMiddleware(
            app,
            detector=parts.detector,
            policy=redact_policy(config, parts.key_secret),
            allowed=_allowed(config),
            timeout_seconds=helix.redact.timeout_seconds,
            on_outage=helix.redact.on_outage,
            tool_definitions=helix.redact.tool_definitions,
            token_ids=helix.redact.token_ids,
            answers=redact_answers(config),
        )
    if helix.admit.enabled:
        app = AdmitMiddleware(app, keys=authority, on_outage=helix.admit.on_outage, check_model=router.check)
    if sink is not None:
        app = TelemetryMiddleware(
            app,
            sink=sink,
            metrics=metrics,
            models=[model["model_name"] for model in config.model_list],
            max_body_bytes=helix.server.max_body_bytes,
            body_timeout_seconds=helix.server.body_timeout_seconds,
        )
    gateway.stages = app
    return gateway


def _sharing(stampede: StampedeConfig) -> Sharing | Literal[False]:
    if not stampede.enabled:
        return False
    return Sharing(lease_seconds=stampede.lease_seconds, wait_seconds=stampede.wait_seconds)


def _veil(side_channel: SideChannelConfig) -> Veil | None:
    if not side_channel.enabled:
        return None
    return Veil(most_seconds=side_channel.max_delay_seconds, default_seconds=side_channel.default_delay_seconds)


def _cache_secret(config: Config, key_secret: str) -> bytes | str:
    # From the keys' secret another one, as the redact stage has its own.
    secret = config.helix.cache.secret
    return hmac.digest(key_secret.encode(), b"helix cache", "sha256") if secret is None else secret.get_secret_value()


def _eligibility(config: Config) -> Eligibility:
    said = config.helix.cache.eligibility.model_dump()
    if said["languages"] is None:
        del said["languages"]
    try:
        return Eligibility(**said)
    except ValueError as error:
        raise ConfigError(f"helix.cache.eligibility: {error}", "helix.cache.eligibility") from None


def _cache_store(config: Config, parts: Parts) -> RedisCacheStore:
    cache = config.helix.cache
    try:
        return RedisCacheStore(
            parts.redis_url,
            vector_type=cache.semantic.vector_type,
            encryption_keys=[key.get_secret_value() for key in cache.encryption_keys],
            quota=Quota(**cache.quota.model_dump()),
        )
    except ValueError as error:
        raise ConfigError(f"helix.cache.encryption_keys: {error}", "helix.cache.encryption_keys") from None
    except ImportError:
        raise ConfigError(
            "helix.cache.encryption_keys needs cryptography: pip install 'helix-gateway[encryption]'",
            "helix.cache.encryption_keys",
        ) from None


def _limit(item: LimitConfig) -> Limit:
    most = Money.from_usd(item.most) if item.unit == "usd" else int(item.most)
    return Limit(item.scope, item.window, most, item.name, item.unit, item.time_zone, item.soft)


def _identify(router: Router) -> Callable[[Exchange], Identity]:
    """Whose a request is, with every provider that may answer it."""

    @lru_cache(maxsize=4096)
    def providers(model: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.partition("/")[0] for name in router.leads_to(model)))

    return lambda exchange: {**identity_of(exchange), "provider": providers(exchange.model)}


def _calibration(config: Config) -> Calibration | None:
    path = config.helix.cache.semantic.calibration
    if path is None:
        return None
    try:
        return Calibration.read(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        place = "helix.cache.semantic.calibration"
        raise ConfigError(f"{place}: {path} cannot be read: {reason}", place) from None


def _price(router: Router, file: Path | None = None) -> GroupPrices:
    """LiteLLM's table with the prices that the model list gives itself, by the names that callers use.

    A deployment's own prices go before its `base_model`'s, those before its own name's; where it stands may have a
    price too. Of several deployments of one model in different regions, the dearest says what it costs. Raises
    ConfigError for a price that is none, and for a table that cannot be read.
    """
    try:
        table = PriceTable.load(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"helix.budget.price_table: {error}", "helix.budget.price_table") from None
    custom: dict[str, ModelPrice] = {}
    for index, deployment in enumerate(router.deployments):
        path = f"model_list[{index}].model_info"
        try:
            table.check(deployment.info)
            own = read_row(deployment.info)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}", path) from None
        base = deployment.info.get("base_model")
        listed = table.find(base if isinstance(base, str) else deployment.qualified)
        if own is not None and listed is not None:
            own = own.sized_as(listed)
        region = _region(deployment)
        found = own or listed
        if found is not None and (own is not None or base is not None or found.at(region) is not found):
            found = found.at(region)
            other = custom.get(deployment.qualified)
            custom[deployment.qualified] = found if other is None else max(found, other, key=_dearness)
    return GroupPrices(table.over(custom), router.leads_to)


def _dearness(price: ModelPrice) -> int:
    return price.dearest(Usage(1000, 1000)).nano_usd


def _region(deployment: Deployment) -> str:
    """Where a deployment stands, as far as that has a price: "eu" or "us" at OpenAI, a location at Vertex AI."""
    if deployment.provider == "openai":
        head, _, rest = deployment.host.partition(".")
        return head if rest == "api.openai.com" else ""
    return str(deployment.options.get("vertex_location") or "")


def _sink(config: Config, parts: Parts) -> Sink | None:
    telemetry = config.helix.telemetry
    if not telemetry.enabled or parts.store is None or parts.spool_dir is None:
        return None
    return Sink(
        parts.store,
        parts.spool_dir,
        batch_rows=telemetry.batch_rows,
        flush_seconds=telemetry.flush_seconds,
        queue_rows=telemetry.queue_rows,
    )


def redact_policy(config: Config, key_secret: str) -> Policy:
    """What is done with personal data. Raises ConfigError."""
    redact = config.helix.redact
    secret, key = redact.secret, redact.encryption_key
    entities: Mapping[str, Given] = default_entities(redact.languages, names=redact.names != "none")
    if redact.entities is not None:
        entities = {kind: entity.model_dump(exclude_unset=True) for kind, entity in redact.entities.items()}
    # What somebody describes is to be found.
    declared = dict.fromkeys((found.entity for found in redact.recognizers if found.entity is not None), "placeholder")
    try:
        return Policy(
            {**declared, **entities},
            # What code and models find beside is known to the detector alone, which finds what is asked for.
            otherwise="placeholder" if redact.entities is None else "keep",
            score_threshold=redact.score_threshold,
            # From the keys' secret another one, so that nobody learns that one from hashes of guessed values.
            secret=hmac.digest(key_secret.encode(), b"helix redact", "sha256")
            if secret is None
            else secret.get_secret_value(),
            encryption_key=None if key is None else key.get_secret_value(),
            language=redact.languages[0],
            allow_list=_entries(redact.allow_list),
        )
    except ValueError as error:
        raise ConfigError(f"helix.redact: {error}", "helix.redact") from None


def redact_answers(config: Config) -> Answers | None:
    """What is done with personal data in answers; None where they are not looked through."""
    answers = config.helix.redact.answers
    return None if answers is None else Answers(**answers.model_dump())


def _entries(entries: Iterable[str | PatternConfig]) -> list[Entry]:
    return [entry if isinstance(entry, str) else {"pattern": entry.pattern} for entry in entries]


def _allowed(config: Config) -> Callable[[Exchange], AllowList]:
    """What one caller's requests may say: by key, user, team and organization, and by the key's own metadata."""
    try:
        lists = {whose: AllowList(_entries(found)) for whose, found in config.helix.redact.allow_lists.items()}
    except ValueError as error:
        raise ConfigError(f"helix.redact.allow_lists: {error}", "helix.redact.allow_lists") from None

    nobodys = AllowList()

    def allowed(exchange: Exchange) -> AllowList:
        caller = exchange.principal
        if caller is None:
            return nobodys
        own = caller.metadata.get("allow_list")
        words = own if isinstance(own, (list, tuple)) else ()
        found = AllowList(word for word in words if isinstance(word, str) and word.strip())
        names = (
            ("key", caller.key_id),
            ("user", caller.user),
            ("team", caller.team),
            ("organization", caller.organization),
        )
        for whose, name in names:
            found = found | lists.get(f"{whose}:{name}", nobodys)
        return found

    return allowed


def _contents(
    config: Config, parts: Parts, cache: RedisCacheStore, stage: Callable[[], CacheMiddleware]
) -> CacheContents:
    """The cache for administrators, whose texts are redacted as requests are."""
    redact = None
    if parts.detector is not None:
        explained = _explained(config, parts)

        async def redact(text: str) -> str:
            return (await explained(text)).text

    return CacheContents(
        cache.catalog,
        secret=_cache_secret(config, parts.key_secret),
        embedder=None if config.helix.cache.mode == "exact" else parts.embedder,
        redact=redact,
        stage=stage,
    )


def _explained(config: Config, parts: Parts) -> Redactor:
    if parts.detector is None:
        raise RuntimeError("there is nothing to explain without a detector")
    policy = redact_policy(config, parts.key_secret)
    return partial(explain, parts.detector, policy=policy)


def _checks(keys: RedisKeyStore, parts: Parts) -> dict[str, Check]:
    checks: dict[str, Check] = {"redis": keys.ping}
    if parts.store is not None:
        checks["clickhouse"] = parts.store.ping
    if parts.detector is not None:
        checks["detector"] = partial(parts.detector.detect, ["ready?"])
    if parts.embedder is not None:
        checks["embedder"] = partial(parts.embedder.embed, ["ready?"])
    return checks
