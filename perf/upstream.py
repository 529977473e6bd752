"""A local provider that speaks the OpenAI chat wire over real HTTP, fast enough not to be what is measured.

`/v1/chat/completions` answers by restating the last user message, whole or streamed a word an event, with usage.
`/paced/v1/chat/completions` streams `max_tokens` events, one every `--interval-ms`; each carries the monotonic time at
which it was written, as `t<nanoseconds>;`, so that a reader on the same machine knows how long it was under way.
Asked for a whole answer, it gives that after the time that the stream would have taken.
`/strict/v1/chat/completions` is the first, but refuses a request in which it finds made-up personal data.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from typing import Any

import httptools
import orjson
import uvloop

from perf.personal import found_in

__all__ = ["ANSWER", "Provider"]

ANSWER = (
    " The short answer is that it depends on how the account was opened, and on when the change was made. "
    "Open the settings page, choose the item that you want to change, and confirm with the code that we send you. "
    "A change is active within one working day; until then the former value stays in force. If nothing has happened "
    "after two days, write to us with the reference that is shown at the top of the page, and we will look into it."
)
_DEFAULT_EVENTS = 20
_STRICT = b"/strict/v1/chat/completions"
_ROUTES = {b"/v1/chat/completions": False, b"/paced/v1/chat/completions": True, _STRICT: False}


class Provider(asyncio.Protocol):
    """One connection of the provider; answers requests one after the other.

    `calls`, of all connections together, is what `/calls` tells.
    """

    calls = 0

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the transport; a paced stream that is under way ends with it."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is not HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def on_message_begin(self) -> None:
        """Begin another request."""
        self._path = b""
        self._body = []

    def on_url(self, url: bytes) -> None:
        """Take the request's path."""
        self._path += url

    def on_body(self, body: bytes) -> None:
        """Take a part of the request's body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer the request."""
        if self._path == b"/health":
            return self._reply(b'{"status":"ok"}')
        if self._path == b"/calls":
            return self._reply(b'{"calls":%d}' % Provider.calls)
        Provider.calls += 1
        paced = _ROUTES.get(self._path)
        if paced is None:
            return self._reply(b'{"error":{"message":"no such path","code":"not_found"}}', b"404 Not Found")
        try:
            request = orjson.loads(b"".join(self._body))
            question = _text(request["messages"][-1]["content"])
        except (orjson.JSONDecodeError, LookupError, TypeError):
            return self._reply(b'{"error":{"message":"not a chat request","code":"bad"}}', b"400 Bad Request")
        if self._path == _STRICT and found_in(b"".join(self._body).decode()):
            return self._reply(b'{"error":{"message":"personal data","code":"personal"}}', b"422 Unprocessable Entity")
        events = int(request.get("max_tokens") or _DEFAULT_EVENTS)
        if not request.get("stream"):
            answer = orjson.dumps(_answer(request["model"], question))
            if not paced:
                return self._reply(answer)
            asyncio.get_running_loop().call_later(events * self._interval_seconds, self._reply, answer)
            return None
        self._write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        usage = bool((request.get("stream_options") or {}).get("include_usage"))
        if paced:
            return self._pace(request["model"], events, usage)
        for word in f"You asked: {question}{ANSWER}".split(" "):
            self._event(_chunk(request["model"], {"content": f"{word} "}))
        return self._finish(request["model"], usage)

    def _pace(self, model: str, left: int, usage: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if left == 0:
            self._finish(model, usage)
            return
        self._event(_chunk(model, {"content": f"t{time.monotonic_ns()};"}))
        asyncio.get_running_loop().call_later(self._interval_seconds, self._pace, model, left - 1, usage)

    def _finish(self, model: str, usage: bool) -> None:
        self._event(_chunk(model, {}, finish="stop"))
        if usage:
            self._event({**_chunk(model, None), "choices": [], "usage": _USAGE})
        self._write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def _event(self, payload: dict[str, Any]) -> None:
        data = b"data: %b\n\n" % orjson.dumps(payload)
        self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def _reply(self, body: bytes, status: bytes = b"200 OK") -> None:
        self._write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body
        )

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


_USAGE = {"prompt_tokens": 61, "completion_tokens": 104, "total_tokens": 165}


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _answer(model: str, question: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": f"You asked: {question}{ANSWER}", "refusal": None}
    return {
        "id": f"chatcmpl-{time.monotonic_ns()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_perf",
    }


def _chunk(model: str, delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-perf",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }


async def serve(port: int, interval_seconds: float) -> None:
    """Serve on the loopback until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(lambda: Provider(interval_seconds), "127.0.0.1", port, backlog=512)
    await stopped.wait()
    server.close()


def main() -> None:
    """Run the provider from the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--interval-ms", type=float, default=5.0)
    options = arguments.parse_args()
    uvloop.run(serve(options.port, options.interval_ms / 1000))


if __name__ == "__main__":
    main()
