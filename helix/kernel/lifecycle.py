"""Opening and closing what a stage stands on: by lifespan where there is one, else at first use, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from helix.kernel.errors import HelixError
from helix.kernel.types import Message, Send

__all__ = ["Closing", "Opening", "Resource", "lifespan"]

T = TypeVar("T")

_log = logging.getLogger("helix")


class Opening(Protocol):
    """Something that can be opened more than once without harm."""

    async def open(self) -> Any:
        """Make it ready."""
        ...


class Closing(Protocol):
    """Something that can be closed more than once without harm."""

    async def close(self) -> None:
        """Let it go."""
        ...


class Resource(Generic[T]):
    """unopened → opened → closed. A failed open leaves it unopened, so that the next use tries again.

    `Resource(make, close)` owns what `make` returns and closes it; `Resource.borrowed(value)` hands out somebody
    else's. Closed, it may be opened anew: an app may be started twice in one process.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], close: Callable[[T], Awaitable[None]] | None = None) -> None:
        self._make = make
        self._close = close
        self._opening: asyncio.Task[T] | None = None
        self._value: T | None = None
        self._opened = False

    @classmethod
    def borrowed(cls, value: T) -> Resource[T]:
        """A resource that is open already and stays open: its owner closes it."""

        async def make() -> T:
            return value

        resource = cls(make)
        resource._value, resource._opened = value, True
        return resource

    @property
    def value(self) -> T | None:
        """What is open now, or None; for the hot path, which then need not await."""
        return self._value

    async def open(self) -> T:
        """The open resource, opened if it is not. Raises what opening raises.

        Those who ask at the same time share one attempt and its failure; a caller who leaves does not end it.
        """
        if self._opened:
            return self._value  # type: ignore[return-value]
        attempt = self._opening
        if attempt is None or attempt.get_loop() is not asyncio.get_running_loop():
            attempt = self._opening = asyncio.create_task(self._open())
            attempt.add_done_callback(self._attempted)
        return await asyncio.shield(attempt)

    async def close(self) -> None:
        """Close what this resource owns; nothing where it borrows or is not open."""
        if self._opening is not None:
            await asyncio.wait((self._opening,))
        if not self._opened or self._close is None:
            return
        value, self._value, self._opened = self._value, None, False
        await self._close(value)  # type: ignore[arg-type]

    async def _open(self) -> T:
        value = await self._make()
        self._value, self._opened = value, True
        return value

    def _attempted(self, attempt: asyncio.Task[T]) -> None:
        if self._opening is attempt:
            self._opening = None
        if not attempt.cancelled():
            attempt.exception()  # seen, even where everybody who waited for it has left


def lifespan(send: Send, *, opening: tuple[Opening, ...] = (), closing: tuple[Closing, ...] = ()) -> Send:
    """A send for a lifespan scope: opens when the inner app has started, closes before its shutdown is forwarded.

    What fails to open at start-up is logged and left for first use: a stage decides by its own rule what an outage
    means. Code after `await app(...)` does not run under Ray, which is why this works by wrapping send.
    """

    async def wrapped(message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            _note("open", await asyncio.gather(*(item.open() for item in opening), return_exceptions=True))
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"):
            _note("close", await asyncio.gather(*(item.close() for item in closing), return_exceptions=True))
        await send(message)

    return wrapped


def _note(what: str, results: list[Any]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            # Only errors of our own are known to hold no secret, such as a URL's password.
            reason = str(result) if isinstance(result, HelixError) else type(result).__name__
            _log.warning("could not %s what a stage stands on: %s", what, reason)
