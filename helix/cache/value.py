"""How an entry is written: a version byte, one line of JSON about the answer, the answer's own bytes."""

from __future__ import annotations

from dataclasses import astuple
from zlib import crc32

import orjson

from helix.kernel.types import Entry, Usage

__all__ = ["pack", "unpack"]

_VERSION = b"\x01"


def pack(entry: Entry) -> bytes:
    """The bytes of an entry; its id is not among them, the store's key is."""
    about = {
        "dialect": entry.dialect,
        "model": entry.model,
        "stored_at": entry.stored_at,
        "headers": entry.headers,
        "usage": None if entry.usage is None else astuple(entry.usage),
        "crc32": crc32(entry.body),
    }
    return b"".join((_VERSION, orjson.dumps(about), b"\n", entry.body))


def unpack(id: str, value: bytes) -> Entry | None:
    """The entry in some bytes; None where they are of another version or damaged, which is a miss."""
    if value[:1] != _VERSION:
        return None
    head, _, body = value[1:].partition(b"\n")
    try:
        about = orjson.loads(head)
        if about["crc32"] != crc32(body):
            return None
        usage = about["usage"]
        return Entry(
            id=id,
            dialect=about["dialect"],
            model=about["model"],
            body=body,
            stored_at=about["stored_at"],
            headers=tuple((name, value) for name, value in about["headers"]),
            namespace=id.rpartition(":")[0],
            usage=None if usage is None else Usage(*usage),
        )
    except (ValueError, KeyError, TypeError):
        return None
