"""Providers that speak the caller's own dialect: what goes there, what comes back, and all that goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from typing import Any

import httpx
import pytest
from aiohttp import web

from helix.upstream import Router, Upstream

from .fakes import (
    Provider,
    chat,
    chat_answer,
    chat_chunk,
    deployment,
    dies_after,
    events,
    hangs,
    hangs_after,
    refuses,
    says,
    sends,
    stream,
    streams,
)

PATIENT = {"num_retries": 0}


async def test_an_unchanged_body_goes_on_byte_for_byte(provider: Provider, gateway: Any) -> None:
    """White space, key order and unknown fields of the caller's body reach the provider as they are."""
    client = await gateway([deployment(provider)])
    body = (
        b'{ "messages": [{"content": "H\\u00e9 12345678901234567890", "role":"user"}],\n "model": "gpt-4o", "x": 1.50}'
    )
    reply = await client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 200
    assert provider.requests[0][2] == body


async def test_only_the_model_is_swapped_where_it_is_called_otherwise(provider: Provider, gateway: Any) -> None:
    """Another model name changes that field alone; numbers too long for 64 bits stay exact."""
    client = await gateway([deployment(provider, "fast")])
    body = b'{"model":"fast","messages":[{"role":"user","content":"Hi"}],"seed":123456789012345678901234,"x":[1]}'
    await client.post("/v1/chat/completions", content=body)
    assert provider.requests[0][2] == body.replace(b'"fast"', b'"gpt-4o"')


async def test_a_deployments_defaults_fill_what_the_caller_left_out(provider: Provider, gateway: Any) -> None:
    """A default is overridden by the request; extra_body is not; a default that the dialect lacks is left out."""
    entry = deployment(provider, temperature=0.1, max_tokens=9, dimensions=5, extra_body={"safe": True})
    client = await gateway([entry])
    await client.post("/v1/chat/completions", json=chat(temperature=0.7, safe=False))
    sent = provider.bodies[0]
    assert (sent["temperature"], sent["max_tokens"], sent["safe"]) == (0.7, 9, True)
    assert "dimensions" not in sent


async def test_the_answer_comes_back_byte_for_byte_with_the_model_that_gave_it(
    provider: Provider, gateway: Any
) -> None:
    """The provider's body is passed on, and x-helix-model names the deployment's model."""
    body = json.dumps(chat_answer("Grüße"), indent=1, ensure_ascii=False).encode()
    provider.otherwise = sends(body)
    client = await gateway([deployment(provider)])
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.content == body
    assert reply.headers["x-helix-model"] == "openai/gpt-4o"
    assert reply.headers["content-type"] == "application/json"


async def test_a_stream_comes_back_byte_for_byte(provider: Provider, gateway: Any) -> None:
    """Comments, CRLF and the closing event are passed on as they came."""
    parts = [
        b": keep-alive\n\n",
        chat_chunk("Hé"),
        chat_chunk("llo").replace(b"\n", b"\r\n"),
        chat_chunk(finish="stop"),
    ]
    parts.append(b"data: [DONE]\n\n")
    provider.otherwise = streams(*parts)
    client = await gateway([deployment(provider)])
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert reply.content == b"".join(parts)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-helix-model"] == "openai/gpt-4o"


async def test_the_first_event_does_not_wait_for_the_second(provider: Provider, gateway: Any) -> None:
    """Events are passed on one by one, while the provider is still at work."""
    provider.otherwise = hangs_after(chat_chunk("Hel"))
    client = await gateway([deployment(provider)])
    async with client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as reply:
        async for line in reply.aiter_lines():
            assert "Hel" in line
            break


async def test_the_callers_credentials_and_cookies_stay_here(provider: Provider, gateway: Any) -> None:
    """The provider sees the deployment's key, and only the caller's headers that are on the list."""
    client = await gateway([deployment(provider, organization="org-ours", extra_headers={"X-Team": "a"})])
    headers = {
        "authorization": "Bearer sk-hx-caller",
        "x-api-key": "sk-hx-caller",
        "cookie": "session=1",
        "openai-beta": "assistants=v2",
        "openai-organization": "org-theirs",
        "openai-project": "proj-theirs",
        "traceparent": "00-1-2-01",
        "x-other": "no",
    }
    await client.post("/v1/chat/completions", json=chat(), headers=headers)
    seen = provider.requests[0][1]
    assert seen["authorization"] == "Bearer sk-real"
    assert "sk-hx-caller" not in str(seen)
    assert not {"cookie", "x-api-key", "x-other"} & set(seen)
    assert (seen["openai-beta"], seen["traceparent"], seen["x-team"]) == ("assistants=v2", "00-1-2-01", "a")
    assert seen["openai-organization"] == "org-ours"
    assert "openai-project" not in seen
    assert seen["accept-encoding"] == "identity"


async def test_the_callers_organization_stays_here(provider: Provider, gateway: Any) -> None:
    """Whose account is charged is not the caller's to say, also where the deployment names none."""
    client = await gateway([deployment(provider)])
    headers = {"openai-organization": "org-theirs", "openai-project": "proj-theirs"}
    await client.post("/v1/chat/completions", json=chat(), headers=headers)
    assert not headers.keys() & provider.requests[0][1].keys()


async def test_a_deployment_without_a_key_sends_none(provider: Provider, gateway: Any) -> None:
    """vLLM and Ollama need no credential."""
    entry = deployment(provider)
    del entry["litellm_params"]["api_key"]
    client = await gateway([entry])
    await client.post("/v1/chat/completions", json=chat())
    assert "authorization" not in provider.requests[0][1]


async def test_the_providers_headers_are_sorted(provider: Provider, gateway: Any) -> None:
    """Its request id and times pass, its rate limits get a prefix, and the rest stays behind."""
    headers = {
        "x-request-id": "req_1",
        "openai-processing-ms": "12",
        "x-ratelimit-remaining-requests": "7",
        "set-cookie": "a=b",
        "server": "cloudflare",
        "connection": "close",
    }
    provider.otherwise = says("Hello!", headers)
    client = await gateway([deployment(provider)])
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.headers["x-request-id"] == "req_1"
    assert reply.headers["openai-processing-ms"] == "12"
    assert reply.headers["llm_provider-x-ratelimit-remaining-requests"] == "7"
    assert "x-ratelimit-remaining-requests" not in reply.headers
    assert "set-cookie" not in reply.headers


async def test_a_compressed_answer_is_passed_on_plain(provider: Provider, gateway: Any) -> None:
    """A provider that compresses although it was not asked to is read, so that the stages can see the answer."""

    async def compresses(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        body = gzip.compress(json.dumps(chat_answer("squeezed")).encode())
        return web.Response(body=body, content_type="application/json", headers={"content-encoding": "gzip"})

    provider.otherwise = compresses
    client = await gateway([deployment(provider)])
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.json()["choices"][0]["message"]["content"] == "squeezed"
    assert "content-encoding" not in reply.headers


@pytest.mark.parametrize(
    ("model", "base", "path"),
    [
        ("openai/m", "/v1", "/v1/chat/completions"),
        ("openai/m", "/v1/chat/completions", "/v1/chat/completions"),
        ("hosted_vllm/m", "/v1/", "/v1/chat/completions"),
        ("ollama/m", "", "/v1/chat/completions"),
        ("ollama_chat/m", "/v1", "/v1/chat/completions"),
        ("gpt-4.1", "/proxy/openai", "/proxy/openai/chat/completions"),
    ],
)
async def test_api_base_is_read_as_litellm_reads_it(
    provider: Provider, gateway: Any, model: str, base: str, path: str
) -> None:
    """The path of the operation is put behind api_base, whatever form that has."""
    entry = deployment(provider)
    entry["litellm_params"] |= {"model": model, "api_base": provider.url + base}
    client = await gateway([entry])
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 200
    assert provider.requests[0][0] == path


async def test_a_provider_that_refuses_connections(gateway: Any) -> None:
    """502 that says so."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        client = await gateway([deployment(url)], PATIENT)
        reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 502
    error = reply.json()["error"]
    assert error["code"] == "upstream_unreachable"
    assert url not in error["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_never_answers(provider: Provider, gateway: Any, stream: bool) -> None:
    """504 when the deployment's time-out is over, and the provider sees that nobody waits any more."""
    provider.otherwise = hangs()
    client = await gateway([deployment(provider, timeout=0.05)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=stream))
    assert reply.status_code == 504
    assert reply.json()["error"]["code"] == "upstream_timeout"
    await provider.left.wait()


async def test_comments_alone_keep_no_stream_alive(provider: Provider, gateway: Any) -> None:
    """They pass, but the next event must come within the deployment's time-out all the same."""

    async def pings(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = await stream(request, [chat_chunk("Hel")], end=False)
        while True:
            await response.write(b": ping\n\n")
            await asyncio.sleep(0.01)

    provider.otherwise = pings
    client = await gateway([deployment(provider, stream_timeout=0.1)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert ": ping\n\n" in reply.text
    error = json.loads(events(reply.text)[-1])["error"]
    assert error["code"] == "upstream_timeout"
    assert "within 0.1 s" in error["message"]
    await provider.left.wait()


async def test_a_stream_that_stops_half_way(provider: Provider, gateway: Any) -> None:
    """What came is passed on, then one error event in the dialect's form, and no [DONE]."""
    provider.otherwise = hangs_after(chat_chunk("Hel"))
    client = await gateway([deployment(provider, stream_timeout=0.1)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    first, error = events(reply.text)
    assert "Hel" in first
    assert json.loads(error)["error"]["code"] == "upstream_timeout"
    await provider.left.wait()


async def test_a_stream_whose_connection_breaks(provider: Provider, gateway: Any) -> None:
    """What came is passed on, then one error event."""
    provider.otherwise = dies_after(chat_chunk("Hel"))
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert reply.status_code == 200
    first, error = events(reply.text)
    assert "Hel" in first
    assert json.loads(error)["error"]["code"] == "upstream_unreachable"


async def test_a_stream_that_ends_without_its_end(provider: Provider, gateway: Any) -> None:
    """A body that ends properly in the middle of an answer is a broken answer all the same."""
    provider.otherwise = streams(chat_chunk("Hel"))
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert json.loads(events(reply.text)[-1])["error"]["code"] == "upstream_unreachable"


async def test_a_provider_that_forgets_the_closing_event_is_forgiven(provider: Provider, gateway: Any) -> None:
    """The answer said itself why it ended."""
    provider.otherwise = streams(chat_chunk("Hello"), chat_chunk(finish="stop"))
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert "error" not in reply.text


async def test_a_connection_that_breaks_before_the_answer(provider: Provider, gateway: Any) -> None:
    """502."""
    provider.otherwise = dies_after()
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_unreachable"


@pytest.mark.parametrize(
    ("failure", "unanswered"), [(hangs(), True), (dies_after(), True), (refuses(500), False), (None, False)]
)
async def test_it_is_noted_whether_the_provider_had_the_question(
    provider: Provider, serve: Any, failure: Any, unanswered: bool
) -> None:
    """What was sent and not answered may be charged for; what was refused, or never sent, is not."""
    provider.otherwise = failure
    noted: list[bool] = []
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
        entry = deployment(nowhere if failure is None else provider, timeout=0.05)
        upstream = Upstream(Router([entry], PATIENT))

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            await upstream(scope, receive, send)
            if scope["type"] == "http":
                noted.append(scope["helix.exchange"].unanswered)

        async with httpx.AsyncClient(base_url=await serve(noting), trust_env=False) as client:
            assert (await client.post("/v1/chat/completions", json=chat())).status_code >= 500
    assert noted == [unanswered]


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"", b"[1]", b'{"id": '])
async def test_an_answer_that_is_not_a_json_object(provider: Provider, gateway: Any, body: bytes) -> None:
    """200 with garbage is 502, and none of it reaches the caller."""
    provider.otherwise = sends(body, "text/html")
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_invalid_response"


async def test_a_stream_of_garbage(provider: Provider, gateway: Any) -> None:
    """An unreadable first event is 502, since nothing was promised yet."""
    provider.otherwise = streams(b"data: {oh no\n\n")
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_invalid_response"


async def test_garbage_in_the_middle_of_a_stream(provider: Provider, gateway: Any) -> None:
    """One error event, and the garbage stays behind."""
    provider.otherwise = streams(chat_chunk("Hel"), b"data: {oh no\n\n")
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert "oh no" not in reply.text
    assert json.loads(events(reply.text)[-1])["error"]["code"] == "upstream_invalid_response"


@pytest.mark.parametrize(
    "words", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 999 What\r\nconnection: close\r\n\r\n"], ids=["ssh", "status 999"]
)
async def test_a_provider_that_does_not_speak_http(gateway: Any, words: bytes) -> None:
    """502 that says that the answer cannot be read; so too for a status that no server could pass on."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = await gateway([deployment(f"http://127.0.0.1:{port}")], PATIENT)
        reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_invalid_response"


@pytest.mark.parametrize("status", [400, 429, 500, 529])
async def test_a_providers_error_keeps_its_status_body_and_retry_after(
    provider: Provider, gateway: Any, status: int
) -> None:
    """The caller gets what the provider said, and when to come back."""
    provider.otherwise = refuses(status, headers={"retry-after": "7"})
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == status
    assert reply.json()["error"]["code"] == f"e{status}"
    assert reply.headers["retry-after"] == "7"


async def test_a_providers_error_page_becomes_an_error_of_the_dialect(provider: Provider, gateway: Any) -> None:
    """HTML of some load balancer is not passed on."""

    async def page(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=503, text="<html>", content_type="text/html")

    provider.otherwise = page
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 503
    assert reply.json()["error"]["type"] == "upstream_error"


async def test_a_refused_credential_is_not_quoted_to_the_caller(provider: Provider, gateway: Any) -> None:
    """The provider's 401 holds part of the deployment's key, which is not the caller's."""
    provider.otherwise = refuses(401, {"error": {"message": "Incorrect API key provided: sk-re*l", "code": "x"}})
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 401
    assert "sk-re" not in reply.text
    assert "credential" in reply.json()["error"]["message"]


async def test_a_stream_is_one_in_any_letters(provider: Provider, gateway: Any) -> None:
    """Media types are the same in upper and lower case (RFC 9110, 8.3.1)."""
    provider.otherwise = says("Hi", {"content-type": "Text/Event-Stream"})
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat(stream=True))
    assert events(reply.text)[-1] == "[DONE]"


async def test_a_redirect_is_not_followed(provider: Provider, gateway: Any) -> None:
    """The credential goes where the configuration says and nowhere else."""

    async def redirects(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=302, headers={"location": "/elsewhere"})

    provider.otherwise = redirects
    client = await gateway([deployment(provider)], PATIENT)
    reply = await client.post("/v1/chat/completions", json=chat())
    assert reply.status_code == 502
    assert len(provider.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_takes_the_upstream_call_along(
    provider: Provider, gateway: Any, stream: bool
) -> None:
    """The provider sees its connection close when the caller's does."""
    provider.otherwise = hangs_after(chat_chunk("Hel")) if stream else hangs()
    client = await gateway([deployment(provider)])

    async def ask() -> None:
        async with client.stream("POST", "/v1/chat/completions", json=chat(stream=stream)) as reply:
            async for _ in reply.aiter_raw():
                pass

    asking = asyncio.create_task(ask())
    await provider.arrived.wait()
    await asyncio.sleep(0.05)  # past the time in which nobody watches
    asking.cancel()
    await provider.left.wait()


async def test_a_hundred_requests_at_once(provider: Provider, gateway: Any) -> None:
    """Answers go to those who asked, however many wait."""

    async def echoes(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return await says(body["messages"][0]["content"])(request, body)

    provider.otherwise = echoes
    client = await gateway([deployment(provider)])

    async def ask(number: int) -> None:
        reply: httpx.Response = await client.post(
            "/v1/chat/completions", json=chat(f"n{number}", stream=number % 2 == 0)
        )
        assert reply.status_code == 200
        assert f'"n{number}"' in reply.text

    await asyncio.gather(*(ask(number) for number in range(100)))
    assert len(provider.requests) == 100
