"""A choice of a chat completion as the chunks of a stream, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helix.kernel.wire.base import Json, fields, objects, pieces
from helix.kernel.wire.choices import ChoicesAssembler, merge, settled

# The text fields of a message, in the order in which a stream brings them. DeepSeek and vLLM say reasoning_content,
# OpenRouter and Groq say reasoning; a field's name is also its channel's.
FIELDS = ("reasoning_content", "reasoning", "content", "refusal")
# What grows by being appended to when pieces of a message are put together; the last two are of reasoning_details.
_JOINED = frozenset((*FIELDS, "arguments", "input", "transcript", "data", "text", "summary"))


def choice_stream(choice: Json) -> Iterator[Json]:
    """First the role and what is null, then text in pieces, tool calls, what else the message has, the end."""
    message = fields(choice, "message")
    first: Json = {key: value for key, value in message.items() if value is None}
    first["role"] = message.get("role", "assistant")
    first |= {key: "" for key in FIELDS if isinstance(message.get(key), str)}
    yield {"delta": first, "finish_reason": None}
    rest = {key: value for key, value in message.items() if value is not None and key != "role"}
    logprobs = choice.get("logprobs")
    for field in FIELDS:
        if not isinstance(rest.get(field), str):
            continue
        text = rest.pop(field)
        for piece, entries in _pieces_with(text, fields(choice, "logprobs").get(field)):
            part: Json = {"delta": {field: piece}, "finish_reason": None}
            if entries:
                part["logprobs"] = {field: entries}
            yield part
    for index, call in objects(rest.pop("tool_calls", None)):
        for kind, field in (("function", "arguments"), ("custom", "input")):
            inner = fields(call, kind)
            if isinstance(inner.get(field), str):
                begun = {**call, "index": index, kind: {**inner, field: ""}}
                yield {"delta": {"tool_calls": [begun]}, "finish_reason": None}
                for piece in pieces(inner[field]):
                    grown = {"index": index, kind: {field: piece}}
                    yield {"delta": {"tool_calls": [grown]}, "finish_reason": None}
                break
        else:
            yield {"delta": {"tool_calls": [{**call, "index": index}]}, "finish_reason": None}
    call = rest.pop("function_call", None)
    if isinstance(call, dict):
        yield {"delta": {"function_call": {**call, "arguments": ""}}, "finish_reason": None}
        for piece in pieces(str(call.get("arguments", ""))):
            yield {"delta": {"function_call": {"arguments": piece}}, "finish_reason": None}
    if rest:
        yield {"delta": rest, "finish_reason": None}
    last = {key: value for key, value in choice.items() if key not in ("index", "message", "logprobs")}
    if isinstance(logprobs, dict):
        # What came with the text is not said again.
        last["logprobs"] = {key: None if key in FIELDS and value else value for key, value in logprobs.items()}
    elif "logprobs" in choice:
        last["logprobs"] = logprobs
    yield {"delta": {}, **last}


def _pieces_with(text: str, logprobs: Any) -> list[tuple[str, list[Any]]]:
    """A text in pieces, each with the logprobs of its tokens; the tokens are the pieces where they make up the text."""
    entries = logprobs if isinstance(logprobs, list) else []
    tokens = [str(entry.get("token")) for _, entry in objects(entries)]
    if len(tokens) == len(entries) and "".join(tokens) == text:
        return [(token, [entry]) for token, entry in zip(tokens, entries, strict=True)]
    words = pieces(text) or [""]
    return [(words[0], entries), *((word, []) for word in words[1:])]


class ChatAssembler(ChoicesAssembler):
    """Puts chunks together into messages."""

    def new_choice(self, index: int) -> Json:
        """A choice with an empty message of the assistant."""
        return {"index": index, "message": {"role": "assistant"}, "finish_reason": None}

    def add(self, choice: Json, part: Json) -> None:
        """Add a delta to the message; logprobs grow, the finish reason and what else there is are set."""
        delta = fields(part, "delta")
        message = choice["message"]
        if "tool_calls" in delta:
            for _, call in objects(delta["tool_calls"]):
                _add_call(message, call)
            delta = {key: value for key, value in delta.items() if key != "tool_calls"}
        merge(message, delta, _JOINED)
        merge(choice, {key: value for key, value in part.items() if key not in ("index", "delta")}, frozenset())

    def finished(self, choice: Json) -> Json:
        """The choice with its tool calls in order, without their index."""
        message = {"content": None, **choice["message"]}
        if isinstance(message.get("tool_calls"), dict):
            message["tool_calls"] = [call for _, call in sorted(message["tool_calls"].items())]
        return settled({**choice, "message": message})  # type: ignore[no-any-return]


def _add_call(message: Json, part: Json) -> None:
    calls = message.setdefault("tool_calls", {})
    index = part.get("index")
    if not isinstance(index, int):
        # Gemini's OpenAI form has no index: a new id is a new call, anything else belongs to the last one.
        known = next((i for i, call in calls.items() if part.get("id") and call.get("id") == part["id"]), None)
        index = known if known is not None else len(calls) if part.get("id") else max(len(calls) - 1, 0)
    call = calls.setdefault(index, {})
    merge(call, {key: value for key, value in part.items() if key != "index"}, _JOINED)
