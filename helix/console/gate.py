"""The login page, and nothing of the console to anybody who has not passed it."""

from __future__ import annotations

import hashlib
import html
from http.cookies import CookieError, SimpleCookie
from importlib.resources import files
from math import ceil
from urllib.parse import parse_qs, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from helix.console.session import Sessions, Throttle
from helix.kernel.errors import BodyTooLarge, HelixError, Unauthenticated
from helix.kernel.lifecycle import Closing, lifespan
from helix.kernel.reply import refuse
from helix.kernel.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "Gate"]

COOKIE = "helix_console"
MAX_FORM_BYTES = 4096
FAILURES, WINDOW_SECONDS = 5, 60.0

# Gradio evaluates its templates, hence unsafe-eval; 'self' keeps the browser from asking anything of anybody else.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "form-action 'self'; base-uri 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class Gate:
    """Wraps the console's app: a form that takes the master key, a signed cookie, and 401 for all else."""

    def __init__(
        self, app: ASGIApp, *, sessions: Sessions, throttle: Throttle | None = None, closing: tuple[Closing, ...] = ()
    ) -> None:
        self.app = app
        self._sessions = sessions
        self._throttle = throttle or Throttle(failures=FAILURES, seconds=WINDOW_SECONDS)
        self._closing = closing
        icon = _text("icon.svg")
        self._page = _text("login.html").replace("{mark}", icon).replace("{icon}", f"data:image/svg+xml,{quote(icon)}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer login and logout; let those who are signed in through."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, lifespan(send, closing=self._closing))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # the console uses none
        else:
            await self._respond(scope, receive, _with_headers(send))

    async def close(self) -> None:
        """Close what the console holds open; for an app that is mounted, and so sees no lifespan."""
        for item in self._closing:
            await item.close()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # ASGI's path holds the root_path, that is where the console is mounted.
        route = (request.method, scope["path"].removeprefix(scope.get("root_path", "")))
        token = _token(request)
        signed_in = token is not None and self._sessions.is_open(token)
        try:
            if route in (("GET", "/login"), ("HEAD", "/login")):
                reply: ASGIApp = _to(scope, "/") if signed_in else self._form(scope)
            elif route == ("POST", "/login"):
                reply = await self._login(request)
            elif route == ("POST", "/logout"):
                reply = self._logout(request, token)
            elif not signed_in:
                reply = _turned_away(request)
            elif route[1] in ("/login", "/logout"):
                reply = _to(scope, "/")  # Gradio has routes of these names, which are not ours
            elif route[1] == "":
                reply = _to(scope, "/")
            else:
                reply = self.app
        except HelixError as error:
            reply = refuse(error)
        await reply(scope, receive, send)

    async def _login(self, request: Request) -> Response:
        caller = _caller(request)
        wait = self._throttle.wait_seconds(caller)
        if wait > 0:
            return self._form(request.scope, 429, f"Too many attempts. Try again in {ceil(wait)} s.", wait)
        if not self._sessions.is_master(await _key(request)):
            self._throttle.failed(caller)
            return self._form(request.scope, 401, "This is not the master key.")
        reply = _to(request.scope, "/")
        self._set_cookie(reply, request, self._sessions.start(), self._sessions.seconds)
        return reply

    def _logout(self, request: Request, token: str | None) -> Response:
        if token is not None:
            self._sessions.end(token)
        reply = _to(request.scope, "/login")
        self._set_cookie(reply, request, "", 0)
        return reply

    def _form(self, scope: Scope, status: int = 200, fault: str = "", wait_seconds: float = 0) -> Response:
        page = self._page.replace(
            "<!-- fault -->", f'<p class="fault" role="alert">{html.escape(fault)}</p>' if fault else ""
        )
        page = page.replace("{root}", html.escape(scope.get("root_path", "")))
        headers = {"cache-control": "no-store"}
        if wait_seconds:
            headers["retry-after"] = str(ceil(wait_seconds))
        return HTMLResponse(page, status, headers)

    def _set_cookie(self, reply: Response, request: Request, value: str, seconds: float) -> None:
        # A proxy that ends TLS says so; whoever forges that only keeps the cookie from themselves.
        is_https = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
        reply.set_cookie(
            COOKIE,
            value,
            max_age=int(seconds),
            path=request.scope.get("root_path", "") or "/",
            secure=is_https,
            httponly=True,
            samesite="strict",
        )


def _text(name: str) -> str:
    return files("helix.console").joinpath(name).read_text(encoding="utf-8")


def _token(request: Request) -> str | None:
    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie is not None else None


def _caller(request: Request) -> str:
    """Whom a failed login counts against: an address and a browser.

    Behind a proxy (on Ray, HAProxy) everybody has the proxy's address, so by address alone one who guesses would lock
    all others out. Whoever changes their User-Agent guesses on, which the length of a master key is there to withstand.
    """
    address = request.client.host if request.client else ""
    browser = hashlib.sha256(request.headers.get("user-agent", "").encode()).hexdigest()
    return f"{address} {browser}"


async def _key(request: Request) -> str:
    """The key in the form. Raises BodyTooLarge; an unreadable form holds no key."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM_BYTES:
                raise BodyTooLarge(f"the form is over the cap of {MAX_FORM_BYTES} bytes")
        return parse_qs(body.decode(), max_num_fields=8).get("key", [""])[0].strip()
    except (UnicodeDecodeError, ValueError, ClientDisconnect):
        return ""


def _turned_away(request: Request) -> ASGIApp:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return _to(request.scope, "/login")
    return refuse(Unauthenticated("sign in to the console first"))


def _to(scope: Scope, path: str) -> Response:
    return RedirectResponse(scope.get("root_path", "") + path, 303, {"cache-control": "no-store"})


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_HEADERS]}
        await send(message)

    return wrapped
