from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from helix.kernel.errors import BodyTimeout, BodyTooLarge, ClientDisconnected, InvalidRequest, MalformedBody
from helix.kernel.exchange import Exchange, attach, by_credential, credential_of, open_exchange
from helix.kernel.types import Message, Principal, Receive, Scope

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def scope_of(path: str = "/v1/chat/completions", headers: list[tuple[bytes, bytes]] | None = None) -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": headers or []}


def parts(*bodies: bytes) -> Receive:
    """A receive that gives a body in parts, then the caller's disconnect."""
    left = [{"type": "http.request", "body": body, "more_body": at < len(bodies) - 1} for at, body in enumerate(bodies)]

    async def receive() -> Message:
        return left.pop(0) if left else {"type": "http.disconnect"}

    return receive


async def never() -> Message:
    raise AssertionError("receive was called")


def body_of(payload: Any = CHAT) -> bytes:
    return json.dumps(payload).encode()


async def test_a_body_in_parts_is_read_once_and_given_on_as_it_came() -> None:
    """Inside stands one message with the very bytes, spaces too, then the caller's own disconnect."""
    body = body_of()
    exchange = await open_exchange(scope_of(), parts(body[:3], b"", body[3:]))
    assert exchange.payload == CHAT
    assert await exchange.receive() == {"type": "http.request", "body": body, "more_body": False}
    assert await exchange.receive() == {"type": "http.disconnect"}


async def test_an_inner_stage_finds_the_exchange_and_reads_nothing() -> None:
    scope = scope_of()
    outer = await open_exchange(scope, parts(body_of()))
    inner = await open_exchange(scope, outer.receive)
    assert inner is outer
    assert (await inner.receive())["body"] == body_of()


async def test_the_outer_receive_does_not_count_as_foreign() -> None:
    """A sub-app may be handed the receive that the exchange itself reads from."""
    scope, receive = scope_of(), parts(body_of())
    outer = await open_exchange(scope, receive)
    assert await open_exchange(dict(scope), receive) is outer


async def test_a_foreign_middleware_between_gives_a_body_of_its_own() -> None:
    """The inner stages read anew; request, caller and record stay the same."""
    scope = scope_of()
    outer = await open_exchange(scope, parts(body_of()))
    outer.principal = Principal("k_1")
    outer.usage_hidden = True
    outer.max_body_bytes = 1000
    other = {**CHAT, "model": "other"}
    inner = await open_exchange(scope, parts(body_of(other)))
    assert inner is not outer
    assert (inner.model, outer.model) == ("other", "m")
    assert (inner.id, inner.principal, inner.record) == (outer.id, outer.principal, outer.record)
    assert (inner.usage_hidden, inner.max_body_bytes, inner.started) == (True, 1000, outer.started)
    assert scope["helix.exchange"] is inner


async def test_a_declared_body_over_the_cap_is_refused_before_it_is_read() -> None:
    exchange = Exchange(scope_of(headers=[(b"content-length", b"101")]), never)
    exchange.max_body_bytes = 100
    with pytest.raises(BodyTooLarge, match="100 bytes"):
        await exchange.read()


async def test_an_absurd_content_length_is_refused_like_any_other() -> None:
    exchange = Exchange(scope_of(headers=[(b"content-length", b"9" * 5000)]), never)
    with pytest.raises(BodyTooLarge):
        await exchange.read()


@pytest.mark.parametrize("bodies", [[b"x" * 101], [b"x" * 60, b"x" * 60, b"x" * 60]])
async def test_an_undeclared_body_is_counted(bodies: list[bytes]) -> None:
    """And no more is read than shows that it is over the cap."""
    reads = 0
    receive = parts(*bodies)

    async def counting() -> Message:
        nonlocal reads
        reads += 1
        return await receive()

    exchange = Exchange(scope_of(), counting)
    exchange.max_body_bytes = 100
    with pytest.raises(BodyTooLarge):
        await exchange.read()
    assert reads == min(2, len(bodies))


async def test_a_body_that_lies_about_its_length_is_counted_too() -> None:
    exchange = Exchange(scope_of(headers=[(b"content-length", b"5")]), parts(b"x" * 101))
    exchange.max_body_bytes = 100
    with pytest.raises(BodyTooLarge):
        await exchange.read()


@pytest.mark.parametrize("first", [[], [{"type": "http.request", "body": b"{", "more_body": True}]])
async def test_a_body_that_never_ends_is_timed_out(first: list[Message]) -> None:
    """Whether nothing arrives at all, or the rest does not."""

    async def receive() -> Message:
        if first:
            return first.pop()
        left: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await left

    exchange = Exchange(scope_of(), receive)
    exchange.body_timeout_seconds = 0.01
    with pytest.raises(BodyTimeout, match=r"0\.01 s"):
        await exchange.read()


async def test_a_body_that_drips_is_timed_out_in_all() -> None:
    """The time-out is of the whole body, not of each part."""

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b" ", "more_body": True}

    exchange = Exchange(scope_of(), receive)
    exchange.body_timeout_seconds = 0.05
    with pytest.raises(BodyTimeout):
        await exchange.read()


async def test_a_caller_who_leaves_while_the_body_is_read() -> None:
    exchange = Exchange(scope_of(), parts())
    with pytest.raises(ClientDisconnected):
        await exchange.read()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b"{" * 1000])
async def test_a_body_that_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        await open_exchange(scope_of(), parts(body))


async def test_a_malformed_body_is_named_by_place_not_by_content() -> None:
    with pytest.raises(MalformedBody, match=r"line 2, column \d+") as caught:
        await open_exchange(scope_of(), parts(b'{"secret": 1,\n secret}'))
    assert "secret" not in str(caught.value)


async def test_the_dialect_checks_the_body() -> None:
    with pytest.raises(InvalidRequest, match="'messages' is required"):
        await open_exchange(scope_of(), parts(b'{"model": "m"}'))


async def test_an_encoded_body_is_refused() -> None:
    scope = scope_of(headers=[(b"content-encoding", b"gzip")])
    with pytest.raises(InvalidRequest, match="content-encoding"):
        await open_exchange(scope, never)


async def test_a_replaced_body_is_encoded_with_its_own_length() -> None:
    scope = scope_of(headers=[(b"content-length", b"999"), (b"x-other", b"1"), (b"transfer-encoding", b"chunked")])
    exchange = await open_exchange(scope, parts(body_of()))
    exchange.replace({**exchange.payload, "model": "another"})
    body = (await exchange.receive())["body"]
    assert json.loads(body) == {**CHAT, "model": "another"}
    assert dict(scope["headers"]) == {b"x-other": b"1", b"content-length": b"%d" % len(body)}
    assert exchange.model == "another"


async def test_integers_of_any_length_survive_a_replacement() -> None:
    """A 64-bit parser would turn the seed into a float."""
    payload = {**CHAT, "seed": 123456789012345678901234567890, "other": [1.5, -0.0, 1e22]}
    exchange = await open_exchange(scope_of(), parts(body_of(payload)))
    exchange.replace({**exchange.payload, "model": "another"})
    assert json.loads(exchange.body) == {**payload, "model": "another"}
    assert b"123456789012345678901234567890" in exchange.body


async def test_usage_is_asked_for_once_by_whoever_comes_first() -> None:
    """Only that stage is told to take it out again."""
    exchange = await open_exchange(scope_of(), parts(body_of({**CHAT, "stream": True})))
    assert exchange.ask_usage() is True
    assert exchange.ask_usage() is False
    assert json.loads(exchange.body)["stream_options"] == {"include_usage": True}


async def test_usage_that_the_caller_asked_for_is_not_hidden() -> None:
    payload = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    exchange = await open_exchange(scope_of(), parts(body_of(payload)))
    assert exchange.ask_usage() is False


async def test_a_whole_answer_needs_no_asking() -> None:
    exchange = await open_exchange(scope_of(), parts(body_of()))
    assert exchange.ask_usage() is False
    assert exchange.body == body_of()


async def test_a_dialect_without_streams_is_not_streamed() -> None:
    payload = {"model": "m", "input": "x", "stream": True}
    exchange = await open_exchange(scope_of("/v1/embeddings"), parts(body_of(payload)))
    assert exchange.stream is False


async def test_the_body_must_be_read_before_it_is_used() -> None:
    with pytest.raises(RuntimeError, match="has not been read"):
        _ = attach(scope_of(), never).payload


async def test_ids_differ_and_sort_by_time() -> None:
    ids = [Exchange(scope_of(), never).id for _ in range(50)]
    assert len(set(ids)) == 50
    assert [id[:14] for id in ids] == sorted(id[:14] for id in ids)


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ([(b"authorization", b"Bearer  sk-hx-1 ")], "sk-hx-1"),
        ([(b"authorization", b"bearer sk-hx-1"), (b"x-api-key", b"other")], "sk-hx-1"),
        ([(b"authorization", b"Basic abc"), (b"x-api-key", b"sk-hx-2")], "sk-hx-2"),
        ([(b"x-goog-api-key", b"sk-hx-3")], "sk-hx-3"),
        ([], ""),
    ],
)
def test_credentials_come_in_three_headers(headers: list[tuple[bytes, bytes]], credential: str) -> None:
    assert credential_of(scope_of(headers=headers)) == credential


def test_whose_request_it_is_never_shows_the_credential() -> None:
    """The admitted key's id, else a digest, else nobody's."""
    exchange = Exchange(scope_of(headers=[(b"x-api-key", b"sk-secret")]), never)
    assert "secret" not in by_credential(exchange)
    assert by_credential(exchange) == by_credential(Exchange(exchange.scope, never))
    assert by_credential(Exchange(scope_of(), never)) == "anonymous"
    exchange.principal = Principal("k_1")
    assert by_credential(exchange) == "k_1"


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        (b"authorization", b"Basic YTox", b"Basic Yjox"),
        (b"authorization", b"Token one", b"Token other"),
        (b"authorization", b"Bearer one", b"Bearer other"),
        (b"x-api-key", b"one", b"other"),
        (b"api-key", b"one", b"other"),
        (b"x-goog-api-key", b"one", b"other"),
        (b"cookie", b"session=one", b"session=other"),
    ],
)
def test_whoever_can_be_told_apart_is(name: bytes, one: bytes, other: bytes) -> None:
    """Users of whatever credential are never taken for one another, nor for nobody."""
    whose = [by_credential(Exchange(scope_of(headers=[(name, value)]), never)) for value in (one, other, one, b"")]
    assert whose[0] == whose[2]
    assert len(set(whose)) == 3
    assert whose[3] == "anonymous"
