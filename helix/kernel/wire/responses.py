"""OpenAI's responses: POST /v1/responses."""

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
    value_text,
    whole_text,
)
from helix.kernel.wire.places import definition_texts, held_definitions, label_texts, request_labels, texts_in
from helix.kernel.wire.responses_stream import CHANNELS, ENDS, ResponsesAssembler, response_stream
from helix.kernel.wire.usage import read_from_cache, response_usage

# What a request has that is no text, or is read apart from those that are not known. What names a server, an address
# or a credential is for the provider to act on.
_KNOWN = frozenset(
    (
        *("model", "input", "instructions", "prompt", "background", "conversation", "include", "max_output_tokens"),
        *("max_tool_calls", "moderation", "parallel_tool_calls", "previous_response_id", "prompt_cache_retention"),
        *(
            "reasoning",
            "service_tier",
            "store",
            "stream",
            "stream_options",
            "temperature",
            "text",
            "tool_choice",
            "tools",
        ),
        *(
            "top_logprobs",
            "top_p",
            "truncation",
            "prompt_cache_options",
            "context_management",
            "status",
            "object",
            "id",
        ),
    )
)


class Responses(Dialect):
    """OpenAI's responses.

    Texts are the instructions, the input (a string or items: messages, tool calls, their outputs, reasoning, file
    names and URLs) and a prompt's variables. Images, audio, files and encrypted reasoning pass untouched.
    """

    name = "responses"
    path = "/v1/responses"
    operation = "chat"

    # The request

    def check(self, request: Json) -> None:
        """Raise InvalidRequest, naming the place, unless the fields that Helix reads are of the right types."""
        need_model(request)
        need(request, "instructions", str, optional=True)
        if isinstance(need(request, "input", str, list, optional=True), list):
            for place, item in need_objects(request, "input"):
                need(item, "type", str, optional=True, where=place)
                need(item, "role", str, optional=True, where=place)
                if item.get("type") != "tool_search_call":  # whose arguments may be any JSON value
                    need(item, "arguments", str, optional=True, where=place)
                if isinstance(need(item, "content", str, list, optional=True, where=place), list):
                    need_objects(item, "content", where=place)
        need(request, "stream", bool, optional=True)
        need_objects(request, "tools", optional=True)
        at_least(request, "max_output_tokens", 1)
        for key in ("temperature", "top_p"):
            need(request, key, float, optional=True)

    def texts(self, request: Json) -> list[Text]:
        """The instructions, a prompt's variables, and the input in order."""
        found: list[Text] = []
        if request.get("instructions"):
            found.append(Text(("instructions",), request["instructions"], "system"))
        found += _variable_texts(request, ())
        return found + _items_texts(request.get("input"), ("input",))

    def labels(self, request: Json) -> list[Text]:
        """`user`, `safety_identifier`, `prompt_cache_key`, `metadata`, and what is not known."""
        return request_labels(request, _KNOWN)

    def definitions(self, request: Json) -> list[Text]:
        """Of `tools`, those that come with an item too, and of `text.format`."""
        return _definitions(request, ()) + held_definitions(request.get("input"), ("input",))

    def question(self, request: Json) -> Question | None:
        """The input if it is a text, else its last item's text if that is the user's message and holds nothing else.

        None where earlier turns are kept by the provider: the request then does not show what the question refers to.
        """
        if request.get("previous_response_id") or request.get("conversation"):
            return None
        given = request.get("input")
        path: Path = ("input",)
        if isinstance(given, list) and given:
            last = given[-1]
            if last.get("role") != "user" or (last.get("type") or "message") != "message":
                return None
            path, given = ("input", len(given) - 1, "content"), last.get("content")
            if isinstance(given, list) and len(given) == 1 and given[0].get("type") == "input_text":
                path, given = (*path, 0, "text"), given[0].get("text")
        return Question(path, given) if isinstance(given, str) and given.strip() else None

    def max_output_tokens(self, request: Json) -> int | None:
        """`max_output_tokens`, reasoning included."""
        return request.get("max_output_tokens")

    def capped(self, request: Json, tokens: int) -> Json:
        """In `max_output_tokens`."""
        return {**request, "max_output_tokens": tokens}

    def least_output_tokens(self, request: Json) -> int:
        """16: OpenAI takes no fewer."""
        return 16

    # The whole answer

    def answer_texts(self, answer: Json) -> list[Text]:
        """Every output item's texts, and the texts of the request that the answer repeats."""
        return _answer_texts(answer, ())

    def usage(self, answer: Json) -> Usage | None:
        """What the provider counted."""
        return response_usage(answer)

    def as_cached(self, answer: Json) -> Json:
        """With `input_tokens` as `input_tokens_details.cached_tokens`; of an event, in its response."""
        response = answer.get("response")
        if isinstance(response, dict):
            marked = self.as_cached(response)
            return answer if marked is response else {**answer, "response": marked}
        return read_from_cache(answer, "input_tokens", "input_tokens_details")

    def finish_reason(self, answer: Json) -> str | None:
        """The reason why it is incomplete, else its status."""
        reason = fields(answer, "incomplete_details").get("reason") or answer.get("status")
        return reason if isinstance(reason, str) else None

    def ending(self, answer: Json) -> Ending:
        """Complete where it completed and holds words, and reasoning, alone."""
        items = [item for _, item in objects(answer.get("output"))]
        parts = [part for item in items if item.get("type") == "message" for _, part in objects(item.get("content"))]
        reason = fields(answer, "incomplete_details").get("reason")
        if reason == "content_filter" or any(part.get("type") == "refusal" for part in parts):
            return "refused"
        if answer.get("status") == "incomplete" and reason == "max_output_tokens":
            return "truncated"
        if answer.get("status") != "completed":
            return "incomplete"
        if any(item.get("type") not in ("message", "reasoning") for item in items):
            return "tools"
        return "complete" if parts and all(part.get("type") == "output_text" for part in parts) else "incomplete"

    # The stream

    def event_texts(self, payload: Json) -> list[Text]:
        """A delta with its channel, or the whole texts that a final event repeats."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if not isinstance(kind, str):
            return []
        if kind.endswith(".delta"):
            channel = _channel(kind, payload)
            text = payload.get("delta")
            if channel is None or not text or not isinstance(text, str):
                return []
            return [Text(("delta",), text, "assistant", _form(CHANNELS[str(channel[0])][0]), channel)]
        if kind.endswith(".done"):
            field, _ = CHANNELS.get(_kind_of(kind), (None, None))
            if field is not None:
                return whole_text((field,), payload.get(field), "assistant", _form(field))
        found: list[Text] = []
        for key in ("item", "part", "annotation"):
            found += texts_in(payload.get(key), (key,), "assistant")
        if isinstance(payload.get("response"), dict):
            found += _answer_texts(payload["response"], ("response",))
        return found

    def closes(self, payload: Json, open_channels: Mapping[Channel, Any]) -> list[Channel]:
        """A channel ends before the event that repeats its whole text, its item's end, and the response's end."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if not open_channels or not isinstance(kind, str):
            return []
        if kind == "response.output_item.done":
            return [channel for channel in open_channels if channel[1] == index_of(payload, "output_index")]
        if kind.endswith(".done"):
            channel = _channel(kind, payload)
            return [channel] if channel is not None and channel in open_channels else []
        if kind in ENDS or kind in ("response.failed", "error"):
            return list(open_channels)
        return []

    def delta(self, template: Json, channel: Channel, text: str) -> Json:
        """A delta event that carries one more piece of its channel; see `numbered` for its sequence number."""
        event = {key: value for key, value in template.items() if key != "obfuscation"}
        event["delta"] = text
        if "logprobs" in event:
            event["logprobs"] = []
        return event

    def event_usage(self, payload: Json, so_far: Usage | None) -> Usage | None:
        """The usage of the response that the last event carries."""
        return self.usage(fields(payload, "response")) or so_far

    def numbered(self, events: list[Event], last: int) -> tuple[list[Event], int]:
        """The events with sequence numbers that rise; those after an event that was put in move on by one."""
        changed: list[Event] = []
        moved = False
        for event in events:
            payload = event.json()
            number = payload.get("sequence_number") if isinstance(payload, dict) else None
            if isinstance(number, int):
                if number <= last:
                    number, moved = last + 1, True
                    event = Event.of({**payload, "sequence_number": number}, event.name)
                last = number
            changed.append(event)
        return changed if moved else events, last

    def event_finish_reason(self, payload: Json) -> str | None:
        """The reason of the response that the last event carries."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        return self.finish_reason(fields(payload, "response")) if kind in (*ENDS, "response.failed") else None

    def is_end(self, event: Event) -> bool:
        """Whether this is `response.completed` or `response.incomplete`."""
        return event_type(event) in ENDS

    def is_error(self, event: Event) -> bool:
        """Whether this is `error` or `response.failed`."""
        return event.name == "error" or event_type(event) in ("error", "response.failed")

    def stream(self, answer: Json, *, include_usage: bool = True) -> Iterator[Event]:
        """A response as the events that OpenAI sends, item by item; usage always comes with the last."""
        return response_stream(answer)

    def assembler(self) -> Assembler:
        """A new assembler."""
        return ResponsesAssembler()

    def error_events(self, error: HelixError) -> list[Event]:
        """One `event: error`."""
        body: Json = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
        body["sequence_number"] = 0  # the first tap that it passes gives it the stream's own; see `numbered`
        return [Event.of(body, "error")]


def _role(item: Json) -> str:
    role = item.get("role")
    if isinstance(role, str):
        return role
    kind = item.get("type")
    return "tool" if isinstance(kind, str) and kind.endswith("_output") else "assistant"


def _form(field: str) -> Form:
    return "json" if field == "arguments" else "text"


def _items_texts(items: Any, path: Path, *, role: str = "user") -> list[Text]:
    """The texts of an input, an output or instructions: one text, or a list of items."""
    found = whole_text(path, items, role)
    for index, item in objects(items):
        found += texts_in(item, (*path, index), _role(item))
    return found


def _variable_texts(holder: Json, path: Path) -> list[Text]:
    """The texts of a prompt's variables, whose names are the caller's own."""
    found: list[Text] = []
    for key, value in fields(fields(holder, "prompt"), "variables").items():
        at = (*path, "prompt", "variables", key)
        if isinstance(value, str):
            found += whole_text(at, value, "user")
        elif isinstance(value, dict) and isinstance(value.get("type"), str):  # an input part
            found += texts_in(value, at, "user")
        else:
            found += value_text(at, value, "user")
    return found


def _definitions(holder: Json, path: Path) -> list[Text]:
    found = definition_texts(holder.get("tools"), (*path, "tools"))
    return found + definition_texts(holder.get("text"), (*path, "text"))


def _answer_texts(answer: Json, path: Path) -> list[Text]:
    found = _items_texts(answer.get("instructions"), (*path, "instructions"), role="system")
    found += _variable_texts(answer, path) + label_texts(answer, path) + _definitions(answer, path)
    return found + _items_texts(answer.get("output"), (*path, "output"), role="assistant")


def _kind_of(event_type: str) -> str:
    return event_type.removeprefix("response.").rpartition(".")[0]


def _channel(event_type: str, payload: Json) -> Channel | None:
    kind = _kind_of(event_type)
    known = CHANNELS.get(kind)
    if known is None:
        return None
    channel: Channel = (kind, index_of(payload, "output_index"))
    return (*channel, index_of(payload, known[1])) if known[1] else channel


RESPONSES = Responses()
