"""What an entry says of itself, as one field that a search index takes apart, and queries over it. Pure.

    n{namespace} d{dialect} m{model asked for} m{model that answered} p{partition} u{user} ... t{tag} ...

Joined by a control character. One field of many values, since a field of a Redis hash costs as much as its value does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from helix.kernel.types import Entry, Selection

__all__ = ["SEPARATOR", "About", "fits", "of_entry", "query", "read"]

SEPARATOR = "\x1f"
MAX_VALUE_CHARS = 256
_UNCLEAN = re.compile(r"[\x00-\x20\x7f]|\s")
_SPECIAL = re.compile(r"([ -/:-@\[-`{-~])")


@dataclass(frozen=True, slots=True)
class About:
    """What an entry says of itself, read again."""

    namespace: str = ""
    dialect: str = ""
    asked_model: str = ""
    model: str = ""
    partition: str = ""
    users: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def of_entry(entry: Entry) -> str:
    """The field of an entry."""
    values: Iterable[tuple[str, str]] = (
        ("n", entry.namespace),
        ("d", entry.dialect),
        ("m", entry.asked_model or entry.model),
        ("m", entry.model),
        *([("p", entry.partition)] if entry.partition else ()),
        *(("u", user) for user in entry.users),
        *(("t", tag) for tag in entry.tags),
    )
    return SEPARATOR.join(_value(kind, value) for kind, value in values)


def read(field: str) -> About:
    """What the field says. What is missing in it is empty."""
    found: dict[str, list[str]] = {}
    for value in field.split(SEPARATOR):
        found.setdefault(value[:1], []).append(value[1:])
    models = found.get("m", [""])
    return About(
        namespace=found.get("n", [""])[0],
        dialect=found.get("d", [""])[0],
        asked_model=models[0],
        model=models[-1],
        partition=found.get("p", [""])[0],
        users=tuple(found.get("u", ())),
        tags=tuple(found.get("t", ())),
    )


def query(selection: Selection) -> str:
    """A selection, but for its entries, in RediSearch's query language (dialect 2) over fields `about` and `scope`."""
    parts = [
        "@about:{" + _SPECIAL.sub(r"\\\1", _value(kind, value)) + "}"
        for kind, value in (
            ("n", selection.namespace),
            ("m", selection.model),
            ("p", selection.partition),
            ("u", selection.user),
            ("t", selection.tag),
        )
        if value is not None
    ]
    if selection.scope is not None:
        parts.append("@scope:{" + _SPECIAL.sub(r"\\\1", _value("", selection.scope) or "-") + "}")
    return " ".join(parts) or "*"


def fits(selection: Selection, about: About, scope: str) -> bool:
    """Whether an entry is meant, but for its id: what `query` asks, without an index."""

    def same(kind: str, said: str | None, *has: str) -> bool:
        return said is None or _value(kind, said) in [_value(kind, value) for value in has]

    return (
        same("n", selection.namespace, about.namespace)
        and same("m", selection.model, about.asked_model, about.model)
        and same("p", selection.partition, about.partition)
        and same("u", selection.user, *about.users)
        and same("t", selection.tag, *about.tags)
        and same("", selection.scope, scope)
    )


def _value(kind: str, text: str) -> str:
    # An index trims what it splits, and no name may become an empty one; half a surrogate pair cannot be written.
    return kind + _UNCLEAN.sub("?", text.encode("utf-8", "replace").decode())[:MAX_VALUE_CHARS]
