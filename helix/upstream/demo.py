"""Offline models, so that a first request needs no key and no network.

    demo/echo    answers by restating the question; deterministic, at once
    demo/slow    the same answer as a stream, `tokens_per_second` (20 unless configured)

Both speak all dialects, count tokens, keep to the caller's cap, fill the arguments of a tool that they are made to
call, and give embeddings that depend on the text alone.
"""

from __future__ import annotations

import asyncio
import base64
import math
import re
import struct
from collections.abc import AsyncGenerator, Sequence
from hashlib import blake2b, shake_256
from typing import Any

import orjson

from helix.kernel.errors import UpstreamError, UpstreamStatus
from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.wire import Dialect
from helix.upstream.answer import Answer
from helix.upstream.deployment import Deployment, Target

__all__ = ["Demo"]

TOKENS_PER_SECOND = 20.0  # about what people read
EMBEDDING_DIMENSIONS = 384
_MODELS = ("echo", "slow")
_TOKEN = re.compile(r"\s*(?:\w{1,6}|[^\w\s])")
_NO_QUESTION = "You asked nothing."

Json = dict[str, Any]


class Demo:
    """The provider of the demo models."""

    async def open(self, deployments: Sequence[Deployment]) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def ask(self, exchange: Exchange, target: Target, timeout_seconds: float) -> Answer:
        """Answer a request of any dialect. Raises UpstreamStatus 404 for a demo model that there is not."""
        dialect = exchange.dialect
        if dialect is None:
            raise UpstreamError("only requests of a known dialect can be answered")
        if target.model not in _MODELS:
            message = f"there is no demo model of that name; there are: {', '.join(f'demo/{name}' for name in _MODELS)}"
            raise UpstreamStatus(message, 404)
        answer = _answer(dialect, exchange.payload, int(exchange.started_at))
        if not exchange.stream:
            return Answer(body=exchange.encode_answer(answer))
        rate = None
        if target.model == "slow":
            rate = target.deployment.options.get("tokens_per_second", TOKENS_PER_SECOND)
        return Answer(events=_events(dialect, answer, dialect.asks_usage(exchange.payload), rate))


async def _events(
    dialect: Dialect, answer: Json, include_usage: bool, tokens_per_second: float | None
) -> AsyncGenerator[list[Event], None]:
    """The stream of an answer; at a rate, it is a schedule that a slow reader does not delay further."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for event in dialect.stream(answer, include_usage=include_usage):
        if tokens_per_second is not None:
            payload = event.json()
            said = (
                sum(len(count_tokens(text.value)) for text in dialect.event_texts(payload) if text.channel)
                if payload
                else 0
            )
            due += said / tokens_per_second
            await asyncio.sleep(max(0.0, due - loop.time()))
        yield [event]


def count_tokens(text: str) -> list[str]:
    """Pieces of a text about as long as a tokenizer's; joined they are the text, less white space at its end."""
    return _TOKEN.findall(text)


def _answer(dialect: Dialect, request: Json, created: int) -> Json:
    texts = dialect.texts(request)
    asked = sum(len(count_tokens(text.value)) for text in texts)
    name = dialect.name
    if name == "embeddings":
        return _embeddings(request, asked)
    if name == "count_tokens":
        return {"input_tokens": asked}
    question = next((text.value for text in reversed(texts) if text.role == "user" and text.value.strip()), "")
    said = f"You asked: {question}" if question else _NO_QUESTION
    tool = _forced_tool(request)
    if tool is None:
        said = _formatted(request, said)
        cap = dialect.max_output_tokens(request)
        pieces = count_tokens(said)
        cut = cap is not None and len(pieces) > cap
        if cut:
            said = "".join(pieces[:cap])
        told = min(len(pieces), cap) if cap is not None else len(pieces)
    else:
        cut = False
        arguments = orjson.dumps(_filled(_schema_of(tool), question)).decode()
        told = len(count_tokens(arguments)) + 1
    identity = blake2b(orjson.dumps(request), digest_size=12).hexdigest()
    make = {"chat": _chat, "completions": _completion, "responses": _response, "messages": _message}[name]
    spoken = _Spoken(said, cut, tool, arguments if tool is not None else "", asked, told)
    return make(request, spoken, identity, created)


class _Spoken:
    """What the model says, before it is put in a dialect's form."""

    __slots__ = ("arguments", "asked", "cut", "said", "told", "tool")

    def __init__(self, said: str, cut: bool, tool: Json | None, arguments: str, asked: int, told: int) -> None:
        self.said = said
        self.cut = cut
        self.tool = tool
        self.arguments = arguments
        self.asked = asked
        self.told = told

    @property
    def tool_name(self) -> str:
        return str(_function_of(self.tool or {}).get("name", ""))


def _chat(request: Json, spoken: _Spoken, identity: str, created: int) -> Json:
    message: Json = {"role": "assistant", "content": spoken.said, "refusal": None}
    if spoken.tool is not None:
        message["content"] = None
        function = {"name": spoken.tool_name, "arguments": spoken.arguments}
        message["tool_calls"] = [{"id": f"call_{identity}", "type": "function", "function": function}]
    reason = "length" if spoken.cut else "tool_calls" if spoken.tool is not None else "stop"
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": reason}
        for index in range(_choices(request))
    ]
    return {
        "id": f"chatcmpl-{identity}",
        "object": "chat.completion",
        "created": created,
        "model": request["model"],
        "choices": choices,
        "usage": _usage(spoken, len(choices)),
    }


def _completion(request: Json, spoken: _Spoken, identity: str, created: int) -> Json:
    choices = [
        {"index": index, "text": spoken.said, "logprobs": None, "finish_reason": "length" if spoken.cut else "stop"}
        for index in range(_choices(request))
    ]
    return {
        "id": f"cmpl-{identity}",
        "object": "text_completion",
        "created": created,
        "model": request["model"],
        "choices": choices,
        "usage": _usage(spoken, len(choices)),
    }


def _message(request: Json, spoken: _Spoken, identity: str, created: int) -> Json:
    content: Json = {"type": "text", "text": spoken.said}
    if spoken.tool is not None:
        arguments = orjson.loads(spoken.arguments)
        content = {"type": "tool_use", "id": f"toolu_{identity}", "name": spoken.tool_name, "input": arguments}
    reason = "max_tokens" if spoken.cut else "tool_use" if spoken.tool is not None else "end_turn"
    return {
        "id": f"msg_{identity}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [content],
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": spoken.asked, "output_tokens": spoken.told},
    }


def _response(request: Json, spoken: _Spoken, identity: str, created: int) -> Json:
    part = {"type": "output_text", "text": spoken.said, "annotations": [], "logprobs": []}
    status = "incomplete" if spoken.cut else "completed"
    item: Json = {"id": f"msg_{identity}", "type": "message", "status": status, "role": "assistant", "content": [part]}
    if spoken.tool is not None:
        item = {
            "id": f"fc_{identity}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{identity}",
            "name": spoken.tool_name,
            "arguments": spoken.arguments,
        }
    return {
        "id": f"resp_{identity}",
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if spoken.cut else None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "model": request["model"],
        "output": [item],
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "previous_response_id": request.get("previous_response_id"),
        "store": False,
        "temperature": request.get("temperature", 1.0),
        "text": request.get("text") or {"format": {"type": "text"}},
        "tool_choice": request.get("tool_choice", "auto"),
        "tools": request.get("tools") or [],
        "top_p": request.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": spoken.asked,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": spoken.told,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": spoken.asked + spoken.told,
        },
        "metadata": request.get("metadata") or {},
    }


def _embeddings(request: Json, asked: int) -> Json:
    given = request["input"]
    inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    dimensions = request.get("dimensions") or EMBEDDING_DIMENSIONS
    data = []
    for index, item in enumerate(inputs):
        vector = _vector(orjson.dumps(item), dimensions)
        value: Any = vector
        if request.get("encoding_format") == "base64":
            value = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": value})
    if not asked:  # given as token numbers
        asked = sum(len(item) if isinstance(item, list) else 1 for item in inputs)
    usage = {"prompt_tokens": asked, "total_tokens": asked}
    return {"object": "list", "model": request["model"], "data": data, "usage": usage}


def _vector(text: bytes, dimensions: int) -> list[float]:
    """A unit vector that depends on the text alone."""
    drawn = struct.unpack(f"<{dimensions}h", shake_256(text).digest(2 * dimensions))
    length = math.sqrt(sum(value * value for value in drawn)) or 1.0
    return [value / length for value in drawn]


def _usage(spoken: _Spoken, choices: int) -> Json:
    told = spoken.told * choices
    return {"prompt_tokens": spoken.asked, "completion_tokens": told, "total_tokens": spoken.asked + told}


def _choices(request: Json) -> int:
    count = request.get("n")
    return min(count, 128) if isinstance(count, int) and count > 0 else 1


def _forced_tool(request: Json) -> Json | None:
    """The tool that the caller will have called: the one that `tool_choice` names, the first where it wants any."""
    tools = [tool for tool in request.get("tools") or [] if isinstance(tool, dict) and _function_of(tool).get("name")]
    choice = request.get("tool_choice")
    if not tools or choice is None:
        return None
    if isinstance(choice, str):
        return tools[0] if choice == "required" else None
    if not isinstance(choice, dict):
        return None
    if choice.get("type") == "any":
        return tools[0]
    name = _function_of(choice).get("name")
    return next((tool for tool in tools if _function_of(tool)["name"] == name), None) if name else None


def _function_of(tool: Json) -> Json:
    """Where a tool's name and schema are: one level deeper in chat completions."""
    function = tool.get("function")
    return function if isinstance(function, dict) else tool


def _schema_of(tool: Json) -> Any:
    function = _function_of(tool)
    return function.get("parameters") or function.get("input_schema") or {"type": "object"}


def _formatted(request: Json, said: str) -> str:
    """The answer as JSON where the caller asked for that."""
    wanted = request.get("response_format")
    if not isinstance(wanted, dict):
        text = request.get("text")
        wanted = text.get("format") if isinstance(text, dict) else None
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_object":
        return orjson.dumps({"answer": said}).decode()
    if kind != "json_schema" or not isinstance(wanted, dict):
        return said
    inner = wanted.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else wanted.get("schema")
    return orjson.dumps(_filled(schema, said)).decode()


def _filled(schema: Any, text: str, depth: int = 0) -> Any:
    """A value of a JSON schema: the text wherever a string is required, else the least that is allowed."""
    if not isinstance(schema, dict) or depth > 8:
        return text
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    kind = next((k for k in kind if k != "null"), "null") if isinstance(kind, list) else kind
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        return {name: _filled(properties.get(name), text, depth + 1) for name in required if isinstance(name, str)}
    if kind == "array":
        return [_filled(schema.get("items"), text, depth + 1)] if schema.get("minItems") else []
    return {"integer": 0, "number": 0, "boolean": False, "null": None}.get(str(kind), text)
