from __future__ import annotations

import asyncio
from collections.abc import Mapping

from helix.cache.guards import compare
from helix.cache.memory import MemoryCacheStore
from helix.cache.promise.learning import Learning, Promise
from helix.kernel.types import Candidate


class Store(MemoryCacheStore):
    """Takes its time, and remembers what it was told of scopes."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, Mapping[str, float]]] = []

    async def tally(self, name: str, added: Mapping[str, float], *, ttl_seconds: float) -> Mapping[str, float]:
        await asyncio.sleep(0.01)
        if added and "everywhere" not in name:
            self.told.append((name, dict(added)))
        return await super().tally(name, added, ttl_seconds=ttl_seconds)


async def test_scopes_without_near_questions_leave_nothing_in_the_store() -> None:
    """Every conversation is a scope of its own: what is kept for months must not grow by each."""
    store, learning = Store(), Learning(Promise(), None, compare)
    for number in range(5):
        await learning.recall(f"s{number}", store)
        learning.decide(f"s{number}", "Where is it?", [])
        await learning.flush(store, f"s{number}")
    assert store.told == []
    learning.decide("s4", "Where is it?", [Candidate("e", "Where is it now?", 0.95)])
    await learning.flush(store)
    ((name, added),) = store.told
    assert name.startswith("promise:s4:")
    assert added["n"] == 2


async def test_requests_that_come_while_a_scope_is_fetched_are_all_counted() -> None:
    """The second to fetch it does not undo what the first has counted."""
    store, learning = Store(), Learning(Promise(), None, compare)

    async def request(after: float) -> None:
        await asyncio.sleep(after)
        if not learning.knows("s"):
            await learning.recall("s", store)
        learning.decide("s", "Where is it?", [Candidate("e", "Where is it now?", 0.95)])

    await asyncio.gather(*(request(0.002 * number) for number in range(6)))
    await learning.flush(store)
    assert [added["n"] for _, added in store.told] == [6]
