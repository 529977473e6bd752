"""What a dialect can be asked, and the paths that all dialects share."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from helix.kernel import exact
from helix.kernel.errors import HelixError, InvalidRequest
from helix.kernel.sse import Event
from helix.kernel.types import Usage

Json: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the root of a JSON value to a place in it."""
Channel: TypeAlias = tuple[str | int, ...]
"""Which of a stream's interleaved texts a delta belongs to, for example ("content", 0) or ("arguments", 0, 2)."""


Ending: TypeAlias = Literal["complete", "truncated", "refused", "tools", "incomplete"]
"""How a whole answer ended.

"complete": by itself, in words (or vectors, where those are asked for); "truncated": at a limit of length; "refused":
the provider's filter, or the model, would not; "tools": it calls tools, or did; "incomplete": anything else.
"""

Form: TypeAlias = Literal["text", "json", "object", "name", "url", "signed"]


class Text(NamedTuple):
    """A text and its place.

    `form` is "json" where the text is itself JSON (tool-call arguments), so that what is put into it must be escaped;
    "object" where the place holds a JSON value, which the text spells; "name" where no angle brackets may stand, and
    "url" where neither they nor blanks may; "signed" where the provider can tell whether its own words were changed.
    `channel` is set in stream events alone: the running text that this piece continues.
    """

    path: Path
    value: str
    role: str = "user"
    form: Form = "text"
    channel: Channel | None = None

    @property
    def is_json(self) -> bool:
        """Whether the text spells a JSON value."""
        return self.form in ("json", "object")

    def placed(self, text: str) -> Any:
        """What to put in this place for another text: the text, or the JSON value that it spells."""
        return exact.loads(text.encode()) if self.form == "object" else text


class Question(NamedTuple):
    """The last user text, by which a semantic cache looks for near neighbours; the rest of the request is its scope."""

    path: Path
    text: str


class Assembler(ABC):
    """Puts a stream's events back together into the whole answer."""

    @abstractmethod
    def feed(self, event: Event) -> None:
        """Take one event. Raises UpstreamGarbled where it is not of this dialect."""

    @abstractmethod
    def answer(self) -> Json | None:
        """The whole answer; None unless the stream came to its proper end without an error event."""


class Dialect(ABC):
    """One API dialect. Stateless; every method takes and returns plain JSON values and changes none in place."""

    name: ClassVar[str]
    path: ClassVar[str]
    operation: ClassVar[str]
    """OpenTelemetry's gen_ai.operation.name."""
    streams: ClassVar[bool] = True
    """Whether `"stream": true` is part of the dialect."""
    caches: ClassVar[bool] = True
    """Whether an equal request may be given an earlier answer."""

    # The request

    @abstractmethod
    def check(self, request: Json) -> None:
        """Raise InvalidRequest, naming the place, unless the fields that Helix reads have the types they must have."""

    @abstractmethod
    def texts(self, request: Json) -> list[Text]:
        """Every text of a request that somebody wrote: all roles, all turns, tool calls and tool results too."""

    @abstractmethod
    def labels(self, request: Json) -> list[Text]:
        """What goes to the provider beside the prompt and may say who somebody is.

        `user`, `metadata` and the like, stop sequences, and the texts of fields that Helix does not know.
        """

    def definitions(self, request: Json) -> list[Text]:
        """What the definitions of tools and of answer formats say to the model: descriptions, examples, values."""
        return []

    def opaque_input(self, request: Json) -> Path | None:
        """Where the input is not text but token ids, which nobody but the model can read; None where it is text."""
        return None

    @abstractmethod
    def question(self, request: Json) -> Question | None:
        """The last turn's user text if the request ends in one and holds nothing (image, tool result) beside it."""

    @abstractmethod
    def max_output_tokens(self, request: Json) -> int | None:
        """The caller's cap on output tokens, or None."""

    def capped(self, request: Json, tokens: int) -> Json | None:
        """The same request with this cap on output tokens; None where there is no such thing."""
        return None

    def least_output_tokens(self, request: Json) -> int:
        """The smallest cap with which a provider takes the request."""
        return 1

    def choices(self, request: Json) -> int:
        """How many answers the caller asks for at once; the cap on output tokens holds for each."""
        return 1

    def asks_usage(self, request: Json) -> bool:
        """Whether the caller will be sent usage (for a stream: asked for it)."""
        return True

    def ask_usage(self, request: Json) -> Json:
        """The same request, asking for usage in the stream."""
        return request

    # The whole answer

    @abstractmethod
    def answer_texts(self, answer: Json) -> list[Text]:
        """Every text of a whole answer: content, reasoning, refusal, tool-call arguments."""

    @abstractmethod
    def usage(self, answer: Json) -> Usage | None:
        """What the provider counted, or None."""

    @abstractmethod
    def finish_reason(self, answer: Json) -> str | None:
        """Why the answer ended, in the dialect's own word; of several choices, the first that is not "stop"."""

    @abstractmethod
    def ending(self, answer: Json) -> Ending:
        """How the answer ended; of several choices, what is worst about any."""

    def is_complete(self, answer: Json) -> bool:
        """Whether this is a whole, untruncated, unfiltered answer in words, one that may be given again."""
        return self.ending(answer) == "complete"

    def as_cached(self, answer: Json) -> Json:
        """The same answer, or event, whose usage says that a cache answered; the same object where it has none.

        All of the input is counted as input that was read from a cache, in the dialect's own place for that, so that
        whoever computes a cost from usage does not count it as new.
        """
        return answer

    # The stream

    @abstractmethod
    def event_texts(self, payload: Json) -> list[Text]:
        """The texts in one event: deltas with their channel, whole texts (a final snapshot) with channel None."""

    @abstractmethod
    def closes(self, payload: Json, open_channels: Mapping[Channel, Any]) -> list[Channel]:
        """Which of the open channels end with, or before, this event."""

    @abstractmethod
    def delta(self, template: Json, channel: Channel, text: str) -> Json:
        """An event like `template` (an earlier event of that channel) that carries only this piece of text."""

    def event_usage(self, payload: Json, so_far: Usage | None) -> Usage | None:
        """Usage as known after this event, given what was known before it."""
        return so_far

    def event_finish_reason(self, payload: Json) -> str | None:
        """Why the answer ended, if this event says so."""
        return None

    def is_usage_only(self, payload: Json) -> bool:
        """Whether this event carries usage and nothing else, so that a caller who did not ask must not see it."""
        return False

    @abstractmethod
    def is_end(self, event: Event) -> bool:
        """Whether this is the event that ends a complete stream."""

    @abstractmethod
    def is_error(self, event: Event) -> bool:
        """Whether this event says that the stream failed."""

    def numbered(self, events: list[Event], last: int) -> tuple[list[Event], int]:
        """The events with sequence numbers that rise from `last`, where the dialect has such; and the last number.

        The same list comes back if nothing had to change.
        """
        return events, last

    @abstractmethod
    def stream(self, answer: Json, *, include_usage: bool = True) -> Iterator[Event]:
        """A whole answer as the events of a stream, in natural pieces."""

    @abstractmethod
    def assembler(self) -> Assembler:
        """A new assembler for one stream."""

    # Errors

    def error_body(self, error: HelixError) -> Json:
        """The reply's body for an error: OpenAI's form."""
        return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}

    def error_events(self, error: HelixError) -> list[Event]:
        """How a stream that already began says that it failed: one event, and no proper end."""
        return [Event.of(self.error_body(error))]


def replaced(value: Any, edits: Mapping[Path, Any]) -> Any:
    """A copy of a JSON value with other values at some paths; what is not on a path is shared with the original.

    Nothing changes in place, so a value may be replaced again and again from the same original.
    """
    if not edits:
        return value
    if () in edits:
        return edits[()]
    inner: dict[str | int, dict[Path, Any]] = {}
    for path, new in edits.items():
        inner.setdefault(path[0], {})[path[1:]] = new
    copy = value.copy()
    for key, deeper in inner.items():
        copy[key] = replaced(value[key], deeper)
    return copy


def object_text(path: Path, value: Any, role: str) -> list[Text]:
    """The object or array at a place as one text, with its keys and numbers; nothing where it is another or empty."""
    return value_text(path, value, role) if value and isinstance(value, (dict, list)) else []


def value_text(path: Path, value: Any, role: str) -> list[Text]:
    """The JSON value at a place as one text; nothing where it is null or a boolean."""
    known = value is None or isinstance(value, bool)
    return [] if known else [Text(path, exact.dumps(value).decode(), role, "object")]


def objects(value: Any) -> list[tuple[int, Json]]:
    """The objects in what should be a list of objects, each with its index; what is something else is passed over."""
    if not isinstance(value, list):
        return []
    return [(index, item) for index, item in enumerate(value) if isinstance(item, dict)]


def fields(value: Any, key: str) -> Json:
    """The object under a key of what should be an object; an empty one where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


# A word with the space behind it. Long runs without space (Chinese, base64) are cut, so that no piece is giant.
_PIECE = re.compile(r"\S{1,24}\s{0,8}|\s{1,8}")


def pieces(text: str) -> list[str]:
    """A text in the natural pieces of a stream; joined they are the text."""
    return _PIECE.findall(text)


def event_type(event: Event) -> str | None:
    """The `type` in an event's data, if it has one. Raises UpstreamGarbled."""
    payload = event.json()
    kind = payload.get("type") if isinstance(payload, dict) else None
    return kind if isinstance(kind, str) else None


def index_of(value: Json, key: str = "index") -> int:
    """The index that a provider gives a choice, a block or a call; 0 where it gives none."""
    index = value.get(key)
    return index if isinstance(index, int) else 0


def whole_text(path: Path, value: Any, role: str, form: Form = "text") -> list[Text]:
    """A place's text, if what is there is one and not empty."""
    return [Text(path, value, role, form)] if value and isinstance(value, str) else []


_TYPES: dict[type | tuple[type, ...], str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
}


def need(request: Json, key: str, *types: type, optional: bool = False, where: str = "") -> Any:
    """The value of a field, checked. Raises InvalidRequest that names the field and what is allowed there."""
    value = request.get(key)
    if type(value) in types or (value is None and optional):
        return value
    place = f"{where}.{key}" if where else key
    if value is None:
        raise InvalidRequest(f"'{place}' is required", place)
    wanted = (*types, int) if float in types else types
    # A bool is an int to Python, not to JSON.
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in types):
        allowed = " or ".join(_TYPES[t] for t in types)
        raise InvalidRequest(f"'{place}' must be {allowed}", place)
    return value


def need_model(request: Json) -> None:
    """Check that a model is named. Raises InvalidRequest."""
    if not need(request, "model", str):
        raise InvalidRequest("'model' must not be empty", "model")


def at_least(request: Json, key: str, least: int, where: str = "") -> int | None:
    """The value of an optional integer field, checked. Raises InvalidRequest."""
    value = need(request, key, int, optional=True, where=where)
    if value is not None and value < least:
        place = f"{where}.{key}" if where else key
        raise InvalidRequest(f"'{place}' must be at least {least}", place)
    return value  # type: ignore[no-any-return]


def need_objects(request: Json, key: str, *, optional: bool = False, where: str = "") -> list[tuple[str, Json]]:
    """The objects of a list field, checked, each with the name of its place. Raises InvalidRequest."""
    found: list[tuple[str, Json]] = []
    place = f"{where}.{key}" if where else key
    for index, item in enumerate(need(request, key, list, optional=optional, where=where) or ()):
        if not isinstance(item, dict):
            raise InvalidRequest(f"'{place}[{index}]' must be an object", f"{place}[{index}]")
        found.append((f"{place}[{index}]", item))
    return found
