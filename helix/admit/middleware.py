"""The admit stage: a known key before the body is read, an allowed model after, and no more requests than agreed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from helix.admit.keys import Authority, KeyStore
from helix.admit.limits import Grant, RequestLimiter
from helix.admit.places import Places
from helix.kernel.errors import BackendUnavailable, HelixError, ModelNotAllowed
from helix.kernel.exchange import Exchange, attach
from helix.kernel.lifecycle import Resource, lifespan
from helix.kernel.reply import refuse, telling
from helix.kernel.types import ASGIApp, Observer, Principal, Receive, Scope, Send

__all__ = ["AdmitMiddleware"]


class AdmitMiddleware:
    """Let known callers in, and note who they are.

    Guards every path under /v1 and every path of a dialect; others pass, and guard themselves by an `Authority`. A
    key without limits costs no round trip while it is remembered. `on_outage` says what becomes of a known key's
    requests while they cannot be counted; a key that is not known cannot be let in then.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyStore | Authority | str,
        master_key: str | None = None,
        secret: str | None = None,
        auth: bool = True,
        cache_seconds: float = 5.0,
        on_outage: Literal["pass", "refuse"] = "refuse",
        check_model: Callable[[str], object] | None = None,
        observe: Observer | None = None,
    ) -> None:
        """Take a store, which stays the caller's, or the URL of a Redis, for which `secret` is the one keys are
        hashed with.

        An `Authority` brings its own master key, and shares what it remembers. `check_model` raises ModelNotFound for
        a name that nothing inside serves, so that no other stage works for it.
        """
        if on_outage not in ("pass", "refuse"):
            raise ValueError(f"on_outage must be 'pass' or 'refuse', not {on_outage!r}")
        if cache_seconds < 0:
            raise ValueError("cache_seconds must not be negative")
        if isinstance(keys, str) and secret is None:
            raise ValueError("keys by URL need the secret that they are hashed with")
        self.app = app
        self._on_outage = on_outage
        self._check_model = check_model
        self._observe = observe
        self._places = Places()

        def authority(store: KeyStore) -> Authority:
            return Authority(store, master_key=master_key, auth=auth, cache_seconds=cache_seconds)

        self._authority = _authority(keys, secret or "", authority)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit, or refuse."""
        if scope["type"] == "lifespan":
            send = lifespan(send, opening=(self._authority,), closing=(self,))
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = attach(scope, receive)
        if exchange.dialect is None and "/v1/" not in scope["path"]:
            return await self.app(scope, receive, send)
        grant = None
        try:
            authority = self._authority.value or await self._authority.open()
            principal = exchange.principal = await authority.authorize(scope)
            exchange.record.admit = _facts(principal)
            if exchange.dialect is not None:
                await exchange.read()
                if principal.models and exchange.model not in principal.models:
                    raise ModelNotAllowed(f"this key may use: {', '.join(principal.models)}", "model")
                if self._check_model is not None:
                    self._check_model(exchange.model)
                if principal.rpm is not None or principal.parallel is not None:
                    grant = await self._count(authority.keys.limiter, principal, exchange)
        except HelixError as error:
            exchange.record.admit["refused"] = error.code
            self._tell(exchange)
            return await refuse(error)(scope, exchange.receive, send)
        self._tell(exchange)
        if grant is None:
            return await self.app(scope, exchange.receive, send)
        try:
            await self.app(scope, exchange.receive, telling(send, grant.headers(principal)))
        finally:
            self._let_go(authority.keys.limiter, principal, exchange)
        return None

    async def close(self) -> None:
        """Wait for places that are being freed, then let the store go."""
        await self._places.close()
        await self._authority.close()

    async def _count(self, limiter: RequestLimiter, principal: Principal, exchange: Exchange) -> Grant | None:
        try:
            grant = await limiter.acquire(principal, exchange.id)
        except (BackendUnavailable, asyncio.CancelledError) as error:
            self._let_go(limiter, principal, exchange)  # it may have been counted all the same
            if self._on_outage == "refuse" or isinstance(error, asyncio.CancelledError):
                raise
            return None
        refusal = grant.refusal(principal)
        if refusal is not None:
            raise refusal
        return grant

    def _let_go(self, limiter: RequestLimiter, principal: Principal, exchange: Exchange) -> None:
        if principal.parallel is not None:
            self._places.give_back(limiter, principal, exchange.id)

    def _tell(self, exchange: Exchange) -> None:
        if self._observe is not None:
            self._observe("admit", dict(exchange.record.admit))


def _facts(principal: Principal) -> dict[str, Any]:
    return {
        "key_id": principal.key_id,
        "key_name": principal.name,
        "user": principal.user,
        "team": principal.team,
        "organization": principal.organization,
        "tags": list(principal.tags),
    }


def _authority(
    keys: KeyStore | Authority | str, secret: str, authority: Callable[[KeyStore], Authority]
) -> Resource[Authority]:
    if isinstance(keys, Authority):
        return Resource.borrowed(keys)
    if not isinstance(keys, str):
        return Resource.borrowed(authority(keys))
    url = keys

    async def make() -> Authority:
        from helix.admit.redis import RedisKeyStore  # here, so that `import helix` does not import redis

        return authority(RedisKeyStore(url, secret=secret))

    async def close(made: Authority) -> None:
        await made.keys.close()  # type: ignore[attr-defined]

    return Resource(make, close)
