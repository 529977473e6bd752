"""Personal data as ciphertext that whoever holds the key can read, in the form of Presidio's operators."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

__all__ = ["KEY_BYTES", "decrypted", "encrypted"]

KEY_BYTES = (16, 24, 32)
"""The lengths of an AES key."""

_CIPHERTEXT = re.compile(r"<[A-Z][A-Z0-9_]*:([A-Za-z0-9_-]{40,}={0,2})>")
_VECTOR_BYTES = 16


def encrypted(value: str, key: bytes) -> str:
    """What Presidio's operator `encrypt` makes of a value (AES in CBC mode, urlsafe base64 of the vector and the rest).

    The initialisation vector is derived from the value under the key, where Presidio draws one at random: the same
    value has the same ciphertext, so that a history that is sent again is the same text, and nothing more shows.
    """
    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    data = value.encode("utf-8", "surrogatepass")
    vector = _vector(data, key)
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    padded = padder.update(data) + padder.finalize()
    return urlsafe_b64encode(vector + encryptor.update(padded) + encryptor.finalize()).decode()


def decrypted(text: str, key: bytes) -> tuple[str, int]:
    """A text with its `<KIND:ciphertext>` as values, by Presidio's operator `decrypt`, and how many it could not read.

    What was encrypted with another key, or altered, stays as it is: the vector tells. Raises ImportError where
    presidio-anonymizer is not installed.
    """
    from presidio_anonymizer.operators import Decrypt

    unread = 0

    def value_of(match: re.Match[str]) -> str:
        nonlocal unread
        ciphertext = match.group(1)
        try:
            value = str(Decrypt().operate(ciphertext, {"key": key}))
            if hmac.compare_digest(_vector(value.encode(), key), urlsafe_b64decode(ciphertext)[:_VECTOR_BYTES]):
                return value
        except ValueError:  # no base64, no whole block, no padding or no UTF-8
            pass
        unread += 1
        return match.group()

    return _CIPHERTEXT.sub(value_of, text), unread


def _vector(data: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"helix redact encrypt\0" + data, "sha256")[:_VECTOR_BYTES]
