"""A response of OpenAI's as the events of a stream, and back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from helix.kernel.errors import UpstreamGarbled
from helix.kernel.sse import Event
from helix.kernel.wire.base import Assembler, Json, fields, objects, pieces

# Which field a `….done` event repeats whole, and which index tells an item's texts apart, by the channel's kind.
CHANNELS: dict[str, tuple[str, str | None]] = {
    "output_text": ("text", "content_index"),
    "refusal": ("refusal", "content_index"),
    "reasoning_text": ("text", "content_index"),
    "reasoning_summary_text": ("text", "summary_index"),
    "function_call_arguments": ("arguments", None),
    "mcp_call_arguments": ("arguments", None),
    "custom_tool_call_input": ("input", None),
    "code_interpreter_call_code": ("code", None),
    "audio.transcript": ("transcript", None),
}
# The text that an item of some type streams beside its parts, and the channel's kind.
_CALLS = {
    "function_call": ("arguments", "function_call_arguments"),
    "mcp_call": ("arguments", "mcp_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
    "code_interpreter_call": ("code", "code_interpreter_call_code"),
}
ENDS = ("response.completed", "response.incomplete")


def response_stream(answer: Json) -> Iterator[Event]:
    """A response as the events that OpenAI sends, item by item, numbered."""
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    end = "response.incomplete" if answer.get("status") == "incomplete" else "response.completed"
    events: Iterator[Json] = chain(
        ({"type": kind, "response": begun} for kind in ("response.created", "response.in_progress")),
        _items_stream(answer),
        ({"type": end, "response": answer},),
    )
    for number, payload in enumerate(events):
        yield Event.of({**payload, "sequence_number": number}, payload["type"])


def _items_stream(answer: Json) -> Iterator[Json]:
    for index, item in objects(answer.get("output")):
        place: Json = {"output_index": index, "item_id": item.get("id") or f"item_{index}"}
        begun = {**item, "status": "in_progress"} if "status" in item else dict(item)
        begun |= {field: [] for field in ("content", "summary") if isinstance(item.get(field), list)}
        begun |= {field: "" for field in ("arguments", "input", "code") if isinstance(item.get(field), str)}
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        for at, part in objects(item.get("summary")):
            yield from _part_stream(part, "reasoning_summary_text", {**place, "summary_index": at})
        for at, part in objects(item.get("content")):
            kind = str(part.get("type"))
            yield from _part_stream(part, kind if kind in CHANNELS else "output_text", {**place, "content_index": at})
        field, kind = _CALLS.get(str(item.get("type")), ("", ""))
        if isinstance(item.get(field), str):
            for piece in pieces(item[field]):
                yield {"type": f"response.{kind}.delta", **place, "delta": piece}
            named = {"name": item["name"]} if kind == "function_call_arguments" and "name" in item else {}
            yield {"type": f"response.{kind}.done", **place, **named, field: item[field]}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_stream(part: Json, kind: str, place: Json) -> Iterator[Json]:
    opened = "reasoning_summary_part" if kind == "reasoning_summary_text" else "content_part"
    field = CHANNELS[kind][0]
    text = part.get(field)
    begun = dict(part)
    begun |= {field: ""} if isinstance(text, str) else {}
    begun |= {key: [] for key in ("annotations", "logprobs") if isinstance(part.get(key), list)}
    yield {"type": f"response.{opened}.added", **place, "part": begun}
    if isinstance(text, str):
        extra: Json = {"logprobs": []} if kind == "output_text" else {}
        for piece in pieces(text):
            yield {"type": f"response.{kind}.delta", **place, "delta": piece, **extra}
        for at, annotation in enumerate(part.get("annotations") or ()):
            added = {"annotation_index": at, "annotation": annotation}
            yield {"type": "response.output_text.annotation.added", **place, **added}
        extra = {"logprobs": part.get("logprobs") or []} if kind == "output_text" else {}
        yield {"type": f"response.{kind}.done", **place, field: text, **extra}
    yield {"type": f"response.{opened}.done", **place, "part": part}


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
        elif kind in ENDS:
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
