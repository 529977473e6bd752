"""Helix as a guardrail of a real LiteLLM proxy, which the official clients ask, before a provider that keeps all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import anthropic
import httpx
import openai
import pytest
import yaml

from perf.process import Server, free_port

from .provider import Provider

ROOT = Path(__file__).parent.parent.parent
KEY = "sk-litellm-master-of-these-tests"
EMAIL, PHONE, CARD = "anna.gruber@example.org", "+1 415-555-0132", "4111 1111 1111 1111"
PERSONAL = (EMAIL, PHONE, CARD, "anna.gruber", "415-555", "1111 1111 1111")
SAID = f"I am {EMAIL}, call {PHONE} or write to {EMAIL}."

RECORDER = """
from pathlib import Path
from litellm.integrations.custom_logger import CustomLogger

class Recorder(CustomLogger):
    def _note(self, *values):
        with open(Path(__file__).with_name("recorded.txt"), "a") as file:
            for value in values:
                print(vars(value) if hasattr(value, "__dict__") else value, file=file)
    def log_pre_api_call(self, model, messages, kwargs):
        self._note("PRE", messages, kwargs)
    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        self._note("SYNC SUCCESS", kwargs, response_obj)
    def log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self._note("SYNC FAILURE", kwargs, response_obj)
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self._note("SUCCESS", kwargs, response_obj)
    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self._note("FAILURE", kwargs, response_obj)
    async def async_post_call_failure_hook(self, request_data, original_exception, user_api_key_dict, **_):
        # For the older completions LiteLLM hands out the body as it came; docs/litellm.md says so.
        if "prompt" not in request_data:
            self._note("FAILED", request_data, original_exception)

recorder = Recorder()
"""


@dataclass
class Proxy:
    """A running LiteLLM proxy."""

    server: Server
    folder: Path
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.openai.close()
        self.anthropic.close()
        self.server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def logged(self) -> str:
        """What the proxy printed, and what another callback was given to log."""
        recorded = self.folder / "recorded.txt"
        return (self.folder / "proxy.log").read_text() + (recorded.read_text() if recorded.exists() else "")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


def started(folder: Path, provider: Provider, redis_url: str, **redact: Any) -> Proxy:
    """A proxy with the configuration of docs/litellm.md, and one callback more, which keeps all it is given."""
    (block,) = re.findall(r"```yaml\n(model_list:.*?)```", (ROOT / "docs" / "litellm.md").read_text(), re.DOTALL)
    config = yaml.safe_load(block)
    config["guardrails"][0]["litellm_params"]["redact"] |= redact
    config["litellm_settings"] = {"callbacks": "recorder.recorder"}
    (folder / "recorder.py").write_text(RECORDER)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LITELLM_MASTER_KEY": KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_API_KEY": "sk-provider",
        "OPENAI_BASE_URL": f"{provider.url}/v1",
        "ANTHROPIC_API_KEY": "sk-provider",
        "ANTHROPIC_API_BASE": provider.url,
        "HELIX_REDIS_URL": redis_url,
        "HELIX_CLICKHOUSE_URL": str(folder / "clickhouse"),
        "HELIX_SPOOL_DIR": str(folder / "spool"),
    }
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(folder / "config.yaml")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    server = Server(command, port=port, ready="/health/liveliness", log=folder / "proxy.log", environment=environment)
    url = f"http://127.0.0.1:{port}"
    return Proxy(
        server,
        folder,
        openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0),
        anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0),
    )


@pytest.fixture(scope="module")
def proxy(provider: Provider, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    proxy = started(tmp_path_factory.mktemp("litellm"), provider, redis_url)
    with proxy:
        yield proxy


@pytest.fixture(autouse=True)
def forgets(provider: Provider) -> None:
    provider.bodies.clear()
    provider.fails = False


def heard_nothing(provider: Provider) -> None:
    """The provider was asked, and was told nothing of anybody."""
    assert provider.bodies
    assert not [value for value in PERSONAL if value in provider.heard]


def test_chat(proxy: Proxy, provider: Provider) -> None:
    """A chat's answer has its values, of which the provider saw placeholders."""
    answer = proxy.openai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": f"1 {SAID}"}])
    assert answer.choices[0].message.content == f"You said: 1 {SAID}"
    heard_nothing(provider)
    assert "<EMAIL_ADDRESS_1>" in provider.heard
    assert answer.usage is not None
    assert answer.usage.total_tokens == 12


def test_chat_stream(proxy: Proxy, provider: Provider) -> None:
    """Placeholders are put together again from pieces of three characters; what is none of one passes at once."""
    stream = proxy.openai.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": f"2 {SAID}"}], stream=True
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(pieces) == f"You said: 2 {SAID}"
    assert [piece for piece in pieces if piece][:3] == ["You", " sa", "id:"]
    heard_nothing(provider)


TOOL: Any = {"type": "function", "function": {"name": "write", "parameters": {"type": "object", "properties": {}}}}


def test_tool_call(proxy: Proxy, provider: Provider) -> None:
    """The arguments of a tool call have their values, and stay JSON."""
    said = f'3 "{SAID}"'
    answer = proxy.openai.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": said}], tools=[TOOL]
    )
    call: Any = answer.choices[0].message.tool_calls and answer.choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"said": said}
    heard_nothing(provider)


def test_tool_call_stream(proxy: Proxy, provider: Provider) -> None:
    """Those of a streamed call too; and arguments in the history go out without them."""
    said = f'4 "{SAID}"'
    past: Any = [
        {"role": "user", "content": "Write to her"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "write", "arguments": json.dumps({"to": EMAIL})}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": json.dumps({"sent_to": EMAIL, "phone": PHONE})},
    ]
    stream = proxy.openai.chat.completions.create(
        model="gpt-4o", messages=[*past, {"role": "user", "content": said}], tools=[TOOL], stream=True
    )
    arguments = ""
    for chunk in stream:
        for call in (chunk.choices[0].delta.tool_calls if chunk.choices else None) or ():
            arguments += (call.function.arguments if call.function else None) or ""
    assert json.loads(arguments) == {"said": said}
    heard_nothing(provider)


def test_completions(proxy: Proxy, provider: Provider) -> None:
    """The older completions, whole and streamed."""
    answer = proxy.openai.completions.create(model="gpt-4o", prompt=f"5 {SAID}")
    assert answer.choices[0].text == f"You said: 5 {SAID}"
    stream = proxy.openai.completions.create(model="gpt-4o", prompt=f"6 {SAID}", stream=True)
    assert "".join(chunk.choices[0].text or "" for chunk in stream if chunk.choices) == f"You said: 6 {SAID}"
    heard_nothing(provider)


def test_embeddings(proxy: Proxy, provider: Provider) -> None:
    """Inputs of embeddings go out without personal data."""
    answer = proxy.openai.embeddings.create(model="embeddings", input=[f"7 {SAID}", "8"], encoding_format="float")
    assert [item.embedding for item in answer.data] == [[0.25, 0.0], [0.25, 0.5]]
    heard_nothing(provider)


def test_responses(proxy: Proxy, provider: Provider) -> None:
    """The responses API, with instructions and metadata, which goes to the provider."""
    answer = proxy.openai.responses.create(
        model="gpt-4o", input=f"9 {SAID}", instructions=f"Answer {EMAIL}", metadata={"who": EMAIL}
    )
    assert answer.output_text == f"You said: 9 {SAID}"
    heard_nothing(provider)


def test_responses_stream(proxy: Proxy, provider: Provider) -> None:
    """Its stream: deltas, and the whole texts that repeat them."""
    events = list(proxy.openai.responses.create(model="gpt-4o", input=f"10 {SAID}", stream=True))
    text = f"You said: 10 {SAID}"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == text
    assert [event.text for event in events if event.type == "response.output_text.done"] == [text]
    assert [event.response.output_text for event in events if event.type == "response.completed"] == [text]
    heard_nothing(provider)


ANTHROPIC_TOOL: Any = {"name": "write", "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("model", ["claude", "gpt-4o"])
def test_messages(proxy: Proxy, provider: Provider, model: str) -> None:
    """Anthropic's messages, before Anthropic's wire and before OpenAI's."""
    answer = proxy.anthropic.messages.create(
        model=model,
        max_tokens=99,
        system=f"Answer {EMAIL}",
        messages=[{"role": "user", "content": [{"type": "text", "text": f"11 {SAID}"}]}],
    )
    (block,) = answer.content
    assert block.type == "text"
    assert block.text == f"You said: 11 {SAID}"
    heard_nothing(provider)


@pytest.mark.parametrize("model", ["claude", "gpt-4o"])
def test_messages_stream(proxy: Proxy, provider: Provider, model: str) -> None:
    """Their stream."""
    with proxy.anthropic.messages.stream(
        model=model, max_tokens=99, messages=[{"role": "user", "content": f"12 {SAID}"}]
    ) as stream:
        assert stream.get_final_text() == f"You said: 12 {SAID}"
    heard_nothing(provider)


def test_messages_tool_stream(proxy: Proxy, provider: Provider) -> None:
    """The input of a tool that is streamed as JSON."""
    said = f'13 "{SAID}"'
    with proxy.anthropic.messages.stream(
        model="claude", max_tokens=99, messages=[{"role": "user", "content": said}], tools=[ANTHROPIC_TOOL]
    ) as stream:
        (block,) = stream.get_final_message().content
    assert block.type == "tool_use"
    assert block.input == {"said": said}
    heard_nothing(provider)


def test_mask(proxy: Proxy, provider: Provider) -> None:
    """What is masked stays so."""
    answer = proxy.openai.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": f"14 my card {CARD}"}]
    )
    assert CARD not in str(answer.choices[0].message.content)
    assert str(answer.choices[0].message.content).endswith("1111")
    heard_nothing(provider)


def test_block(proxy: Proxy, provider: Provider) -> None:
    """What may not pass is refused with 400, which names the kind and the place, and nothing is sent or logged."""
    with pytest.raises(openai.BadRequestError) as refused:
        proxy.openai.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": f"15 {SAID} My SSN is 536-90-4399"}]
        )
    assert "US_SSN in 'messages[0].content'" in refused.value.message
    assert provider.bodies == []
    assert "536-90-4399" not in refused.value.message + proxy.logged


def test_block_in_anthropics_form(proxy: Proxy, provider: Provider) -> None:
    """An Anthropic client is refused in its own form."""
    with pytest.raises(anthropic.BadRequestError, match="US_SSN") as refused:
        proxy.anthropic.messages.create(
            model="claude", max_tokens=99, messages=[{"role": "user", "content": "16 My SSN is 536-90-4399"}]
        )
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["type"] == "error"
    assert provider.bodies == []


def test_others_are_refused(proxy: Proxy, provider: Provider) -> None:
    """A kind of request that cannot be looked through does not pass."""
    with pytest.raises(openai.BadRequestError, match="cannot be looked for"):
        proxy.openai.images.generate(model="gpt-4o", prompt=f"17 {SAID}")
    assert provider.bodies == []


def test_the_history_keeps_its_placeholders(proxy: Proxy, provider: Provider) -> None:
    """A history that is sent again goes out the same."""
    first: Any = [{"role": "user", "content": f"18 {SAID}"}]
    answer = proxy.openai.chat.completions.create(model="gpt-4o", messages=first)
    second: Any = [{"role": "assistant", "content": answer.choices[0].message.content}]
    second.append({"role": "user", "content": "Write to other@example.com"})
    proxy.openai.chat.completions.create(model="gpt-4o", messages=first + second)
    once, twice = (body["messages"] for body in provider.bodies)
    assert twice[0] == once[0]
    assert twice[2]["content"] == "Write to <EMAIL_ADDRESS_2>"


def test_a_literal_placeholder_reads_nobodys_value(proxy: Proxy, provider: Provider) -> None:
    """A placeholder that the caller wrote out is theirs, and stays."""
    said = f"19 <EMAIL_ADDRESS_1> is not {EMAIL}"
    answer = proxy.openai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": said}])
    assert answer.choices[0].message.content == f"You said: {said}"


def test_a_chosen_call_id_reads_nobodys_value(proxy: Proxy) -> None:
    """Two requests under one id of the callers' choice, at once, each get their own values."""
    import concurrent.futures

    def ask(who: str) -> str | None:
        answer = proxy.openai.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": f"20 {who}@example.com"}],
            extra_headers={"x-litellm-call-id": "the-same"},
        )
        return answer.choices[0].message.content

    names = [f"caller{number}" for number in range(16)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, names)) == [f"You said: 20 {name}@example.com" for name in names]


@pytest.mark.parametrize("stream", [False, True])
def test_cache_hit(proxy: Proxy, provider: Provider, stream: bool) -> None:
    """Who asks the same with other values is answered from the cache, with their own; in all dialects."""

    def ask(who: str) -> list[str]:
        said: Any = [{"role": "user", "content": f"21 {stream} {who}@example.com"}]
        chat = httpx_text(proxy, "/v1/chat/completions", {"model": "gpt-4o", "messages": said, "stream": stream})
        responses = httpx_text(proxy, "/v1/responses", {"model": "gpt-4o", "input": said, "stream": stream})
        messages = httpx_text(
            proxy, "/v1/messages", {"model": "claude", "max_tokens": 9, "messages": said, "stream": stream}
        )
        return [chat, responses, messages]

    first = ask("one")
    asked = len(provider.bodies)
    second = ask("two")
    assert asked == 3
    assert len(provider.bodies) == asked
    for text, who in ((first, "one"), (second, "two")):
        assert text == [f"You said: 21 {stream} {who}@example.com"] * 3


def test_cached_completions(proxy: Proxy, provider: Provider) -> None:
    """The older completions are answered from the cache whole; LiteLLM cannot replay them as a stream, so asks anew."""
    for stream, asked in ((False, 1), (True, 3)):
        for who in ("one", "two"):
            body = {"model": "gpt-4o", "prompt": f"22 {who}@example.com", "stream": stream}
            assert httpx_text(proxy, "/v1/completions", body) == f"You said: 22 {who}@example.com"
        assert len(provider.bodies) == asked


def test_cached_embeddings(proxy: Proxy, provider: Provider) -> None:
    """Embeddings from the cache are those of their inputs, in order."""
    answers = [
        proxy.openai.embeddings.create(
            model="embeddings", input=[f"23 {who}@example.com", "a"], encoding_format="float"
        )
        for who in ("one", "two")
    ]
    assert [[item.embedding for item in answer.data] for answer in answers] == [[[0.25, 0.0], [0.25, 0.5]]] * 2
    assert len(provider.bodies) == 1


def test_headers(proxy: Proxy) -> None:
    """Helix's headers stand on LiteLLM's reply."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"24 {EMAIL}"}]}
    said = [post(proxy, "/v1/chat/completions", body).headers for _ in range(2)]
    assert [headers["x-helix-cache"] for headers in said] == ["miss", "exact"]
    assert said[0]["x-helix-redactions"] == "EMAIL_ADDRESS=1"
    streamed = post(proxy, "/v1/chat/completions", {**body, "stream": True}).headers
    assert streamed["x-helix-cache"] == "exact"
    assert streamed["x-helix-redactions"] == "EMAIL_ADDRESS=1"


def test_a_provider_that_fails(proxy: Proxy, provider: Provider) -> None:
    """The provider's error goes to the caller, and is recorded."""
    provider.fails = True
    with pytest.raises(openai.BadRequestError, match="it broke"):
        proxy.openai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": f"25 {SAID}"}])
    heard_nothing(provider)


def test_outage(provider: Provider, redis_url: str, tmp_path: Path) -> None:
    """Where personal data cannot be looked for, every dialect is refused with 503, and nothing is sent or logged."""
    proxy = started(tmp_path, provider, redis_url, timeout_seconds=1e-9)
    said: Any = [{"role": "user", "content": SAID}]
    requests: dict[str, Any] = {
        "/v1/chat/completions": {"model": "gpt-4o", "messages": said},
        "/v1/completions": {"model": "gpt-4o", "prompt": SAID},
        "/v1/embeddings": {"model": "embeddings", "input": SAID},
        "/v1/responses": {"model": "gpt-4o", "input": SAID},
        "/v1/messages": {"model": "claude", "max_tokens": 9, "messages": said},
    }
    with proxy:
        for path, body in requests.items():
            for stream in (False, True):
                reply = post(proxy, path, {**body, "stream": stream} if path != "/v1/embeddings" else body)
                assert (path, reply.status_code) == (path, 503)
                assert reply.json()["error"]["message"] == "personal data was not looked for within 1e-09 s"
    assert provider.bodies == []
    assert [row["status"] for row in rows(proxy)] == [503] * 10
    assert "FAILED" in proxy.logged
    assert not [value for value in PERSONAL if value in proxy.logged]


def test_nothing_personal_is_logged(proxy: Proxy) -> None:
    """Neither the proxy's own output, nor what another callback is given to log, holds what was taken out."""
    for stream in (False, True):
        said: Any = [{"role": "user", "content": f"26 {SAID}"}]
        httpx_text(proxy, "/v1/chat/completions", {"model": "gpt-4o", "messages": said, "stream": stream})
        httpx_text(proxy, "/v1/messages", {"model": "claude", "max_tokens": 9, "messages": said, "stream": stream})
        httpx_text(proxy, "/v1/responses", {"model": "gpt-4o", "input": said, "stream": stream})
    proxy.server.stop()
    logged = proxy.logged
    assert "SUCCESS" in logged
    assert "<EMAIL_ADDRESS_1>" in logged
    assert not [value for value in PERSONAL if value in logged]


def test_telemetry(proxy: Proxy) -> None:
    """Each request left one row, whatever became of it; none is left waiting."""
    found = rows(proxy)
    assert {row["status"] for row in found} == {200, 400}
    assert {(row["dialect"], row["stream"]) for row in found} >= {
        (dialect, stream) for dialect in ("chat", "completions", "responses", "messages") for stream in (False, True)
    }
    assert any(row["redactions"].get("EMAIL_ADDRESS") and row["restored"] for row in found)
    # A request that comes before an equal one's answer was all kept shares it.
    assert {row["cache_status"] for row in found} - {"shared"} == {"exact", "miss", ""}
    assert not [value for value in PERSONAL if value in json.dumps(found)]


def post(proxy: Proxy, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(
        proxy.url + path, json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=60.0, trust_env=False
    )


def httpx_text(proxy: Proxy, path: str, body: dict[str, Any]) -> str:
    """The text, or the tool call's arguments, of an answer, whole or streamed."""
    from helix.kernel.sse import Decoder
    from helix.kernel.wire import dialect_of

    dialect = dialect_of("POST", path)
    assert dialect is not None
    reply = post(proxy, path, body)
    assert reply.status_code == 200, reply.text
    answer = reply.json() if not body["stream"] else None
    if answer is None:
        assembler = dialect.assembler()
        for event in Decoder().feed(reply.content):
            assembler.feed(event)
        answer = assembler.answer()
        assert answer is not None, reply.text
    return "".join(text.value for text in dialect.answer_texts(answer) if text.role != "label")


def rows(proxy: Proxy) -> list[dict[str, Any]]:
    """The rows that a proxy which has stopped left, read by a process of its own: one process may hold the folder."""
    program = """
import asyncio, json, sys
from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.sink import Sink

async def main():
    store = ClickHouse(sys.argv[1])
    sink = Sink(store, sys.argv[2])  # what the proxy did not come to write, the next to open the spool does
    await sink.open()
    await sink.flush()
    await sink.close()
    rows = await store.query("SELECT status, dialect, stream, redactions, restored, cache_status FROM requests")
    print(json.dumps(rows))
    await store.close()

asyncio.run(main())
"""
    command = [sys.executable, "-c", program, str(proxy.folder / "clickhouse"), str(proxy.folder / "spool")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "wrong",
    [{"run_in_parallel": True}, {"scan_raw_request": True}, {"other_requests": "maybe"}, {"patience_seconds": 0}],
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """Arguments under which values would leak, or that mean nothing, are refused where they are read."""
    from helix.integrations.litellm import HelixGuardrail

    with pytest.raises(ValueError, match=next(iter(wrong))):
        HelixGuardrail(guardrail_name="helix", **wrong)
