"""What a provider is asked through, and what it gives back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.upstream.deployment import Deployment, Target

__all__ = ["Answer", "Provider"]

HeaderList = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """A provider's good answer: a whole JSON body, or a stream of events that the taker must close.

    `headers` are those of the provider that go to the caller, without content-type and content-length.
    """

    headers: HeaderList = field(default_factory=list)
    body: bytes = b""
    events: AsyncGenerator[list[Event], None] | None = None
    first: list[Event] = field(default_factory=list)
    """Events that were taken from the stream already, to see that it begins well."""


class Provider(Protocol):
    """One way of reaching models."""

    async def open(self, deployments: Sequence[Deployment]) -> None:
        """Get ready for these deployments. Raises ConfigError where that cannot be."""
        ...

    async def close(self) -> None:
        """Let connections go; it may be opened again."""
        ...

    async def ask(self, exchange: Exchange, target: Target, timeout_seconds: float) -> Answer:
        """Send the request to a target. Raises UpstreamError; the caller of this cancels it when time is up."""
        ...
