"""What a caller's headers say about caching."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from helix.kernel.errors import InvalidRequest

__all__ = ["NAMESPACE", "TAG", "Directives", "read_directives"]

NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""What a namespace may be called; it stands in entry ids, Redis keys and headers."""
TAG = re.compile(r"[A-Za-z0-9._:/-]{1,64}", re.ASCII)
"""What a tag may be."""
MAX_TAGS = 16

# Headers by which a provider is asked for another behaviour of the same request: part of the key.
_VARIANTS = frozenset((b"anthropic-beta", b"anthropic-version", b"openai-beta"))


@dataclass(frozen=True, slots=True)
class Directives:
    """How one request wants to be cached.

    `reads`: an earlier answer will do; `stores`: the answer may be kept; `max_age_seconds`: how old an answer may be;
    `only_if_cached`: an earlier answer or none; `ttl_seconds`: how long the answer may be kept; `tags`: labels that it
    can be removed by; `threshold`: the least similarity. None where nothing is said.
    """

    reads: bool = True
    stores: bool = True
    only_if_cached: bool = False
    max_age_seconds: int | None = None
    tags: tuple[str, ...] = ()
    namespace: str = ""
    ttl_seconds: int | None = None
    threshold: float | None = None
    wrong: bool = False
    """Whether the answer that the cache would give was wrong: it goes, and the provider is asked anew."""
    variant: tuple[str, ...] = ()
    """Headers that can change the answer, as "name: value", and the query string as "?query"."""


_NONE = Directives()


def read_directives(headers: Iterable[tuple[bytes, bytes]], query: bytes = b"") -> Directives:
    """Read a request's headers and query. Raises InvalidRequest that names the header and what is allowed in it."""
    said: dict[str, Any] = {"variant": (f"?{query.decode('latin-1')}",)} if query else {}
    for name, value in headers:
        if name == b"cache-control":
            _cache_control(value.decode("latin-1"), said)
        elif name == b"x-helix-cache-tags":
            said["tags"] = _tags(value.decode("latin-1"), said.get("tags", ()))
        elif name.startswith(b"x-helix-cache-"):
            _add_own(name.decode("latin-1"), value.decode("latin-1").strip(), said)
        elif name in _VARIANTS:
            said["variant"] = (*said.get("variant", ()), f"{name.decode()}: {value.decode('latin-1')}")
    if not said:
        return _NONE
    if "variant" in said:
        said["variant"] = tuple(sorted(said["variant"]))
    return replace(_NONE, **said)


def _cache_control(value: str, said: dict[str, Any]) -> None:
    # Of two orders the stricter one counts. Those that mean nothing here are ignored, as RFC 9111 wants it.
    for part in value.split(","):
        directive, _, argument = part.strip().lower().partition("=")
        if directive == "no-store":
            said["reads"] = said["stores"] = False
        elif directive == "no-cache":
            said["reads"] = False
        elif directive == "only-if-cached":
            said["only_if_cached"] = True
        elif directive == "max-age":
            age = _whole("cache-control", argument.strip().strip('"'), least=0, what="max-age")
            said["max_age_seconds"] = min(age, said.get("max_age_seconds", age))


def _tags(value: str, before: tuple[str, ...]) -> tuple[str, ...]:
    found = [tag for part in value.split(",") if (tag := part.strip())]
    tags = tuple(dict.fromkeys((*before, *found)))
    if len(tags) > MAX_TAGS or not all(TAG.fullmatch(tag) for tag in found):
        name = "x-helix-cache-tags"
        allowed = "of 1 to 64 letters, digits, dots, dashes, underscores, colons or slashes"
        raise InvalidRequest(f"'{name}' must be at most {MAX_TAGS} tags {allowed}, parted by commas", name)
    return tags


def _add_own(name: str, value: str, said: dict[str, Any]) -> None:
    """What a header of Helix's own says, beside what one of the same name has said: the stricter counts."""
    for key, found in _own(name, value).items():
        before = said.get(key, found)
        if key == "namespace" and before != found:
            raise InvalidRequest(f"'{name}' must be said once", name)
        said[key] = min(before, found) if key == "ttl_seconds" else max(before, found)


def _own(name: str, value: str) -> dict[str, Any]:
    if name == "x-helix-cache-namespace":
        if not NAMESPACE.fullmatch(value):
            raise InvalidRequest(f"'{name}' must be 1 to 64 letters, digits, dots, dashes or underscores", name)
        return {"namespace": value}
    if name == "x-helix-cache-ttl":
        return {"ttl_seconds": _whole(name, value, least=1)}
    if name == "x-helix-cache-feedback":
        if value.lower() != "wrong":
            raise InvalidRequest(f"'{name}' must be 'wrong'", name)
        return {"wrong": True}
    if name == "x-helix-cache-threshold":
        try:
            threshold = float(value)
        except ValueError:
            threshold = -1.0
        if not 0.0 <= threshold <= 1.0:  # also refuses NaN
            raise InvalidRequest(f"'{name}' must be a number from 0 to 1", name)
        return {"threshold": threshold}
    return {}


def _whole(header: str, value: str, *, least: int, what: str = "") -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and int(value) >= least):
        subject = f"{what} in '{header}'" if what else f"'{header}'"
        raise InvalidRequest(f"{subject} must be a whole number of seconds, {least} or more", header)
    return int(value)
