"""The order of the stages, read from what they do: telemetry → admit → redact → cache → budget → upstream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from helix.kernel.errors import BackendUnavailable
from helix.kernel.types import Span

from .conftest import Start
from .running import Recorder, Running

ANN, BEN = "ann.quaxby@made-up-mail.org", "ben.quaxby@made-up-mail.org"


class Out:
    """A detector that is out, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        self.asked += 1
        raise BackendUnavailable("the detector is out")


async def test_callers_are_refused_before_personal_data_is_looked_for(start: Start) -> None:
    """Unknown keys, forbidden models and too many requests cost no detection."""
    detector = Out()
    gateway = await start(parts={"detector": detector})
    made = await gateway.key(models=["gpt-4o"], rpm=1)
    assert (await gateway.ask("Hi", key="sk-hx-nobody")).status_code == 401
    assert (await gateway.ask("Hi", key=made["key"], model="faulty-gpt")).status_code == 403
    assert detector.asked == 0
    assert (await gateway.ask("Hi", key=made["key"])).status_code == 503
    assert detector.asked == 1
    assert (await gateway.ask("Hi", key=made["key"])).status_code == 429
    assert detector.asked == 1
    assert [row["status"] for row in await gateway.rows(4)] == [401, 403, 503, 429]


async def test_without_a_detector_nothing_goes_further(start: Start, echo: Recorder) -> None:
    """Not even to the cache, which may hold the answer: redaction fails closed."""
    gateway = await start()
    await gateway.ask("Hi")
    await gateway.cached(1)
    closed = await start(parts={"detector": Out(), "spool_dir": gateway.spool.with_name("spool2")})
    reply = await closed.ask("Hi")
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "service_unavailable")
    assert "x-helix-cache" not in reply.headers
    assert len(echo.received) == 1


async def test_the_cache_knows_placeholders_alone(start: Start, echo: Recorder) -> None:
    """Two people who ask the same share an answer, and each gets their own values back; Redis holds neither's."""
    gateway = await start(cache={"share": "everyone"})
    keys = [(await gateway.key(name=name))["key"] for name in ("ann", "ben")]
    first = await gateway.ask(f"Where is the parcel of {ANN}?", key=keys[0])
    await gateway.cached(1)
    second = await gateway.ask(f"Where is the parcel of {BEN}?", key=keys[1])
    assert (first.headers["x-helix-cache"], second.headers["x-helix-cache"]) == ("miss", "exact")
    for reply, own, other in ((first, ANN, BEN), (second, BEN, ANN)):
        assert f"parcel of {own}" in reply.json()["choices"][0]["message"]["content"]
        assert other not in reply.text
    assert len(echo.received) == 1
    redis = (await gateway.traces())["Redis"]
    assert "<EMAIL_ADDRESS_1>" in redis
    assert "quaxby" not in redis


async def test_what_the_cache_keeps_is_encrypted(start: Start, echo: Recorder) -> None:
    """With `helix.cache.encryption_keys` Redis holds neither question nor answer, and equal questions are hits."""
    gateway = await start(cache={"encryption_keys": ["k" * 32]})
    first = await gateway.ask("Where is the flywheel of my parcel?")
    await gateway.cached(1)
    second = await gateway.ask("Where is the flywheel of my parcel?")
    assert [reply.headers["x-helix-cache"] for reply in (first, second)] == ["miss", "exact"]
    assert second.json()["usage"]["prompt_tokens_details"] == {"cached_tokens": first.json()["usage"]["prompt_tokens"]}
    assert {**second.json(), "usage": None} == {**first.json(), "usage": None}
    assert "flywheel" in first.text
    assert "flywheel" not in (await gateway.traces())["Redis"]


async def test_a_replayed_answer_passes_the_same_tap(start: Start, echo: Recorder) -> None:
    """A stream out of the cache gives each caller their own values, and is looked through for others' as it passes."""
    gateway = await start(
        cache={"share": "everyone"},
        redact={"entities": {"EMAIL_ADDRESS": "placeholder"}, "answers": {"entities": {"EMAIL_ADDRESS": "block"}}},
    )
    for name in (ANN, BEN):
        streamed = await gateway.ask(f"Where is the parcel of {name}?", stream=True)
        assert f"parcel of {name}" in "".join(
            choice["delta"].get("content") or ""
            for line in streamed.text.splitlines()
            if line.startswith("data: {")
            for choice in json.loads(line[6:])["choices"]
        )
        await gateway.cached(1)
    assert streamed.headers["x-helix-cache"] == "exact"
    assert len(echo.received) == 1


async def test_keys_share_no_answers_unless_told_to(gateway: Running, echo: Recorder) -> None:
    """The cache stands behind admit: it knows who asks."""
    for name in ("ann", "ben"):
        made = await gateway.key(name=name)
        assert (await gateway.ask("Where is my parcel?", key=made["key"])).headers["x-helix-cache"] == "miss"
    assert len(echo.received) == 2


async def test_a_hit_costs_no_budget(gateway: Running) -> None:
    """A key whose budget could pay for nothing more still gets what is cached."""
    made = await gateway.key(budgets=[{"limit_usd": 0.005, "window": "total"}])
    asked: dict[str, Any] = {"key": made["key"], "max_tokens": 15}
    assert (await gateway.ask("What is a monad?", **asked)).status_code == 200
    await gateway.cached(1)
    seed = 1
    while (refused := await gateway.ask("What is a functor?", **asked, seed=seed)).status_code == 200:
        await gateway.budgets()
        seed += 1
    assert seed > 1
    assert refused.json()["error"]["code"] == "budget_exceeded"
    used = (await gateway.budgets())[1]["used_usd"]
    hit = await gateway.ask("What is a monad?", **asked)
    assert (hit.status_code, hit.headers["x-helix-cache"]) == (200, "exact")
    assert (await gateway.budgets())[1]["used_usd"] == used


async def test_what_no_budget_can_pay_for_does_not_go_out(start: Start, echo: Recorder) -> None:
    """The budget stands before the provider, and behind the cache, which says that it had nothing."""
    gateway = await start(budget={"limits": [{"name": "nothing", "limit_usd": 0, "window": "day"}]})
    reply = await gateway.ask(f"I am {ANN}")
    assert (reply.status_code, reply.headers["x-helix-cache"]) == (429, "miss")
    assert reply.headers["x-helix-redactions"] == "EMAIL_ADDRESS=1"
    assert echo.received == []
    (row,) = await gateway.rows(1)
    assert (row["budget_refused"], row["cache"], row["entities"]) == ("nothing", "miss", {"EMAIL_ADDRESS": 1})


async def test_every_refusal_is_on_record(start: Start) -> None:
    """By whichever stage, with its code, and with who was refused once that is known."""
    gateway = await start(
        redact={"entities": {"EMAIL_ADDRESS": "placeholder", "US_SSN": "block"}},
        budget={"limits": [{"name": "nothing", "limit_usd": 0, "window": "day"}]},
    )
    made = await gateway.key(models=["gpt-4o", "none"])
    await gateway.caller.post("/v1/chat/completions", content=b"{", headers={"authorization": f"Bearer {made['key']}"})
    await gateway.ask("Hi", key="")
    await gateway.ask("Hi", key=made["key"], model="faulty-gpt")
    await gateway.ask("My social security number is 536-22-8726.", key=made["key"])
    await gateway.ask("Hi", key=made["key"])
    await gateway.ask("Hi", model="none")
    rows = await gateway.rows(6)
    assert [(row["status"], row["error_code"], row["key_id"]) for row in rows] == [
        (400, "malformed_json", made["id"]),
        (401, "invalid_api_key", ""),
        (403, "model_not_allowed", made["id"]),
        (400, "content_blocked", made["id"]),
        (429, "budget_exceeded", made["id"]),
        (404, "model_not_found", "master"),
    ]
