from __future__ import annotations

import json
from typing import Any

import pytest

from helix.kernel.errors import (
    BackendUnavailable,
    BodyTooLarge,
    BudgetExceeded,
    HelixError,
    InvalidRequest,
    Unauthenticated,
    UpstreamStatus,
    UpstreamTimeout,
)
from helix.kernel.exchange import attach
from helix.kernel.reply import Guard, json_reply, refuse
from helix.kernel.sse import Decoder
from helix.kernel.types import Message, Scope

EVENTS = [(b"content-type", b"text/event-stream")]


async def never() -> Message:
    raise AssertionError("receive was called")


def scope_of(path: str) -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": []}


class Out:
    """The outermost send."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def json(self) -> Any:
        return json.loads(b"".join(message.get("body", b"") for message in self.messages))


async def refused(error: HelixError, path: str = "/v1/chat/completions") -> Out:
    out = Out()
    await refuse(error)(scope_of(path), never, out)
    return out


async def test_a_refusal_has_openais_form() -> None:
    out = await refused(InvalidRequest("'n' must be at least 1", "n"))
    assert out.messages[0]["status"] == 400
    assert out.json == {
        "error": {
            "message": "'n' must be at least 1",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request",
        }
    }


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/mounted/v1/messages"])
async def test_a_refusal_of_messages_has_anthropics_form(path: str) -> None:
    out = await refused(Unauthenticated("no such key"), path)
    assert out.messages[0]["status"] == 401
    assert out.json == {"type": "error", "error": {"type": "authentication_error", "message": "no such key"}}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("x"), "invalid_request_error"),
        (BodyTooLarge("x"), "request_too_large"),
        (BudgetExceeded("x"), "rate_limit_error"),
        (BackendUnavailable("x"), "api_error"),
        (UpstreamTimeout("x"), "timeout_error"),
        (UpstreamStatus("x", 529), "overloaded_error"),
        (UpstreamStatus("x", 418), "invalid_request_error"),
    ],
)
async def test_anthropics_error_types_go_by_status(error: HelixError, kind: str) -> None:
    out = await refused(error, "/v1/messages")
    assert out.json["error"]["type"] == kind
    assert out.messages[0]["status"] == error.status


async def test_a_path_that_is_not_ours_gets_openais_form() -> None:
    assert (await refused(InvalidRequest("x"), "/helix/keys")).json["error"]["message"] == "x"


async def test_a_refusal_carries_the_errors_headers_and_the_requests_id() -> None:
    scope, out = scope_of("/v1/chat/completions"), Out()
    exchange = attach(scope, never)
    await refuse(BudgetExceeded("spent", None, (("Retry-After", "7"),)))(scope, never, out)
    headers = dict(out.messages[0]["headers"])
    assert headers[b"retry-after"] == b"7"
    assert headers[b"x-helix-request-id"] == exchange.id.encode()
    assert headers[b"content-length"] == b"%d" % len(out.messages[1]["body"])


async def test_a_providers_own_json_error_goes_through() -> None:
    out = await refused(UpstreamStatus("it said no", 422, b'{"error": {"message": "theirs"}}'))
    assert out.messages[0]["status"] == 422
    assert out.json == {"error": {"message": "theirs"}}


async def test_a_providers_page_of_html_does_not() -> None:
    out = await refused(UpstreamStatus("it said no", 502, b"<html>", "text/html"))
    assert out.json["error"]["message"] == "it said no"


async def test_json_reply_replies_json() -> None:
    out = Out()
    await json_reply(201, {"a": 1}, (("x-b", "2"),))(scope_of("/helix/keys"), never, out)
    assert out.messages[0]["status"] == 201
    assert (b"x-b", b"2") in out.messages[0]["headers"]
    assert out.json == {"a": 1}


async def guarded(path: str, *messages: Message) -> tuple[Out, Guard, Any]:
    out = Out()
    guard = Guard(out)
    for message in messages:
        await guard(message)
    return out, guard, attach(scope_of(path), never)


async def test_failing_before_the_start_is_a_refusal() -> None:
    out, guard, exchange = await guarded("/v1/chat/completions")
    await guard.fail(UpstreamTimeout("too slow"), exchange)
    assert out.messages[0]["status"] == 504
    assert out.json["error"]["code"] == "upstream_timeout"
    assert guard.ended


START = {"type": "http.response.start", "status": 200, "headers": EVENTS}
PART = {"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True}
END = {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
async def test_a_stream_that_fails_ends_with_one_error_event_of_its_dialect(path: str) -> None:
    """It is one by which the dialect itself knows an error, and the stream has no proper end."""
    out, guard, exchange = await guarded(path, START, PART)
    await guard.fail(UpstreamTimeout("too slow"), exchange)
    (event,) = Decoder().feed(out.messages[-1]["body"])
    assert exchange.dialect.is_error(event)
    assert not exchange.dialect.is_end(event)
    assert "too slow" in json.dumps(event.json())
    assert out.messages[-1]["more_body"] is False
    assert len([message for message in out.messages if message["type"] == "http.response.start"]) == 1


async def test_a_whole_reply_that_fails_midway_is_cut_off() -> None:
    """The server closes the connection, so that nobody takes the half for the whole."""
    plain = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    _, guard, exchange = await guarded("/v1/chat/completions", plain, PART)
    with pytest.raises(UpstreamTimeout):
        await guard.fail(UpstreamTimeout("too slow"), exchange)


async def test_failing_after_the_end_changes_nothing() -> None:
    out, guard, exchange = await guarded("/v1/chat/completions", START, END)
    await guard.fail(UpstreamTimeout("too slow"), exchange)
    assert out.messages == [START, END]


async def test_a_reply_is_never_started_twice() -> None:
    _, guard, _ = await guarded("/v1/chat/completions", START)
    with pytest.raises(RuntimeError, match="twice"):
        await guard(START)
