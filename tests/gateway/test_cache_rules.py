"""What the configuration says about the cache, in a whole gateway."""

from __future__ import annotations

import pytest

from helix.config import Config
from helix.kernel.errors import ConfigError
from helix.local import check

from .conftest import Start
from .running import MASTER, Recorder

ASKED = "What happened in the city of Berlin today?"
NEARLY = "What happened in the town of Berlin today?"


async def test_rules_of_the_configuration_decide(start: Start, echo: Recorder) -> None:
    """A reason that is configured to bypass the cache keeps a request out of it, and its answer too."""
    gateway = await start(cache={"eligibility": {"bypass": ["freshness"]}})
    for calls in (1, 2):
        assert (await gateway.ask(ASKED)).headers["x-helix-cache"] == "bypass"
        assert len(echo.received) == calls
    assert (await gateway.ask("What is a book?")).headers["x-helix-cache"] == "miss"


async def test_each_dialects_client_reads_the_answer_of_another(start: Start, echo: Recorder) -> None:
    """One key of Helix's, one call of the provider: OpenAI's client asks, Anthropic's is answered from the cache."""
    gateway = await start()
    openai, claude = await gateway.openai(), await gateway.claude()
    text = "My address is ann.quaxby@made-up-mail.org. What is a book?"
    chat = await openai.chat.completions.create(
        model="gpt-4o", max_tokens=64, messages=[{"role": "user", "content": text}]
    )
    await gateway.cached(1)
    received = len(echo.received)
    other = text.replace("ann.", "ben.")
    message = await claude.messages.create(model="gpt-4o", max_tokens=64, messages=[{"role": "user", "content": other}])
    response = await openai.responses.create(model="gpt-4o", input=other, max_output_tokens=64, store=False)
    assert len(echo.received) == received
    said = chat.choices[0].message.content
    assert said is not None
    assert "ann.quaxby@made-up-mail.org" in said
    expected = said.replace("ann.", "ben.")
    assert [block.text for block in message.content if block.type == "text"] == [expected]
    assert response.output_text == expected


async def test_teams_share(start: Start, echo: Recorder) -> None:
    """Two keys of one team share an answer; a key of another team, and one of none, do not."""
    gateway = await start(cache={"share": "team"})
    keys = [(await gateway.key(team=team))["key"] for team in ("search", "search", "sales", "")]
    await gateway.ask("What is a book?", key=keys[0])
    await gateway.cached(1)
    got = [(await gateway.ask("What is a book?", key=key)).headers["x-helix-cache"] for key in (*keys[1:], MASTER)]
    assert got == ["exact", "miss", "miss", "miss"]


async def test_who_shares_cannot_tell_a_hit(start: Start, echo: Recorder) -> None:
    """With `side_channel` a team's hit has the headers and the body of a miss; a key of no team is told all."""
    gateway = await start(cache={"share": "team", "side_channel": {"enabled": True, "max_delay_seconds": 0.05}})
    keys = [(await gateway.key(team=team))["key"] for team in ("search", "search", "")]
    replies = [await gateway.ask("What is a book?", key=keys[0])]
    await gateway.cached(1)
    replies.append(await gateway.ask("What is a book?", key=keys[1]))
    assert len(echo.received) == 1
    told = [
        {name: value for name, value in reply.headers.items() if name not in ("date", "x-helix-request-id")}
        for reply in replies
    ]
    assert told[0] == told[1]
    assert not told[1].keys() & {"x-helix-cache", "x-helix-overhead-ms", "age", "x-helix-cost-usd"}
    assert {**replies[0].json(), "created": 0} == {**replies[1].json(), "created": 0}
    alone = (await gateway.ask("What is a book?", key=keys[2])).headers
    assert (alone["x-helix-cache"], "x-helix-overhead-ms" in alone) == ("miss", True)


@pytest.mark.parametrize(
    ("eligibility", "message"),
    [
        ({"languages": ["xx"]}, "no phrases are known in xx"),
        ({"rules": [{"reason": "own", "patterns": ["("]}]}, "not a regular expression"),
        ({"rules": [{"reason": "own"}]}, "needs words or patterns"),
        ({"bypass": ["sometimes"]}, "no reason: sometimes"),
    ],
)
def test_wrong_rules_are_refused_at_the_start(eligibility: dict[str, object], message: str) -> None:
    """With the place and what is wrong there, before anything is opened."""
    models = [{"model_name": "demo", "litellm_params": {"model": "demo/echo"}}]
    config = Config.of({"model_list": models, "helix": {"cache": {"eligibility": eligibility}}}, {})
    with pytest.raises(ConfigError, match=rf"^helix.cache.eligibility: .*{message}"):
        check(config)
