"""A provider on loopback for every dialect: keeps what it is sent, and restates the last message in small pieces.

Asked with tools, it calls the first with `{"said": the last message}` as the arguments.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, Self

from aiohttp import web

PIECE = 3
"""Characters of a piece of a stream: less than any placeholder has."""


class Provider:
    """A server in a thread of its own, used as a context manager."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.fails = False
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def heard(self) -> str:
        """Everything that it was sent, as one text."""
        return json.dumps(self.bodies, ensure_ascii=False)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        app = web.Application()
        app.router.add_post("/{tail:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        if self.fails:
            return web.json_response({"error": {"message": "it broke", "type": "server_error"}}, status=400)
        kind = request.path.rpartition("/v1/")[2]
        answer = _ANSWERS[kind](body)
        if not body.get("stream"):
            return web.json_response(answer)
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for event in _STREAMS[kind](body, answer):
            await reply.write(event)
            await asyncio.sleep(0)
        await reply.write_eof()
        return reply


def _said(body: dict[str, Any]) -> str:
    if "prompt" in body:
        return str(body["prompt"])
    last = body["messages"][-1] if "messages" in body else body["input"]
    while not isinstance(last, str):
        last = last[-1] if isinstance(last, list) else last.get("content") or last.get("text")
    return last


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def _event(payload: dict[str, Any]) -> bytes:
    name = f"event: {payload['type']}\n" if "type" in payload else ""
    return f"{name}data: {json.dumps(payload)}\n\n".encode()


_USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
_DONE = b"data: [DONE]\n\n"


def _chat(body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": f"You said: {_said(body)}"}
    if body.get("tools"):
        call = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps({"said": _said(body)})}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if body.get("tools") else "stop"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": body["model"],
        "choices": [choice],
        "usage": _USAGE,
    }


def _chat_stream(body: dict[str, Any], answer: dict[str, Any]) -> list[bytes]:
    choice = answer["choices"][0]
    base = {**answer, "object": "chat.completion.chunk"} | {"usage": None}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    events = [chunk({"role": "assistant", "content": ""})]
    if body.get("tools"):
        (call,) = choice["message"]["tool_calls"]
        begun = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
        events.append(chunk({"tool_calls": [begun]}))
        for piece in _pieces(call["function"]["arguments"]):
            events.append(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
    else:
        events += [chunk({"content": piece}) for piece in _pieces(choice["message"]["content"])]
    events.append(chunk({}, choice["finish_reason"]))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(_event({**base, "choices": [], "usage": _USAGE}))
    return [*events, _DONE]


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    return {
        "object": "list",
        "model": body["model"],
        "data": [{"object": "embedding", "index": i, "embedding": [0.25, i / 2]} for i in range(len(inputs))],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def _messages(body: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": f"You said: {_said(body)}"}
    if body.get("tools"):
        block = {"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": {"said": _said(body)}}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [block],
        "stop_reason": "tool_use" if body.get("tools") else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 5},
    }


def _messages_stream(body: dict[str, Any], answer: dict[str, Any]) -> list[bytes]:
    block = answer["content"][0]
    if block["type"] == "text":
        begun: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
    else:
        begun = {**block, "input": {}}
        said = json.dumps(block["input"])
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(said)]
    start = {**answer, "content": [], "stop_reason": None}
    stop = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    return [
        _event({"type": "message_start", "message": start}),
        _event({"type": "content_block_start", "index": 0, "content_block": begun}),
        *(_event({"type": "content_block_delta", "index": 0, "delta": delta}) for delta in deltas),
        _event({"type": "content_block_stop", "index": 0}),
        _event({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}}),
        _event({"type": "message_stop"}),
    ]


def _responses(body: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "output_text", "text": f"You said: {_said(body)}", "annotations": []}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "model": body["model"],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 7,
            "output_tokens": 5,
            "total_tokens": 12,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _responses_stream(body: dict[str, Any], answer: dict[str, Any]) -> list[bytes]:
    (item,) = answer["output"]
    (part,) = item["content"]
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": piece} for piece in _pieces(part["text"])),
        {"type": "response.output_text.done", **place, "text": part["text"]},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": answer},
    ]
    return [_event({**event, "sequence_number": number}) for number, event in enumerate(events)]


_ANSWERS = {
    "chat/completions": _chat,
    "embeddings": _embeddings,
    "messages": _messages,
    "responses": _responses,
}
_STREAMS = {"chat/completions": _chat_stream, "messages": _messages_stream, "responses": _responses_stream}
