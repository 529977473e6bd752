"""HTTP requests over aiohttp's connection pool and parser, without the layers that its session puts on top.

aiohttp makes, keeps and closes the connections (names, TLS, keep-alive) and parses the replies in C. What its session
does besides (cookies, redirects, proxies, tracing, and on Python 3.11 a task to write each body) a gateway has no use
for, and pays for with each request: here a request is one write of bytes that were mostly made beforehand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.streams import StreamReader
from multidict import CIMultiDictProxy
from yarl import URL

from helix.kernel.errors import UpstreamError

__all__ = ["Address", "Pool", "Reply"]


class Address:
    """Where requests go, and the bytes that each of them begins with."""

    __slots__ = ("head", "request")

    def __init__(self, url: URL, headers: Iterable[tuple[str, str]]) -> None:
        """Raises UpstreamError for a header that HTTP cannot carry. Needs a running event loop."""
        # Never sent: the pool asks it for host, port and TLS.
        self.request = ClientRequest("POST", url, loop=asyncio.get_running_loop())
        lines = [f"POST {url.raw_path_qs} HTTP/1.1", f"host: {self.request.headers['host']}"]
        for name, value in headers:
            if any(letter in "\r\n\0" for letter in name + value):
                raise UpstreamError("a header that is configured for the provider is not one line")
            lines.append(f"{name}: {value}")
        self.head = "\r\n".join(lines).encode("latin-1")


class Reply:
    """A reply whose head has arrived. Read to its end, its connection goes back to the pool by itself; else `close`."""

    __slots__ = ("_connection", "content", "headers", "raw_headers", "status")

    def __init__(
        self,
        connection: aiohttp.connector.Connection,
        status: int,
        headers: CIMultiDictProxy[str],
        raw_headers: tuple[tuple[bytes, bytes], ...],
        content: StreamReader,
    ) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        self.raw_headers = raw_headers
        self.content = content

    def close(self) -> None:
        """Close the connection, unless it is back in the pool."""
        self._connection.close()


class Pool:
    """Kept-alive connections, as many as are needed. Every method raises aiohttp's own errors."""

    def __init__(self, *, connect_timeout_seconds: float, keep_alive_seconds: float) -> None:
        """Needs a running event loop."""
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=keep_alive_seconds)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_seconds)

    async def close(self) -> None:
        """Close every connection."""
        await self._connector.close()

    async def post(self, address: Address, headers: bytes, body: bytes) -> Reply:
        """Send a body and return when the reply's head is there.

        `headers` are whole lines besides those of the address, each ended by CRLF.
        """
        connection = await self._connector.connect(address.request, traces=[], timeout=self._timeout)
        try:
            protocol = connection.protocol
            if protocol is None or protocol.transport is None:
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(read_until_eof=True, auto_decompress=True, read_bufsize=2**16)
            protocol.transport.write(b"%b\r\n%bcontent-length: %d\r\n\r\n%b" % (address.head, headers, len(body), body))
            while True:
                message, content = await protocol.read()
                if message.code >= 200:
                    break
        except BaseException:
            connection.close()
            raise
        content.on_eof(connection.release)
        return Reply(connection, message.code, message.headers, message.raw_headers, content)
