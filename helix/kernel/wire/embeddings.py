"""Embeddings: POST /v1/embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from helix.kernel.sse import Event
from helix.kernel.types import Usage
from helix.kernel.wire.base import (
    Assembler,
    Channel,
    Dialect,
    Ending,
    Json,
    Path,
    Question,
    Text,
    at_least,
    need_model,
    objects,
)
from helix.kernel.wire.completions import check_input, input_texts, is_token_ids
from helix.kernel.wire.places import request_labels
from helix.kernel.wire.usage import embeddings_usage

_KNOWN = frozenset(("model", "input", "dimensions", "encoding_format"))


class Embeddings(Dialect):
    """OpenAI's embeddings. Texts are the inputs; an answer holds none, and there is no stream."""

    name = "embeddings"
    path = "/v1/embeddings"
    operation = "embeddings"
    streams = False

    def check(self, request: Json) -> None:
        """Raise InvalidRequest, naming the place, unless the fields that Helix reads are of the right types."""
        need_model(request)
        check_input(request, "input")
        at_least(request, "dimensions", 1)

    def texts(self, request: Json) -> list[Text]:
        """The inputs."""
        return input_texts(request["input"], ("input",))

    def labels(self, request: Json) -> list[Text]:
        """`user`, and what is not known."""
        return request_labels(request, _KNOWN)

    def opaque_input(self, request: Json) -> Path | None:
        """`input`, where it is token ids."""
        return ("input",) if is_token_ids(request["input"]) else None

    def question(self, request: Json) -> Question | None:
        """None: a near text has another vector."""
        return None

    def max_output_tokens(self, request: Json) -> int | None:
        """0: nothing is generated."""
        return 0

    def answer_texts(self, answer: Json) -> list[Text]:
        """None: vectors are not texts."""
        return []

    def usage(self, answer: Json) -> Usage | None:
        """`usage.prompt_tokens`, with its details: some embed images and sound."""
        return embeddings_usage(answer)

    def finish_reason(self, answer: Json) -> str | None:
        """None: there is no such thing."""
        return None

    def ending(self, answer: Json) -> Ending:
        """Complete where there is a vector in it."""
        found = any(item.get("embedding") for _, item in objects(answer.get("data")))
        return "complete" if found else "incomplete"

    def event_texts(self, payload: Json) -> list[Text]:
        """None."""
        return []

    def closes(self, payload: Json, open_channels: Mapping[Channel, Any]) -> list[Channel]:
        """None."""
        return []

    def delta(self, template: Json, channel: Channel, text: str) -> Json:
        """The template: there are no channels."""
        return template

    def is_end(self, event: Event) -> bool:
        """False: there is no stream."""
        return False

    def is_error(self, event: Event) -> bool:
        """False: there is no stream."""
        return False

    def stream(self, answer: Json, *, include_usage: bool = True) -> Iterator[Event]:
        """Nothing: there is no stream."""
        return iter(())

    def assembler(self) -> Assembler:
        """One that never has an answer."""
        return _NoStream()


class _NoStream(Assembler):
    def feed(self, event: Event) -> None:
        """Take nothing."""

    def answer(self) -> Json | None:
        """None."""
        return None


EMBEDDINGS = Embeddings()
