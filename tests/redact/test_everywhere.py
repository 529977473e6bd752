"""Every place where the SDKs' own types allow a text: what a provider is sent has none of the values planted there.

The requests are made from the types of the installed SDKs, so a field that nobody thought of shows up here: it is
looked through, or stands below with the reason why it is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_create_params as beta_message_create_params
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from helix.kernel.types import Span
from helix.kernel.wire import CHAT, COMPLETIONS, COUNT_TOKENS, EMBEDDINGS, MESSAGES, RESPONSES, Dialect
from helix.redact import RedactMiddleware

from .apps import Provider, call
from .sdk_types import Planter

_PLANTED = re.compile(r"s\d+q@x\.example")
_STANDS_IN = re.compile(r"<?MAIL_(\d+)>?")


class PlantedDetector:
    """Finds what was planted."""

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        return [[Span(*match.span(), "MAIL", 1.0) for match in _PLANTED.finditer(text)] for text in texts]


_ACTED_ON = "the provider itself acts on it"
# Fields that are not looked through, by name, whatever holds them.
NAMES = {
    "id": "names an object of the provider's",
    "model": "names a model",
    "name": "names a tool, which the caller's code answers to; authors' names are looked through",
    "tool_name": "names a tool",
    "tool_names": "names tools",
    "allowed_tools": "names tools",
    "namespace": "names tools",
    "toolset_name": "names tools",
    "server_name": "names a server of tools",
    "server_label": "names a server of tools",
    "mcp_server_name": "names a server of tools",
    "encrypted_content": "ciphertext of the provider's",
    "encrypted_index": "ciphertext of the provider's",
    "encrypted_stdout": "ciphertext of the provider's",
    "signature": "a signature",
    "fingerprint": "a signature",
    "file_data": "a file in base64",
    "stop_reason": "a word of the wire's",
    "retrieved_at": "a time of the provider's",
    "page_age": "a time of the provider's",
    "city": _ACTED_ON,
    "country": _ACTED_ON,
    "region": _ACTED_ON,
    "timezone": _ACTED_ON,
    "allowed_domains": _ACTED_ON,
    "blocked_domains": _ACTED_ON,
    "version": _ACTED_ON,
    "container": "names an object of the provider's",
    "conversation": "names an object of the provider's",
    "inference_geo": _ACTED_ON,
}
# Single fields.
PLACES = {
    "ChatCompletionAudioParam.voice": "names a voice",
    "ChatCompletionAllowedToolsParam.tools": "names tools",
    "ToolChoiceAllowedParam.tools": "names tools",
    "InputAudio.data": "sound in base64",
    "Base64ImageSourceParam.data": "a picture in base64",
    "BetaBase64ImageSourceParam.data": "a picture in base64",
    "Base64PDFSourceParam.data": "a document in base64",
    "BetaBase64PDFSourceParam.data": "a document in base64",
    "InlineSkillSourceParam.data": "an archive in base64",
    "ImageGenerationCall.result": "a picture in base64",
    "RedactedThinkingBlockParam.data": "ciphertext of the provider's",
    "BetaRedactedThinkingBlockParam.data": "ciphertext of the provider's",
    "ThinkingBlockParam.thinking": "signed: nothing may change in it but what stands elsewhere too",
    "BetaThinkingBlockParam.thinking": "signed: nothing may change in it but what stands elsewhere too",
    "ComparisonFilter.key": _ACTED_ON,
    "ComparisonFilter.value": _ACTED_ON,
    "CompoundFilter.filters": _ACTED_ON,
    "ContainerNetworkPolicyDomainSecretParam.domain": _ACTED_ON,
    "ContainerNetworkPolicyDomainSecretParam.value": _ACTED_ON,
    "ContextManagement.type": "a word of the wire's",
    "ImageGeneration.size": "a word of the wire's",
    "ImageGenerationInputImageMask.image_url": _ACTED_ON,
    "LocalSkillParam.path": _ACTED_ON,
    "Mcp.authorization": _ACTED_ON,
    "Mcp.headers": _ACTED_ON,
    "Mcp.server_url": _ACTED_ON,
    "BetaRequestMCPServerURLDefinitionParam.url": _ACTED_ON,
    "BetaRequestMCPServerURLDefinitionParam.authorization_token": _ACTED_ON,
    "BetaFallbackCreditTokenParam.token": _ACTED_ON,
    "MessageCreateParamsNonStreaming.fallback_credit_token": _ACTED_ON,
    "MessageCreateParamsNonStreaming.betas": "names features",
    "Reasoning.mode": "a word of the wire's",
    "InputSchemaTyped.required": "names a tool's parameters",
}
REQUESTS: list[tuple[str, Dialect, Any]] = [
    ("chat", CHAT, chat_create_params.CompletionCreateParamsNonStreaming),
    ("completions", COMPLETIONS, completion_create_params.CompletionCreateParamsNonStreaming),
    ("embeddings", EMBEDDINGS, embedding_create_params.EmbeddingCreateParams),
    ("responses", RESPONSES, response_create_params.ResponseCreateParamsNonStreaming),
    ("messages", MESSAGES, message_create_params.MessageCreateParamsNonStreaming),
    ("beta messages", MESSAGES, beta_message_create_params.MessageCreateParamsNonStreaming),
    ("count_tokens", COUNT_TOKENS, message_count_tokens_params.MessageCountTokensParams),
]


def _reason(field: str) -> str | None:
    """Why a field is not looked through; None where nobody said."""
    place = re.sub(r"[\[\]{}]", "", field)
    name = place.rpartition(".")[2]
    if name.endswith(("_id", "_ids")):
        return "names an object of the provider's"
    return NAMES.get(name) or PLACES.get(place)


async def _sent(request: Any, dialect: Dialect) -> str:
    """What a provider is sent."""
    provider = Provider(lambda _: {})
    app = RedactMiddleware(provider, detector=PlantedDetector(), tool_definitions=True, token_ids="pass")
    reply = await call(app, request, dialect.path)
    assert reply.status == 200, reply.body
    [body] = provider.bodies
    return body.decode()


@pytest.mark.parametrize(("name", "dialect", "of"), REQUESTS, ids=[name for name, _, _ in REQUESTS])
async def test_nothing_planted_anywhere_reaches_a_provider(name: str, dialect: Dialect, of: Any) -> None:
    """In every field that an SDK has, in every form that the field may have; the exceptions each have a reason."""
    planter = Planter()
    requests = planter.requests(of)
    bodies = [await _sent(request, dialect) for request in requests]
    seen = {planter.fields[text] for body in bodies for text in _PLANTED.findall(body)}
    assert sorted(field for field in seen if _reason(field) is None) == []
    assert len(seen) < len(set(planter.fields.values()))


async def test_every_exception_is_still_one() -> None:
    """A reason that no field needs any more goes."""
    needed: set[str] = set()
    for _, dialect, of in REQUESTS:
        planter = Planter()
        for request in planter.requests(of):
            body = await _sent(request, dialect)
            fields = {planter.fields[text] for text in _PLANTED.findall(body)}
            needed |= {re.sub(r"[\[\]{}]", "", field) for field in fields}
    assert sorted(place for place in PLACES if place not in needed) == []
    assert sorted(name for name in NAMES if name not in {place.rpartition(".")[2] for place in needed}) == []


def _by_number(numbered: dict[str, str], match: re.Match[str]) -> str:
    return numbered[match.group(1)]


@pytest.mark.parametrize(("name", "dialect", "of"), REQUESTS, ids=[name for name, _, _ in REQUESTS])
async def test_all_else_arrives_as_it_is(name: str, dialect: Dialect, of: Any) -> None:
    """Put the planted texts back into what the provider was sent, and it is the request, to the last number."""
    planter = Planter()
    for request in planter.requests(of):
        body = await _sent(request, dialect)
        texts = [*dialect.labels(request), *dialect.definitions(request), *dialect.texts(request)]
        planted = (found for text in texts if text.form != "signed" for found in _PLANTED.findall(text.value))
        numbered = {f"{number}": text for number, text in enumerate(dict.fromkeys(planted), 1)}
        assert orjson.loads(_STANDS_IN.sub(partial(_by_number, numbered), body)) == request


async def test_definitions_are_left_alone_unless_asked_for() -> None:
    """By default what a tool says of itself goes out as it is, in a message's own list of tools as well."""
    planter = Planter()
    for request in planter.requests(chat_create_params.CompletionCreateParamsNonStreaming):
        provider = Provider(lambda _: {})
        await call(RedactMiddleware(provider, detector=PlantedDetector()), request)
        [sent] = provider.requests
        assert [sent.get(key) for key in ("tools", "functions", "response_format")] == [
            request.get(key) for key in ("tools", "functions", "response_format")
        ]
        assert sent["messages"] != request["messages"]
