"""Whose budgets a request is held against."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from helix.budget.scopes import Rule, Rules, identity_of
from helix.kernel.exchange import Exchange
from helix.kernel.types import Limit, Money, Principal

ADA = Principal("k_1", "web", user="ada@example.com", team="research", organization="acme", tags=("prod", "eu"))


async def asked(
    principal: Principal | None = None, header: str = "", path: str = "chat/completions", **more: Any
) -> Exchange:
    """A request that has been read."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **more}

    async def receive() -> Any:
        return {"type": "http.request", "body": orjson.dumps(body), "more_body": False}

    headers = [(b"x-helix-end-user", header.encode())] if header else []
    scope = {"type": "http", "method": "POST", "path": f"/v1/{path}", "headers": headers}
    exchange = Exchange(scope, receive)
    exchange.principal = principal
    await exchange.read()
    return exchange


def rule(kind: str, of: str | None = None, window: str = "day") -> Rule:
    return Rule(Limit(kind, window, Money(5), f"{kind} {of or 'each'}"), of)


def scopes(rules: Rules, exchange: Exchange) -> list[str]:
    return [limit.scope for limit in rules(exchange)]


async def test_a_request_is_held_against_every_budget_that_applies() -> None:
    """Of everybody, of those that are named, and of each by itself; a tag each."""
    rules = Rules(
        [
            rule("everybody"),
            rule("organization", "acme"),
            rule("organization", "other"),
            rule("team"),
            rule("team", "research", "month"),
            rule("key"),
            rule("model", "gpt-4o"),
            rule("tag"),
            rule("tag", "prod", "total"),
        ]
    )
    found = rules(await asked(ADA))
    assert [(limit.scope, limit.window) for limit in found] == [
        ("everybody", "day"),
        ("organization:acme", "day"),
        ("team:research", "month"),
        ("team:research", "day"),
        ("key:k_1", "day"),
        ("model:gpt-4o", "day"),
        ("tag:prod", "total"),
        ("tag:prod", "day"),
        ("tag:eu", "day"),
    ]
    assert [limit.scope for limit in rules.known] == [
        "everybody",
        "organization:acme",
        "organization:other",
        "team:research",
        "model:gpt-4o",
        "tag:prod",
    ]


async def test_persons_stand_in_no_ledger_key() -> None:
    """A user and an end user are keyed hashes, the same each time and others under another secret."""
    rules, others = (Rules([rule("user"), rule("end_user")], secret=secret) for secret in (b"one" * 9, b"two" * 9))
    exchange = await asked(ADA, user="grace@example.com")
    user, end_user = scopes(rules, exchange)
    assert user.startswith("user:")
    assert end_user.startswith("end_user:")
    assert not any(name in f"{user}{end_user}" for name in ("ada", "grace", "example"))
    assert scopes(rules, exchange) == [user, end_user]
    assert not {user, end_user} & set(scopes(others, exchange))
    named = Rules([rule("user", "ada@example.com")], secret=b"one" * 9)
    assert scopes(named, exchange) == [user]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"user": "u1"}, "chat/completions"),
        ({"safety_identifier": "u1"}, "chat/completions"),
        ({"metadata": {"user_id": "u1"}, "max_tokens": 5}, "messages"),
        ({"header": "u1"}, "chat/completions"),
        ({"header": "u1", "user": "u2"}, "chat/completions"),
    ],
)
async def test_the_end_user_is_whom_the_request_names(more: dict[str, Any], path: str) -> None:
    """By the dialect's field or by the header, which comes first; and as the caller wrote it, whatever is redacted."""
    exchange = await asked(path=path, **more)
    exchange.replace({**exchange.payload, "user": "<PERSON_1>"})
    assert identity_of(exchange)["end_user"] == "u1"


async def test_who_is_not_known_has_no_budget() -> None:
    """No team, no principal: no counter that strangers would share."""
    rules = Rules([rule(kind) for kind in ("organization", "team", "user", "key", "tag", "end_user")])
    assert scopes(rules, await asked()) == []
    assert scopes(rules, await asked(Principal("k_2"))) == ["key:k_2"]


async def test_anybody_can_say_whose_a_request_is() -> None:
    """`identify`, for apps with an idea of their own of who is calling."""
    rules = Rules([rule("team"), rule("provider")], identify=lambda exchange: {"team": "a", "provider": ["x", "y"]})
    assert scopes(rules, await asked()) == ["team:a", "provider:x", "provider:y"]


@pytest.mark.parametrize(
    ("limit", "of", "message"),
    [
        (Limit("planet", "day", Money(5)), None, "as its scope one of everybody, organization"),
        (Limit("everybody", "day", Money(5)), "all", "everybody has none"),
        (Limit("team", "day", Money(5)), "", "must be a name"),
        (Limit("team", "someday", Money(5)), None, "window must be one of"),
        (Limit("team", "day", Money(-5)), None, "from 0 to"),
        (Limit("team", "day", Money(5), unit="euros"), None, "unit must be one of usd, tokens"),
        (Limit("team", "day", 5), None, "must be Money where its unit is usd"),
        (Limit("team", "day", Money(5), time_zone="Mars/Olympus"), None, "time zone must be"),
    ],
)
def test_an_impossible_rule_is_an_error(limit: Limit, of: str | None, message: str) -> None:
    """When it is made or when it is put to use, not when the first request comes."""
    with pytest.raises(ValueError, match=message):
        Rules([Rule(limit, of)])
