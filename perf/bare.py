"""The limit: a proxy that does nothing but pass bytes on, with aiohttp on both sides.

Written to be fast: uvloop, no access log, no decompression, unlimited connections, a reply of known length is passed on
in one piece, any other as it comes.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}
_SESSION = web.AppKey("session", ClientSession)


def application(upstream: str) -> web.Application:
    """The proxy in front of `upstream`, an origin such as http://127.0.0.1:9000."""

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=0)
        timeout = ClientTimeout(total=600)
        async with ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as client:
            app[_SESSION] = client
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        url = upstream + request.path_qs
        async with request.app[_SESSION].request(request.method, url, headers=headers, data=body) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            if answer.content_length is not None:
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
            reply = web.StreamResponse(status=answer.status, headers=kept)
            await reply.prepare(request)
            async for part in answer.content.iter_any():
                await reply.write(part)
            await reply.write_eof()
            return reply

    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def main() -> None:
    """Run the proxy from the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--upstream", required=True)
    options = arguments.parse_args()
    uvloop.install()
    web.run_app(application(options.upstream), host="127.0.0.1", port=options.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
