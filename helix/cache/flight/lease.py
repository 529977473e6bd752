"""Leading for, and following, other processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from helix.cache.flight.flight import MAX_FLIGHT_BYTES, Flight, Place
from helix.kernel import exact
from helix.kernel.errors import BackendUnavailable, UpstreamGarbled
from helix.kernel.sse import Decoder, encode
from helix.kernel.types import CacheStore, Entry
from helix.kernel.wire import Assembler

__all__ = ["Claim", "Heard", "Lease", "Leases"]

log = logging.getLogger("helix.cache")

_ASK_SECONDS = 0.5
"""How often whoever waits asks, though nobody told him of news."""


class Claim(NamedTuple):
    """What became of a claim: the entry that is there already, or the holder who has the lease; else it is ours."""

    entry: Entry | None = None
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said since a mark; None for what cannot be read. `held` is whether the lease is still the speaker's."""

    held: bool
    said: Sequence[Entry | None]
    mark: str


class Leases(Protocol):
    """How the processes that share a store agree on who leads. Every call may raise BackendUnavailable."""

    def new_holder(self) -> str:
        """A name that nobody has had, for one claim of this process."""
        ...

    async def claim(self, key: str, flight: str, holder: str, *, lease_seconds: float, anew: bool = False) -> Claim:
        """The entry of a key (unless `anew`), else the lease of a flight if no other process has it, else who has."""
        ...

    async def renew(self, flight: str, holder: str, *, lease_seconds: float) -> int | None:
        """Keep the lease; how many processes wait, None where it is lost."""
        ...

    async def say(self, flight: str, holder: str, said: Entry) -> bool:
        """Add to what was said; whether the lease is still held."""
        ...

    async def release(self, flight: str, holder: str, *, anyway: bool) -> bool:
        """Give the lease back, unless somebody waits; `anyway` even then. Whether it is given back."""
        ...

    async def hear(self, flight: str, holder: str, after: str) -> Heard:
        """What a holder said after a mark, "" for all of it, and whether the lease is still his."""
        ...

    async def leave(self, flight: str, holder: str) -> None:
        """Wait no longer."""
        ...

    def listen(self, flight: str, wake: Callable[[], None]) -> None:
        """Have `wake` called when a flight has news, or is wanted."""
        ...

    def unlisten(self, flight: str, wake: Callable[[], None]) -> None:
        """Have `wake` called no more."""
        ...


class Lease:
    """One flight's part in what several processes do together.

    The holder of the lease says to the others what its flight says, from the moment that one of them waits; their
    flights repeat it. Where Redis goes, every process is alone: who was told nothing yet asks by himself, who was in
    the middle of an answer sees it break.
    """

    def __init__(self, flight: Flight, *, lease_seconds: float) -> None:
        self._flight = flight
        self._lease_seconds = lease_seconds
        self._leases: Leases | None = None
        self._holder = ""
        self._news = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._place: Place | None = None
        self._has_ended = False
        self._is_closing = False
        self._said_bytes = 0
        self.is_elsewhere = False
        """Whether another process leads."""
        self.is_wanted = False
        """Whether other processes wait for what this one leads."""
        self.on_change: Callable[[], None] | None = None
        """Called when others begin to wait, and when none does any more."""

    @property
    def is_taken(self) -> bool:
        """Whether there is anything to close."""
        return self._leases is not None

    async def get(self, store: CacheStore, key: str, *, anew: bool = False) -> Entry | None:
        """The entry of a key (unless `anew`), and where there is none the lease, in one round trip.

        Raises BackendUnavailable.
        """
        leases: Leases | None = getattr(store, "leases", None)
        if leases is None:
            return None if anew else await store.get(key)
        holder = leases.new_holder()
        claim = await leases.claim(key, self._flight.key, holder, lease_seconds=self._lease_seconds, anew=anew)
        if claim.entry is None:
            self._leases = leases
            self.is_elsewhere = bool(claim.holder)
            self._holder = claim.holder or holder
            leases.listen(self._flight.key, self._told)
            work = self._follow(leases) if self.is_elsewhere else self._lead(leases)
            self._work = asyncio.create_task(work)
        return claim.entry

    async def close(self) -> None:
        """Have no more to do with it: the flight has ended, or nobody here waits for it."""
        leases, self._leases = self._leases, None
        if leases is None or self._work is None:
            return
        try:
            if self.is_elsewhere:
                self._work.cancel()
                await asyncio.wait((self._work,))
                await leases.leave(self._flight.key, self._holder)
                return
            self._is_closing = True
            self._news.set()
            await asyncio.wait((self._work,))
            if not await leases.release(self._flight.key, self._holder, anyway=self._has_ended):
                # Somebody waits whom nobody told anything: his word was lost, or has only just come.
                await self._speak(leases)
                await leases.release(self._flight.key, self._holder, anyway=True)
        except BackendUnavailable as error:
            log.debug("a lease was left to expire: %s", error.message)
        finally:
            leases.unlisten(self._flight.key, self._told)

    # The holder

    async def _lead(self, leases: Leases) -> None:
        loop = asyncio.get_running_loop()
        renewal = loop.time() + self._lease_seconds / 3
        try:
            while True:
                self._news.clear()
                if self.is_wanted and not self._has_ended and not await self._speak(leases):
                    break
                if self._is_closing:
                    return
                try:
                    async with asyncio.timeout_at(renewal):
                        await self._news.wait()
                except TimeoutError:
                    renewal = loop.time() + self._lease_seconds / 3
                    waiting = await leases.renew(self._flight.key, self._holder, lease_seconds=self._lease_seconds)
                    if waiting is None:
                        break
                    self._wanted(waiting > 0)
        except BackendUnavailable as error:
            log.debug("a flight goes on in its own process alone: %s", error.message)
        self._wanted(False)  # the lease is lost, or cannot be kept

    def _wanted(self, is_wanted: bool) -> None:
        if is_wanted != self.is_wanted:
            self.is_wanted = is_wanted
            if self.on_change is not None:
                self.on_change()

    async def _speak(self, leases: Leases) -> bool:
        """Say what is new; whether the lease is still held."""
        flight = self._flight
        if self._place is None:
            self._place = flight.join(self._news.set, counts=False)
        events = flight.events(self._place)
        outcome = flight.outcome
        self._said_bytes += sum(len(event.raw) for event in events or ())
        if events is None or self._said_bytes > MAX_FLIGHT_BYTES:  # too long to be repeated whole
            events, outcome = [], "apart"
        about = [("status", str(flight.status)), ("form", "stream" if flight.is_stream else "answer")]
        body = encode(events)
        if outcome is not None:
            self._has_ended = True
            about.append(("outcome", outcome))
            if not flight.is_stream and flight.answer is not None:
                body = exact.dumps(flight.answer)
        elif not flight.status or not events:
            return True
        headers = tuple(about)
        said = Entry(flight.key, flight.dialect.name, flight.model, body, flight.began_at, headers=headers)
        return await leases.say(flight.key, self._holder, said)

    def _told(self) -> None:
        self._wanted(True)
        self._news.set()

    # Those who wait

    async def _follow(self, leases: Leases) -> None:
        flight, loop = self._flight, asyncio.get_running_loop()
        echo, mark, heard_at = Echo(flight), "", loop.time()
        while flight.outcome is None:
            self._news.clear()
            try:
                heard = await leases.hear(flight.key, self._holder, mark)
            except BackendUnavailable:
                # Who was told nothing yet need not wait for Redis to come back.
                if not flight.status or loop.time() - heard_at > self._lease_seconds:
                    return flight.fail()
            else:
                heard_at = loop.time()
                for said in heard.said:
                    echo.take(said)
                mark = heard.mark
                if heard.said:
                    continue  # there may be more
                if not heard.held:  # the holder is dead, or was taken for dead
                    return flight.fail()
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue
        return None


class Echo:
    """Repeats in one process what a flight said in another."""

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._decoder = Decoder()
        self._assembler: Assembler | None = None

    def take(self, said: Entry | None) -> None:
        """Take the next of what was said."""
        flight = self._flight
        if flight.outcome is not None:
            return None
        if said is None:  # this process cannot read what the other one writes
            return flight.part()
        flight.began_at = min(flight.began_at, said.stored_at)
        about = dict(said.headers)
        outcome, status = about.get("outcome"), int(about.get("status", "0"))
        try:
            if about.get("form") == "stream":
                self._take_events(said, status)
                if outcome == "whole":
                    self._flight.say(self._decoder.flush())
                    return flight.end(self._assembler.answer() if self._assembler is not None else None)
            elif outcome in ("whole", "refused"):
                return flight.answered(status, said.model, exact.loads(said.body))
        except (UpstreamGarbled, ValueError):
            return flight.fail()
        if outcome in ("apart", "found"):
            return flight.part()
        return flight.fail() if outcome is not None else None

    def _take_events(self, said: Entry, status: int) -> None:
        if self._assembler is None:
            self._assembler = self._flight.dialect.assembler()
            self._flight.begin(status, said.model)
        events = self._decoder.feed(said.body)
        for event in events:
            self._assembler.feed(event)
        self._flight.say(events)
