from __future__ import annotations

from typing import Any

import pytest

from helix.cache import CacheMiddleware
from helix.cache.partition import Share, partition_by
from helix.cache.promise.learning import Promise
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.exchange import attach
from helix.kernel.types import ASGIApp, Principal, Receive, Scope, Send

from .conftest import CHAT, Provider, ask, chat

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"

ANN = Principal("k1", user="ann", team="support", organization="acme")
ANNS_OTHER_KEY = Principal("k2", user="ann", team="sales", organization="acme")
BOB = Principal("k3", user="bob", team="support", organization="acme")
CARL = Principal("k4", user="carl", team="sales", organization="acme")
NAMESAKE = Principal("k5", user="ann", team="support", organization="other")
NOBODY = Principal("k6")
NOBODY_ELSE = Principal("k7")
NAMED_LIKE_A_TEAM = Principal("team:acme/support")
NAMED_LIKE_BOTH = Principal("k8", user="acme/ann", team="acme/support", organization="")
EVERYBODY = (ANN, ANNS_OTHER_KEY, BOB, CARL, NAMESAKE, NOBODY, NOBODY_ELSE, NAMED_LIKE_A_TEAM, NAMED_LIKE_BOTH)
SHARES: list[Share] = ["key", "user", "team", "organization", "everyone"]

# Who beside himself is given Ann's answers.
FRIENDS: dict[Share, tuple[Principal, ...]] = {
    "key": (),
    "user": (ANNS_OTHER_KEY,),
    "team": (BOB,),
    "organization": (ANNS_OTHER_KEY, BOB, CARL),
    "everyone": EVERYBODY[1:],
}


class As:
    """An admit stage that knows who calls by a header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = dict(scope["headers"]).get(b"x-who")
        exchange = attach(scope, receive)
        exchange.principal = EVERYBODY[int(who)] if who is not None else None
        await self.app(scope, receive, send)


def named(who: Principal) -> dict[str, str]:
    return {"x-who": str(EVERYBODY.index(who))}


@pytest.mark.parametrize("share", SHARES)
async def test_who_shares_with_whom(
    share: Share, provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """Exact and semantic: those of one key, user, team, organization; the same name elsewhere is somebody else."""
    unchecked = Promise(check_share=0.0)  # a check in the background keeps an answer of the near question's own
    app = CacheMiddleware(
        provider, store=store, embedder=embedder, share=share, promise=unchecked, semantic_timeout_seconds=60.0
    )
    await ask(As(app), CHAT, chat(ASKED), named(ANN))
    for friend in (ANN, *FRIENDS[share]):
        assert (await ask(As(app), CHAT, chat(AGAIN), named(friend))).cache == "semantic"
        assert (await ask(As(app), CHAT, chat(ASKED), named(friend))).cache == "exact"
    for other in EVERYBODY[1:]:
        if other not in FRIENDS[share]:
            for text in (AGAIN, ASKED):  # those who are no friends of Ann's may be friends
                reply = await ask(As(app), CHAT, chat(text), named(other))
                assert reply.json["choices"][0]["message"]["content"] != "answer 1"
    await app.close()


@pytest.mark.parametrize("share", SHARES)
async def test_who_is_not_known_shares_with_nobody(share: Share, provider: Provider, store: RedisCacheStore) -> None:
    """A caller without a user, team or organization has answers of his own; so has a credential nobody admitted."""
    app = CacheMiddleware(provider, store=store, mode="exact", share=share)
    kept = "exact" if share == "everyone" else "miss"
    assert (await ask(As(app), CHAT, chat(ASKED), named(NOBODY))).cache == "miss"
    assert (await ask(As(app), CHAT, chat(ASKED), named(NOBODY_ELSE))).cache == kept
    assert (await ask(As(app), CHAT, chat(ASKED), {"authorization": "Bearer sk-one"})).cache == kept
    assert (await ask(As(app), CHAT, chat(ASKED), {"authorization": "Bearer sk-two"})).cache == kept
    for headers in (named(NOBODY), named(NOBODY_ELSE), {"authorization": "Bearer sk-one"}):
        assert (await ask(As(app), CHAT, chat(ASKED), headers)).cache == "exact"
    await app.close()


def test_a_wrong_share() -> None:
    """Is refused when the stage is made."""
    wrong: Any = "all"
    with pytest.raises(ValueError, match="share must be one of key, user, team, organization, everyone"):
        partition_by(wrong)
