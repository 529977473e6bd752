"""Providers that speak the caller's own dialect: OpenAI's wire and Anthropic's, by aiohttp, with nothing translated.

The request's bytes go on as they came unless a stage changed them, the deployment has defaults to add, or the model is
called otherwise there. A stream's bytes are cut at events, never changed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import lru_cache
from typing import NoReturn

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from helix import __version__
from helix.kernel.errors import (
    ConnectTimeout,
    UpstreamBroke,
    UpstreamError,
    UpstreamGarbled,
    UpstreamStatus,
    UpstreamUnreachable,
)
from helix.kernel.exchange import Exchange
from helix.kernel.lifecycle import Resource
from helix.kernel.sse import Decoder, Event
from helix.kernel.wire import COUNT_TOKENS, MESSAGES, Dialect
from helix.upstream.answer import Answer, HeaderList
from helix.upstream.connection import Address, Pool, Reply
from helix.upstream.deployment import ANTHROPIC_WIRE, OPENAI_WIRE, Deployment, Target

__all__ = ["Native"]

CONNECT_TIMEOUT_SECONDS = 5.0  # what OpenAI's and Anthropic's own clients allow
KEEP_ALIVE_SECONDS = 60.0
MAX_ANSWER_BYTES = 128 * 1024 * 1024
MAX_ERROR_BYTES = 256 * 1024
ANTHROPIC_VERSION = b"2023-06-01"

_FORWARDED = frozenset(
    {
        b"anthropic-beta",
        b"anthropic-version",
        b"idempotency-key",
        b"openai-beta",
        b"traceparent",
        b"tracestate",
    }
)
"""The caller's headers that a provider sees. Everything else stays here: credentials and cookies above all, and whose
account at the provider is meant, which goes with the deployment's key."""

_ANTHROPIC = (MESSAGES, COUNT_TOKENS)
_KEPT = frozenset(
    {b"request-id", b"x-request-id", b"openai-processing-ms", b"openai-version", b"retry-after", b"retry-after-ms"}
)
_PREFIXED = (b"x-ratelimit-", b"anthropic-ratelimit-")


@lru_cache(maxsize=1024)
def _reply_name(name: bytes) -> bytes | None:
    """What a provider's header is called in Helix's reply; None for one that stays behind."""
    lowered = name.lower()
    if lowered in _KEPT:
        return lowered
    # Helix has limits of its own under the plain names.
    return b"llm_provider-" + lowered if lowered.startswith(_PREFIXED) else None


class _Endpoint:
    """Where and with what headers a deployment is asked in a dialect: everything that is the same in each request."""

    __slots__ = ("address", "body", "defaults", "own_headers")

    def __init__(self, deployment: Deployment, dialect: Dialect) -> None:
        self.defaults = deployment.fields(dialect.name)
        self.body = deployment.body
        headers = CIMultiDict(
            {
                "content-type": "application/json",
                "accept-encoding": "identity",
                "user-agent": f"helix/{__version__}",
                **_credentials(deployment),
            }
        )
        if deployment.organization:
            headers["openai-organization"] = deployment.organization
        headers.update(deployment.headers)
        # What the configuration sets, the caller cannot change.
        self.own_headers = frozenset(name.lower().encode("ascii") for name in headers)
        self.address = Address(URL(_url(deployment, dialect)), headers.items())

    def headers_for(self, exchange: Exchange) -> bytes:
        """The lines of one request's own headers."""
        found = {
            name: value
            for name, value in exchange.scope["headers"]
            if name in _FORWARDED and name not in self.own_headers
        }
        if exchange.dialect in _ANTHROPIC and b"anthropic-version" not in self.own_headers:
            found.setdefault(b"anthropic-version", ANTHROPIC_VERSION)
        return b"".join([b"%b: %b\r\n" % item for item in found.items()]) if found else b""

    def body_for(self, exchange: Exchange, model: str) -> bytes:
        """The body of one request: the very bytes of the exchange where nothing must be different."""
        payload = exchange.payload
        if payload.get("model") == model and not self.body and self.defaults.keys() <= payload.keys():
            return exchange.body
        return exchange.encode({**self.defaults, **payload, **self.body, "model": model})


class Native:
    """Asks providers over one pool of kept-alive connections, as many as are needed."""

    def __init__(self) -> None:
        self._pool: Resource[Pool] = Resource(_open_pool, Pool.close)
        self._endpoints: dict[tuple[str, str], _Endpoint] = {}

    async def open(self, deployments: Sequence[Deployment]) -> None:
        """Make the pool; nothing is connected yet."""
        await self._pool.open()

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()
        self._endpoints.clear()

    async def ask(self, exchange: Exchange, target: Target, timeout_seconds: float) -> Answer:
        """Send the request on. Raises UpstreamError."""
        dialect = exchange.dialect
        if dialect is None:
            raise UpstreamError("only requests of a known dialect can be sent on")
        key = (target.deployment.id, dialect.name)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            endpoint = self._endpoints[key] = _Endpoint(target.deployment, dialect)
        pool = self._pool.value or await self._pool.open()
        body = endpoint.body_for(exchange, target.model)
        try:
            response = await pool.post(endpoint.address, endpoint.headers_for(exchange), body)
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError) as error:
            _fail(error)
        answer: Answer | None = None
        try:
            answer = await _answer(exchange, response)
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError) as error:
            _fail(error)
        finally:
            # A connection whose answer was read to its end is back in the pool already; this is for every other.
            if answer is None or answer.events is None:
                response.close()
        return answer


async def _open_pool() -> Pool:
    # The time-outs of the answer are the router's, who knows what is being waited for.
    return Pool(connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS, keep_alive_seconds=KEEP_ALIVE_SECONDS)


def _url(deployment: Deployment, dialect: Dialect) -> str:
    if deployment.provider == "anthropic":
        base = (deployment.api_base or ANTHROPIC_WIRE).removesuffix("/v1/messages").removesuffix("/v1")
        return base + dialect.path
    base = deployment.api_base or OPENAI_WIRE[deployment.provider] or ""
    operation = dialect.path.removeprefix("/v1")
    if deployment.provider in ("ollama", "ollama_chat") and not base.endswith("/v1"):
        base += "/v1"  # LiteLLM's api_base for Ollama is the server's own root
    return base.removesuffix(operation) + operation


def _credentials(deployment: Deployment) -> Mapping[str, str]:
    key = deployment.api_key
    if not key:
        return {}
    if deployment.provider == "anthropic" and not key.startswith("sk-ant-oat"):
        return {"x-api-key": key}
    return {"authorization": f"Bearer {key}"}


async def _answer(exchange: Exchange, response: Reply) -> Answer:
    if not 200 <= response.status < 300:
        raise await _refusal(response)
    if response.headers.get("content-type", "").lower().startswith("text/event-stream"):
        return Answer(_reply_headers(response), events=_events(response))
    body = await _read(response, MAX_ANSWER_BYTES)
    if not isinstance(exchange.answer(body), dict):
        raise UpstreamGarbled("the provider's answer is not a JSON object")
    return Answer(_reply_headers(response), body)


async def _events(response: Reply) -> AsyncGenerator[list[Event], None]:
    decoder = Decoder()
    content = response.content
    try:
        while chunk := await content.readany():
            if events := decoder.feed(chunk):
                yield events
        if events := decoder.flush():
            yield events
    except (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError) as error:
        _fail(error)
    finally:
        response.close()


async def _read(response: Reply, limit_bytes: int) -> bytes:
    content = response.content
    chunk = await content.readany()
    parts, size = [chunk], len(chunk)
    while chunk:
        if size > limit_bytes:
            raise UpstreamGarbled(f"the provider's answer is over {limit_bytes} bytes")
        chunk = await content.readany()
        if chunk:
            parts.append(chunk)
            size += len(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _refusal(response: Reply) -> UpstreamError:
    """The error that a status other than 200 stands for."""
    status = response.status
    if not 400 <= status < 600:  # RFC 9110 knows no other error, and a server may refuse to send one
        return UpstreamGarbled(f"the provider answered with status {status}")
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in _reply_headers(response))
    if status == 401:
        # Its body quotes the key, which is not the caller's; and the caller could do nothing about it.
        return UpstreamStatus("the provider refused the credential that is configured for it", 401, b"", "", headers)
    body = await _read(response, MAX_ERROR_BYTES)
    content_type = response.headers.get("content-type", "")
    return UpstreamStatus(f"the provider answered with status {status}", status, body, content_type, headers)


def _reply_headers(response: Reply) -> HeaderList:
    return [(kept, value) for name, value in response.raw_headers if (kept := _reply_name(name)) is not None]


def _fail(error: Exception) -> NoReturn:
    """Raise what a broken connection is to the caller; addresses stay out of it."""
    if isinstance(error, TimeoutError):
        raise ConnectTimeout(f"the provider could not be connected to within {CONNECT_TIMEOUT_SECONDS:g} s") from error
    if isinstance(error, aiohttp.ClientSSLError):
        raise UpstreamUnreachable("the provider's TLS certificate or handshake is not acceptable") from error
    if isinstance(error, aiohttp.ClientConnectorError):
        raise UpstreamUnreachable("the provider cannot be connected to") from error
    if isinstance(error, HttpProcessingError):
        raise UpstreamGarbled("the provider's answer is not HTTP") from error
    raise UpstreamBroke("the connection to the provider broke") from error
