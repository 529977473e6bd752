"""AES-256-GCM with several keys: the first one seals, each of them opens what it sealed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_ID_BYTES", "Cipher", "UnknownKey"]

MIN_SECRET_CHARS = 32
KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16


class UnknownKey(Exception):
    """None of the keys has the id that a ciphertext names."""


class Cipher:
    """Seals with the first of some secrets and opens with any, so that changing keys loses nothing that is kept.

    A secret is text of at least 32 characters, for example of `openssl rand -base64 32`; key and key id derive
    from it by HKDF-SHA256 (RFC 5869). Nonces are random, which is sound for 2^32 messages a key (NIST SP 800-38D, 8.3).
    Raises ValueError for a secret that is too short or given twice, ImportError without `cryptography`.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # OpenSSL takes a while to load

        if not secrets:
            raise ValueError("encryption needs a key")
        self._keys: dict[bytes, AESGCM] = {}
        for secret in secrets:
            if len(secret) < MIN_SECRET_CHARS:
                raise ValueError(f"an encryption key must have at least {MIN_SECRET_CHARS} characters")
            id = _derived(secret, b"id")[:KEY_ID_BYTES]
            if id in self._keys:
                raise ValueError("an encryption key is given twice")
            self._keys[id] = AESGCM(_derived(secret, b"key"))
        self._id, self._key = next(iter(self._keys.items()))

    def __repr__(self) -> str:
        return f"<Cipher of {len(self._keys)} keys>"

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """Key id, nonce, ciphertext and tag; opened only with the same `about`, which is not part of it."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._id + nonce + self._key.encrypt(nonce, plain, about)

    def open(self, sealed: bytes, about: bytes) -> bytes | None:
        """What was sealed; None where it was damaged, or is not about this. Raises UnknownKey."""
        if len(sealed) < KEY_ID_BYTES + _NONCE_BYTES + _TAG_BYTES:
            return None
        key = self._keys.get(sealed[:KEY_ID_BYTES])
        if key is None:
            raise UnknownKey
        from cryptography.exceptions import InvalidTag

        nonce, rest = sealed[KEY_ID_BYTES : KEY_ID_BYTES + _NONCE_BYTES], sealed[KEY_ID_BYTES + _NONCE_BYTES :]
        try:
            return key.decrypt(nonce, rest, about)
        except InvalidTag:
            return None


def _derived(secret: str, purpose: bytes) -> bytes:
    # HKDF for one block of output: extract, then expand.
    extracted = digest(b"helix.cache", secret.encode(), sha256)
    return digest(extracted, b"aes-256-gcm " + purpose + b"\x01", sha256)
