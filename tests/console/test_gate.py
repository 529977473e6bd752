"""The login page of the console, as a client of raw HTTP meets it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from helix.console.gate import COOKIE, Gate
from helix.console.session import Sessions, Throttle

KEY = "sk-hx-master-of-the-test"


@pytest.fixture
def app() -> Starlette:
    """A gate before an app that answers every path, mounted as the gateway mounts the console."""

    async def inside(request: Any) -> PlainTextResponse:
        return PlainTextResponse("inside")

    inner = Starlette(routes=[Route("/{path:path}", inside, methods=["GET", "POST"])])
    gate = Gate(inner, sessions=Sessions(KEY, seconds=60), throttle=Throttle(failures=2, seconds=60))
    return Starlette(routes=[Mount("/console", app=gate)])


@pytest_asyncio.fixture
async def client(serve: Callable[..., Awaitable[str]], app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=await serve(app), trust_env=False) as client:
        yield client


async def _sign_in(client: httpx.AsyncClient, key: str = KEY, **options: Any) -> httpx.Response:
    return await client.post("/console/login", data={"key": key}, **options)


async def test_a_browser_without_a_session_is_led_to_the_login_page(client: httpx.AsyncClient) -> None:
    """Navigation ends at a form, which posts to where the console is mounted."""
    reply = await client.get("/console/", headers={"accept": "text/html"})
    assert (reply.status_code, reply.headers["location"]) == (303, "/console/login")
    page = await client.get("/console/login")
    assert page.status_code == 200
    assert 'action="/console/login"' in page.text


@pytest.mark.parametrize("path", ["/console/config", "/console/gradio_api/run/predict", "/console/assets/index.js"])
async def test_nothing_is_served_without_a_session(client: httpx.AsyncClient, path: str) -> None:
    """Assets, configuration and events alike answer 401."""
    for method in ("GET", "POST"):
        reply = await client.request(method, path)
        assert reply.status_code == 401
        assert reply.json()["error"]["type"] == "authentication_error"


async def test_the_master_key_opens_the_console(client: httpx.AsyncClient) -> None:
    """The cookie is for this path, unreadable for scripts, never sent from elsewhere, and holds no key."""
    reply = await _sign_in(client)
    assert (reply.status_code, reply.headers["location"]) == (303, "/console/")
    cookie = reply.headers["set-cookie"]
    assert KEY not in cookie
    for part in ("HttpOnly", "Path=/console", "SameSite=strict", "Max-Age=60"):
        assert part in cookie
    assert "Secure" not in cookie
    assert (await client.get("/console/config")).text == "inside"
    again = await client.get("/console/login")
    assert (again.status_code, again.headers["location"]) == (303, "/console/")


async def test_the_cookie_is_secure_behind_tls(client: httpx.AsyncClient) -> None:
    """Also where a proxy ends the TLS."""
    reply = await _sign_in(client, headers={"x-forwarded-proto": "https"})
    assert "Secure" in reply.headers["set-cookie"]


@pytest.mark.parametrize("key", ["", "wrong", KEY + "x", KEY[:-1]])
async def test_any_other_key_is_refused_and_not_echoed(client: httpx.AsyncClient, key: str) -> None:
    """401, the form again, no cookie, and nothing of what was typed."""
    reply = await _sign_in(client, key)
    assert reply.status_code == 401
    assert "This is not the master key." in reply.text
    assert "set-cookie" not in reply.headers
    assert not key or f'"{key}"' not in reply.text


@pytest.mark.parametrize("body", [b"", b"key", b"\xff\xfe", b"key=%zz", b"&".join([b"a=1"] * 20)])
async def test_an_unreadable_form_holds_no_key(client: httpx.AsyncClient, body: bytes) -> None:
    """It is a wrong key like any other, not an error of the server."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post("/console/login", content=body, headers=headers)).status_code == 401


async def test_a_form_over_the_cap_is_refused(client: httpx.AsyncClient) -> None:
    """Nobody sends megabytes to the login."""
    assert (await _sign_in(client, "x" * 5000)).status_code == 413


async def test_guessing_is_throttled_also_for_the_right_key(client: httpx.AsyncClient) -> None:
    """After some failures the form says how long to wait, whatever is typed."""
    for _ in range(2):
        await _sign_in(client, "wrong")
    reply = await _sign_in(client)
    assert reply.status_code == 429
    assert 0 < int(reply.headers["retry-after"]) <= 60
    assert "Try again in" in reply.text


async def test_one_who_guesses_locks_no_other_browser_out(client: httpx.AsyncClient) -> None:
    """Behind a proxy all have its address; failures count against the browser as well."""
    for _ in range(3):
        await _sign_in(client, "wrong", headers={"user-agent": "guesser"})
    assert (await _sign_in(client, headers={"user-agent": "guesser"})).status_code == 429
    assert (await _sign_in(client, headers={"user-agent": "Firefox"})).status_code == 303


async def test_signing_out_ends_the_session(client: httpx.AsyncClient) -> None:
    """The cookie is taken away, and a copy of it opens nothing."""
    await _sign_in(client)
    kept = client.cookies[COOKIE]
    reply = await client.post("/console/logout")
    assert (reply.status_code, reply.headers["location"]) == (303, "/console/login")
    assert COOKIE not in client.cookies
    client.cookies.set(COOKIE, kept)
    assert (await client.get("/console/config")).status_code == 401


async def test_a_link_does_not_sign_out(client: httpx.AsyncClient) -> None:
    """Only the form's POST does."""
    await _sign_in(client)
    assert (await client.get("/console/logout")).status_code == 303
    assert (await client.get("/console/config")).text == "inside"


async def test_every_reply_forbids_the_internet_and_framing(client: httpx.AsyncClient) -> None:
    """The browser itself keeps the page from asking anything of anybody else."""
    await _sign_in(client)
    for path in ("/console/login", "/console/config", "/console/"):
        policy = (await client.get(path)).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", ["/console/login", "/login"])
async def test_the_gate_stands_wherever_it_is_mounted(path: str) -> None:
    """Servers give the path with the root_path before it (ASGI's rule), or cut off (some do so)."""
    gate = Gate(Starlette(), sessions=Sessions(KEY, seconds=60))
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "/console", "headers": [], "query_string": b""}
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("a GET is answered without its body")

    async def send(message: Any) -> None:
        sent.append(message)

    await gate(scope, receive, send)
    assert sent[0]["status"] == 200
    assert b'action="/console/login"' in sent[1]["body"]
