"""Completions, the older text interface: POST /v1/completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helix.kernel.errors import InvalidRequest
from helix.kernel.wire.base import (
    Assembler,
    Channel,
    Ending,
    Json,
    Path,
    Question,
    Text,
    at_least,
    index_of,
    need,
    objects,
    pieces,
    whole_text,
)
from helix.kernel.wire.choices import ChoicesAssembler, ChoicesDialect, Pieces, merge
from helix.kernel.wire.places import request_labels

_JOINED = frozenset(("text",))
# What a request has that is no text, or is read apart from those that are not known.
_KNOWN = frozenset(
    (
        *(
            "model",
            "prompt",
            "suffix",
            "best_of",
            "echo",
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "max_tokens",
            "n",
        ),
        *("presence_penalty", "seed", "stream", "stream_options", "temperature", "top_p"),
    )
)


class Completions(ChoicesDialect):
    """OpenAI's completions. Texts are the prompts and the suffix; a prompt of token ids holds no text."""

    name = "completions"
    path = "/v1/completions"
    operation = "text_completion"
    object = "text_completion"
    chunk_object = "text_completion"

    # The request

    def check(self, request: Json) -> None:
        """Raise InvalidRequest, naming the place, unless the fields that Helix reads are of the right types."""
        self.check_common(request)
        at_least(request, "max_tokens", 0)  # with `echo`, a prompt's own logprobs can be asked for
        at_least(request, "best_of", 1)
        need(request, "suffix", str, optional=True)
        check_input(request, "prompt", optional=True)

    def texts(self, request: Json) -> list[Text]:
        """The prompts and the suffix."""
        found = input_texts(request.get("prompt"), ("prompt",))
        if request.get("suffix"):
            found.append(Text(("suffix",), request["suffix"]))
        return found

    def labels(self, request: Json) -> list[Text]:
        """`user`, `stop`, and what is not known."""
        return request_labels(request, _KNOWN)

    def opaque_input(self, request: Json) -> Path | None:
        """`prompt`, where it is token ids."""
        return ("prompt",) if is_token_ids(request.get("prompt")) else None

    def question(self, request: Json) -> Question | None:
        """The prompt, if it is one text."""
        path, prompt = input_question(request.get("prompt"), ("prompt",))
        return Question(path, prompt) if prompt.strip() else None

    def max_output_tokens(self, request: Json) -> int | None:
        """`max_tokens`."""
        return request.get("max_tokens")

    def capped(self, request: Json, tokens: int) -> Json:
        """In `max_tokens`."""
        return {**request, "max_tokens": tokens}

    def choices(self, request: Json) -> int:
        """`best_of` or `n`, for each prompt."""
        prompt = request.get("prompt")
        prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
        return max(request.get("n") or 1, request.get("best_of") or 1) * prompts

    # The whole answer

    def answer_texts(self, answer: Json) -> list[Text]:
        """Every choice's text."""
        found: list[Text] = []
        for index, choice in objects(answer.get("choices")):
            found += whole_text(("choices", index, "text"), choice.get("text"), "assistant")
        return found

    def choice_ending(self, choice: Json) -> Ending:
        """By its finish reason; complete only with a text."""
        reason, text = choice.get("finish_reason"), choice.get("text")
        if reason == "content_filter":
            return "refused"
        if reason == "length":
            return "truncated"
        return "complete" if reason == "stop" and isinstance(text, str) and text != "" else "incomplete"

    # The stream

    def event_texts(self, payload: Json) -> list[Text]:
        """The pieces of a chunk."""
        if not isinstance(payload, dict):
            return []
        return [
            Text(("choices", at, "text"), choice["text"], "assistant", "text", ("text", index_of(choice)))
            for at, choice in objects(payload.get("choices"))
            if choice.get("text") and isinstance(choice["text"], str)
        ]

    def delta(self, template: Json, channel: Channel, text: str) -> Json:
        """A chunk that carries one more piece of one choice's text."""
        event = {key: value for key, value in template.items() if key not in ("usage", "obfuscation")}
        event["choices"] = [{"index": channel[1], "text": text, "logprobs": None, "finish_reason": None}]
        return event

    def choice_stream(self, choice: Json) -> Iterator[Json]:
        """The text in pieces, logprobs with the first of them; the finish reason and the rest with the end."""
        text = choice.get("text")
        logprobs = choice.get("logprobs")
        for piece in pieces(text if isinstance(text, str) else ""):
            yield {"text": piece, "logprobs": logprobs, "finish_reason": None}
            logprobs = None
        last = {key: value for key, value in choice.items() if key not in ("index", "text", "logprobs")}
        yield {"text": "", "logprobs": logprobs, **last}

    def assembler(self) -> Assembler:
        """A new assembler."""
        return CompletionsAssembler(self.object)


class CompletionsAssembler(ChoicesAssembler):
    """Puts chunks together into texts."""

    def new_choice(self, index: int) -> Json:
        """A choice with an empty text."""
        return {"index": index, "text": Pieces(), "logprobs": None, "finish_reason": None}

    def add(self, choice: Json, part: Json) -> None:
        """Add a piece; logprobs grow by their lists."""
        merge(choice, {key: value for key, value in part.items() if key != "index"}, _JOINED)


def check_input(request: Json, key: str, *, optional: bool = False) -> None:
    """Check a field that may be a text, texts, token ids or lists of token ids. Raises InvalidRequest."""
    value = need(request, key, str, list, optional=optional)
    if not isinstance(value, list) or not value:
        return
    # Millions of ids are possible, so the types are collected rather than looked at one by one.
    kinds = set(map(type, value))
    if kinds == {list}:
        kinds = {int} if all(set(map(type, ids)) <= {int} for ids in value) else {type(None)}
    if kinds not in ({str}, {int}):
        raise InvalidRequest(f"'{key}' must be a string, strings, token ids or lists of token ids", key)


def is_token_ids(value: Any) -> bool:
    """Whether such a field holds token ids, or lists of them."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], (int, list))


def input_texts(value: Any, path: Path) -> list[Text]:
    """The texts of such a field."""
    if isinstance(value, str):
        return [Text(path, value)] if value else []
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [Text((*path, index), text) for index, text in enumerate(value) if text]
    return []


def input_question(value: Any, path: Path) -> tuple[Path, str]:
    """The one text of such a field and its place; empty where it holds several, or none."""
    if isinstance(value, list) and len(value) == 1:
        path, value = (*path, 0), value[0]
    return path, value if isinstance(value, str) else ""


COMPLETIONS = Completions()
