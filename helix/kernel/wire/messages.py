"""Anthropic's messages: POST /v1/messages, and /v1/messages/count_tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from helix.kernel import exact
from helix.kernel.errors import HelixError, UpstreamGarbled
from helix.kernel.sse import Event
from helix.kernel.types import Usage
from helix.kernel.wire.base import (
    Assembler,
    Channel,
    Dialect,
    Json,
    Path,
    Question,
    Text,
    at_least,
    count,
    event_type,
    fields,
    index_of,
    leaves,
    need,
    need_model,
    need_objects,
    objects,
    pieces,
    whole_text,
)

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
_GROWING = (("text", "text_delta"), ("thinking", "thinking_delta"), ("partial_json", "input_json_delta"))
# What a message has at its end alone.
_AT_THE_END = ("stop_reason", "stop_sequence", "stop_details", "container")
# What of an answer's usage `message_delta` repeats.
_COUNTED_UP = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
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

    # The whole answer

    def answer_texts(self, answer: Json) -> list[Text]:
        """Every block's text, thinking, tool input and quoted passages."""
        return _content_texts(answer.get("content"), ("content",), "assistant")

    def usage(self, answer: Json) -> Usage | None:
        """What the provider counted, cached input included in the input, as Usage wants it."""
        return _usage(fields(answer, "usage"), None)

    def finish_reason(self, answer: Json) -> str | None:
        """`stop_reason`."""
        reason = answer.get("stop_reason")
        return reason if isinstance(reason, str) else None

    def is_complete(self, answer: Json) -> bool:
        """Whether the turn ended by itself and holds words, and thinking, alone."""
        blocks = objects(answer.get("content"))
        kinds: set[Any] = {block.get("type") for _, block in blocks if isinstance(block.get("type"), str)}
        words: bool = "text" in kinds and kinds <= {"text", "thinking", "redacted_thinking"}
        return words and answer.get("stop_reason") in ("end_turn", "stop_sequence")

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
                    form: Literal["text", "json"] = "json" if field == "partial_json" else "text"
                    return [Text(("delta", field), text, "assistant", form, (field, index))]
            return _citation_texts(fields(delta, "citation"), ("delta", "citation"), "assistant")
        if payload.get("type") == "content_block_start":
            texts = _block_texts(fields(payload, "content_block"), ("content_block",), "assistant")
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
            return _usage(fields(fields(payload, "message"), "usage"), so_far)
        if kind == "message_delta":
            return _usage(fields(payload, "usage"), so_far)
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
        usage = fields(answer, "usage")
        ended = {"stop_reason": None, "stop_sequence": None} | {key: None for key in _AT_THE_END if key in answer}
        begun = {**answer, **ended, "content": []}
        if usage:
            begun["usage"] = {**usage, "output_tokens": 1}
        yield _event({"type": "message_start", "message": begun})
        for index, block in objects(answer.get("content")):
            yield from _block_stream(index, block)
        end: Json = {"delta": {key: answer.get(key) for key in ended}}
        if usage:
            end["usage"] = {key: usage[key] for key in _COUNTED_UP if key in usage}
        yield _event({"type": "message_delta", **end})
        yield _event({"type": "message_stop"})

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

    def is_complete(self, answer: Json) -> bool:
        """Whether there is a number."""
        return isinstance(answer.get("input_tokens"), int)


class MessagesAssembler(Assembler):
    """Puts events together into a message."""

    def __init__(self) -> None:
        self._message: Json | None = None
        self._blocks: dict[int, Json] = {}
        self._growing: dict[tuple[int, str], list[str]] = {}
        self._ended = False
        self._failed = False

    def feed(self, event: Event) -> None:
        """Take one event. Raises UpstreamGarbled where it is not of this dialect."""
        if event.data is None:
            return
        payload = event.json()
        if not isinstance(payload, dict):
            raise UpstreamGarbled("the provider sent an event that is not an object")
        kind = payload.get("type")
        if kind == "error" or event.name == "error":
            self._failed = True
        elif kind == "message_start":
            self._message = dict(fields(payload, "message"))
        elif kind in ("content_block_start", "content_block_delta", "content_block_stop"):
            index = payload.get("index")
            if not isinstance(index, int):
                raise UpstreamGarbled("the provider sent a content block without an index")
            if kind == "content_block_start":
                self._blocks[index] = dict(fields(payload, "content_block"))
            elif index not in self._blocks:
                raise UpstreamGarbled("the provider sent a piece of a content block that never began")
            elif kind == "content_block_delta":
                self._grow(index, fields(payload, "delta"))
            else:
                self._finish(index)
        elif kind == "message_delta" and self._message is not None:
            usage = fields(payload, "usage")
            known = {key: value for key, value in usage.items() if value is not None}
            self._message |= {key: v for key, v in payload.items() if key not in ("type", "delta", "usage")}
            self._message |= fields(payload, "delta")
            if usage:
                self._message["usage"] = {**usage, **fields(self._message, "usage"), **known}
        elif kind == "message_stop":
            self._ended = True

    def answer(self) -> Json | None:
        """The message; None unless `message_stop` came, with a stop reason, and no error did."""
        if self._failed or not self._ended or self._message is None or not self._message.get("stop_reason"):
            return None
        if self._growing:  # a block that never stopped
            return None
        return {**self._message, "content": [self._blocks[index] for index in sorted(self._blocks)]}

    def _grow(self, index: int, delta: Json) -> None:
        block = self._blocks[index]
        for key, value in delta.items():
            if isinstance(value, str) and key != "type":
                self._growing.setdefault((index, key), []).append(value)
            elif key == "citation":
                block["citations"] = [*(block.get("citations") or ()), value]
            elif key != "type":
                block[key] = value

    def _finish(self, index: int) -> None:
        block = self._blocks[index]
        for place in [place for place in self._growing if place[0] == index]:
            key, text = place[1], "".join(self._growing.pop(place))
            if key == "partial_json":
                if text:
                    block["input"] = _parsed(text)
            else:
                begun = block.get(key)
                block[key] = begun + text if isinstance(begun, str) else text


def _parsed(text: str) -> Any:
    try:
        return exact.loads(text.encode())
    except ValueError:
        raise UpstreamGarbled("the provider sent a tool input that is not JSON") from None


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
        found += _block_texts(block, (*path, index), role)
    return found


def _block_texts(block: Json, path: Path, role: str) -> list[Text]:
    found = whole_text((*path, "text"), block.get("text"), role)
    if len(block) == 2 and found:
        return found  # a plain text block
    found += whole_text((*path, "thinking"), block.get("thinking"), role)
    if "input" in block:  # tool_use, server_tool_use, mcp_tool_use
        found += leaves(block["input"], (*path, "input"), role)
    if block.get("type") in ("document", "search_result"):
        for field in ("title", "context"):
            found += whole_text((*path, field), block.get(field), role)
    source = fields(block, "source")
    if source.get("type") == "text":
        found += whole_text((*path, "source", "data"), source.get("data"), role)
    elif source.get("type") == "content":
        found += _content_texts(source.get("content"), (*path, "source", "content"), role)
    if "content" in block:  # tool_result, mcp_tool_result, search_result
        found += _content_texts(block["content"], (*path, "content"), role)
    for index, citation in objects(block.get("citations")):
        found += _citation_texts(citation, (*path, "citations", index), role)
    return found


def _citation_texts(citation: Json, path: Path, role: str) -> list[Text]:
    found: list[Text] = []
    for field in ("cited_text", "document_title", "title"):
        found += whole_text((*path, field), citation.get(field), role)
    return found


def _usage(usage: Json, so_far: Usage | None) -> Usage | None:
    if not usage:
        return so_far
    known = so_far or Usage()

    def told(key: str, otherwise: int) -> int:
        return count(usage[key]) if usage.get(key) is not None else otherwise

    cached = told("cache_read_input_tokens", known.cached_input_tokens)
    written = told("cache_creation_input_tokens", known.cache_write_tokens)
    fresh = told("input_tokens", known.input_tokens - known.cached_input_tokens - known.cache_write_tokens)
    return Usage(
        input_tokens=fresh + cached + written,
        output_tokens=told("output_tokens", known.output_tokens),
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )


def _event(payload: Json) -> Event:
    return Event.of(payload, payload["type"])


def _block_stream(index: int, block: Json) -> Iterator[Event]:
    kind = block.get("type")
    begun, deltas = dict(block), []
    for field in ("thinking", "text"):
        if kind == field and isinstance(block.get(field), str):
            begun[field] = ""
            deltas += [{"type": f"{field}_delta", field: piece} for piece in pieces(block[field])]
    if kind == "thinking" and isinstance(block.get("signature"), str):
        begun["signature"] = ""
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    if kind == "text" and isinstance(block.get("citations"), list):
        begun["citations"] = []
        deltas += [{"type": "citations_delta", "citation": citation} for citation in block["citations"]]
    if isinstance(block.get("input"), dict):
        begun["input"] = {}
        text = exact.dumps(block["input"]).decode() if block["input"] else ""
        deltas += [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(text)]
    yield _event({"type": "content_block_start", "index": index, "content_block": begun})
    for delta in deltas:
        yield _event({"type": "content_block_delta", "index": index, "delta": delta})
    yield _event({"type": "content_block_stop", "index": index})


MESSAGES = Messages()
COUNT_TOKENS = CountTokens()
