"""Anthropic's messages: POST /v1/messages, and /v1/messages/count_tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from helix.kernel.errors import HelixError
from helix.kernel.sse import Event
from helix.kernel.types import Usage
from helix.kernel.wire.base import (
    Assembler,
    Channel,
    Dialect,
    Ending,
    Form,
    Json,
    Path,
    Question,
    Text,
    at_least,
    event_type,
    fields,
    index_of,
    need,
    need_model,
    need_objects,
    objects,
    whole_text,
)
from helix.kernel.wire.messages_stream import MessagesAssembler, message_stream
from helix.kernel.wire.places import definition_texts, held_definitions, request_labels, texts_in
from helix.kernel.wire.usage import message_read_from_cache, message_usage

# https://docs.anthropic.com/en/api/errors
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}

# The field of a delta that holds its text, which is also its channel's name, and the delta's type.
_GROWING = (
    ("text", "text_delta"),
    ("thinking", "thinking_delta"),
    ("partial_json", "input_json_delta"),
    ("content", "compaction_delta"),
)
_FORMS: dict[str, Form] = {"partial_json": "json", "thinking": "signed"}
# What a request has that is no text, or is read apart from those that are not known. What names a server, an address
# or a credential is for the provider to act on.
_KNOWN = frozenset(
    (
        *("model", "messages", "system", "max_tokens", "cache_control", "container", "inference_geo", "mcp_servers"),
        *(
            "output_config",
            "output_format",
            "service_tier",
            "speed",
            "stream",
            "temperature",
            "thinking",
            "tool_choice",
        ),
        *("tools", "top_k", "top_p", "betas", "user_profile_id", "workspace_id", "diagnostics", "fallbacks"),
        *("fallback_credit_token",),
    )
)


class Messages(Dialect):
    """Anthropic's messages.

    Texts are the system prompt, every block's text, thinking, tool inputs and results, documents in text form and the
    passages that citations quote. Images, other documents, signatures and encrypted blocks pass untouched. Anthropic
    verifies thinking by its signature: whoever replaces texts must do so in the same way on every turn.
    """

    name = "messages"
    path = "/v1/messages"
    operation = "chat"

    # The request

    def check(self, request: Json) -> None:
        """Raise InvalidRequest, naming the place, unless the fields that Helix reads are of the right types."""
        need_model(request)
        need(request, "max_tokens", int)
        at_least(request, "max_tokens", 1)
        _check_prompt(request)
        need(request, "stream", bool, optional=True)
        for key in ("temperature", "top_p"):
            need(request, key, float, optional=True)

    def texts(self, request: Json) -> list[Text]:
        """The system prompt and every message's texts in order."""
        found = _content_texts(request.get("system"), ("system",), "system")
        for index, message in enumerate(request["messages"]):
            found += _content_texts(message.get("content"), ("messages", index, "content"), message["role"])
        return found

    def labels(self, request: Json) -> list[Text]:
        """`metadata`, `stop_sequences`, instructions for managing the context, and what is not known."""
        return request_labels(request, _KNOWN)

    def definitions(self, request: Json) -> list[Text]:
        """Of `tools`, those that come with a message too, and of the answer's format."""
        found: list[Text] = []
        for key in ("tools", "output_config", "output_format", "fallbacks"):
            found += definition_texts(request.get(key), (key,))
        return found + held_definitions(request["messages"], ("messages",))

    def question(self, request: Json) -> Question | None:
        """The last message's text if it is the user's and that is all it holds."""
        messages = request["messages"]
        if not messages or messages[-1]["role"] != "user":
            return None
        path: Path = ("messages", len(messages) - 1, "content")
        content = messages[-1].get("content")
        if isinstance(content, list) and len(content) == 1 and content[0].get("type") == "text":
            path, content = (*path, 0, "text"), content[0].get("text")
        return Question(path, content) if isinstance(content, str) and content.strip() else None

    def max_output_tokens(self, request: Json) -> int | None:
        """`max_tokens`."""
        return request.get("max_tokens")

    def capped(self, request: Json, tokens: int) -> Json:
        """In `max_tokens`."""
        return {**request, "max_tokens": tokens}

    def least_output_tokens(self, request: Json) -> int:
        """One more than what the caller lets it think."""
        thinking = fields(request, "thinking").get("budget_tokens")
        return thinking + 1 if isinstance(thinking, int) else 1

    # The whole answer

    def answer_texts(self, answer: Json) -> list[Text]:
        """Every block's text, thinking, tool input and quoted passages."""
        found = _content_texts(answer.get("content"), ("content",), "assistant")
        return found + whole_text(("stop_sequence",), answer.get("stop_sequence"), "label")

    def usage(self, answer: Json) -> Usage | None:
        """What the provider counted, cached input included in the input, as Usage wants it."""
        return message_usage(fields(answer, "usage"), None)

    def as_cached(self, answer: Json) -> Json:
        """With all input as `cache_read_input_tokens`, which Anthropic counts apart; of an event, in its message.

        An event that tells the output alone stays as it is.
        """
        message = answer.get("message")
        if isinstance(message, dict):
            marked = self.as_cached(message)
            return answer if marked is message else {**answer, "message": marked}
        return message_read_from_cache(answer)

    def finish_reason(self, answer: Json) -> str | None:
        """`stop_reason`."""
        reason = answer.get("stop_reason")
        return reason if isinstance(reason, str) else None

    def ending(self, answer: Json) -> Ending:
        """Complete where the turn ended by itself and holds words, and thinking, alone."""
        reason = answer.get("stop_reason")
        if reason == "refusal":
            return "refused"
        blocks = objects(answer.get("content"))
        kinds: set[str] = {block["type"] for _, block in blocks if isinstance(block.get("type"), str)}
        if reason == "tool_use" or any(kind.endswith(("tool_use", "tool_result")) for kind in kinds):
            return "tools"
        if reason in ("max_tokens", "model_context_window_exceeded"):
            return "truncated"
        is_words = "text" in kinds and kinds <= {"text", "thinking", "redacted_thinking"}
        return "complete" if is_words and reason in ("end_turn", "stop_sequence") else "incomplete"

    # The stream

    def event_texts(self, payload: Json) -> list[Text]:
        """The delta of an event, the text that a block begins with, or the passage that a citation quotes."""
        if not isinstance(payload, dict):
            return []
        index = index_of(payload)
        if payload.get("type") == "content_block_delta":
            delta = fields(payload, "delta")
            for field, _ in _GROWING:
                text = delta.get(field)
                if text and isinstance(text, str):
                    return [Text(("delta", field), text, "assistant", _FORMS.get(field, "text"), (field, index))]
            return texts_in(delta.get("citation"), ("delta", "citation"), "assistant")
        if payload.get("type") == "message_delta":
            return whole_text(("delta", "stop_sequence"), fields(payload, "delta").get("stop_sequence"), "label")
        if payload.get("type") == "content_block_start":
            texts = texts_in(payload.get("content_block"), ("content_block",), "assistant")
            begins = (("content_block", "text"), ("content_block", "thinking"))
            return [text._replace(channel=(text.path[1], index)) if text.path in begins else text for text in texts]
        return []

    def closes(self, payload: Json, open_channels: Mapping[Channel, Any]) -> list[Channel]:
        """A block's channels end where it stops; thinking also before its signature; all before the message's end."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if kind == "content_block_stop":
            return [channel for channel in open_channels if channel[1] == index_of(payload)]
        if kind == "content_block_delta" and fields(payload, "delta").get("type") == "signature_delta":
            return [channel for channel in open_channels if channel == ("thinking", index_of(payload))]
        if kind in ("message_delta", "message_stop", "error"):
            return list(open_channels)
        return []

    def delta(self, template: Json, channel: Channel, text: str) -> Json:
        """A `content_block_delta` that carries one more piece of one block."""
        field, index = str(channel[0]), channel[1]
        return {"type": "content_block_delta", "index": index, "delta": {"type": dict(_GROWING)[field], field: text}}

    def event_usage(self, payload: Json, so_far: Usage | None) -> Usage | None:
        """`message_start` tells the input, `message_delta` the output, and newer ones all of it, counted up."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if kind == "message_start":
            return message_usage(fields(fields(payload, "message"), "usage"), so_far)
        if kind == "message_delta":
            return message_usage(fields(payload, "usage"), so_far)
        return so_far

    def event_finish_reason(self, payload: Json) -> str | None:
        """The `stop_reason` of `message_delta`."""
        reason = fields(payload, "delta").get("stop_reason")
        return reason if isinstance(reason, str) else None

    def is_end(self, event: Event) -> bool:
        """Whether this is `message_stop`."""
        return event_type(event) == "message_stop"

    def is_error(self, event: Event) -> bool:
        """Whether this is `event: error`."""
        return event.name == "error" or event_type(event) == "error"

    def stream(self, answer: Json, *, include_usage: bool = True) -> Iterator[Event]:
        """A message as the events that Anthropic sends, block by block."""
        return message_stream(answer)

    def assembler(self) -> Assembler:
        """A new assembler."""
        return MessagesAssembler()

    # Errors

    def error_body(self, error: HelixError) -> Json:
        """Anthropic's form, with its name for the status."""
        kind = _ERROR_TYPES.get(error.status, "invalid_request_error" if 400 <= error.status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": error.message}}

    def error_events(self, error: HelixError) -> list[Event]:
        """One `event: error`."""
        return [Event.of(self.error_body(error), "error")]


class CountTokens(Messages):
    """Anthropic's token counting: a messages request without `max_tokens`, answered by a number."""

    name = "count_tokens"
    path = "/v1/messages/count_tokens"
    operation = "count_tokens"
    streams = False

    def check(self, request: Json) -> None:
        """Raise InvalidRequest, naming the place, unless the fields that Helix reads are of the right types."""
        need_model(request)
        _check_prompt(request)

    def question(self, request: Json) -> Question | None:
        """None: a near text has another length."""
        return None

    def max_output_tokens(self, request: Json) -> int | None:
        """0: nothing is generated."""
        return 0

    def usage(self, answer: Json) -> Usage | None:
        """None: counting is not charged."""
        return None

    def ending(self, answer: Json) -> Ending:
        """Complete where there is a number."""
        return "complete" if isinstance(answer.get("input_tokens"), int) else "incomplete"


def _check_prompt(request: Json) -> None:
    if isinstance(need(request, "system", str, list, optional=True), list):
        _check_blocks(request, "system", "")
    for place, message in need_objects(request, "messages"):
        need(message, "role", str, where=place)
        if isinstance(need(message, "content", str, list, where=place), list):
            _check_blocks(message, "content", place)
    need_objects(request, "tools", optional=True)


def _check_blocks(holder: Json, key: str, where: str) -> None:
    for place, block in need_objects(holder, key, where=where):
        need(block, "type", str, where=place)
        if block["type"] == "text":
            need(block, "text", str, where=place)


def _content_texts(content: Any, path: Path, role: str) -> list[Text]:
    found = whole_text(path, content, role)
    for index, block in objects(content):
        text = block.get("text")
        if len(block) == 2 and text and isinstance(text, str):
            found.append(Text((*path, index, "text"), text, role))  # a plain text block
        else:
            found += texts_in(block, (*path, index), role)
    return found


MESSAGES = Messages()
COUNT_TOKENS = CountTokens()
