"""ClickHouse's HTTP interface over chDB, as far as the client uses it: the real engine behind the real client.

    python server.py FOLDER      prints its port

Understands statements in the body or in ?query=, settings, server-side parameters, Native inserts without compression.
`POST /test?lose=N` makes the next N inserts end the connection without a reply, after they have been done.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

_TRANSPORT = {"database", "query", "query_id", "session_id", "compress", "client_protocol_version", "wait_end_of_query"}
_TRANSPORT |= {"send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression", "role"}
_INSERT = re.compile(rb"INSERT INTO (?P<target>.+?) FORMAT Native\n", re.DOTALL)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$")
_CODE = re.compile(r"Code: (\d+)")


class Engine:
    """One chDB connection, one statement at a time."""

    def __init__(self, folder: str) -> None:
        self._connection = chdb.connect(folder)
        self._lock = threading.Lock()

    def run(self, sql: str, format: str, parameters: dict[str, str], database: str) -> bytes:
        """The result of a statement. Raises RuntimeError with the engine's message."""
        with self._lock:
            self._connection.query(f"USE `{database or 'default'}`")
            return bytes(self._connection.query(sql, format, params=parameters).bytes())


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine
    to_lose = 0

    def do_GET(self) -> None:
        self._reply(200, b"Ok.\n")

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        body = self._body()
        if parts.path == "/test":
            type(self).to_lose = int(query["lose"])
            self._reply(200, b"")
            return
        try:
            self._reply(200, self._run(query, body))
        except ConnectionAbortedError:
            self.close_connection = True
        except RuntimeError as error:
            text = str(error)
            code = _CODE.search(text)
            self._reply(500, text.encode(), ("X-ClickHouse-Exception-Code", code[1] if code else "1002"))

    def _run(self, query: dict[str, str], body: bytes) -> bytes:
        database = query.get("database", "")
        parameters = {name[6:]: value for name, value in query.items() if name.startswith("param_")}
        settings = {k: v for k, v in query.items() if k not in _TRANSPORT and not k.startswith("param_")}
        clause = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
        insert = _INSERT.match(body)
        if insert is not None:
            with tempfile.NamedTemporaryFile(suffix=".native") as file:
                file.write(body[insert.end() :])
                file.flush()
                target = insert["target"].decode()
                settings_clause = f" SETTINGS {clause}" if clause else ""
                sql = f"INSERT INTO {target} FROM INFILE '{file.name}'{settings_clause} FORMAT Native"
                self.engine.run(sql, "TabSeparated", {}, database)
            if type(self).to_lose:
                type(self).to_lose -= 1
                raise ConnectionAbortedError
            return b""
        sql = query.get("query", "") + body.decode()
        format = _FORMAT.search(sql)
        sql = _FORMAT.sub("", sql)
        if clause and format is not None:
            sql += f" SETTINGS {clause}"
        return self.engine.run(sql, format[1] if format else "TabSeparated", parameters, database)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _reply(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", str(len(body))), ("X-ClickHouse-Timezone", "UTC"), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: the test says what went wrong."""


if __name__ == "__main__":
    Handler.engine = Engine(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
    os.write(1, f"{server.server_port}\n".encode())
    server.serve_forever()
