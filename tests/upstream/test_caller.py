"""Waiting for the caller's sake: what happens to the wait, and to the task, when they leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from helix.kernel.errors import ClientDisconnected
from helix.kernel.types import Message
from helix.upstream.caller import Caller


async def _gone() -> Caller:
    """A caller who is known to have left."""
    left = asyncio.Event()

    async def receive() -> Message:
        left.set()
        return {"type": "http.disconnect"}

    caller = Caller(receive)
    await left.wait()
    await asyncio.sleep(0)
    return caller


async def _at_once() -> int:
    return 1


async def test_nothing_is_begun_for_a_caller_who_has_left() -> None:
    """What would end without waiting is not begun, and no later wait of the task is broken off in its place."""
    caller = await _gone()
    with pytest.raises(ClientDisconnected):
        await caller.waits(_at_once(), 1.0, "it")
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    caller.close()


async def test_what_is_not_begun_is_let_go() -> None:
    """A future is cancelled; a generator's next item is closed, and the generator can be closed after it."""
    caller = await _gone()
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(ClientDisconnected):
        await caller.waits(future, None, "it")
    assert future.cancelled()

    async def numbers() -> AsyncIterator[int]:
        yield 1

    items = numbers()
    with pytest.raises(ClientDisconnected):
        await caller.waits(anext(items, None), None, "it")
    assert [number async for number in items] == [1]
    caller.close()
