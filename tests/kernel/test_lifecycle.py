from __future__ import annotations

import asyncio
import logging

import pytest

from helix.kernel.errors import BackendUnavailable
from helix.kernel.lifecycle import Resource, lifespan
from helix.kernel.types import Message


class Source:
    """Something that can be opened; fails as often as it is told, and waits when told to."""

    def __init__(self, failures: int = 0, *, wait: bool = False) -> None:
        self.failures = failures
        self.opened = 0
        self.closed: list[str] = []
        self.may_go_on = asyncio.Event()
        if not wait:
            self.may_go_on.set()

    async def make(self) -> str:
        self.opened += 1
        await self.may_go_on.wait()
        if self.failures:
            self.failures -= 1
            raise BackendUnavailable("it is down")
        return f"value {self.opened}"

    async def close(self, value: str) -> None:
        self.closed.append(value)

    def resource(self) -> Resource[str]:
        return Resource(self.make, self.close)


async def test_concurrent_first_use_opens_once() -> None:
    source = Source(wait=True)
    resource = source.resource()
    users = [asyncio.create_task(resource.open()) for _ in range(20)]
    await asyncio.sleep(0)
    assert resource.value is None
    source.may_go_on.set()
    assert await asyncio.gather(*users) == ["value 1"] * 20
    assert resource.value == "value 1"
    assert source.opened == 1


async def test_a_failed_open_is_tried_again_by_the_next_use() -> None:
    source = Source(failures=1)
    resource = source.resource()
    with pytest.raises(BackendUnavailable):
        await resource.open()
    assert resource.value is None
    assert await resource.open() == "value 2"


async def test_those_who_wait_share_one_failure() -> None:
    """Else twenty callers of a dead backend would wait for twenty time-outs, one after the other."""
    source = Source(failures=1, wait=True)
    resource = source.resource()
    users = [asyncio.create_task(resource.open()) for _ in range(20)]
    await asyncio.sleep(0)
    source.may_go_on.set()
    results = await asyncio.gather(*users, return_exceptions=True)
    assert all(isinstance(result, BackendUnavailable) for result in results)
    assert source.opened == 1


async def test_a_caller_who_leaves_does_not_end_the_opening_for_the_others() -> None:
    source = Source(wait=True)
    resource = source.resource()
    leaving, staying = asyncio.create_task(resource.open()), asyncio.create_task(resource.open())
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    source.may_go_on.set()
    assert await staying == "value 1"


async def test_what_is_owned_is_closed_once_and_can_be_opened_anew() -> None:
    source = Source()
    resource = source.resource()
    await resource.close()
    await resource.open()
    await resource.close()
    await resource.close()
    assert source.closed == ["value 1"]
    assert resource.value is None
    assert await resource.open() == "value 2"


async def test_closing_waits_for_an_opening_under_way() -> None:
    """Else what it opens would never be closed."""
    source = Source(wait=True)
    resource = source.resource()
    opening = asyncio.create_task(resource.open())
    await asyncio.sleep(0)
    closing = asyncio.create_task(resource.close())
    await asyncio.sleep(0)
    source.may_go_on.set()
    await closing
    await opening
    assert source.closed == ["value 1"]


async def test_what_is_borrowed_is_open_and_stays_open() -> None:
    resource = Resource.borrowed("mine")
    assert resource.value == "mine"
    await resource.close()
    assert await resource.open() == "mine"


def test_a_resource_outlives_its_event_loop() -> None:
    """An app may be started twice in one process, even if the first start was broken off."""
    source = Source(wait=True)
    resource = source.resource()

    async def start() -> None:
        opening = asyncio.create_task(resource.open())
        await asyncio.sleep(0)
        opening.cancel()

    asyncio.run(start())

    async def again() -> str:
        source.may_go_on = asyncio.Event()
        source.may_go_on.set()
        return await resource.open()

    assert asyncio.run(again()) == "value 2"


async def test_lifespan_opens_after_start_up_and_closes_before_shutdown_is_forwarded() -> None:
    """By wrapping send alone: code after the inner app's call does not run under Ray."""
    source = Source()
    resource = source.resource()
    seen: list[tuple[str, str | None]] = []

    async def send(message: Message) -> None:
        seen.append((message["type"], resource.value))

    wrapped = lifespan(send, opening=(resource,), closing=(resource,))
    await wrapped({"type": "lifespan.startup.complete"})
    await wrapped({"type": "lifespan.shutdown.complete"})
    assert seen == [("lifespan.startup.complete", "value 1"), ("lifespan.shutdown.complete", None)]
    assert source.closed == ["value 1"]


async def test_what_fails_at_start_up_is_logged_and_left_for_first_use(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(failures=1)
    resource = source.resource()
    seen: list[str] = []

    async def send(message: Message) -> None:
        seen.append(message["type"])

    with caplog.at_level(logging.WARNING):
        await lifespan(send, opening=(resource,))({"type": "lifespan.startup.complete"})
    assert seen == ["lifespan.startup.complete"]
    assert "it is down" in caplog.text
    assert await resource.open() == "value 2"


async def test_a_foreign_error_is_logged_by_its_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Its text may hold a password."""

    async def make() -> str:
        raise OSError("redis://:hunter2@host")

    async def send(message: Message) -> None:
        pass

    with caplog.at_level(logging.WARNING):
        await lifespan(send, opening=(Resource(make),))({"type": "lifespan.startup.complete"})
    assert "OSError" in caplog.text
    assert "hunter2" not in caplog.text
