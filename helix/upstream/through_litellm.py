"""Every other provider, and every other dialect of the native ones: LiteLLM translates and sends.

LiteLLM is loaded when it is first needed, in a thread, since that takes seconds; without its network look-ups, its
callbacks and its log lines, which would hold prompts. A caller's fields reach it by an allow-list: LiteLLM takes
addresses and credentials by the same keyword arguments as a request's fields.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import warnings
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import ModuleType
from typing import Any

import orjson

from helix.kernel.errors import (
    ConfigError,
    InvalidRequest,
    UpstreamError,
    UpstreamGarbled,
    UpstreamStatus,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from helix.kernel.exchange import Exchange
from helix.kernel.lifecycle import Resource
from helix.kernel.sse import DONE, Decoder, Event
from helix.kernel.wire import Dialect
from helix.upstream.answer import Answer
from helix.upstream.deployment import Deployment, Target
from helix.upstream.keys import REQUEST_FIELDS

__all__ = ["ThroughLiteLLM"]

_CALLS = {
    "chat": "acompletion",
    "completions": "atext_completion",
    "embeddings": "aembedding",
    "responses": "aresponses",
    "messages": "anthropic_messages",
}
_CORE = {
    "chat": frozenset({"model", "messages", "stream", "stream_options"}),
    "completions": frozenset({"model", "prompt", "stream", "stream_options"}),
    "embeddings": frozenset({"model", "input"}),
    "responses": frozenset({"model", "input", "stream"}),
    "messages": frozenset({"model", "messages", "stream"}),
    "count_tokens": frozenset({"model", "messages"}),
}
_SET_ASIDE = {"chat": frozenset({"metadata"}), "responses": frozenset({"stream_options"})}
"""Fields that are left out without a word: `metadata` of a chat is LiteLLM's own logging to it."""

_MAY_HAVE_TOOLS = frozenset({"chat", "responses", "messages"})
_MISSING = re.compile(r"No module named '([\w.]+)'$")
_COUNTED = ("tools", "system")


class ThroughLiteLLM:
    """Asks providers by `litellm.acompletion` and its like."""

    def __init__(self) -> None:
        self._litellm: Resource[ModuleType] = Resource(_load, _unload)

    async def open(self, deployments: Sequence[Deployment]) -> None:
        """Load LiteLLM. Raises ConfigError where it is not installed, or does not know a deployment's provider."""
        litellm = await self._litellm.open()
        for deployment in deployments:
            if deployment.is_wildcard:
                continue
            try:
                litellm.get_llm_provider(deployment.qualified, deployment.options.get("custom_llm_provider"))
            except Exception:
                raise ConfigError(
                    f"model_list: LiteLLM knows no provider for the model '{deployment.qualified}'; "
                    "write it as provider/model",
                    "model_list",
                ) from None

    async def close(self) -> None:
        """Close LiteLLM's connections."""
        await self._litellm.close()

    async def ask(self, exchange: Exchange, target: Target, timeout_seconds: float) -> Answer:
        """Have LiteLLM send the request. Raises UpstreamError, InvalidRequest."""
        dialect = exchange.dialect
        if dialect is None:
            raise UpstreamError("only requests of a known dialect can be sent on")
        litellm = self._litellm.value or await self._open()
        arguments = _arguments(dialect, exchange.payload, target, timeout_seconds)
        try:
            if dialect.name == "count_tokens":
                return Answer(body=exchange.encode_answer(await _count(litellm, arguments)))
            found = await getattr(litellm, _CALLS[dialect.name])(**arguments)
        except Exception as error:
            raise _translated(litellm, dialect, error) from None
        if exchange.stream and hasattr(found, "__aiter__"):
            return Answer(events=_events(litellm, dialect, found))
        answer = _plain(found)
        if not isinstance(answer, dict):
            raise UpstreamGarbled("the provider's answer is not a JSON object")
        return Answer(body=exchange.encode_answer(answer))

    async def _open(self) -> ModuleType:
        try:
            return await self._litellm.open()
        except ConfigError as error:
            # A native deployment spoken to in another dialect: the configuration alone did not need LiteLLM.
            raise UpstreamError(f"the provider does not speak this dialect, and {error.message}") from None


async def _load() -> ModuleType:
    return await asyncio.to_thread(_import)


def _import() -> ModuleType:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no download at import
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # no .env file read at import
    try:
        import litellm
    except ImportError:
        raise ConfigError("LiteLLM is not installed: pip install 'helix-gateway[litellm]'", "model_list") from None
    # LiteLLM's schemas are built at first use, with a warning of pydantic's that says nothing about the request.
    warnings.filterwarnings("ignore", r"Item '\w+' on TypedDict class '\w+' is using the `ReadOnly`", UserWarning)
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.turn_off_message_logging = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).disabled = True
    return litellm  # type: ignore[no-any-return]


async def _unload(litellm: ModuleType) -> None:
    await litellm.close_litellm_async_clients()


def _arguments(dialect: Dialect, payload: Mapping[str, Any], target: Target, timeout_seconds: float) -> dict[str, Any]:
    deployment = target.deployment
    core, fields = _CORE[dialect.name], REQUEST_FIELDS[dialect.name]
    aside = _SET_ASIDE.get(dialect.name, frozenset())
    drop = deployment.options.get("drop_params")
    arguments = {name: value for name, value in deployment.fields(dialect.name).items() if name not in aside}
    for name, value in payload.items():
        if name in aside:
            continue
        if name in core or name in fields:
            arguments[name] = value
        elif not drop:
            raise InvalidRequest(
                f"'{name}' is not a field that can be translated for the provider {deployment.provider}; "
                "leave it out, or set drop_params on the deployment",
                name,
            )
    arguments |= deployment.options
    arguments["model"] = target.qualified
    arguments["timeout"] = timeout_seconds
    arguments["max_retries"] = 0  # retries are the router's
    if dialect.name in _MAY_HAVE_TOOLS:
        arguments["_skip_mcp_handler"] = True  # LiteLLM would look among the tools for MCP servers of its own proxy
    for name, value in (
        ("api_key", deployment.api_key),
        ("api_base", deployment.api_base),
        ("organization", deployment.organization),
        ("extra_headers", dict(deployment.headers)),
        ("extra_body", dict(deployment.body)),
    ):
        if value:
            arguments[name] = value
    return arguments


async def _count(litellm: ModuleType, arguments: Mapping[str, Any]) -> dict[str, Any]:
    counted = {name: arguments[name] for name in _COUNTED if name in arguments}
    system = counted.get("system")
    if isinstance(system, list):
        counted["system"] = "\n".join(block.get("text", "") for block in system if isinstance(block, dict))
    address = {name: arguments[name] for name in ("api_key", "api_base") if name in arguments}
    found = await litellm.acount_tokens(model=arguments["model"], messages=arguments["messages"], **counted, **address)
    return {"input_tokens": found.total_tokens}


async def _events(litellm: ModuleType, dialect: Dialect, chunks: Any) -> AsyncGenerator[list[Event], None]:
    """LiteLLM's chunks as events of the dialect: bytes of events, dicts, or pydantic models."""
    decoder = Decoder()
    chat = dialect.name in ("chat", "completions")
    try:
        async for chunk in chunks:
            if isinstance(chunk, bytes | str):
                if events := decoder.feed(chunk.encode() if isinstance(chunk, str) else chunk):
                    yield events
                continue
            payload = _plain(chunk)
            if not isinstance(payload, dict):
                raise UpstreamGarbled("LiteLLM gave an event that is not an object")
            if chat:
                # What LiteLLM has as None is left out, and these two are never out in OpenAI's own.
                for choice in payload.get("choices") or ():
                    choice.setdefault("finish_reason", None)
                    if dialect.name == "completions" and choice.get("text") is None:
                        choice["text"] = ""
            yield [Event.of(payload, None if chat else str(payload.get("type", "")) or None)]
        if events := decoder.flush():
            yield events
        if chat:
            yield [DONE]
    except UpstreamError:
        raise
    except Exception as error:
        raise _translated(litellm, dialect, error) from None
    finally:
        if (close := getattr(chunks, "aclose", None)) is not None:
            await close()


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        return value
    return dump(mode="json", exclude_none=True, warnings=False)


def _translated(litellm: ModuleType, dialect: Dialect, error: Exception) -> UpstreamError:
    """LiteLLM's exception as one of Helix's: its status and Retry-After; its words go to the caller alone."""
    exceptions = litellm.exceptions
    if isinstance(error, exceptions.Timeout | TimeoutError):
        return UpstreamTimeout("the provider did not answer in time")
    missing = _MISSING.search(str(error))
    if missing is not None:
        return UpstreamError(f"LiteLLM needs the Python package '{missing[1]}' for this call, which is not installed")
    if isinstance(error, exceptions.APIConnectionError):
        return UpstreamUnreachable("the provider cannot be reached, or LiteLLM cannot read its answer")
    status = getattr(error, "status_code", None)
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    if not isinstance(status, int) or not 400 <= status < 600:
        return UpstreamError(f"LiteLLM could not make this call ({type(error).__name__})")
    headers = _retry_after(error)
    if status == 401:
        return UpstreamStatus("the provider refused the credential that is configured for it", 401, b"", "", headers)
    told = UpstreamStatus(str(getattr(error, "message", "")), status)
    body = orjson.dumps(dialect.error_body(told))
    return UpstreamStatus(f"the provider answered with status {status}", status, body, "application/json", headers)


def _retry_after(error: Exception) -> tuple[tuple[str, str], ...]:
    for source in (
        getattr(error, "litellm_response_headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    ):
        if source is not None:
            found = [(name, str(source[name])) for name in ("retry-after", "retry-after-ms") if name in source]
            if found:
                return tuple(found)
    return ()
