"""Whose budgets a request is held against: organisation, team, user, key, model, provider, tags, end user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TypeAlias

from helix.budget.limits import checked
from helix.kernel.exchange import Exchange
from helix.kernel.types import Limit

__all__ = ["END_USER_HEADER", "KINDS", "Identity", "Rule", "Rules", "identity_of"]

KINDS = ("everybody", "organization", "team", "user", "key", "model", "provider", "tag", "end_user")
"""What a rule can be for; its limit's `scope` is one of them."""

END_USER_HEADER = b"x-helix-end-user"
"""Says who the end user is where the body does not, and stands above what the body says."""

Identity: TypeAlias = Mapping[str, str | Sequence[str]]
"""Kind → whose request it is; empty, or left out, where that is not known. `provider` is every one that may answer."""

_PERSONS = frozenset(("user", "end_user"))
_MAX_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit for one organisation, team, … named by `of`, or, without, for each of a kind by itself.

    The limit's `scope` is the kind, one of `KINDS`.
    """

    limit: Limit
    of: str | None = None

    def __post_init__(self) -> None:
        if self.limit.scope not in KINDS:
            raise ValueError(f"a rule's limit must have as its scope one of {', '.join(KINDS)}")
        if self.of is not None and (not self.of or self.limit.scope == "everybody"):
            raise ValueError("what a rule is of must be a name, and everybody has none")


class Rules:
    """The limits that some rules set for a request.

    Who a user or an end user is does not stand in the ledger, but a keyed hash of it under `secret`: without the
    secret nobody can tell whether somebody's name is among them.
    """

    def __init__(
        self, rules: Sequence[Rule], *, identify: Callable[[Exchange], Identity] | None = None, secret: bytes = b""
    ) -> None:
        self._identify = identify or identity_of
        self._secret = blake2b(secret).digest() if secret else b""
        self._everybody: tuple[Limit, ...] = ()
        self._each: dict[str, list[Limit]] = {}
        self._named: dict[tuple[str, str], list[Limit]] = {}
        for rule in rules:
            checked([rule.limit])
            kind = rule.limit.scope
            if kind == "everybody":
                self._everybody += (rule.limit,)
            elif rule.of is None:
                self._each.setdefault(kind, []).append(rule.limit)
            else:
                self._named.setdefault((kind, rule.of), []).append(rule.limit)
        self._kinds = {*self._each, *(kind for kind, _ in self._named)}
        self._remembered: dict[tuple[str, str], tuple[Limit, ...]] = {}

    @property
    def known(self) -> tuple[Limit, ...]:
        """The limits of scopes that are known without a request."""
        return (*self._everybody, *(limit for kind, of in self._named for limit in self.of(kind, of, each=False)))

    def __call__(self, exchange: Exchange) -> Sequence[Limit]:
        """The limits of a request."""
        if not self._kinds:
            return self._everybody
        found = [*self._everybody]
        for kind, whose in self._identify(exchange).items():
            if kind not in self._kinds:
                continue
            for one in (whose,) if isinstance(whose, str) else whose:
                if one:
                    found += self._remember(kind, one)
        return found

    def _remember(self, kind: str, one: str) -> tuple[Limit, ...]:
        limits = self._remembered.get((kind, one))
        if limits is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            limits = self._remembered[kind, one] = tuple(self.of(kind, one))
        return limits

    def of(self, kind: str, one: str, *, each: bool = True) -> list[Limit]:
        """The limits of one organisation, team, …; with those that each of its kind has, unless they are left out."""
        limits = [*self._named.get((kind, one), ()), *(self._each.get(kind, ()) if each else ())]
        if kind in _PERSONS or not one.isprintable():
            one = blake2b(one.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=12).hexdigest()
        return [replace(limit, scope=f"{kind}:{one}") for limit in limits]


def identity_of(exchange: Exchange) -> Identity:
    """Whose request it is by what the admit stage found and the request says; but for the providers."""
    end_user = exchange.end_user
    for name, value in exchange.scope["headers"]:
        if name == END_USER_HEADER:
            end_user = value.decode("latin-1")
    who = exchange.principal
    if who is None:
        return {"model": exchange.model, "end_user": end_user}
    return {
        "organization": who.organization,
        "team": who.team,
        "user": who.user,
        "key": who.key_id,
        "model": exchange.model,
        "tag": who.tags,
        "end_user": end_user,
    }
