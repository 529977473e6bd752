from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis

from helix.admit.keys import ANONYMOUS, MASTER, Authority, StoredKey, id_of, is_well_formed, new_key
from helix.admit.redis import RedisKeyStore, RedisLimiter
from helix.embedded.redis import EmbeddedRedis
from helix.kernel.errors import BackendUnavailable, Unauthenticated
from helix.kernel.types import Limit, Money, Principal

SOMEBODY = Principal(
    "ignored",
    "ci",
    user="u1",
    team="t1",
    organization="o1",
    models=("gpt",),
    tags=("a", "b"),
    rpm=5,
    parallel=2,
    budgets=(Limit("", "day", Money(5)), Limit("team:t1", "month", Money(7), "research")),
    metadata={"cost centre": 4},
)


class Counting:
    """A key store that counts how often it is asked."""

    def __init__(self, store: RedisKeyStore) -> None:
        self.store = store
        self.asked = 0

    @property
    def limiter(self) -> RedisLimiter:
        return self.store.limiter

    async def create(self, principal: Principal) -> tuple[StoredKey, str]:
        return await self.store.create(principal)

    async def find(self, credential: str) -> StoredKey | None:
        self.asked += 1
        return await self.store.find(credential)

    async def list(self) -> Sequence[StoredKey]:
        return await self.store.list()

    async def revoke(self, key_id: str) -> bool:
        return await self.store.revoke(key_id)


async def why(authority: Authority, credential: str) -> str:
    with pytest.raises(Unauthenticated) as error:
        await authority.principal_of(credential)
    assert dict(error.value.headers) == {"www-authenticate": "Bearer"}
    assert not credential or credential not in error.value.message
    return error.value.message


def test_a_key_says_what_it_is_and_whether_it_can_be_one() -> None:
    """A prefix that scanners find, 190 bits of secret, a checksum; its id is part of it."""
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    for key in keys:
        assert re.fullmatch(r"sk-hx-[0-9A-Za-z]{48}", key)
        assert is_well_formed(key)
        assert id_of(key) == f"k_{key[6:16]}"
        assert not is_well_formed(key[:-1] + ("A" if key[-1] != "A" else "B"))
    assert not is_well_formed("sk-hx-")
    assert not is_well_formed("")


async def test_a_key_is_stored_whole_but_for_the_key(store: RedisKeyStore, redis_url: str, redis_prefix: str) -> None:
    """Everything of the principal comes back; what is in Redis does not open anything."""
    stored, key = await store.create(SOMEBODY)
    assert await store.find(key) == stored
    who = stored.principal
    assert who.key_id == id_of(key)
    assert who.budgets == (Limit(f"key:{who.key_id}", "day", Money(5)), SOMEBODY.budgets[1])
    assert (who.name, who.models, who.tags, who.rpm, who.metadata) == ("ci", ("gpt",), ("a", "b"), 5, SOMEBODY.metadata)
    assert await store.list() == [stored]
    client = Redis.from_url(redis_url)
    for name in [name async for name in client.scan_iter(f"{redis_prefix}*")]:
        everything = await client.hgetall(name)
        assert not any(
            key.encode() in part or key[16:].encode() in part for pair in everything.items() for part in pair
        )
        assert await client.ttl(name) == -1
    await client.aclose()


async def test_a_hash_means_nothing_under_another_secret(
    store: RedisKeyStore, redis_url: str, redis_prefix: str
) -> None:
    """Keyed: a copy of Redis alone does not tell whether a key is in it."""
    _, key = await store.create(SOMEBODY)
    other = RedisKeyStore(redis_url, secret="another secret of another", prefix=redis_prefix)
    assert await other.find(key) is None
    await other.close()


async def test_many_keys_are_listed_all(store: RedisKeyStore) -> None:
    """More than one page of Redis' scan."""
    made = await asyncio.gather(*(store.create(Principal("", f"n{i}")) for i in range(1500)))
    assert {stored.principal.key_id for stored in await store.list()} == {stored.principal.key_id for stored, _ in made}


async def test_missing_unknown_and_revoked_are_told_apart(store: RedisKeyStore) -> None:
    """Three messages, none of which repeats what was sent."""
    stored, key = await store.create(SOMEBODY)
    authority = Authority(store, cache_seconds=0)
    assert await authority.principal_of(key) == stored.principal
    assert "no API key was sent" in await why(authority, "")
    assert "not known" in await why(authority, "sk-something-else")
    assert "not known" in await why(authority, new_key())
    assert await store.revoke(stored.principal.key_id) is True
    assert "revoked" in await why(authority, key)
    assert (await store.list())[0].revoked is True
    assert await store.revoke("k_nobody") is False


async def test_keys_are_remembered_and_revoking_takes_that_long(store: RedisKeyStore) -> None:
    """One question per key and period, for good keys and bad ones."""
    counting = Counting(store)
    stored, key = await store.create(SOMEBODY)
    authority = Authority(counting, cache_seconds=3600)
    made_up = new_key()
    for _ in range(5):
        await authority.principal_of(key)
        await why(authority, made_up)
    assert counting.asked == 2
    await store.revoke(stored.principal.key_id)
    assert await authority.principal_of(key) == stored.principal
    assert "revoked" in await why(Authority(counting, cache_seconds=0), key)


async def test_a_flood_of_made_up_keys_asks_nobody(store: RedisKeyStore) -> None:
    """Without a right checksum they are known to be wrong offline."""
    counting = Counting(store)
    authority = Authority(counting)
    for index in range(1000):
        await why(authority, f"sk-hx-{index:048d}")
    assert counting.asked == 0


async def test_what_is_remembered_is_bounded(store: RedisKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of well-formed bad keys neither grows the memory nor pushes good keys out of it."""
    monkeypatch.setattr(Authority, "MAX_UNKNOWN", 10)
    counting = Counting(store)
    authority = Authority(counting, cache_seconds=3600)
    _, key = await store.create(SOMEBODY)
    await authority.principal_of(key)
    for _ in range(50):
        await why(authority, new_key())
    assert len(authority._unknown) == 10
    asked = counting.asked
    await authority.principal_of(key)
    assert counting.asked == asked


async def test_the_master_key_opens_everything_without_a_store() -> None:
    """Redis need not even be there."""
    store = RedisKeyStore("redis://127.0.0.1:1", secret="a secret of this server")
    authority = Authority(store, master_key="sk-master")
    assert await authority.principal_of("sk-master") is MASTER
    await why(authority, "sk-mastes")
    await store.close()


async def test_while_redis_is_gone_keys_that_were_good_stay_good(tmp_path: Path) -> None:
    """Others cannot be looked up: 503, not 401. Once it is back, what it says holds again."""
    server = EmbeddedRedis(tmp_path / "redis")
    store = RedisKeyStore(await server.open(), secret="a secret of this server")
    stored, key = await store.create(SOMEBODY)
    _, other = await store.create(SOMEBODY)
    authority = Authority(store, cache_seconds=0)
    await authority.principal_of(key)
    await server.close()
    assert await authority.principal_of(key) == stored.principal
    with pytest.raises(BackendUnavailable):
        await authority.principal_of(other)
    await server.open()
    await store.revoke(stored.principal.key_id)
    assert "revoked" in await why(authority, key)
    await store.close()
    await server.close()


@pytest.mark.parametrize(
    ("client", "headers", "is_admin"),
    [
        (("127.0.0.1", 1), [], True),
        (("::1", 1), [], True),
        (("127.9.9.9", 1), [], True),
        (("203.0.113.9", 1), [], False),
        (("127.0.0.1", 1), [(b"x-forwarded-for", b"203.0.113.9")], False),
        (("127.0.0.1", 1), [(b"host", b"localhost:8080"), (b"origin", b"http://127.0.0.1:8080")], True),
        (("::1", 1), [(b"host", b"[::1]:8080")], True),
        (("127.0.0.1", 1), [(b"host", b"evil.example")], False),
        (("127.0.0.1", 1), [(b"host", b"localhost.evil.example")], False),
        (("127.0.0.1", 1), [(b"host", b"127.0.0.1.evil.example:8080")], False),
        (("127.0.0.1", 1), [(b"host", b"localhost"), (b"origin", b"https://evil.example")], False),
        (("127.0.0.1", 1), [(b"host", b"localhost"), (b"origin", b"null")], False),
        (("testclient", 1), [], False),
        (None, [], False),
    ],
)
async def test_with_auth_off_only_this_machine_is_an_administrator(
    store: RedisKeyStore, client: tuple[str, int] | None, headers: list[tuple[bytes, bytes]], is_admin: bool
) -> None:
    """Everybody is let in; whoever comes through a proxy, or is led here by a foreign page or name, is not local."""
    authority = Authority(store, auth=False)
    who = await authority.authorize({"type": "http", "client": client, "headers": headers})
    assert (who.key_id, who.is_admin) == ("anonymous", is_admin)


async def test_behind_a_proxy_nobody_is_local(store: RedisKeyStore) -> None:
    """`trusts_loopback` off: an address on this machine says nothing about who it is."""
    authority = Authority(store, auth=False, trusts_loopback=False)
    for headers in ([], [(b"host", b"localhost")]):
        who = await authority.authorize({"type": "http", "client": ("127.0.0.1", 1), "headers": headers})
        assert (who.key_id, who.is_admin) == ("anonymous", False)


async def test_the_master_key_opens_administration_with_auth_off(store: RedisKeyStore) -> None:
    """From anywhere; a wrong one is like none."""
    authority = Authority(store, auth=False, master_key="sk-master", trusts_loopback=False)

    async def who(key: bytes) -> Principal:
        headers = [(b"authorization", b"Bearer " + key), (b"host", b"gateway.example")]
        return await authority.authorize({"type": "http", "client": ("203.0.113.9", 1), "headers": headers})

    assert await who(b"sk-master") == MASTER
    assert await who(b"sk-mastex") == ANONYMOUS


def test_wrong_values_are_said_at_once(store: RedisKeyStore) -> None:
    """ValueError, before anything is opened."""
    with pytest.raises(ValueError, match="16 characters"):
        RedisKeyStore("redis://127.0.0.1:1", secret="short")
    with pytest.raises(ValueError, match="cache_seconds"):
        Authority(store, cache_seconds=-1)
    with pytest.raises(ValueError, match="master_key"):
        Authority(store, master_key="")
