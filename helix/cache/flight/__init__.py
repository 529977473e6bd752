"""Equal requests in flight at once are answered by one upstream call."""

from __future__ import annotations

from helix.cache.flight.board import Board
from helix.cache.flight.flight import Flight
from helix.cache.flight.leading import Leading
from helix.cache.flight.lease import Lease, Leases
from helix.cache.flight.rider import Rider

__all__ = ["Board", "Flight", "Leading", "Lease", "Leases", "Rider"]
