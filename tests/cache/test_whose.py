"""Whose an entry is, as digests."""

from __future__ import annotations

from helix.cache.whose import Whose


def test_a_digest_says_nothing_and_is_the_same_everywhere() -> None:
    """It depends on the secret, the name and what it names, and holds no name."""
    whose = Whose("secret")
    assert whose.user("alice") == Whose(b"secret").user("alice")
    digests = {whose.user("alice"), whose.user("bob"), whose.partition("alice"), Whose("other").user("alice")}
    assert len(digests) == 4
    assert not any("alice" in digest for digest in digests)
    assert Whose().user("\ud800").startswith("u_")


def test_both_users_of_a_request() -> None:
    """The key's, and whom the request names in any dialect; a placeholder names nobody, and neither does nothing."""
    whose = Whose()
    assert whose.users("alice", {"user": "end-7"}) == (whose.user("alice"), whose.user("end-7"))
    assert whose.users("", {"metadata": {"user_id": "end-7"}, "safety_identifier": "x"}) == (
        whose.user("x"),
        whose.user("end-7"),
    )
    assert whose.users("alice", {"user": "alice"}) == (whose.user("alice"),)
    assert whose.users("", {"user": "<EMAIL_ADDRESS_1>", "metadata": {"user_id": ""}}) == ()
    assert whose.users("", {"user": 7, "metadata": ["user_id"]}) == ()


def test_an_administrator_may_say_the_digest() -> None:
    """A name, or what a list showed; nobody who stores can be taken for another by a name like a digest."""
    whose = Whose()
    digest = whose.user("alice")
    assert whose.meant_user("alice") == whose.meant_user(digest) == digest
    assert whose.meant_partition(whose.partition("k_1")) == whose.meant_partition("k_1") == whose.partition("k_1")
    assert whose.user(digest) != digest
    assert whose.meant_user(whose.partition("k_1")) != whose.partition("k_1")
