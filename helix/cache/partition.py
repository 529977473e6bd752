"""Who shares answers with whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args
from urllib.parse import quote

from helix.kernel.exchange import Exchange, by_credential

__all__ = ["Share", "partition_by"]

Share: TypeAlias = Literal["key", "user", "team", "organization", "everyone"]


def partition_by(share: Share) -> Callable[[Exchange], str]:
    """Whose answers a request may be given: those of callers for whom this gives the same text. Raises ValueError.

    "key" is one key, or one credential where nobody admits callers. Users and teams are those of one organization: the
    same name in another is somebody else. A caller of whom the user, team or organization is not known shares with
    nobody but himself. A partition is written "key:ID", "team:ORGANIZATION/TEAM", "team:TEAM" where there is no
    organization, and so on, each name as in URLs.
    """
    if share not in get_args(Share):
        raise ValueError(f"share must be one of {', '.join(get_args(Share))}, not {share!r}")
    if share == "everyone":
        return lambda exchange: "everyone"

    def partition(exchange: Exchange) -> str:
        caller = exchange.principal
        group = getattr(caller, share, "") if caller is not None and share != "key" else ""
        if caller is None or not group:
            return f"key:{by_credential(exchange)}"
        whole = quote(group, safe="")
        if caller.organization and share != "organization":
            whole = f"{quote(caller.organization, safe='')}/{whole}"
        return f"{share}:{whole}"

    return partition
