"""Whose an entry is, as digests: an administrator can name a user or a partition, and nobody can read one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

__all__ = ["Whose"]

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*_\d+>", re.ASCII)
_DIGEST = re.compile(r"[pu]_[0-9a-f]{24}", re.ASCII)


class Whose:
    """Digests of partitions (`p_…`) and users (`u_…`) under a secret; the same for all processes that share a store."""

    __slots__ = ("_key",)

    def __init__(self, secret: str | bytes = b"") -> None:
        given = secret.encode() if isinstance(secret, str) else secret
        self._key = blake2b(given, digest_size=32, person=b"helix whose").digest()

    def partition(self, name: str) -> str:
        """The digest of a partition."""
        return self._digest("p_", name)

    def user(self, name: str) -> str:
        """The digest of a user."""
        return self._digest("u_", name)

    def meant_partition(self, said: str) -> str:
        """The digest that an administrator means, who says a name or the digest itself."""
        return said if said.startswith("p_") and _DIGEST.fullmatch(said) else self.partition(said)

    def meant_user(self, said: str) -> str:
        """The digest that an administrator means, who says a name or the digest itself."""
        return said if said.startswith("u_") and _DIGEST.fullmatch(said) else self.user(said)

    def users(self, keys_user: str, request: Mapping[str, Any]) -> tuple[str, ...]:
        """Digests of a key's user and of the end user whom the request names, each where there is one.

        Where redaction put a placeholder in the name's place, nobody is named.
        """
        metadata = request.get("metadata")
        named = (
            keys_user,
            request.get("user"),
            request.get("safety_identifier"),
            metadata.get("user_id") if isinstance(metadata, Mapping) else None,
        )
        names = dict.fromkeys(name for name in named if isinstance(name, str) and name)
        return tuple(self.user(name) for name in names if not _PLACEHOLDER.search(name))

    def _digest(self, kind: str, name: str) -> str:
        given = f"{kind}{name}".encode("utf-8", "surrogatepass")
        return kind + blake2b(given, key=self._key, digest_size=12).hexdigest()
