"""OpenAI's responses: POST /v1/responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
    fields,
    leaves,
    need,
    need_objects,
    objects,
    pieces,
)

# Fields of an item that hold text, and whether that text is JSON.
_ITEM_TEXTS = (("arguments", "json"), ("input", "text"), ("output", "text"), ("code", "text"))
_PART_TEXTS = ("text", "refusal", "transcript")

# Which field a `….done` event repeats whole, by the event's type.
_DONE_FIELDS = {
    "response.output_text.done": "text",
    "response.refusal.done": "refusal",
    "response.reasoning_text.done": "text",
    "response.reasoning_summary_text.done": "text",
    "response.function_call_arguments.done": "arguments",
    "response.mcp_call_arguments.done": "arguments",
    "response.custom_tool_call_input.done": "input",
    "response.code_interpreter_call_code.done": "code",
    "response.audio.transcript.done": "transcript",
}
# Which inner index tells the texts of one item apart, by the channel's kind.
_INNER = {"output_text": "content_index", "refusal": "content_index", "reasoning_text": "content_index"}
_INNER |= {"reasoning_summary_text": "summary_index"}
_DELTA_KINDS = {kind.removeprefix("response.").removesuffix(".done") for kind in _DONE_FIELDS}
_ENDS = ("response.completed", "response.incomplete")


class Responses(Dialect):
    """OpenAI's responses.

    Texts are the instructions, the input (a string or items: messages, tool calls, their outputs, reasoning) and a
    prompt's variables. Images, audio, files and encrypted reasoning pass untouched.
    """

    name = "responses"
    path = "/v1/responses"
    operation = "chat"

    # The request

    def check(self, request: Json) -> None:
        """Raise InvalidRequest, naming the place, unless the fields that Helix reads are of the right types."""
        need(request, "model", str)
        need(request, "instructions", str, optional=True)
        if isinstance(need(request, "input", str, list, optional=True), list):
            for place, item in need_objects(request, "input"):
                need(item, "type", str, optional=True, where=place)
                need(item, "role", str, optional=True, where=place)
                need(item, "arguments", str, optional=True, where=place)
                if isinstance(item.get("content"), list):
                    need_objects(item, "content", where=place)
                else:
                    need(item, "content", str, list, optional=True, where=place)
        need(request, "stream", bool, optional=True)
        need_objects(request, "tools", optional=True)
        at_least(request, "max_output_tokens", 1)
        for key in ("temperature", "top_p"):
            need(request, key, float, int, optional=True)

    def texts(self, request: Json) -> list[Text]:
        """The instructions, a prompt's variables, and the input in order."""
        found: list[Text] = []
        if request.get("instructions"):
            found.append(Text(("instructions",), request["instructions"], "system"))
        for key, value in fields(fields(request, "prompt"), "variables").items():
            at: Path = ("prompt", "variables", key)
            found += _item_texts(value, at, "user") if isinstance(value, dict) else leaves(value, at, "user")
        given = request.get("input")
        if isinstance(given, str):
            return [*found, Text(("input",), given)] if given else found
        for index, item in objects(given):
            found += _item_texts(item, ("input", index), _role(item))
        return found

    def question(self, request: Json) -> Question | None:
        """The input if it is a text, else its last item's text if that is the user's message and holds nothing else."""
        given = request.get("input")
        path: Path = ("input",)
        if isinstance(given, list) and given:
            last = given[-1]
            if last.get("role") != "user" or last.get("type", "message") != "message":
                return None
            path, given = ("input", len(given) - 1, "content"), last.get("content")
            if isinstance(given, list) and len(given) == 1 and given[0].get("type") == "input_text":
                path, given = (*path, 0, "text"), given[0].get("text")
        return Question(path, given) if isinstance(given, str) and given.strip() else None

    def max_output_tokens(self, request: Json) -> int | None:
        """`max_output_tokens`, reasoning included."""
        return request.get("max_output_tokens")

    # The whole answer

    def answer_texts(self, answer: Json) -> list[Text]:
        """Every output item's texts, and the texts of the request that the answer repeats."""
        return _answer_texts(answer, ())

    def usage(self, answer: Json) -> Usage | None:
        """What the provider counted."""
        usage = fields(answer, "usage")
        if not usage:
            return None
        return Usage(
            input_tokens=count(usage.get("input_tokens")),
            output_tokens=count(usage.get("output_tokens")),
            cached_input_tokens=count(fields(usage, "input_tokens_details").get("cached_tokens")),
            reasoning_tokens=count(fields(usage, "output_tokens_details").get("reasoning_tokens")),
        )

    def finish_reason(self, answer: Json) -> str | None:
        """The reason why it is incomplete, else its status."""
        reason = fields(answer, "incomplete_details").get("reason") or answer.get("status")
        return reason if isinstance(reason, str) else None

    def is_complete(self, answer: Json) -> bool:
        """Whether it completed and holds words, and reasoning, alone."""
        items = [item for _, item in objects(answer.get("output"))]
        parts = [part for item in items if item.get("type") == "message" for _, part in objects(item.get("content"))]
        return (
            answer.get("status") == "completed"
            and bool(parts)
            and all(item.get("type") in ("message", "reasoning") for item in items)
            and all(part.get("type") == "output_text" for part in parts)
        )

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
            return [Text(("delta",), text, "assistant", "json" if "arguments" in kind else "text", channel)]
        field = _DONE_FIELDS.get(kind)
        if field is not None:
            text = payload.get(field)
            form = "json" if field == "arguments" else "text"
            return [Text((field,), text, "assistant", form)] if text and isinstance(text, str) else []  # type: ignore[arg-type]
        found: list[Text] = []
        for key in ("item", "part"):
            if isinstance(payload.get(key), dict):
                found += _item_texts(payload[key], (key,), "assistant")
        if isinstance(payload.get("response"), dict):
            found += _answer_texts(payload["response"], ("response",))
        return found

    def closes(self, payload: Json, open_channels: Mapping[Channel, Any]) -> list[Channel]:
        """A channel ends before the event that repeats its whole text, its item's end, and the response's end."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if not open_channels or not isinstance(kind, str):
            return []
        if kind in _DONE_FIELDS:
            channel = _channel(kind, payload)
            return [channel] if channel in open_channels else []
        if kind == "response.output_item.done":
            return [channel for channel in open_channels if channel[1] == payload.get("output_index", 0)]
        if kind in _ENDS or kind in ("response.failed", "error"):
            return list(open_channels)
        return []

    def delta(self, template: Json, channel: Channel, text: str) -> Json:
        """A delta event that carries one more piece of its channel."""
        event = {key: value for key, value in template.items() if key != "obfuscation"}
        event["delta"] = text
        if "logprobs" in event:
            event["logprobs"] = []
        return event

    def event_usage(self, payload: Json, so_far: Usage | None) -> Usage | None:
        """The usage of the response that the last event carries."""
        return self.usage(fields(payload, "response")) or so_far

    def event_finish_reason(self, payload: Json) -> str | None:
        """The reason of the response that the last event carries."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        return self.finish_reason(fields(payload, "response")) if kind in (*_ENDS, "response.failed") else None

    def is_end(self, event: Event) -> bool:
        """Whether this is `response.completed` or `response.incomplete`."""
        return _type(event) in _ENDS

    def is_error(self, event: Event) -> bool:
        """Whether this is `error` or `response.failed`."""
        return event.name == "error" or _type(event) in ("error", "response.failed")

    def stream(self, answer: Json, *, include_usage: bool = True) -> Iterator[Event]:
        """A response as the events that OpenAI sends, item by item; usage always comes with the last."""
        number = 0
        begun = {**answer, "status": "in_progress", "output": [], "usage": None}
        for payload in (
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            *_items_stream(answer),
            {
                "type": f"response.{'incomplete' if answer.get('status') == 'incomplete' else 'completed'}",
                "response": answer,
            },
        ):
            yield Event.of({**payload, "sequence_number": number}, str(payload["type"]))
            number += 1

    def assembler(self) -> Assembler:
        """A new assembler."""
        return ResponsesAssembler()

    def error_events(self, error: HelixError) -> list[Event]:
        """One `event: error`."""
        body: Json = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
        return [Event.of(body, "error")]


class ResponsesAssembler(Assembler):
    """Takes the answer from the event that ends the stream."""

    def __init__(self) -> None:
        self._items: dict[int, Json] = {}
        self._answer: Json | None = None
        self._failed = False

    def feed(self, event: Event) -> None:
        """Take one event. Raises UpstreamGarbled where it is not of this dialect."""
        if event.data is None or event.data == b"[DONE]":
            return
        payload = event.json()
        if not isinstance(payload, dict):
            raise UpstreamGarbled("the provider sent an event that is not an object")
        kind = payload.get("type")
        if kind in ("error", "response.failed") or event.name == "error":
            self._failed = True
        elif kind == "response.output_item.done" and isinstance(payload.get("output_index"), int):
            self._items[payload["output_index"]] = fields(payload, "item")
        elif kind in _ENDS:
            answer = payload.get("response")
            if not isinstance(answer, dict):
                raise UpstreamGarbled("the provider ended a response without the response")
            self._answer = answer

    def answer(self) -> Json | None:
        """The response; None unless it completed, or ended at a limit, and no error came."""
        if self._failed or self._answer is None:
            return None
        if not self._answer.get("output") and self._items:
            # Some servers leave the final response's output empty.
            return {**self._answer, "output": [self._items[index] for index in sorted(self._items)]}
        return self._answer


def _role(item: Json) -> str:
    role = item.get("role")
    if isinstance(role, str):
        return role
    kind = item.get("type")
    return "tool" if isinstance(kind, str) and kind.endswith("_output") else "assistant"


def _item_texts(item: Json, path: Path, role: str) -> list[Text]:
    """The texts of an item or of one of its parts."""
    found = [
        Text((*path, field), item[field], role)
        for field in _PART_TEXTS
        if item.get(field) and isinstance(item[field], str)
    ]
    for field, form in _ITEM_TEXTS:
        value = item.get(field)
        if value and isinstance(value, str):
            found.append(Text((*path, field), value, role, form))  # type: ignore[arg-type]
    for field in ("content", "summary", "output"):
        value = item.get(field)
        if isinstance(value, str) and value and field != "output":
            found.append(Text((*path, field), value, role))
        for index, part in objects(value):
            found += _item_texts(part, (*path, field, index), role)
    return found


def _answer_texts(answer: Json, path: Path) -> list[Text]:
    found: list[Text] = []
    instructions = answer.get("instructions")
    if instructions and isinstance(instructions, str):
        found.append(Text((*path, "instructions"), instructions, "system"))
    for index, item in objects(instructions):
        found += _item_texts(item, (*path, "instructions", index), _role(item))
    for index, item in objects(answer.get("output")):
        found += _item_texts(item, (*path, "output", index), "assistant")
    return found


def _channel(kind: str, payload: Json) -> Channel | None:
    name = kind.removeprefix("response.").rpartition(".")[0]
    if name not in _DELTA_KINDS:
        return None
    inner = _INNER.get(name)
    channel: Channel = (name, payload.get("output_index", 0))
    return (*channel, payload.get(inner, 0)) if inner else channel


def _type(event: Event) -> Any:
    payload = event.json()
    return payload.get("type") if isinstance(payload, dict) else None


def _items_stream(answer: Json) -> Iterator[Json]:
    for index, item in objects(answer.get("output")):
        place: Json = {"output_index": index, "item_id": item.get("id", f"item_{index}")}
        begun = {**item, "status": "in_progress"} if "status" in item else dict(item)
        for field in ("content", "summary"):
            if isinstance(item.get(field), list):
                begun[field] = []
        if isinstance(item.get("arguments"), str):
            begun["arguments"] = ""
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        for at, part in objects(item.get("summary")):
            yield from _part_stream(part, "text", "reasoning_summary_text", {**place, "summary_index": at})
        for at, part in objects(item.get("content")):
            kind = {"refusal": "refusal", "reasoning_text": "reasoning_text"}.get(str(part.get("type")), "output_text")
            field = "refusal" if kind == "refusal" else "text"
            yield from _part_stream(part, field, kind, {**place, "content_index": at})
        for field, name in (("arguments", "function_call_arguments"), ("input", "custom_tool_call_input")):
            if isinstance(item.get(field), str):
                name = name.replace("function", "mcp") if item.get("type") == "mcp_call" else name
                for piece in pieces(item[field]):
                    yield {"type": f"response.{name}.delta", **place, "delta": piece}
                done = {"type": f"response.{name}.done", **place, field: item[field]}
                yield {**done, "name": item["name"]} if field == "arguments" and "name" in item else done
        yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_stream(part: Json, field: str, kind: str, place: Json) -> Iterator[Json]:
    opened = "reasoning_summary_part" if kind == "reasoning_summary_text" else "content_part"
    begun = {**part, field: ""}
    if isinstance(part.get("annotations"), list):
        begun["annotations"] = []
    yield {"type": f"response.{opened}.added", **place, "part": begun}
    text = part.get(field)
    if isinstance(text, str):
        logprobs: Json = {"logprobs": []} if kind == "output_text" else {}
        for piece in pieces(text):
            yield {"type": f"response.{kind}.delta", **place, "delta": piece, **logprobs}
        yield {"type": f"response.{kind}.done", **place, field: text, **logprobs}
    yield {"type": f"response.{opened}.done", **place, "part": part}


RESPONSES = Responses()
