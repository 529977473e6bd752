"""The one form of a plain conversation, whichever of the dialects for conversations it is asked in.

A conversation is plain where every field has a counterpart: texts of a system prompt and of turns, the last a user's,
temperature, top_p, stop sequences, a cap on output tokens. Anything else, a second part in a message, a prefilled
answer, a response that the provider is to keep, a field that only one dialect knows, and the request keeps its own
dialect's key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["neutral", "neutral_variant", "written_as"]

_VERSION = "anthropic-version: "
_ANOTHER_WIRE = "2023-01-01"  # whose streams have another form
# What a part of an earlier answer has beside its text, where there is none of it.
_EMPTY = frozenset(("annotations", "logprobs", "citations", "cache_control"))
_PART_TYPES = {"user": ("text", "input_text"), "assistant": ("text", "output_text"), "system": ("text", "input_text")}

Json = dict[str, Any]
_Turn = tuple[str, str]


def neutral(dialect: str, essence: Json) -> Json | None:
    """The neutral form of a request without what cannot change its answer; None where it has none."""
    read = _READERS.get(dialect)
    if read is None:
        return None
    found = read(dict(essence))
    if found is None:
        return None
    system, turns, limit, stop, rest = found
    if rest.keys() - {"model", "temperature", "top_p"} or not turns or turns[-1][0] != "user":
        return None
    if system == "" or any(role not in ("user", "assistant") for role, _ in turns):
        return None
    return {**rest, "system": system, "turns": turns, "limit": limit, "stop": stop}


def neutral_variant(dialect: str, variant: tuple[str, ...]) -> tuple[str, ...]:
    """What of the headers counts for a plain conversation.

    Anthropic's version, which every client of Anthropic's names, says how an answer is written, not what it says.
    """
    if dialect != "messages":
        return variant
    return tuple(item for item in variant if not item.startswith(_VERSION) or item.endswith(_ANOTHER_WIRE))


def written_as(dialect: str, variant: tuple[str, ...]) -> str:
    """How an answer of this dialect is written, for these headers: what is written otherwise has to be rewritten."""
    versions = [item.removeprefix(_VERSION) for item in variant if item.startswith(_VERSION)]
    return ",".join(versions) if dialect == "messages" else ""


_Found = tuple[str | None, list[_Turn], Any, list[Any], Json]


def _chat(rest: Json) -> _Found | None:
    limits = [rest.pop(key) for key in ("max_tokens", "max_completion_tokens") if key in rest]
    stop = rest.pop("stop", [])
    turns = _turns(rest.pop("messages", None))
    if turns is None or len(limits) > 1:
        return None
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else None
    return system, turns, limits[0] if limits else None, stop if isinstance(stop, list) else [stop], rest


def _responses(rest: Json) -> _Found | None:
    # Unless it says otherwise, a response is kept by its provider, to be gone on from by its id: no other dialect's is.
    if rest.pop("store", True) is not False:
        return None
    given = rest.pop("input", None)
    turns = [("user", given)] if isinstance(given, str) else _turns(given, kind="message")
    if turns is None:
        return None
    return rest.pop("instructions", None), turns, rest.pop("max_output_tokens", None), [], rest


def _messages(rest: Json) -> _Found | None:
    system = rest.pop("system", None)
    if system is not None and (system := _text(system, "system")) is None:
        return None
    turns = _turns(rest.pop("messages", None))
    return (
        None if turns is None else (system, turns, rest.pop("max_tokens", None), rest.pop("stop_sequences", []), rest)
    )


_READERS: dict[str, Callable[[Json], _Found | None]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
}


def _turns(messages: Any, *, kind: str | None = None) -> list[_Turn] | None:
    """Roles and texts; None unless every message is just that, and of this `type` where it has one."""
    if not isinstance(messages, list):
        return None
    turns: list[_Turn] = []
    for message in messages:
        if message.keys() - {"role", "content", "type"} or message.get("type", kind) != kind:
            return None
        role = message.get("role")
        text = _text(message.get("content"), role)
        if text is None:
            return None
        turns.append((role, text))
    return turns


def _text(content: Any, role: Any) -> str | None:
    """The text of a content that is a text, or a list of one part that is just a text."""
    if isinstance(content, list):
        if len(content) != 1 or not isinstance(content[0], dict):
            return None
        part = content[0]
        if part.get("type") not in _PART_TYPES.get(role, ()):
            return None
        if any(key not in _EMPTY or part[key] not in (None, []) for key in part.keys() - {"type", "text"}):
            return None
        content = part.get("text")
    return content if isinstance(content, str) else None
