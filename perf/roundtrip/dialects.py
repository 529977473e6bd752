"""How conversations look in each dialect, and how its provider says a text and a tool call's arguments."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from helix.kernel import wire
from helix.kernel.wire import Dialect, Path

__all__ = ["SHAPES", "Asked", "Shape", "Turn"]


@dataclass(frozen=True)
class Turn:
    """One turn: what somebody says, and of a tool call the arguments and what came of it."""

    role: str
    text: str
    arguments: Any = None
    result: str = ""
    in_parts: bool = False


class Asked(NamedTuple):
    """A request, and where in it what somebody wrote stands: texts, JSON that is spelled as text, JSON values."""

    request: dict[str, Any]
    texts: list[Path]
    spelled: list[Path]
    objects: list[Path]


class Shape(ABC):
    """How a conversation looks in one dialect, written from its API's own documentation."""

    dialect: Dialect

    label: Path = ("user",)
    """Where the caller may say who is asking."""

    @abstractmethod
    def ask(self, system: str, turns: Sequence[Turn]) -> Asked:
        """A request."""

    def answer(self, text: str, arguments: str) -> dict[str, Any]:
        """An answer with a text and, where the dialect has such, a tool call; `arguments` spell an object."""
        raise NotImplementedError

    def said(self, answer: Any) -> tuple[str, Any]:
        """The text of an answer, and its tool call's arguments; None where it has none."""
        raise NotImplementedError


_CALL = {"id": "t", "type": "function"}


class Chat(Shape):
    """Chat completions."""

    dialect = wire.CHAT

    def ask(self, system: str, turns: Sequence[Turn]) -> Asked:
        """System, user, assistant and tool messages."""
        asked = Asked({"model": "m", "messages": [{"role": "system", "content": system}]}, [], [], [])
        asked.texts.append(("messages", 0, "content"))
        messages = asked.request["messages"]
        for turn in turns:
            at: Path = ("messages", len(messages), "content")
            if turn.in_parts and turn.role == "user":
                image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
                messages.append({"role": "user", "content": [{"type": "text", "text": turn.text}, image]})
                asked.texts.append((*at, 0, "text"))
            else:
                messages.append({"role": turn.role, "content": turn.text})
                asked.texts.append(at)
            if turn.arguments is not None:
                function = {"name": "look_up", "arguments": json.dumps(turn.arguments, ensure_ascii=turn.in_parts)}
                asked.spelled.append(("messages", len(messages), "tool_calls", 0, "function", "arguments"))
                messages.append({"role": "assistant", "tool_calls": [_CALL | {"function": function}]})
                asked.texts.append(("messages", len(messages), "content"))
                messages.append({"role": "tool", "tool_call_id": "t", "content": turn.result})
        return asked

    def answer(self, text: str, arguments: str) -> dict[str, Any]:
        """One choice."""
        call = _CALL | {"function": {"name": "f", "arguments": arguments}}
        message = {"role": "assistant", "content": text, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}

    def said(self, answer: Any) -> tuple[str, Any]:
        """Of the one choice."""
        message = answer["choices"][0]["message"]
        return message["content"], json.loads(message["tool_calls"][0]["function"]["arguments"])


class Completions(Shape):
    """Completions."""

    dialect = wire.COMPLETIONS

    def ask(self, system: str, turns: Sequence[Turn]) -> Asked:
        """A prompt, or several."""
        texts = [system, *(turn.text for turn in turns)]
        if turns and turns[-1].in_parts:
            return Asked({"model": "m", "prompt": texts}, [("prompt", at) for at in range(len(texts))], [], [])
        return Asked({"model": "m", "prompt": "\n".join(texts)}, [("prompt",)], [], [])

    def answer(self, text: str, arguments: str) -> dict[str, Any]:
        """One choice."""
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
        return {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}

    def said(self, answer: Any) -> tuple[str, Any]:
        """Of the one choice."""
        return answer["choices"][0]["text"], None


class Embeddings(Shape):
    """Embeddings, which answer no words."""

    dialect = wire.EMBEDDINGS

    def ask(self, system: str, turns: Sequence[Turn]) -> Asked:
        """An input, or several."""
        texts = [system, *(turn.text for turn in turns)]
        return Asked({"model": "m", "input": texts}, [("input", at) for at in range(len(texts))], [], [])


class Responses(Shape):
    """The responses API."""

    dialect = wire.RESPONSES

    def ask(self, system: str, turns: Sequence[Turn]) -> Asked:
        """Instructions and input items."""
        asked = Asked({"model": "m", "instructions": system, "input": []}, [("instructions",)], [], [])
        items = asked.request["input"]
        for turn in turns:
            at: Path = ("input", len(items), "content")
            if turn.in_parts:
                kind = "output_text" if turn.role == "assistant" else "input_text"
                items.append({"role": turn.role, "content": [{"type": kind, "text": turn.text}]})
                asked.texts.append((*at, 0, "text"))
            else:
                items.append({"role": turn.role, "content": turn.text})
                asked.texts.append(at)
            if turn.arguments is not None:
                asked.spelled.append(("input", len(items), "arguments"))
                arguments = json.dumps(turn.arguments, ensure_ascii=turn.in_parts)
                items.append({"type": "function_call", "call_id": "t", "name": "look_up", "arguments": arguments})
                asked.texts.append(("input", len(items), "output"))
                items.append({"type": "function_call_output", "call_id": "t", "output": turn.result})
        return asked

    def answer(self, text: str, arguments: str) -> dict[str, Any]:
        """A message and a call."""
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "a", "role": "assistant", "status": "completed", "content": [part]}
        call = {"type": "function_call", "id": "b", "call_id": "t", "name": "f", "arguments": arguments}
        return {"id": "r", "object": "response", "status": "completed", "model": "m", "output": [message, call]}

    def said(self, answer: Any) -> tuple[str, Any]:
        """Of the two items."""
        message, call = answer["output"]
        return message["content"][0]["text"], json.loads(call["arguments"])


class Messages(Shape):
    """Anthropic's messages."""

    dialect = wire.MESSAGES
    label = ("metadata", "user_id")

    def ask(self, system: str, turns: Sequence[Turn]) -> Asked:
        """A system text, and messages of blocks."""
        asked = Asked({"model": "m", "max_tokens": 9, "system": system, "messages": []}, [("system",)], [], [])
        messages = asked.request["messages"]
        for turn in turns:
            role = "assistant" if turn.role == "assistant" else "user"
            at: Path = ("messages", len(messages), "content")
            if turn.in_parts:
                messages.append({"role": role, "content": [{"type": "text", "text": turn.text}]})
                asked.texts.append((*at, 0, "text"))
            else:
                messages.append({"role": role, "content": turn.text})
                asked.texts.append(at)
            if turn.arguments is not None:
                call = {"type": "tool_use", "id": "t", "name": "look_up", "input": turn.arguments}
                asked.objects.append(("messages", len(messages), "content", 0, "input"))
                messages.append({"role": "assistant", "content": [call]})
                asked.texts.append(("messages", len(messages), "content", 0, "content"))
                result = {"type": "tool_result", "tool_use_id": "t", "content": turn.result}
                messages.append({"role": "user", "content": [result]})
        return asked

    def answer(self, text: str, arguments: str) -> dict[str, Any]:
        """A text and a tool use."""
        call = {"type": "tool_use", "id": "t", "name": "f", "input": json.loads(arguments)}
        return {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": text}, call],
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }

    def said(self, answer: Any) -> tuple[str, Any]:
        """Of the two blocks."""
        text, call = answer["content"]
        return text["text"], call["input"]


SHAPES: tuple[Shape, ...] = (Chat(), Completions(), Embeddings(), Responses(), Messages())
"""Every dialect's."""
