"""A message of Anthropic's as the events of a stream, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helix.kernel import exact
from helix.kernel.errors import UpstreamGarbled
from helix.kernel.sse import Event
from helix.kernel.wire.base import Assembler, Json, fields, objects, pieces

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


def message_stream(answer: Json) -> Iterator[Event]:
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


def _event(payload: Json) -> Event:
    return Event.of(payload, payload["type"])


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
