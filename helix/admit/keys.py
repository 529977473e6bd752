"""Virtual keys: their form, where they are kept, and who somebody is by the key they show."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Protocol, TypeVar

from helix.admit.limits import RequestLimiter
from helix.kernel.errors import BackendUnavailable, Unauthenticated
from helix.kernel.exchange import credential_of
from helix.kernel.types import Principal, Scope

__all__ = ["ANONYMOUS", "MASTER", "Authority", "KeyStore", "StoredKey", "id_of", "new_key"]

V = TypeVar("V")

PREFIX = "sk-hx-"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH, _SECRET_LENGTH, _CHECK_LENGTH = 10, 32, 6  # 190 bits of secret; 62^6 holds a CRC-32
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_ID_LENGTH + _SECRET_LENGTH + _CHECK_LENGTH}}}")

MASTER = Principal("master", "master key", is_admin=True)
"""Whoever has the master key."""

ANONYMOUS = Principal("anonymous", "anonymous")
"""Everybody, where no key is asked for."""

_LOCAL_ADMIN = Principal("anonymous", "anonymous", is_admin=True)
# A name that somebody else's DNS may lead here (rebinding), or a foreign page (cross-site request), is none of these.
_LOOPBACK = re.compile(rb"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
_PROXIED = frozenset((b"forwarded", b"x-forwarded-for", b"x-real-ip"))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A virtual key as it is kept; the key itself is not."""

    principal: Principal
    created_at: float
    """Unix time in seconds."""
    revoked: bool = False


class KeyStore(Protocol):
    """Keeps virtual keys, as keyed hashes. Every method may raise BackendUnavailable."""

    @property
    def limiter(self) -> RequestLimiter:
        """Where the requests made with these keys are counted."""
        ...

    async def create(self, principal: Principal) -> tuple[StoredKey, str]:
        """Make a key. `key_id` of what is given is ignored, and an empty scope of a budget becomes that of the key.

        Returns what is stored, and the key, which nobody can see again.
        """
        ...

    async def find(self, credential: str) -> StoredKey | None:
        """What is stored of a key, revoked or not; None for one that was never made."""
        ...

    async def list(self) -> Sequence[StoredKey]:
        """All keys, the revoked ones too."""
        ...

    async def revoke(self, key_id: str) -> bool:
        """Make a key open nothing any more, for good; False where there is no such key."""
        ...


def new_key() -> str:
    """A new key: the prefix, an id, a secret, and a checksum by which a mistyped or made-up key is known offline."""
    body = "".join(secrets.choice(_DIGITS) for _ in range(_ID_LENGTH + _SECRET_LENGTH))
    return PREFIX + body + _checksum(body)


def id_of(key: str) -> str:
    """The id of a key's principal: part of the key, and no secret."""
    return "k_" + key[len(PREFIX) : len(PREFIX) + _ID_LENGTH]


def is_well_formed(credential: str) -> bool:
    """Whether this can be a key at all."""
    if _FORM.fullmatch(credential) is None:
        return False
    return _checksum(credential[len(PREFIX) : -_CHECK_LENGTH]) == credential[-_CHECK_LENGTH:]


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


class Authority:
    """Says who is calling, by the credential they show.

    What the store says of a key is remembered for `cache_seconds`, so that is how long revoking takes; unknown keys
    are remembered too, in a memory of their own. While the store is down, keys that were good when last looked up
    stay good. With `auth` off everybody is let in, and whoever calls from this very machine, not through a proxy, is
    an administrator, unless `trusts_loopback` is false: behind a proxy that says nothing of its callers all of them
    come from this machine.
    """

    MAX_KNOWN = 100_000
    MAX_UNKNOWN = 10_000

    def __init__(
        self,
        keys: KeyStore,
        *,
        master_key: str | None = None,
        auth: bool = True,
        trusts_loopback: bool = True,
        cache_seconds: float = 5.0,
    ) -> None:
        if cache_seconds < 0:
            raise ValueError("cache_seconds must not be negative")
        if master_key is not None and not master_key:
            raise ValueError("master_key must not be empty")
        self.keys = keys
        self._auth = auth
        self._trusts_loopback = trusts_loopback
        self._cache_seconds = cache_seconds
        # Keys are remembered by a digest that means nothing outside this process, not as they are.
        self._salt = secrets.token_bytes(32)
        self._master = None if master_key is None else self._digest(master_key)
        self._known: dict[bytes, tuple[float, StoredKey]] = {}
        self._unknown: dict[bytes, float] = {}

    async def authorize(self, scope: Scope) -> Principal:
        """Who is making this HTTP request. Raises Unauthenticated, BackendUnavailable."""
        if not self._auth:
            if self._master is not None and self._digest(credential_of(scope)) == self._master:
                return MASTER
            return _LOCAL_ADMIN if self._trusts_loopback and _is_local(scope) else ANONYMOUS
        return await self.principal_of(credential_of(scope))

    async def principal_of(self, credential: str) -> Principal:
        """Whose credential this is. Raises Unauthenticated, BackendUnavailable."""
        if not credential:
            raise _unauthenticated("no API key was sent; send `Authorization: Bearer <key>`")
        digest = self._digest(credential)
        now = time.monotonic()
        found = self._known.get(digest)
        if found is not None and now < found[0]:
            return _alive(found[1])
        if self._master is not None and compare_digest(digest, self._master):
            return MASTER
        if not is_well_formed(credential) or now < self._unknown.get(digest, now):
            raise _unauthenticated("the API key is not known")
        return _alive(await self._look_up(credential, digest, now, found[1] if found is not None else None))

    async def _look_up(self, credential: str, digest: bytes, now: float, last: StoredKey | None) -> StoredKey:
        try:
            stored = await self.keys.find(credential)
        except BackendUnavailable:
            if last is None:
                raise
            stored = last
        if stored is None:
            _remember(self._unknown, digest, now + self._cache_seconds, self.MAX_UNKNOWN)
            raise _unauthenticated("the API key is not known")
        _remember(self._known, digest, (now + self._cache_seconds, stored), self.MAX_KNOWN)
        return stored

    def _digest(self, credential: str) -> bytes:
        return blake2b(credential.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=16).digest()


def _remember(memory: dict[bytes, V], digest: bytes, value: V, size: int) -> None:
    memory.pop(digest, None)
    if len(memory) >= size:
        del memory[next(iter(memory))]
    memory[digest] = value


def _alive(stored: StoredKey) -> Principal:
    if stored.revoked:
        raise _unauthenticated("the API key was revoked")
    return stored.principal


def _unauthenticated(message: str) -> Unauthenticated:
    return Unauthenticated(message, None, (("www-authenticate", "Bearer"),))


def _is_local(scope: Scope) -> bool:
    """Whether a request was made on this machine, and not by a page of somebody else's in a browser here."""
    client = scope.get("client")
    for name, value in scope["headers"]:
        if name in _PROXIED:
            return False
        if name in (b"host", b"origin") and not _LOOPBACK.fullmatch(value.partition(b"://")[2] or value):
            return False
    if client is None:
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
