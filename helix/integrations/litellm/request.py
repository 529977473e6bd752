"""A request as LiteLLM hands it to hooks: the caller's part of it, and its way through the stages."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from helix.integrations.passage import Headers, Passage
from helix.kernel.errors import HelixError
from helix.kernel.exchange import Exchange
from helix.kernel.types import Money
from helix.kernel.wire import CHAT, COMPLETIONS, Dialect
from helix.telemetry.row import token

__all__ = ["Journey", "headers_of", "metadata_of", "payload_of", "put", "who", "withhold"]

# LiteLLM's own, in the request that hooks are given.
_OWN = frozenset(("proxy_server_request", "secret_fields", "model_info", "router_settings_override", "shared_session"))
_PASSED_ON = frozenset(("cache-control", "anthropic-beta", "anthropic-version", "openai-beta"))


class Journey:
    """The passages of one request, from the caller's side inwards, and the headers that they give the reply."""

    def __init__(self, dialect: Dialect, outer: Passage) -> None:
        self.dialect = dialect
        self.passages = [outer]
        self.headers: Headers = []
        self._has_begun = False

    @property
    def exchange(self) -> Exchange:
        """The request as all stages share it."""
        return self.passages[0].exchange

    @property
    def question(self) -> dict[str, Any]:
        """The payload as the innermost stage passes it on."""
        return self.exchange.payload

    @property
    def streams(self) -> bool:
        """Whether the caller asked for a stream."""
        return self.exchange.stream

    @property
    def is_over(self) -> bool:
        """Whether the stages are done with it."""
        return self.passages[0].is_over

    async def answer(self, body: bytes) -> bytes:
        """A whole answer as the stages give it."""
        for passage in reversed(self.passages):
            body = await passage.answer(body)
            self.headers += passage.headers
        return body

    async def begin(self) -> None:
        """Begin a stream; nothing where it has begun."""
        if self._has_begun:
            return
        self._has_begun = True
        for passage in reversed(self.passages):
            await passage.begin()
            self.headers += passage.headers

    async def feed(self, data: bytes) -> bytes:
        """Events as the stages give them, as far as they do now."""
        for passage in reversed(self.passages):
            if data:
                data = await passage.feed(data)
        return data

    async def end(self) -> bytes:
        """What the stages still give when the stream has ended; LiteLLM itself writes OpenAI's end."""
        data = b"data: [DONE]\n\n" if self.dialect in (CHAT, COMPLETIONS) else b""
        for passage in reversed(self.passages):
            data = await passage.end(data)
        return data

    async def fail(self, error: HelixError) -> bytes:
        """End without an answer; what was held back of a stream, and the error."""
        *outer, innermost = self.passages
        data = await innermost.fail(error)
        for passage in reversed(outer):
            data = await (passage.end(data) if self._has_begun else passage.answer(data, error.status))
        return data

    def leave(self) -> None:
        """The caller has left; nothing where it is over."""
        for passage in self.passages:
            passage.leave()

    def note(self, logging: Any, response: Any) -> None:
        """Note for the record who answered, and what it cost where LiteLLM knows already."""
        hidden = getattr(response, "_hidden_params", None) or {}
        provider = hidden.get("custom_llm_provider") or logging.model_call_details.get("custom_llm_provider")
        record = self.exchange.record
        record.upstream |= {"provider": token(provider), "deployment": token(hidden.get("model_id"))}
        cost = hidden.get("response_cost")
        if isinstance(cost, (int, float)):
            record.budget |= {"priced": True, "cost_nano_usd": Money.from_usd(cost).nano_usd}


def metadata_of(data: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM's own metadata of a request, which it logs."""
    found = data.setdefault("litellm_metadata" if "litellm_metadata" in data else "metadata", {})
    return found if isinstance(found, dict) else {}


def payload_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's request, without what LiteLLM put beside it."""
    own = _OWN if "litellm_metadata" in data else _OWN | {"metadata"}
    return {
        name: value
        for name, value in data.items()
        if name not in own and not name.startswith(("litellm_", "_litellm_"))
    }


def put(data: dict[str, Any], payload: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Put a request in the place of the caller's, also where LiteLLM has noted that for its logs by now."""
    logging = data.get("litellm_logging_obj")
    details = logging.model_call_details if logging is not None else {}
    for holder in (data, details, details.get("optional_params") or {}):
        for name in payload.keys() & holder.keys():
            if name in new:
                holder[name] = new[name]
            else:
                del holder[name]
    data.update(new)
    own = metadata_of(data)
    if "requester_metadata" in own and "metadata" in payload:
        own["requester_metadata"] = new.get("metadata")
    if logging is not None:
        details["input"] = next((new[name] for name in ("messages", "prompt", "input") if name in new), [])
        logging.update_messages(details["input"])


def withhold(data: dict[str, Any], payload: Mapping[str, Any]) -> None:
    """Leave nothing of a request that is refused for LiteLLM to log but what it was for."""
    kept = {name: payload[name] for name in ("model", "stream") if name in payload}
    put(data, payload, kept)
    if isinstance(data.get("proxy_server_request"), dict):
        data["proxy_server_request"]["body"] = kept


def headers_of(data: Mapping[str, Any], caller: Any) -> Headers:
    """What the stages are told of the caller: who, by a digest, and what they say about caching."""
    said = (data.get("proxy_server_request") or {}).get("headers") or {}
    headers = [(b"authorization", _digest(caller.api_key).encode())]
    for name, value in said.items():
        if name in _PASSED_ON or name.startswith("x-helix-cache-"):
            headers.append((name.encode("latin-1"), str(value).encode("latin-1", "replace")))
    return headers


def who(caller: Any) -> dict[str, str]:
    """LiteLLM's caller, for the record."""
    return {
        "key_id": _digest(caller.api_key),
        "key_name": token(caller.key_alias),
        "user": token(caller.user_id),
        "team": token(caller.team_id),
        "organization": token(caller.org_id),
    }


def _digest(key: str | None) -> str:
    return f"litellm-{blake2b((key or '').encode(), digest_size=8).hexdigest()}"
