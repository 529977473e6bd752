"""How answers and questions are written: compressed, encrypted where there are keys, bound to their entry.

    version (1 byte), flags (1 byte), then
    in the clear   crc32 (4 bytes) of what it belongs to and the payload, payload
    encrypted      key id (4), nonce (12), ciphertext, tag (16) of the payload, authenticated with what it belongs to

An answer belongs to its entry's id, a question to that and its scope: neither is read where another one's should be.

The payload is a zstd frame (RFC 8878) where that is shorter. That of an answer is one line of JSON about it, then its
own bytes.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple
from typing import Literal, TypeAlias
from zlib import crc32

import orjson
from backports import zstd

from helix.cache.cipher import Cipher, UnknownKey
from helix.cache.skeleton import SKELETON
from helix.kernel.types import Entry, Usage

__all__ = ["Codec", "Unreadable"]

log = logging.getLogger("helix.cache")

Unreadable: TypeAlias = Literal["version", "key", "clear", "damaged"]
"""Why something kept cannot be read: written by another version; encrypted with a key that is not among ours; not
encrypted, though it should be; or else damaged, or not what was asked for."""

_WORDS: dict[Unreadable, str] = {
    "version": "another version of Helix wrote it",
    "key": "none of helix.cache.encryption_keys opens it",
    "clear": "it is not encrypted, though helix.cache.encryption_keys are set",
    "damaged": "it is damaged, or does not belong where it is",
}

MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""More than any answer has; what claims to be longer is not unpacked."""

_VERSION = 2  # also stands for SKELETON: another dictionary is another version
_COMPRESSED, _ENCRYPTED = 1, 2
_CRC_BYTES = 4
_LEVEL = 3  # higher ones take many times as long for two bytes in a hundred


class Codec:
    """Packs answers and questions, and counts what it could not read; a `cipher` encrypts them, and decrypts.

    With a cipher nothing is read that is not encrypted: whoever can write to the store could have put it there.
    """

    def __init__(self, cipher: Cipher | None = None) -> None:
        self._cipher = cipher
        self._unreadable: Counter[Unreadable] = Counter()
        dictionary = zstd.ZstdDict(SKELETON, is_raw=True)
        self._dictionary = dictionary.as_digested_dict
        self._compressor = zstd.ZstdCompressor(level=_LEVEL, zstd_dict=self._dictionary)

    @property
    def unreadable(self) -> Mapping[Unreadable, int]:
        """How often something could not be read, by reason, since the process started."""
        return self._unreadable

    def pack(self, entry: Entry) -> bytes:
        """The bytes of an answer. Its id is not among them: the store has it for a key."""
        about = {
            "d": entry.dialect,
            "m": entry.model,
            "t": entry.stored_at,
            "h": entry.headers,
            "u": None if entry.usage is None else astuple(entry.usage),
        }
        return self._wrap(b"answer:" + entry.id.encode(), b"".join((orjson.dumps(about), b"\n", entry.body)))

    def unpack(self, id: str, value: bytes) -> Entry | None:
        """The answer in some bytes; None, counted, where they cannot be read, which is a miss."""
        payload = self._unwrap(b"answer:" + id.encode(), value)
        if payload is None:
            return None
        head, _, body = payload.partition(b"\n")
        try:
            about = orjson.loads(head)
            usage = about["u"]
            return Entry(
                id=id,
                dialect=about["d"],
                model=about["m"],
                body=body,
                stored_at=about["t"],
                headers=tuple((name, value) for name, value in about["h"]),
                namespace=id.rpartition(":")[0],
                usage=None if usage is None else Usage(*usage),
            )
        except (ValueError, KeyError, TypeError):
            self._count("damaged")
            return None

    def pack_text(self, id: str, scope: str, text: str) -> bytes:
        """The bytes of an entry's question. Raises UnicodeEncodeError for half a surrogate pair."""
        return self._wrap(_question(id, scope), text.encode())

    def unpack_text(self, id: str, scope: str, value: bytes) -> str | None:
        """The question in some bytes; None, counted, where they cannot be read."""
        payload = self._unwrap(_question(id, scope), value)
        try:
            return None if payload is None else payload.decode()
        except UnicodeDecodeError:
            self._count("damaged")
            return None

    # Inside

    def _wrap(self, about: bytes, payload: bytes) -> bytes:
        flags = 0
        compressed = self._compressor.compress(payload, self._compressor.FLUSH_FRAME)
        if len(compressed) < len(payload):
            payload, flags = compressed, _COMPRESSED
        if self._cipher is None:
            return bytes((_VERSION, flags)) + _checksum(about, payload) + payload
        front = bytes((_VERSION, flags | _ENCRYPTED))
        return front + self._cipher.seal(payload, front + about)

    def _unwrap(self, about: bytes, value: bytes) -> bytes | None:
        found = self._opened(about, value)
        if isinstance(found, bytes):
            return found
        self._count(found)
        return None

    def _count(self, reason: Unreadable) -> None:
        if not self._unreadable[reason]:
            log.warning("what the cache keeps cannot be read, which is a miss: %s", _WORDS[reason])
        self._unreadable[reason] += 1

    def _opened(self, about: bytes, value: bytes) -> bytes | Unreadable:
        front, rest = value[:2], value[2:]
        if len(front) < 2 or front[0] != _VERSION or front[1] & ~(_COMPRESSED | _ENCRYPTED):
            return "version"
        payload: bytes | None
        if front[1] & _ENCRYPTED:
            if self._cipher is None:
                return "key"
            try:
                payload = self._cipher.open(rest, front + about)
            except UnknownKey:
                return "key"
        elif self._cipher is not None:
            return "clear"
        else:
            payload = rest[_CRC_BYTES:] if rest[:_CRC_BYTES] == _checksum(about, rest[_CRC_BYTES:]) else None
        if payload is not None and front[1] & _COMPRESSED:
            payload = self._decompressed(payload)
        return "damaged" if payload is None else payload

    def _decompressed(self, frame: bytes) -> bytes | None:
        decompressor = zstd.ZstdDecompressor(zstd_dict=self._dictionary)
        try:
            payload = decompressor.decompress(frame, MAX_PAYLOAD_BYTES)
        except zstd.ZstdError:
            return None
        return payload if decompressor.eof and not decompressor.unused_data else None


def _question(id: str, scope: str) -> bytes:
    return f"question:{scope}:{id}".encode()


def _checksum(about: bytes, payload: bytes) -> bytes:
    return crc32(payload, crc32(about)).to_bytes(_CRC_BYTES, "big")
