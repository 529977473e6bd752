"""LiteLLM's objects for answers and pieces of streams, as the JSON and the events that they stand for, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helix.kernel import exact
from helix.kernel.sse import Decoder, Event, encode
from helix.kernel.wire import Dialect

__all__ = ["Pieces", "body_of", "changed"]

_HIDDEN = "_hidden_params"


def body_of(value: Any) -> bytes:
    """An answer as JSON: models as LiteLLM's endpoints write them, dicts without LiteLLM's own key."""
    if isinstance(value, dict):
        return exact.dumps({name: item for name, item in value.items() if name != _HIDDEN})
    body: str = value.model_dump_json(exclude_none=True, exclude_unset=True)
    return body.encode()


def changed(value: Any, old: Any, new: Any) -> Any:
    """A copy of a value whose JSON is `old`, so that its JSON is `new`; what does not change is shared with it.

    Nothing is validated: a validation error would quote what it does not like, which may be anybody's words.
    """
    if old == new:
        return value
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) == len(value):
        return [changed(*items) for items in zip(value, old, new, strict=True)]
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if name in new or name not in old}
        return kept | {name: changed(value.get(name), old.get(name), item) for name, item in new.items()}
    copy = value.model_copy()
    extra = copy.__pydantic_extra__ or {}
    for name in old.keys() | new.keys():
        place = extra if name in extra else copy.__dict__
        place[name] = changed(place.get(name), old.get(name), new.get(name))
    copy.__pydantic_fields_set__.update(new)
    return copy


class Pieces:
    """The pieces of one stream: bytes and text that are events, models and dicts that are the data of one."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._like: dict[Any, tuple[Any, bytes]] = {}
        """The latest piece of each type of event, with its JSON: what is added to the stream is made like it."""
        self._last: Any = b""

    def encode(self, piece: Any) -> bytes | None:
        """A piece as bytes of events; None for what is neither."""
        self._last = piece
        if isinstance(piece, bytes):
            return piece
        if isinstance(piece, str):
            return piece.encode()
        if not isinstance(piece, dict) and not hasattr(piece, "model_dump_json"):
            return None
        body = body_of(piece)
        kind = piece.get("type") if isinstance(piece, dict) else getattr(piece, "type", None)
        self._like[kind] = piece, body
        return b"data: " + body + b"\n\n"

    def decode(self, restored: bytes) -> Iterator[Any]:
        """Bytes of events as pieces of the kind that came last."""
        if isinstance(self._last, (bytes, str)):
            if restored:
                yield restored if isinstance(self._last, bytes) else restored.decode()
            return
        for event in _events(restored):
            payload = event.json()
            if isinstance(payload, dict):
                piece, body = self._like[payload.get("type")]
                yield changed(piece, exact.loads(body), payload)

    def held(self, restored: bytes) -> Iterator[Any]:
        """The same, without the error that ends a stream which broke: LiteLLM says it in its own way."""
        return self.decode(encode(event for event in _events(restored) if not self._dialect.is_error(event)))


def _events(data: bytes) -> list[Event]:
    decoder = Decoder()
    return decoder.feed(data) + decoder.flush()
