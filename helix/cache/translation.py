"""A stored answer to a plain conversation, given in the dialect that it is asked for in (see neutral.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from helix.kernel import exact
from helix.kernel.types import Entry, Usage
from helix.kernel.wire import CHAT, MESSAGES, RESPONSES, Dialect, Ending
from helix.kernel.wire.base import fields, objects

__all__ = ["FORM", "fitting", "translated"]

FORM = "anthropic-version"
"""The header of an entry that says how its answer is written; see `written_as`."""

Json = dict[str, Any]

_DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (CHAT, RESPONSES, MESSAGES)}


class _Said(NamedTuple):
    """What an answer says in any dialect."""

    id: str
    model: str
    created: int
    text: str
    ending: Ending
    usage: Usage | None


def fitting(entry: Entry, target: Dialect, request: Json, form: str) -> Entry | None:
    """The entry with its answer in the dialect of a request; None where it cannot be given there.

    `form` is how the dialect's answers are written for the caller (`written_as`), which an entry says in its headers.
    """
    if entry.dialect == target.name and dict(entry.headers).get(FORM, "") == form:
        return entry
    try:
        answer = exact.loads(entry.body)
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    said = translated(answer, entry.dialect, target, request, entry.stored_at)
    if said is None:
        return None
    return replace(entry, dialect=target.name, body=exact.dumps(said), headers=((FORM, form),))


def translated(answer: Json, source: str, target: Dialect, request: Json, stored_at: float) -> Json | None:
    """The answer in a dialect, written anew; None where it would not be what the target's provider would have said.

    What thinking an answer holds is left out. Citations, log-probabilities and the like have no counterpart, nor can it
    be told which of the stop sequences of a Messages request ended an answer of another dialect.
    """
    if source not in _READERS or target.name not in _WRITERS:
        return None
    if target.name == "messages" and request.get("stop_sequences"):
        return None
    ending = _DIALECTS[source].ending(answer)
    text = _READERS[source](answer) if ending in ("complete", "truncated") else None
    if text is None:
        return None
    said = _Said(
        id=str(answer.get("id") or "").partition("-" if source == "chat" else "_")[2] or "cached",
        model=str(answer.get("model") or request.get("model") or ""),
        created=int(stored_at),
        text=text,
        ending=ending,
        usage=_DIALECTS[source].usage(answer),
    )
    return _WRITERS[target.name](said, request)


# What an answer says; None where it holds more than a text


def _chat_text(answer: Json) -> str | None:
    choices = objects(answer.get("choices"))
    if len(choices) != 1 or choices[0][1].get("logprobs"):
        return None
    message = fields(choices[0][1], "message")
    if message.get("annotations"):
        return None
    text = message.get("content")
    return text if isinstance(text, str) else None


def _responses_text(answer: Json) -> str | None:
    items = [item for _, item in objects(answer.get("output")) if item.get("type") == "message"]
    return _joined([part for item in items for _, part in objects(item.get("content"))], ("annotations", "logprobs"))


def _messages_text(answer: Json) -> str | None:
    blocks = [block for _, block in objects(answer.get("content")) if block.get("type") == "text"]
    return _joined(blocks, ("citations",))


def _joined(parts: list[Json], more: tuple[str, ...]) -> str | None:
    texts = [part.get("text") for part in parts]
    if not texts or any(part.get(key) for part in parts for key in more):
        return None
    return "".join(text for text in texts if isinstance(text, str))


_READERS: dict[str, Callable[[Json], str | None]] = {
    "chat": _chat_text,
    "responses": _responses_text,
    "messages": _messages_text,
}


# The same in a dialect


def _as_chat(said: _Said, request: Json) -> Json:
    message = {"role": "assistant", "content": said.text, "refusal": None}
    reason = "stop" if said.ending == "complete" else "length"
    answer: Json = {
        "id": f"chatcmpl-{said.id}",
        "object": "chat.completion",
        "created": said.created,
        "model": said.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
    }
    if said.usage is not None:
        usage = said.usage
        answer["usage"] = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }
    return answer


def _as_responses(said: _Said, request: Json) -> Json:
    is_whole = said.ending == "complete"
    status = "completed" if is_whole else "incomplete"
    part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
    item = {"id": f"msg_{said.id}", "type": "message", "role": "assistant", "status": status, "content": [part]}
    usage = said.usage
    return {
        "id": f"resp_{said.id}",
        "object": "response",
        "created_at": said.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None if is_whole else {"reason": "max_output_tokens"},
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "metadata": {},
        "model": said.model,
        "output": [item],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": request.get("temperature"),
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": request.get("top_p"),
        "truncation": "disabled",
        "usage": None
        if usage is None
        else {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_input_tokens},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    }


def _as_messages(said: _Said, request: Json) -> Json:
    usage = said.usage or Usage()
    return {
        "id": f"msg_{said.id}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [{"type": "text", "text": said.text}],
        "stop_reason": "end_turn" if said.ending == "complete" else "max_tokens",
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens,
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "cache_read_input_tokens": usage.cached_input_tokens,
            "output_tokens": usage.output_tokens,
        },
    }


_WRITERS: dict[str, Callable[[_Said, Json], Json]] = {
    "chat": _as_chat,
    "responses": _as_responses,
    "messages": _as_messages,
}
