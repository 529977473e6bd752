"""One upstream call, and what it has said so far, for everybody who waits for it."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from helix.kernel.errors import UpstreamGarbled
from helix.kernel.sse import Event
from helix.kernel.wire import Dialect

__all__ = ["MAX_FLIGHT_BYTES", "OWN_FAULT", "Flight", "Outcome", "Place"]

Outcome: TypeAlias = Literal["found", "whole", "refused", "broken", "apart"]

MAX_FLIGHT_BYTES = 32 * 1024 * 1024
"""So much of a stream is kept for those who come late or read slowly: 128,000 tokens, one an event."""

OWN_FAULT = frozenset((400, 404, 405, 413, 415, 422))
"""Statuses that say that the request itself is wrong, so that an equal one would be told the same."""


@dataclass(slots=True, eq=False)
class Place:
    """A place in a flight: what wakes whoever sits there, and how many batches of events it has been given."""

    wake: Callable[[], None]
    counts: bool = True
    """Whether somebody sits there, for whose sake the flight goes on."""
    taken: int = 0
    asked_at: float | None = None
    """When he asked (Unix time), if he is to see everything as long after that as the leader did after he asked."""
    most_behind_seconds: float = 0.0
    timer: asyncio.TimerHandle | None = None


class Flight:
    """What an upstream call has said so far, and how it ended. Whoever has a place is woken by everything new.

    `outcome` is None while it is under way, then one of
    - "found": there was no call, the look-up had an answer (`finding`);
    - "whole": the answer came to its proper end;
    - "refused": the provider says that the request is wrong (`status`, `answer`);
    - "broken": it failed, for a reason that may be its leader's alone: somebody else may try;
    - "apart": the answer is not one to share: everybody asks by himself.
    """

    __slots__ = (
        "_batches",
        "_bytes",
        "_dropped",
        "_ended_well",
        "_places",
        "_settled_at",
        "_times",
        "answer",
        "began_at",
        "dialect",
        "finding",
        "is_stream",
        "key",
        "model",
        "on_change",
        "on_outcome",
        "outcome",
        "status",
    )

    def __init__(self, key: str, dialect: Dialect) -> None:
        self.key = key
        self.dialect = dialect
        self.status = 0
        """Of the reply; 0 until it begins."""
        self.model = ""
        """Which answered."""
        self.is_stream = False
        self.answer: dict[str, Any] | None = None
        """The whole answer, or the body of a refusal; None for a stream that could not be put together."""
        self.outcome: Outcome | None = None
        self.finding: Any = None
        self.on_change: Callable[[], None] | None = None
        """Called when somebody comes or leaves."""
        self.on_outcome: Callable[[], None] | None = None
        self.began_at = time.time()
        """When its leader asked, in Unix time."""
        self._batches: list[list[Event]] = []
        self._times: list[float] = []
        self._settled_at = 0.0
        self._dropped = 0
        self._bytes = 0
        self._ended_well = False
        self._places: set[Place] = set()

    # For those who wait

    @property
    def riders(self) -> int:
        """How many have a place."""
        return sum(place.counts for place in self._places)

    def join(
        self,
        wake: Callable[[], None],
        *,
        counts: bool = True,
        asked_at: float | None = None,
        most_behind_seconds: float = 0.0,
    ) -> Place:
        """Take a place at the beginning; with `asked_at`, one that sees everything so much later than the leader."""
        place = Place(wake, counts, asked_at=asked_at, most_behind_seconds=most_behind_seconds)
        self._places.add(place)
        self._wake_in_time(place)
        if counts and self.on_change is not None:
            self.on_change()
        return place

    def leave(self, place: Place) -> None:
        """Give a place back."""
        self._places.discard(place)
        if place.timer is not None:
            place.timer.cancel()
        if self.on_change is not None:
            self.on_change()

    def events(self, place: Place) -> list[Event] | None:
        """The next events; empty where there are none yet, None where those have been dropped: it waited too long."""
        at = place.taken - self._dropped
        if at < 0:
            return None
        end = len(self._batches)
        if place.asked_at is not None:
            end = max(at, bisect_right(self._times, _now() - self._behind_seconds(place)))
        found: list[Event] = []
        for batch in self._batches[at:end]:
            found += batch
        place.taken = self._dropped + end
        self._wake_in_time(place)
        return found

    def outcome_seen(self, place: Place) -> Outcome | None:
        """The outcome, once it is to be seen from a place. That there will be nothing to see is known at once."""
        is_shown = self.outcome in ("whole", "refused") or bool(self._times)
        if place.asked_at is None or not is_shown or _now() >= self._settled_at + self._behind_seconds(place):
            return self.outcome
        return None

    # For whoever has the answer

    def begin(self, status: int, model: str) -> None:
        """A stream begins."""
        self.status, self.model, self.is_stream = status, model, True
        self._wake()

    def say(self, events: list[Event]) -> None:
        """Take the stream's next events."""
        if self.outcome is not None or not events:
            return
        for event in events:
            self._judge(event)
        self._batches.append(events)
        self._times.append(_now())
        self._bytes += sum(len(event.raw) for event in events)
        while self._bytes > MAX_FLIGHT_BYTES and len(self._batches) > 1:
            self._bytes -= sum(len(event.raw) for event in self._batches.pop(0))
            self._times.pop(0)
            self._dropped += 1
        self._wake()

    @property
    def is_whole_so_far(self) -> bool:
        """Whether everything that was said is still there, for somebody who joins now."""
        return self._dropped == 0

    def end(self, answer: dict[str, Any] | None) -> None:
        """The stream is over: `answer` is what it said, put together, if that could be done."""
        self.answer = answer
        self._settle("whole" if self._ended_well else "broken")

    def answered(self, status: int, model: str, answer: Any) -> None:
        """A whole JSON reply came, good or bad."""
        self.status, self.model = status, model
        if not isinstance(answer, dict):
            self._settle("apart" if status < 300 else "broken")
            return
        self.answer = answer
        self._settle("whole" if 200 <= status < 300 else "refused" if status in OWN_FAULT else "broken")

    def found(self, finding: Any) -> None:
        """The look-up had an answer."""
        self.finding = finding
        self._settle("found")

    def fail(self) -> None:
        """Nothing more will come; nothing happens where it has ended already."""
        self._settle("broken")

    def part(self) -> None:
        """This is not an answer to share."""
        self._settle("apart")

    # Inside

    def _judge(self, event: Event) -> None:
        """See whether the stream ends well: with its dialect's end, or at least with the reason why it ended."""
        try:
            if self.dialect.is_end(event):
                self._ended_well = True
            elif event.data is not None:
                payload = event.json()
                if self.dialect.is_error(event):
                    self._settle("broken")
                elif payload and self.dialect.event_finish_reason(payload):
                    self._ended_well = True
        except UpstreamGarbled:
            self._settle("broken")

    def _settle(self, outcome: Outcome) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self._settled_at = _now()
            if self.on_outcome is not None:
                self.on_outcome()
            self._wake()

    def _wake(self) -> None:
        for place in self._places:
            if place.asked_at is None:
                place.wake()
            else:
                self._wake_in_time(place)

    def _wake_in_time(self, place: Place) -> None:
        """Wake a place that is behind when there will be something new to see from it."""
        if place.asked_at is None:
            return
        if place.timer is not None:
            place.timer.cancel()
            place.timer = None
        at = max(0, place.taken - self._dropped)
        if at < len(self._times):
            due = self._times[at]
        elif self.outcome is not None:
            due = self._settled_at
        else:
            return
        if self.outcome_seen(place) is not None:
            place.wake()
        else:
            place.timer = asyncio.get_running_loop().call_at(due + self._behind_seconds(place), place.wake)

    def _behind_seconds(self, place: Place) -> float:
        asked_at = self.began_at if place.asked_at is None else place.asked_at
        return min(max(0.0, asked_at - self.began_at), place.most_behind_seconds)


def _now() -> float:
    return asyncio.get_running_loop().time()
