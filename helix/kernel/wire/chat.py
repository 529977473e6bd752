"""Chat completions: POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from helix.kernel.errors import InvalidRequest
from helix.kernel.wire.base import (
    Assembler,
    Channel,
    Ending,
    Form,
    Json,
    Path,
    Question,
    Text,
    at_least,
    fields,
    index_of,
    need,
    need_objects,
    objects,
    whole_text,
)
from helix.kernel.wire.chat_stream import FIELDS, ChatAssembler, choice_stream
from helix.kernel.wire.choices import ChoicesDialect
from helix.kernel.wire.places import definition_texts, request_labels, texts_in

_THOUGHTS = ("reasoning_content", "reasoning")
# OpenRouter's and LiteLLM's lists of thoughts, beside those.
_DETAILS = ("reasoning_details", "thinking_blocks")
_DETAIL_TEXTS = ("text", "summary", "thinking")
# What of a message is read before the rest of it, or is the wire's own.
_FIRST = frozenset(("role", "name", *FIELDS))
# What a request has that is no text, or is read apart from those that are not known.
_KNOWN = frozenset(
    (
        *("model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
        *("max_completion_tokens", "max_tokens", "modalities", "moderation", "n", "parallel_tool_calls", "prediction"),
        *("presence_penalty", "prompt_cache_retention", "reasoning_effort", "response_format", "seed", "service_tier"),
        *("store", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p"),
        *("verbosity", "web_search_options", "documents", "prompt_cache_options"),
    )
)
# Where a delta has more texts than those.
_BESIDE = frozenset(("tool_calls", "function_call", "audio", *_DETAILS))
# The channels of tool calls: ("arguments", choice, call) of functions, ("input", choice, call) of custom tools.
_CALLS = ("arguments", "input")
# Whose messages have the name of a tool.
_TOOLS = frozenset(("tool", "function"))
# All that most messages of a request have.
_PLAIN = frozenset(("role", "content"))


class Chat(ChoicesDialect):
    """OpenAI's chat completions.

    Texts are the messages' contents, authors' names, reasoning, refusals and tool calls, file names and URLs, a
    `prediction` and vLLM's `documents`. The tools' names are not texts; images, audio and files pass untouched.
    A stream carries all of an answer but `"usage": null`; choices come out in the order of their index.
    """

    name = "chat"
    path = "/v1/chat/completions"
    operation = "chat"
    object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    # The request

    def check(self, request: Json) -> None:
        """Raise InvalidRequest, naming the place, unless the fields that Helix reads are of the right types."""
        self.check_common(request)
        at_least(request, "max_completion_tokens", 1)
        at_least(request, "max_tokens", 1)
        for index, message in enumerate(need(request, "messages", list)):
            if _is_plain(message):
                continue
            place = f"messages[{index}]"
            if not isinstance(message, dict):
                raise InvalidRequest(f"'{place}' must be an object", place)
            need(message, "role", str, where=place)
            _check_content(message, place)
            for field in (*_THOUGHTS, "refusal"):
                need(message, field, str, optional=True, where=place)
            for where, call in need_objects(message, "tool_calls", optional=True, where=place):
                for kind, field in (("function", "arguments"), ("custom", "input")):
                    of_kind = need(call, kind, dict, optional=True, where=where)
                    if of_kind is not None:
                        need(of_kind, field, str, optional=True, where=f"{where}.{kind}")
            call = need(message, "function_call", dict, optional=True, where=place)
            if call is not None:
                need(call, "arguments", str, optional=True, where=f"{place}.function_call")
        need_objects(request, "tools", optional=True)
        need_objects(request, "functions", optional=True)
        prediction = need(request, "prediction", dict, optional=True)
        if prediction is not None:
            _check_content(prediction, "prediction")

    def texts(self, request: Json) -> list[Text]:
        """vLLM's `documents`; every message's texts in order, tool calls and results too; a predicted output."""
        found = texts_in(request.get("documents"), ("documents",), "document", "documents")
        for index, message in enumerate(request["messages"]):
            if message["role"] not in _TOOLS:
                found += whole_text(("messages", index, "name"), message.get("name"), "name", "name")
            found += _message_texts(message, ("messages", index), message["role"])
        prediction = request.get("prediction")
        if prediction is not None:
            found += texts_in(prediction, ("prediction",), "assistant")
        return found

    def labels(self, request: Json) -> list[Text]:
        """`user`, `safety_identifier`, `prompt_cache_key`, `metadata`, `stop`, and what is not known."""
        return request_labels(request, _KNOWN)

    def definitions(self, request: Json) -> list[Text]:
        """Of `tools`, `functions` and `response_format`."""
        found: list[Text] = []
        for key in ("tools", "functions", "response_format"):
            found += definition_texts(request.get(key), (key,))
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
        """`max_completion_tokens`, or the older `max_tokens`."""
        return request.get("max_completion_tokens") or request.get("max_tokens")

    def capped(self, request: Json, tokens: int) -> Json:
        """In the fields that the caller chose; `max_completion_tokens` where there is none, since `max_tokens` is
        refused by models that think."""
        given = {key: tokens for key in ("max_completion_tokens", "max_tokens") if request.get(key) is not None}
        return {**request, **(given or {"max_completion_tokens": tokens})}

    def choices(self, request: Json) -> int:
        """`n`."""
        return request.get("n") or 1

    # The whole answer

    def answer_texts(self, answer: Json) -> list[Text]:
        """Every choice's reasoning, content, refusal, tool calls and transcript."""
        found: list[Text] = []
        for index, choice in objects(answer.get("choices")):
            found += _message_texts(fields(choice, "message"), ("choices", index, "message"), "assistant")
        return found

    def choice_ending(self, choice: Json) -> Ending:
        """By its finish reason and what its message holds."""
        message, reason = fields(choice, "message"), choice.get("finish_reason")
        if reason == "content_filter" or message.get("refusal"):
            return "refused"
        if reason in ("tool_calls", "function_call") or message.get("tool_calls") or message.get("function_call"):
            return "tools"
        if reason == "length":
            return "truncated"
        content = message.get("content")
        is_words = isinstance(content, str) and content != "" and not message.get("audio")
        return "complete" if reason == "stop" and is_words else "incomplete"

    # The stream

    def event_texts(self, payload: Json) -> list[Text]:
        """The deltas of a chunk."""
        found: list[Text] = []
        if not isinstance(payload, dict):
            return found
        for at, choice in objects(payload.get("choices")):
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                continue
            index = index_of(choice)
            path: Path = ("choices", at, "delta")
            for field in FIELDS:
                value = delta.get(field)
                if value and isinstance(value, str):
                    found.append(Text((*path, field), value, "assistant", "text", (field, index)))
            if not _BESIDE.isdisjoint(delta):
                found += _delta_calls(delta, path, index)
        return found

    def closes(self, payload: Json, open_channels: Mapping[Channel, Any]) -> list[Channel]:
        """The channels of choices that finish; reasoning where content begins, all of it where a tool call begins.

        A chunk may carry a choice's last text and its finish reason together: a channel that has a text in this very
        event ends *with* it, any other before it.
        """
        closed = super().closes(payload, open_channels)
        if len(closed) == len(open_channels):
            return closed
        for _, choice in objects(payload.get("choices") if isinstance(payload, dict) else None):
            delta, index = fields(choice, "delta"), index_of(choice)
            ended: list[Channel] = []
            if delta.get("tool_calls") or delta.get("function_call"):
                ended = [(field, index) for field in FIELDS if not delta.get(field)]
                ended += _details(open_channels, delta, index)
                # A client takes an earlier call for finished when the next one begins.
                begun = {index_of(call) for _, call in objects(delta.get("tool_calls")) if call.get("id")}
                if begun:
                    ended += [c for c in open_channels if c[0] in _CALLS and c[1] == index and c[2] not in begun]
            elif delta.get("content") or delta.get("refusal"):
                ended = [(field, index) for field in _THOUGHTS if not delta.get(field)]
                ended += _details(open_channels, delta, index)
            closed += [channel for channel in ended if channel in open_channels and channel not in closed]
        return closed

    def delta(self, template: Json, channel: Channel, text: str) -> Json:
        """A chunk that carries one more piece of one channel."""
        kind, index = channel[0], channel[1]
        inner: Json
        if kind == "arguments":
            inner = {"tool_calls": [{"index": channel[2], "function": {"arguments": text}}]}
        elif kind == "input":
            inner = {"tool_calls": [{"index": channel[2], "custom": {"input": text}}]}
        elif kind == "function_call":
            inner = {"function_call": {"arguments": text}}
        elif kind in _DETAILS:
            field = str(channel[3])
            named = "thinking" if kind == "thinking_blocks" else f"reasoning.{field}"
            inner = {str(kind): [{"type": named, "index": channel[2], field: text}]}
        elif kind == "transcript":
            inner = {"audio": {"transcript": text}}
        else:
            inner = {str(kind): text}
        event = {key: value for key, value in template.items() if key not in ("usage", "obfuscation")}
        event["choices"] = [{"index": index, "delta": inner, "finish_reason": None}]
        return event

    def choice_stream(self, choice: Json) -> Iterator[Json]:
        """First the role and what is null, then text in pieces, tool calls, what else the message has, the end."""
        return choice_stream(choice)

    def assembler(self) -> Assembler:
        """A new assembler."""
        return ChatAssembler(self.object)


def _is_plain(message: Any) -> bool:
    """Whether a message is a role and a text, as most are, so that nothing is left to check in it."""
    if type(message) is not dict or message.keys() != _PLAIN:
        return False
    return type(message["role"]) is str and type(message["content"]) is str


def _check_content(message: Json, place: str) -> None:
    if isinstance(need(message, "content", str, list, optional=True, where=place), list):
        for where, part in need_objects(message, "content", where=place):
            need(part, "type", str, optional=True, where=where)
            need(part, "text", str, optional=True, where=where)
            need(part, "refusal", str, optional=True, where=where)


def _message_texts(message: Json, path: Path, role: str) -> list[Text]:
    content = message.get("content")
    if len(message) == 2 and type(content) is str:
        return [Text((*path, "content"), content, role)] if content else []
    found: list[Text] = []
    for field in FIELDS:
        found += texts_in(message.get(field), (*path, field), role, field)
    for key, value in message.items():
        if key not in _FIRST:
            found += texts_in(value, (*path, key), role, key)
    return found


def _delta_calls(delta: Json, path: Path, choice: int) -> list[Text]:
    found: list[Text] = []

    def add(at: Path, value: Any, channel: Channel, form: Form) -> None:
        if value and isinstance(value, str):
            found.append(Text((*path, *at), value, "assistant", form, channel))

    for position, call in objects(delta.get("tool_calls")):
        index = index_of(call) if "index" in call else position
        at = ("tool_calls", position)
        arguments = fields(call, "function").get("arguments")
        add((*at, "function", "arguments"), arguments, ("arguments", choice, index), "json")
        add((*at, "custom", "input"), fields(call, "custom").get("input"), ("input", choice, index), "text")
    called = fields(delta, "function_call").get("arguments")
    add(("function_call", "arguments"), called, ("function_call", choice), "json")
    add(("audio", "transcript"), fields(delta, "audio").get("transcript"), ("transcript", choice), "text")
    for key in _DETAILS:
        for position, detail in objects(delta.get(key)):
            index = index_of(detail) if "index" in detail else position
            for field in _DETAIL_TEXTS:
                add((key, position, field), detail.get(field), (key, choice, index, field), "signed")
    return found


def _details(open_channels: Mapping[Channel, Any], delta: Json, choice: int) -> list[Channel]:
    """The channels of a choice's listed thoughts that this delta does not carry on."""
    return [c for c in open_channels if c[0] in _DETAILS and c[1] == choice and not delta.get(str(c[0]))]


CHAT = Chat()
