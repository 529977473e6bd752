"""The hooks that LiteLLM's proxy calls around a request."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.litellm_core_utils.served_output_texts import (
    SERVED_OUTPUT_TEXTS_KEY,
    overlay_served_output_texts,
    served_output_texts,
)

from helix.cache import CacheMiddleware
from helix.integrations.litellm.answers import Answers, can_replay
from helix.integrations.litellm.errors import failure, refusal, refused
from helix.integrations.litellm.request import Journey, headers_of, metadata_of, payload_of, put, who, withhold
from helix.integrations.litellm.values import Pieces, body_of, changed
from helix.integrations.passage import Passage, inside, receiving, scope_of
from helix.kernel import exact
from helix.kernel.errors import ContentBlocked, HelixError
from helix.kernel.types import ASGIApp, Receive, Scope
from helix.kernel.wire import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Dialect
from helix.redact import RedactMiddleware
from helix.telemetry import TelemetryMiddleware
from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.sink import Sink

__all__ = ["HelixGuardrail"]

_DIALECTS: Mapping[str, Dialect] = {
    "acompletion": CHAT,
    "atext_completion": COMPLETIONS,
    "aembedding": EMBEDDINGS,
    "aresponses": RESPONSES,
    "anthropic_messages": MESSAGES,
}
# What requests of other kinds carry somebody's words in.
_WORDS = frozenset(("contents", "document", "documents", "file", "input", "messages", "prompt", "query", "text"))
_HOOKS = ("pre_call", "post_call", "logging_only")
_ID = "helix_request_id"


class HelixGuardrail(CustomGuardrail):  # type: ignore[misc]  # LiteLLM's types are not followed
    """Redact, look up in the cache and record what passes through LiteLLM's proxy.

    `redact` and `cache` are the arguments of RedactMiddleware and CacheMiddleware; without `cache` nothing is looked
    up. `telemetry` is `{"clickhouse": a URL or a folder, "spool_dir": a folder}`; without it nothing is recorded.
    Requests of other kinds than chat, completions, embeddings, responses and messages cannot be looked through: by
    `other_requests` those that carry words are refused with 400, or, chosen aloud, pass as they are. `patience_seconds`
    is how long what was taken out of a request is kept for its answer. The rest is LiteLLM's. Raises ValueError.
    """

    def __init__(
        self,
        *,
        redact: Mapping[str, Any] | None = None,
        cache: Mapping[str, Any] | None = None,
        telemetry: Mapping[str, Any] | None = None,
        other_requests: Literal["refuse", "pass"] = "refuse",
        patience_seconds: float = 3600.0,
        **litellm_params: Any,
    ) -> None:
        if other_requests not in ("refuse", "pass"):
            raise ValueError(f"other_requests must be 'refuse' or 'pass', not {other_requests!r}")
        if patience_seconds <= 0:
            raise ValueError(f"patience_seconds must be above 0, not {patience_seconds}")
        for name in ("run_in_parallel", "scan_raw_request"):
            if litellm_params.get(name):
                raise ValueError(f"{name} must be off: LiteLLM would send the request as it was")
        # One hook is no use without the others: what is taken out must come back, and must not be logged.
        super().__init__(**litellm_params | {"event_hook": list(_HOOKS)})
        self._passes_others = other_requests == "pass"
        self._patience_seconds = patience_seconds
        stages: ASGIApp = RedactMiddleware(inside, **redact or {})
        if telemetry is not None:
            sink = Sink(ClickHouse(telemetry["clickhouse"]), telemetry["spool_dir"])
            stages = TelemetryMiddleware(stages, sink=sink)
        self._stages = stages
        self._cache = CacheMiddleware(inside, **cache) if cache is not None else None
        self._answers = Answers.installed() if cache is not None else None
        # By LiteLLM's object for one request, which no caller can name, and with which they go.
        self._journeys: weakref.WeakKeyDictionary[Any, Journey] = weakref.WeakKeyDictionary()
        self._by_id: weakref.WeakValueDictionary[str, Journey] = weakref.WeakValueDictionary()

    # Before the call

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Take personal data out of a request, in place. Raises what LiteLLM replies with where a stage refuses it."""
        dialect, payload = _DIALECTS.get(call_type), payload_of(data)
        if dialect is None:
            if self._passes_others or _WORDS.isdisjoint(data):
                return data
            withhold(data, payload)
            error = ContentBlocked("personal data cannot be looked for in requests of this kind")
            raise refused(error, is_logged=False)
        try:
            journey = await self._set_out(dialect, payload, data, user_api_key_dict)
        except BaseException:
            withhold(data, payload)
            raise
        put(data, payload, journey.question)
        return data

    async def _set_out(self, dialect: Dialect, payload: dict[str, Any], data: dict[str, Any], caller: Any) -> Journey:
        outer = self._passage(self._stages, scope_of(dialect, headers_of(data, caller)), receiving(payload))
        reply = await outer.ask()
        if reply is not None:
            raise refusal(dialect, outer, reply)
        journey = Journey(dialect, outer)
        journey.exchange.record.admit.update(who(caller))
        if self._cache is not None and self._answers is not None and can_replay(dialect, stream=journey.streams):
            inner = self._passage(self._cache, outer.scope, journey.exchange.receive)
            reply = await inner.ask()
            data["caching"] = reply is not None
            if reply is None:
                journey.passages.append(inner)
            elif inner.status == 200:
                journey.headers += inner.headers
                data["cache_key"] = self._answers.put(dialect, reply, journey)
            else:
                outer.leave()
                raise refusal(dialect, inner, reply)
        logging = data["litellm_logging_obj"]
        self._journeys[logging] = self._by_id[journey.exchange.id] = journey
        metadata_of(data)[_ID] = journey.exchange.id
        weakref.finalize(logging, _abandon, asyncio.get_running_loop(), journey).atexit = False
        return journey

    def _passage(self, stages: ASGIApp, scope: Scope, receive: Receive) -> Passage:
        return Passage(stages, scope, receive, patience_seconds=self._patience_seconds)

    # After the call

    async def async_post_call_success_hook(self, data: dict[str, Any], user_api_key_dict: Any, response: Any) -> Any:
        """Put personal data back into a whole answer; what LiteLLM logs keeps the answer without it."""
        journey = self._under_way(data)
        if journey is None:
            return response
        journey.note(data["litellm_logging_obj"], response)
        body = body_of(response)
        restored = await journey.answer(body)
        return response if restored == body else changed(response, exact.loads(body), exact.loads(restored))

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """Put personal data back into a stream as it passes."""
        journey = self._under_way(request_data)
        if journey is None:
            async for chunk in response:
                yield chunk
            return
        await journey.begin()
        pieces = Pieces(journey.dialect)
        try:
            async for chunk in response:
                data = pieces.encode(chunk)
                restored = data if data is None else await journey.feed(data)
                if restored == data:
                    yield chunk
                elif restored:
                    for piece in pieces.decode(restored):
                        yield piece
            journey.note(request_data["litellm_logging_obj"], response)
            for piece in pieces.decode(await journey.end()):
                yield piece
        except HelixError as error:
            raise refused(error) from None
        except Exception as error:
            for piece in pieces.held(await journey.fail(failure(error))):
                yield piece
            raise
        finally:
            journey.leave()

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> None:
        """Record that there was no answer."""
        journey = self._by_id.get(str(metadata_of(request_data).get(_ID)))
        if journey is not None and not journey.is_over:
            await journey.fail(failure(original_exception))

    async def async_post_call_response_headers_hook(
        self, data: dict[str, Any], user_api_key_dict: Any, response: Any, **_: Any
    ) -> dict[str, str] | None:
        """Helix's own headers."""
        journey = self._journeys.get(data.get("litellm_logging_obj"))
        if journey is None:
            return None
        if journey.streams and response is not None and not journey.is_over:
            await journey.begin()
        return {
            name.decode(): value.decode("latin-1")
            for name, value in journey.headers
            if name.startswith(b"x-helix-") or name == b"age"
        }

    def _under_way(self, data: Mapping[str, Any]) -> Journey | None:
        journey = self._journeys.get(data.get("litellm_logging_obj"))
        return None if journey is None or journey.is_over else journey

    # What LiteLLM logs

    def logging_hook(self, kwargs: dict[str, Any], result: Any, call_type: str) -> tuple[dict[str, Any], Any]:
        """Log the answer as the provider gave it: LiteLLM would lay over it what the caller was served."""
        if SERVED_OUTPUT_TEXTS_KEY in kwargs:
            whole = kwargs.get("async_complete_streaming_response") or kwargs.get("complete_streaming_response")
            texts = kwargs[SERVED_OUTPUT_TEXTS_KEY] = served_output_texts(whole or result)
            logged = kwargs.get("standard_logging_object")
            if logged is not None:
                logged["response"] = overlay_served_output_texts(logged["response"], texts) if texts else None
        return kwargs, result

    async def async_logging_hook(
        self, kwargs: dict[str, Any], result: Any, call_type: str
    ) -> tuple[dict[str, Any], Any]:
        """The same."""
        return self.logging_hook(kwargs, result, call_type)


def _abandon(loop: asyncio.AbstractEventLoop, journey: Journey) -> None:
    # Whoever drops the last reference may do so in any thread.
    if not loop.is_closed():
        loop.call_soon_threadsafe(journey.leave)
