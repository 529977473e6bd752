"""The file that `helix cache export` writes and `import` reads: JSON lines, checksummed, a page at a time in memory.

    {"helix_cache": 1, "layout": "redis/2 5f0c..."}     what it is, and what it fits
    {"id": ..., "expires_at": ..., "fields": {...}}     an entry a line, fields in base64
    {"entries": 2, "sha256": "9b1c..."}                 how many, and the digest of all lines before

A name that ends in .gz is compressed by gzip.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from helix.kernel.errors import ConfigError

__all__ = ["PAGE", "check", "load", "write"]

VERSION = 1
PAGE = 50
MAX_LINE_BYTES = 256 * 1024 * 1024


def write(file: Path, page: Callable[[str | None], Any]) -> int:
    """Write what `page(cursor)` of the API gives; how many entries. The file appears when it is whole.

    Raises ConfigError where it exists, or cannot be written.
    """
    if file.exists():
        raise ConfigError(f"{file} exists; name another file, or remove it")
    part = file.with_name(f".{file.name}.part")
    entries = 0
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)  # answers in the clear, where no key encrypts them
        with _opened(file, part, "wb") as out:
            digest = hashlib.sha256()

            def line(value: Any) -> None:
                written = json.dumps(value, separators=(",", ":")).encode() + b"\n"
                digest.update(written)
                out.write(written)

            cursor: str | None = None
            while True:
                told = page(cursor)
                if cursor is None:
                    line({"helix_cache": VERSION, "layout": told["layout"]})
                for entry in told["data"]:
                    line(entry)
                entries += len(told["data"])
                cursor = told["next_cursor"]
                if cursor is None:
                    break
            out.write(json.dumps({"entries": entries, "sha256": digest.hexdigest()}).encode() + b"\n")
        os.replace(part, file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror or type(error).__name__})") from None
    finally:
        part.unlink(missing_ok=True)
    return entries


def check(file: Path) -> str:
    """The layout of a file that is whole. Raises ConfigError that says what is wrong with it."""
    digest, entries, layout = hashlib.sha256(), 0, ""
    for number, line in enumerate(_lines(file)):
        value = _value(line)
        if number == 0:
            if value.get("helix_cache") != VERSION or not isinstance(value.get("layout"), str):
                raise ConfigError(f"{file} is no export of a cache, or one of another version than {VERSION}")
            layout = value["layout"]
        elif "sha256" in value:
            if (value["sha256"], value.get("entries")) != (digest.hexdigest(), entries):
                raise ConfigError(f"{file} is damaged: its checksum does not hold; nothing was imported")
            return layout
        elif not {"id", "expires_at", "fields"} <= value.keys():
            raise ConfigError(f"{file} is damaged: line {number + 1} is no entry; nothing was imported")
        else:
            entries += 1
        digest.update(line)
    raise ConfigError(f"{file} is cut off: its last line is missing; nothing was imported")


def load(file: Path, send: Callable[[list[Any]], Any]) -> dict[str, int]:
    """Send the entries of a file that was checked, a page at a time; what became of them, added up."""
    became: Counter[str] = Counter(stored=0, present=0, expired=0, refused=0)
    entries = (value for line in _lines(file) if "id" in (value := _value(line)))
    for page in _pages(entries):
        became.update(send(page))
    return dict(became)


def _pages(entries: Iterator[Any]) -> Iterator[list[Any]]:
    page: list[Any] = []
    for entry in entries:
        page.append(entry)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with _opened(file, file, "rb") as stream:
            while line := stream.readline(MAX_LINE_BYTES):
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{file} cannot be read ({type(error).__name__}); nothing was imported") from None


def _value(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def _opened(file: Path, path: Path, mode: str) -> IO[bytes]:
    opened: Any = gzip.open if file.name.endswith(".gz") else open
    return opened(path, mode)  # type: ignore[no-any-return]
