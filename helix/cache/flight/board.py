"""Which flights there are in this process."""

from __future__ import annotations

from helix.cache.flight.flight import Flight
from helix.kernel.wire import Dialect

__all__ = ["Board"]


class Board:
    """The flights that a request may join, by key."""

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, key: str, dialect: Dialect) -> tuple[Flight | None, bool]:
        """The flight of a key, and whether it is new: then whoever asked leads it.

        None where there is one that cannot be joined any more, since its beginning is gone.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(key, dialect)
            return flight, True
        return (flight if flight.is_whole_so_far else None), False

    def clear(self, flight: Flight) -> None:
        """Let nobody join a flight any more; another of the same key is not touched."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
