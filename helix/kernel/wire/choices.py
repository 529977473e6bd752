"""What chat completions and completions share: answers of several choices, usage on request, `[DONE]` at the end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from helix.kernel.errors import UpstreamGarbled
from helix.kernel.sse import DONE, Event
from helix.kernel.types import Usage
from helix.kernel.wire.base import (
    Assembler,
    Channel,
    Dialect,
    Ending,
    Json,
    at_least,
    fields,
    index_of,
    need,
    need_model,
    objects,
)
from helix.kernel.wire.usage import chat_usage, read_from_cache, with_searches

_WORST_FIRST: tuple[Ending, ...] = ("incomplete", "refused", "truncated", "tools", "complete")
_EVERY_CHUNK = ("id", "object", "created", "model", "service_tier", "system_fingerprint")


class ChoicesDialect(Dialect):
    """An OpenAI dialect whose answers are lists of choices."""

    object: ClassVar[str]
    """The `object` field of a whole answer."""
    chunk_object: ClassVar[str]
    """The `object` field of a stream's chunk."""

    def check_common(self, request: Json) -> None:
        """Check what both dialects have. Raises InvalidRequest."""
        need_model(request)
        need(request, "stream", bool, optional=True)
        options = need(request, "stream_options", dict, optional=True)
        if options is not None:
            need(options, "include_usage", bool, optional=True, where="stream_options")
        at_least(request, "n", 1)
        for key in ("temperature", "top_p"):
            need(request, key, float, optional=True)

    def asks_usage(self, request: Json) -> bool:
        """Whether usage will come: in a whole answer always, in a stream where `stream_options` asks for it."""
        return request.get("stream") is not True or fields(request, "stream_options").get("include_usage") is True

    def ask_usage(self, request: Json) -> Json:
        """The same request with `stream_options.include_usage`."""
        return {**request, "stream_options": {**fields(request, "stream_options"), "include_usage": True}}

    def usage(self, answer: Json) -> Usage | None:
        """What the provider counted: `usage` with its details."""
        return chat_usage(answer)

    def as_cached(self, answer: Json) -> Json:
        """With `prompt_tokens` as `prompt_tokens_details.cached_tokens`."""
        return read_from_cache(answer, "prompt_tokens", "prompt_tokens_details")

    def finish_reason(self, answer: Json) -> str | None:
        """The first choice's reason that is not "stop", else "stop"."""
        reasons = [choice.get("finish_reason") for _, choice in objects(answer.get("choices"))]
        known = [reason for reason in reasons if isinstance(reason, str)]
        return next((reason for reason in known if reason != "stop"), known[0] if known else None)

    def ending(self, answer: Json) -> Ending:
        """The worst of the choices' endings."""
        endings = {self.choice_ending(choice) for _, choice in objects(answer.get("choices"))} or {"incomplete"}
        return next(ending for ending in _WORST_FIRST if ending in endings)

    @abstractmethod
    def choice_ending(self, choice: Json) -> Ending:
        """How one choice ended."""

    def closes(self, payload: Json, open_channels: Mapping[Channel, Any]) -> list[Channel]:
        """The channels of the choices that finish with this chunk.

        A chunk may carry a choice's last text and its finish reason together: a channel that has a text in this very
        event ends *with* it, any other before it.
        """
        if not open_channels or not isinstance(payload, dict):
            return []
        finished = {index_of(choice) for _, choice in objects(payload.get("choices")) if choice.get("finish_reason")}
        return [channel for channel in open_channels if channel[1] in finished] if finished else []

    def event_usage(self, payload: Json, so_far: Usage | None) -> Usage | None:
        """The usage of this chunk, which counts the whole stream so far, else what was known."""
        if not isinstance(payload, dict):
            return so_far
        found = chat_usage(payload)
        if found is None:
            return with_searches(so_far, payload)
        return (
            replace(found, searches=so_far.searches)
            if so_far is not None and so_far.searches > found.searches
            else found
        )

    def event_finish_reason(self, payload: Json) -> str | None:
        """The reason with which a choice finishes in this chunk."""
        return self.finish_reason(payload) if isinstance(payload, dict) else None

    def is_usage_only(self, payload: Json) -> bool:
        """Whether this is the last chunk that `include_usage` asks for: no choices, only usage."""
        return isinstance(payload, dict) and payload.get("choices") == [] and isinstance(payload.get("usage"), dict)

    def is_end(self, event: Event) -> bool:
        """Whether this is `[DONE]`."""
        return event.data == b"[DONE]"

    def is_error(self, event: Event) -> bool:
        """Whether this is an `error` object in the place of a chunk."""
        payload = event.json()
        return event.name == "error" or (isinstance(payload, dict) and bool(payload.get("error")))

    def stream(self, answer: Json, *, include_usage: bool = True) -> Iterator[Event]:
        """A whole answer as chunks, choice by choice; fields that Helix does not know ride on the first chunk."""
        choices = [choice for _, choice in objects(answer.get("choices"))]
        head = {key: answer[key] for key in _EVERY_CHUNK if key in answer} | {"object": self.chunk_object}
        extra = {key: value for key, value in answer.items() if key not in head and key not in ("choices", "usage")}
        for choice in choices:
            index = index_of(choice)
            for part in self.choice_stream(choice):
                yield Event.of({**head, **extra, "choices": [{"index": index, **part}]})
                extra = {}
        if include_usage and isinstance(answer.get("usage"), dict):
            yield Event.of({**head, "choices": [], "usage": answer["usage"]})
        yield DONE

    @abstractmethod
    def choice_stream(self, choice: Json) -> Iterator[Json]:
        """What of one choice stands in each of its chunks, without its index."""


class ChoicesAssembler(Assembler):
    """Collects chunks into choices; a subclass says how a chunk's choice adds to one."""

    def __init__(self, object: str) -> None:
        self._answer: Json = {}
        self._object = object
        self._choices: dict[int, Json] = {}
        self._ended = False
        self._failed = False

    def feed(self, event: Event) -> None:
        """Take one chunk. Raises UpstreamGarbled where it is not one."""
        if event.data is None:
            return
        if event.data == b"[DONE]":
            self._ended = True
            return
        chunk = event.json()
        if not isinstance(chunk, dict):
            raise UpstreamGarbled("the provider sent a chunk that is not an object")
        if event.name == "error" or chunk.get("error"):
            self._failed = True
            return
        for key, value in chunk.items():
            if key not in ("choices", "object", "obfuscation") and (value is not None or key not in self._answer):
                if key in ("id", "created", "model") and self._answer.get(key):
                    continue
                self._answer[key] = value
        for _, part in objects(chunk.get("choices")):
            index = index_of(part)
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = self.new_choice(index)
            self.add(choice, part)

    def answer(self) -> Json | None:
        """The whole answer; None unless `[DONE]` came, no error did, and every choice has its finish reason."""
        if self._failed or not self._ended or not self._choices:
            return None
        choices = [self._choices[index] for index in sorted(self._choices)]
        if any(not choice.get("finish_reason") for choice in choices):
            return None
        answer = {**self._answer, "object": self._object, "choices": [self.finished(choice) for choice in choices]}
        if answer.get("usage", ...) is None:
            del answer["usage"]
        return answer

    @abstractmethod
    def new_choice(self, index: int) -> Json:
        """An empty choice."""

    @abstractmethod
    def add(self, choice: Json, part: Json) -> None:
        """Add a chunk's part of a choice to it."""

    def finished(self, choice: Json) -> Json:
        """The choice as it stands in a whole answer."""
        return settled(choice)  # type: ignore[no-any-return]


class Pieces(list[str]):
    """A text that is still growing; `settled` joins it. Adding to a string each time would copy it each time."""


def merge(whole: Json, part: Json, joined: frozenset[str]) -> None:
    """Add an object's piece to it. Texts named in `joined` grow, lists grow, anything else is set; null undoes nothing.

    Items of a list that carry an index are put together with the item of that index and type. What `whole` holds is its
    own, so that events are not changed.
    """
    for key, value in part.items():
        if value is None:
            whole.setdefault(key, None)
            continue
        known = whole.get(key)
        if isinstance(value, str):
            if key not in joined:
                whole[key] = value
            elif isinstance(known, Pieces):
                known.append(value)
            else:
                whole[key] = Pieces((value,))
        elif isinstance(value, dict):
            if not isinstance(known, dict):
                known = whole[key] = {}
            merge(known, value, joined)
        elif isinstance(value, list):
            if not isinstance(known, list) or isinstance(known, Pieces):
                known = whole[key] = []
            for item in value:
                _add_item(known, item, joined)
        else:
            whole[key] = value


def settled(value: Any) -> Any:
    """What was merged, as plain JSON."""
    if isinstance(value, Pieces):
        return "".join(value)
    if isinstance(value, dict):
        return {key: settled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [settled(item) for item in value]
    return value


def _add_item(items: list[Any], item: Any, joined: frozenset[str]) -> None:
    if not isinstance(item, dict):
        items.append(item)
        return
    known = None
    if isinstance(item.get("index"), int):
        marks = (item["index"], item.get("type"))
        known = next((old for _, old in objects(items) if (old.get("index"), old.get("type")) == marks), None)
    if known is None:
        known = {}
        items.append(known)
    merge(known, item, joined)
