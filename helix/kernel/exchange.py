"""One request on its way through the stages: its body, its dialect, its caller, and what each stage notes of it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from helix.kernel import exact
from helix.kernel.errors import BodyTimeout, BodyTooLarge, ClientDisconnected, InvalidRequest, MalformedBody
from helix.kernel.sse import Decoder, Event, encode
from helix.kernel.types import Message, Principal, Receive, Scope, Usage
from helix.kernel.wire import Dialect, dialect_of

__all__ = ["EventReader", "Exchange", "Record", "attach", "by_credential", "credential_of", "open_exchange"]

KEY = "helix.exchange"
# What makes ids unique among processes, and within this one; random bytes for each would be a system call for each.
_PROCESS, _NUMBERS = secrets.token_hex(5), itertools.count(secrets.randbelow(1 << 24))
MAX_BODY_BYTES = 32 * 1024 * 1024
BODY_TIMEOUT_SECONDS = 60.0
_CREDENTIALS = ((b"authorization",), (b"x-api-key", b"api-key", b"x-goog-api-key"), (b"cookie",))


class Record:
    """What the stages note of one request. Each writes its own slot and reads no other's; telemetry reads them all.

    The values are names, counts, amounts and durations, never text of a request or an answer.
    """

    __slots__ = ("admit", "budget", "cache", "redact", "upstream")

    def __init__(self) -> None:
        self.admit: dict[str, Any] = {}
        self.redact: dict[str, Any] = {}
        self.cache: dict[str, Any] = {}
        self.budget: dict[str, Any] = {}
        self.upstream: dict[str, Any] = {}


class Exchange:
    """One request. Made by the outermost Helix stage; the inner ones find it in the scope.

    The body is read once, capped, parsed once, and encoded again at most once, when somebody replaced it.
    """

    __slots__ = (
        "_body",
        "_counted",
        "_given",
        "_given_up",
        "_memo",
        "_outer_receive",
        "_parsed",
        "_payload",
        "_says_once",
        "body_timeout_seconds",
        "dialect",
        "end_user",
        "error_code",
        "id",
        "max_body_bytes",
        "on_read",
        "principal",
        "record",
        "scope",
        "stand_ins",
        "started",
        "started_at",
        "unanswered",
        "usage_hidden",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.dialect: Dialect | None = dialect_of(scope["method"], scope["path"])
        self.id = f"hx-{time.time_ns() // 1_000_000:011x}{_PROCESS}{next(_NUMBERS):08x}"
        """Sorts by time of arrival; never the caller's choice, since the ledger trusts it to be unique."""
        self.started = time.perf_counter()
        self.started_at = time.time()
        self.principal: Principal | None = None
        self.record = Record()
        self.end_user = ""
        """Whom the request names as its user, in the caller's own words, which no stage has changed yet."""
        self.usage_hidden = False
        """Whether some stage asked for usage that the caller did not ask for; that stage takes it out of the stream."""
        self.error_code = ""
        """The code of the error that Helix itself replied with; not every dialect's form has a place for it."""
        self.unanswered = False
        """Whether a provider had the question, gave no answer, and may charge for it; the upstream says so."""
        self.on_read: Callable[[], object] | None = None
        """Called once the body has been read: for a stage that must not read it itself, yet has a word on it."""
        self.stand_ins: frozenset[str] = frozenset()
        """What stands in the place of personal data in the payload: it tells callers apart where their words do not."""
        self.max_body_bytes = MAX_BODY_BYTES
        self.body_timeout_seconds = BODY_TIMEOUT_SECONDS
        self._outer_receive = receive
        self._body: bytes | None = None
        self._payload: dict[str, Any] | None = None
        self._given = False
        self._says_once = False
        self._given_up: Receive | None = None
        self._counted: tuple[Any, Usage | None] = (None, None)
        self._memo: tuple[Any, Any, bytes] = (None, None, b"")

    # The request

    @property
    def payload(self) -> dict[str, Any]:
        """The request's JSON object; `read` comes first. Not to be changed in place: see `replace`."""
        if self._payload is None:
            raise RuntimeError("the body of this exchange has not been read")
        return self._payload

    @property
    def model(self) -> str:
        """The model name that the caller asked for; empty where there is no readable body."""
        model = self._payload.get("model") if self._payload is not None else None
        return model if isinstance(model, str) else ""

    @property
    def stream(self) -> bool:
        """Whether the caller asked for a stream."""
        if self._payload is None or self._payload.get("stream") is not True:
            return False
        return self.dialect is None or self.dialect.streams

    @property
    def body(self) -> bytes:
        """The request's body as it goes on; the very bytes that came in unless a stage replaced the payload."""
        if self._body is None:
            self._body = exact.dumps(self.payload)
            self._repair_length(len(self._body))
        return self._body

    async def read(self) -> None:
        """Read, parse and check the body, once.

        Raises BodyTooLarge, BodyTimeout, MalformedBody, InvalidRequest, ClientDisconnected.
        """
        if self._payload is not None:
            return
        body = await self._read_bytes()
        try:
            payload = exact.loads(body)
        except ValueError as error:
            raise MalformedBody(f"the body is {error}") from None
        if not isinstance(payload, dict):
            raise MalformedBody("the body must be a JSON object")
        if self.dialect is not None:
            self.dialect.check(payload)
        self._body, self._payload = body, payload
        self.end_user = self.end_user or _end_user(payload)
        if self.on_read is not None:
            self.on_read()

    def replace(self, payload: dict[str, Any]) -> None:
        """Put another payload in the place of the caller's; it is encoded, once, when the body is next needed."""
        self._payload = payload
        self._body = None

    def drop_repeated_keys(self) -> None:
        """Let nothing go on that is not in the payload: where the body says a key twice, it is encoded anew.

        Others may read the first of the two, of which no stage knows.
        """
        if self._body is None or self._says_once:
            return
        if exact.repeats_a_key(self._body, self.payload):
            self.replace(self.payload)
        self._says_once = True

    def ask_usage(self) -> bool:
        """Make a stream carry usage.

        True if the caller did not ask for it, and no stage before: then the stage takes it out of the reply.
        """
        if self.dialect is None or not self.stream or self.usage_hidden or self.dialect.asks_usage(self.payload):
            return False
        self.replace(self.dialect.ask_usage(self.payload))
        self.usage_hidden = True
        return True

    async def receive(self) -> Message:
        """The ASGI receive for whatever stands inside: the body in one message, then the caller's disconnect."""
        if self._given or self._payload is None:
            return await (self._given_up or self._outer_receive)()
        self._given = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def departure(self) -> None:
        """Return when the caller has left; what stands inside is given the body all the same."""
        message = await self._outer_receive()
        if message["type"] == "http.request":  # some servers end a body with an empty part
            message = await self._outer_receive()
        if message["type"] != "http.disconnect":
            await asyncio.get_running_loop().create_future()

    def outlive(self, receive: Receive) -> None:
        """Let what stands inside hear from `receive`, no longer from the caller, that nobody waits for the reply."""
        self._given_up = receive

    # The reply

    def reader(self) -> EventReader:
        """A reader of the reply's events, for one tap."""
        return EventReader(self)

    def message(self, events: list[Event], *, more_body: bool) -> Message:
        """A body message that carries some events; taps further out will not parse it again."""
        message = {"type": "http.response.body", "body": encode(events), "more_body": more_body}
        self._memo = (message, events, b"")
        return message

    def answer(self, body: bytes) -> Any:
        """A whole reply's JSON value, parsed once for all stages; None where it is not JSON."""
        if self._memo[0] is not body:
            try:
                value = exact.loads(body)
            except ValueError:
                value = None
            self._memo = (body, value, b"")
        return self._memo[1]

    def encode(self, payload: dict[str, Any]) -> bytes:
        """The bytes of a payload that only the provider is sent; the exchange keeps its own."""
        return exact.dumps(payload)

    def usage(self, answer: dict[str, Any]) -> Usage | None:
        """What the provider counted in a whole reply, read once for all stages that see the same one."""
        if self._counted[0] is not answer:
            self._counted = (answer, self.dialect.usage(answer) if self.dialect is not None else None)
        return self._counted[1]

    def encode_answer(self, answer: dict[str, Any]) -> bytes:
        """The bytes of a changed whole reply, remembered like `answer`."""
        body = exact.dumps(answer)
        self._memo = (body, answer, b"")
        return body

    # Inside

    async def _read_bytes(self) -> bytes:
        length = 0
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                # More digits than any length has would be more than Python cares to read as a number.
                length = int(value[:20]) if value.isdigit() else 0
            elif name == b"content-encoding" and value.lower() not in (b"", b"identity"):
                raise InvalidRequest("the request body must not have a content-encoding", "content-encoding")
        if length > self.max_body_bytes:
            raise self._too_large()
        message = await self._next_part()
        if not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            if len(body) > self.max_body_bytes:
                raise self._too_large()
            return body
        parts, size = [], 0
        deadline = self.started + self.body_timeout_seconds
        while True:
            part = message.get("body", b"")
            size += len(part)
            if size > self.max_body_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await self._next_part(deadline - time.perf_counter())

    async def _next_part(self, timeout_seconds: float | None = None) -> Message:
        timeout = self.body_timeout_seconds if timeout_seconds is None else max(0.0, timeout_seconds)
        try:
            async with asyncio.timeout(timeout):
                message = await self._outer_receive()
        except TimeoutError:
            raise BodyTimeout(f"the request body did not arrive within {self.body_timeout_seconds:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the caller left before the request body had arrived")
        return message

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the request body is over the cap of {self.max_body_bytes} bytes")

    def _repair_length(self, length: int) -> None:
        kept = [item for item in self.scope["headers"] if item[0] not in (b"content-length", b"transfer-encoding")]
        kept.append((b"content-length", b"%d" % length))
        self.scope["headers"] = kept


class EventReader:
    """Reads the events of a reply's body messages for one tap.

    A message that a stage further in has parsed already is not parsed again; one that a foreign middleware made is.
    """

    __slots__ = ("_decoder", "_exchange", "_pending", "is_whole")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._decoder: Decoder | None = None
        self._pending = b""
        self.is_whole = True
        """Whether the last message's bytes were those of its events, without half an event at either end."""

    def events(self, message: Message) -> list[Event]:
        """The events that this body message completes. Raises UpstreamGarbled."""
        known, events, pending = self._exchange._memo
        if known is message:
            self.is_whole = not self._pending and not pending
            self._decoder, self._pending = None, pending
            return events  # type: ignore[no-any-return]
        if self._decoder is None:
            self._decoder = Decoder(self._pending)
        begun = self._decoder.pending
        found = self._decoder.feed(message.get("body", b""))
        if not message.get("more_body", False):
            found += self._decoder.flush()
        self._pending = self._decoder.pending
        self.is_whole = not begun and not self._pending
        self._exchange._memo = (message, found, self._pending)
        return found


def _end_user(payload: dict[str, Any]) -> str:
    """OpenAI's `user`, or `safety_identifier`, which takes its place; Anthropic's `metadata.user_id`."""
    metadata = payload.get("metadata")
    named = payload.get("user") or payload.get("safety_identifier")
    if not named and isinstance(metadata, dict):
        named = metadata.get("user_id")
    return named if isinstance(named, str) else ""


def attach(scope: Scope, receive: Receive) -> Exchange:
    """The exchange of this request, made where there is none; its body is not read yet.

    Where `receive` is not the exchange's own, a foreign middleware stands between, perhaps with a body of its own: the
    inner stages then get an exchange of their own, for the same request and caller.
    """
    exchange: Exchange | None = scope.get(KEY)
    if exchange is None:
        exchange = scope[KEY] = Exchange(scope, receive)
    elif receive not in (exchange._outer_receive, exchange.receive):
        outer = exchange
        exchange = scope[KEY] = Exchange(scope, receive)
        exchange.id, exchange.principal, exchange.record = outer.id, outer.principal, outer.record
        exchange.started, exchange.started_at = outer.started, outer.started_at
        exchange.usage_hidden, exchange.stand_ins = outer.usage_hidden, outer.stand_ins
        exchange.end_user = outer.end_user
        exchange.max_body_bytes, exchange.body_timeout_seconds = outer.max_body_bytes, outer.body_timeout_seconds
    else:
        exchange.scope = scope
    return exchange


async def open_exchange(scope: Scope, receive: Receive) -> Exchange:
    """The exchange of this request with its body read, parsed and checked.

    Raises BodyTooLarge, BodyTimeout, MalformedBody, InvalidRequest, ClientDisconnected.
    """
    exchange = attach(scope, receive)
    await exchange.read()
    return exchange


def credential_of(scope: Scope) -> str:
    """The caller's credential: `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`; empty where there is none."""
    found = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer" and token:
                return token.strip().decode("latin-1")  # type: ignore[no-any-return]
        elif name in (b"x-api-key", b"x-goog-api-key"):
            found = value
    return found.decode("latin-1")


def by_credential(exchange: Exchange) -> str:
    """Whose request this is: the admitted key's id, else a digest of the credential, else "anonymous".

    The credential is `Authorization` of whatever scheme, else a key's header, else the cookies: without an admit stage,
    who is in front of Helix, or behind it, may tell callers apart by any of them.
    """
    if exchange.principal is not None:
        return exchange.principal.key_id
    headers = exchange.scope["headers"]
    for names in _CREDENTIALS:
        if found := [item for item in headers if item[0] in names and item[1]]:
            digest = blake2b(b"\0".join([part for item in found for part in item]), digest_size=12)
            return f"c_{digest.hexdigest()}"
    return "anonymous"
