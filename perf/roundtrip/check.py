"""One conversation through the real stage: the provider never sees a value, and the caller gets back what they said.

The provider keeps what it receives and answers with every text of it, quoted, in a text and in a tool call.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from helix.kernel.sse import Decoder, Event, encode
from helix.kernel.types import ASGIApp, Detector, Message, Receive, Scope, Send, Span
from helix.kernel.wire import Dialect, Path, replaced
from helix.redact import RedactMiddleware
from perf.roundtrip.conversations import Conversation
from perf.roundtrip.dialects import Asked, Shape

__all__ = ["Counts", "Differs", "Stage"]

_BETWEEN = "\n---\n> "


class Differs(AssertionError):
    """A value was seen, or something did not come back as it was."""


@dataclass
class Counts:
    """What was checked."""

    conversations: int = 0
    streamed: int = 0
    values: int = 0
    """Values that the detector found, each once a conversation."""
    exact: int = 0
    """Answers that came back letter by letter."""
    spelled_anew: int = 0
    """Answers to requests that spelled a value in two ways, case or blanks, in which it came back in one of them."""
    dialects: dict[str, int] = field(default_factory=dict)


class _Recorder:
    """Passes texts on to the detector, and keeps what it finds."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.found: set[str] = set()

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        """What the detector says."""
        results = await self._detector.detect(texts, language=language)
        self.found |= {
            text[span.start : span.end] for text, spans in zip(texts, results, strict=True) for span in spans
        }
        return results


class Stage:
    """The redact middleware over a detector; behind it a provider that keeps, and quotes, what it gets."""

    def __init__(self, detector: Detector, **options: Any) -> None:
        self.counts = Counts()
        self._recorder = _Recorder(detector)
        # Nobody waits here, on a machine that may have other things to do.
        options = {"memory_entries": 0, "timeout_seconds": 600.0} | options
        self._app: ASGIApp = RedactMiddleware(self._provide, detector=self._recorder, **options)
        self._received: Any = None
        self._conversation: Conversation
        self._asked: Asked

    async def check(self, conversation: Conversation) -> None:
        """Carry one conversation out. Raises Differs."""
        self._conversation = conversation
        self._asked = asked = _labelled(conversation)
        self._recorder.found.clear()
        self._received = None
        dialect = conversation.shape.dialect
        streamed = conversation.stream and dialect.streams
        if streamed:
            asked.request["stream"] = True
        reply = await self._call(dialect.path, asked.request)
        if self._received is None:
            raise Differs(f"refused: {reply[:300]!r}")
        self._check_seen(asked, self._received)
        if dialect.operation != "embeddings":
            answer = _assembled(dialect, reply) if streamed else json.loads(reply)
            self._check_said(conversation.shape, asked, answer)
        self.counts.conversations += 1
        self.counts.streamed += streamed
        self.counts.values += len(self._recorder.found)
        self.counts.dialects[dialect.name] = self.counts.dialects.get(dialect.name, 0) + 1

    def _check_seen(self, asked: Asked, received: Any) -> None:
        places = (*asked.texts, *asked.spelled, *asked.objects)
        blank = dict.fromkeys(places, None)
        if replaced(received, blank) != replaced(asked.request, blank):
            raise Differs("something that is no text was changed")
        seen = [_at(received, path) for path in asked.texts]
        for leaf in seen:
            if not isinstance(leaf, str):
                raise Differs("a text is no text any more")
        for path in asked.spelled:
            seen += _leaves(json.loads(_at(received, path)))
        for path in asked.objects:
            seen += _leaves(_at(received, path))
        for value in self._recorder.found:
            if value.strip() and any(_holds(text, value) for text in seen):
                raise Differs(f"the provider saw {value!r}")

    def _check_said(self, shape: Shape, asked: Asked, answer: Any) -> None:
        said, wanted = shape.said(answer), _quoted(asked, asked.request)
        if said[1] is None:
            wanted = wanted[0], None
        if said == wanted:
            self.counts.exact += 1
            return
        folds = [_folded(value) for value in self._recorder.found]
        if len(set(folds)) < len(folds) and _folded(_as_text(said)) == _folded(_as_text(wanted)):
            self.counts.spelled_anew += 1
            return
        raise Differs(f"came back as {said!r}, and was {wanted!r}")

    async def _provide(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        self._received = request = json.loads(body)
        shape, dialect = self._conversation.shape, self._conversation.shape.dialect
        if dialect.operation == "embeddings":
            bodies, kind = [b'{"object":"list","data":[]}'], b"application/json"
        else:
            text, arguments = _quoted(self._asked, request)
            answer = shape.answer(text, json.dumps(arguments, ensure_ascii=self._conversation.seed % 2 == 0))
            bodies, kind = [json.dumps(answer).encode()], b"application/json"
            if request.get("stream"):
                rng = random.Random(self._conversation.seed)
                raw = encode(_in_pieces(dialect, answer, self._conversation.piece_chars))
                bodies, kind = list(_chunks(raw, rng)), b"text/event-stream"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for part in bodies:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _call(self, path: str, request: Any) -> bytes:
        sent = bytearray()
        given = [{"type": "http.request", "body": json.dumps(request).encode(), "more_body": False}]

        async def receive() -> Message:
            return given.pop() if given else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                sent.extend(message.get("body", b""))

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        await self._app(scope, receive, send)
        return bytes(sent)


def _labelled(conversation: Conversation) -> Asked:
    shape = conversation.shape
    asked = shape.ask(conversation.system, conversation.turns)
    if conversation.label:
        first, *inner = shape.label
        asked.request[str(first)] = {inner[0]: conversation.label} if inner else conversation.label
        asked.texts.append(shape.label)
    return asked


def _quoted(asked: Asked, request: Any) -> tuple[str, Any]:
    """What the provider says of a request as it sees it, and so what the caller has to get of the original."""
    texts = [_at(request, path) for path in asked.texts]
    calls = [json.loads(_at(request, path)) for path in asked.spelled] + [_at(request, path) for path in asked.objects]
    return _BETWEEN + _BETWEEN.join(texts), {"quoted": texts, "calls": calls}


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _leaves(value: Any) -> Iterator[str]:
    """Every string and number in a JSON value, its keys too, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _holds(text: str, value: str) -> bool:
    """Whether a value stands in a text by itself, not as part of a longer word or number."""
    at = text.find(value)
    while at >= 0:
        end = at + len(value)
        begins_in_word = _is_word(value[0]) and _is_word(text[at - 1 : at] if at else "")
        if not begins_in_word and not (_is_word(value[-1]) and _is_word(text[end : end + 1])):
            return True
        at = text.find(value, at + 1)
    return False


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _as_text(said: tuple[str, Any]) -> str:
    """What was said, with whatever the call holds, as one text."""
    return "\n".join((said[0], *_leaves(said[1])))


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _in_pieces(dialect: Dialect, answer: Any, characters: int) -> Iterator[Event]:
    """The answer's events, each delta cut further into pieces of so many characters."""
    for event in dialect.stream(answer):
        payload: Any = event.json()
        texts = dialect.event_texts(payload) if isinstance(payload, dict) else []
        channel = texts[0].channel if len(texts) == 1 else None
        if channel is None:
            yield event
            continue
        whole = texts[0].value
        yield Event.of(replaced(payload, {texts[0].path: whole[:characters]}), event.name)
        for at in range(characters, len(whole), characters):
            yield Event.of(dialect.delta(payload, channel, whole[at : at + characters]), event.name)


def _chunks(raw: bytes, rng: random.Random) -> Iterator[bytes]:
    longest = rng.choice((1, 5, 50, 5000))
    at = 0
    while at < len(raw):
        end = at + rng.randint(1, longest)
        yield raw[at:end]
        at = end


def _assembled(dialect: Dialect, raw: bytes) -> Any:
    decoder, assembler = Decoder(), dialect.assembler()
    for event in decoder.feed(raw) + decoder.flush():
        assembler.feed(event)
    answer = assembler.answer()
    if answer is None:
        raise Differs("the stream did not come to its proper end")
    return answer
