"""What the cache asks upstream for itself, in a whole gateway: checks and a judge."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from tests.upstream.fakes import Provider, chat_answer

from .conftest import Start
from .running import eventually

FIRST = "Can I, ann.quaxby@made-up-mail.org, take this medicine with milk?"
NEARLY = "Can I, ann.quaxby@made-up-mail.org, take that pill with some cold milk?"
MODEL = "faulty-gpt"


class Doctor:
    """Says `said` to questions, and `word` to whoever asks whether two answers say the same."""

    def __init__(self, said: str, word: str) -> None:
        self.said, self.word = said, word
        self.judged: list[dict[str, Any]] = []

    async def __call__(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body["messages"][0]["role"] != "system":
            return web.json_response(chat_answer(self.said))
        self.judged.append(json.loads(body["messages"][1]["content"]))
        return web.json_response(chat_answer(self.word))


@pytest.mark.parametrize("word", ["yes", "no"])
async def test_a_judge_is_a_model_of_the_gateway(word: str, start: Start, provider: Provider) -> None:
    """Where two answers leave a doubt it is asked by HTTP, sees placeholders alone, and is booked like any caller."""
    provider.otherwise = doctor = Doctor("You can take it with milk.", word)
    gateway = await start(cache={"semantic": {"judge": MODEL}})
    await gateway.ask(FIRST, model=MODEL)
    await gateway.cached(1)

    async def spent() -> float:
        return float((await gateway.budgets())[0]["used_usd"])

    once = await spent()
    doctor.said = "You cannot take it with milk."
    assert (await gateway.ask(NEARLY, model=MODEL)).headers["x-helix-cache"] == "miss"

    async def judged() -> list[dict[str, Any]]:
        return doctor.judged

    (seen,) = await eventually(judged, bool)
    assert [seen["a"], seen["b"]] == ["You can take it with milk.", "You cannot take it with milk."]
    assert "milk" in seen["question"]
    assert not any(b"ann.quaxby" in body for _, _, body in provider.requests)

    await eventually(spent, lambda usd: usd >= 2.99 * once)


async def test_checks_end_when_the_days_money_is_spent(start: Start, provider: Provider) -> None:
    """The first check costs more than there is; the hits that follow are not checked."""
    provider.otherwise = Doctor("You can take it with milk.", "yes")
    gateway = await start(cache={"semantic": {"checks": {"share": 1.0, "usd_per_day": 0.000001, "per_minute": 6000}}})
    await gateway.ask("Can I take this medicine with milk?", model=MODEL)
    await gateway.cached(1)
    asked = [
        f"{word} can I take this medicine with milk?" for word in ("Hi,", "Hello,", "Um,", "Hey,", "Please:", "Well,")
    ]
    more = [f"{text} Thanks!" for text in asked]
    for text in asked:  # whether a hit is checked is up to chance
        if len(provider.requests) < 2:
            await gateway.ask(text, model=MODEL)
            await asyncio.sleep(0.2)
    await gateway.cached(2)  # what a check was told is kept once it is paid
    checked = len(provider.requests)
    assert checked >= 2
    for text in more:
        assert (await gateway.ask(text, model=MODEL)).headers["x-helix-cache"] == "semantic"
    await asyncio.sleep(0.2)
    assert len(provider.requests) == checked
