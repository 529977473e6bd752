"""What nobody should send, and somebody does: nothing personal gets past, nothing crashes, nothing is told to anybody.

Every test here runs with all loggers at DEBUG, and fails if one of them was told a value or a text; every error reply
is checked for the same.
"""

from __future__ import annotations

import base64
import copy
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import pytest

from helix.kernel.exchange import KEY
from helix.kernel.types import ASGIApp, Detector, Message, Span
from helix.redact import KNOWN_ENTITIES, PresidioDetector, RedactMiddleware
from helix.redact.restore import Restorer
from helix.redact.spans import OVERLAP_CHARS, WINDOW_CHARS
from helix.redact.vault import Vault

from .apps import FixedDetector, Provider, Reply, chat, chat_answer, last_text, scope_of

MAIL, CARD, WORD = "zebra.fish@example.com", "4111 1111 1111 1111", "quagmire"
"""Two values, and a word of the caller's that is none: neither is anybody's business."""
_SECRET = ("zebra", "4111", WORD)

DIALECTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "m",
        "user": f"u-{WORD}",
        "metadata": {"who": MAIL},
        "messages": [
            {"role": "system", "content": WORD},
            {"role": "user", "name": "who", "content": [{"type": "text", "text": f"{WORD} {MAIL}"}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": WORD,
                "tool_calls": [
                    {"id": "t", "type": "function", "function": {"name": "f", "arguments": json.dumps({"to": MAIL})}}
                ],
            },
            {"role": "tool", "tool_call_id": "t", "content": f"{WORD} {MAIL}"},
            {"role": "user", "content": f"{WORD} {CARD}"},
        ],
    },
    "/v1/completions": {"model": "m", "prompt": [f"{WORD} {MAIL}", CARD], "suffix": WORD, "user": WORD},
    "/v1/embeddings": {"model": "m", "input": [f"{WORD} {MAIL}", CARD], "user": WORD},
    "/v1/responses": {
        "model": "m",
        "instructions": WORD,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": f"{WORD} {MAIL}"}]},
            {"type": "function_call", "call_id": "t", "name": "f", "arguments": json.dumps({"to": MAIL})},
            {"type": "function_call_output", "call_id": "t", "output": f"{WORD} {MAIL}"},
            {"role": "user", "content": f"{WORD} {CARD}"},
        ],
    },
    "/v1/messages": {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": WORD}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": f"{WORD} {MAIL}"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"to": MAIL}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": f"{WORD} {MAIL}"}]},
            {"role": "user", "content": f"{WORD} {CARD}"},
        ],
    },
}


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Every logger at DEBUG; none may be told what was in the request."""
    with caplog.at_level(logging.DEBUG):
        yield
    for record in caplog.records:
        told = logging.Formatter().format(record) + repr(record.args)
        assert not any(secret in told for secret in _SECRET), record.name


async def send(app: ASGIApp, body: bytes, path: str = "/v1/chat/completions") -> Reply:
    """Send bytes. An error must be in the dialect's own form, and may not repeat what was sent."""
    sent: list[Message] = []
    given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return given.pop() if given else {"type": "http.disconnect"}

    async def keep(message: Message) -> None:
        sent.append(message)

    await app(scope_of(path), receive, keep)
    reply = Reply(sent)
    if reply.status != 200:
        told = reply.json()
        assert set(told["error"]) >= {"type", "message"}
        assert (told.get("type") == "error") == (path == "/v1/messages")
        assert not any(secret in reply.body.decode() for secret in _SECRET)
        assert "Traceback" not in reply.body.decode()
    return reply


async def talk(detector: Detector, *contents: Any, **options: Any) -> tuple[Reply, Provider]:
    """A chat through the stage before a provider that repeats the last text; it may see neither value."""
    provider = Provider(lambda request: chat_answer(last_text(request)))
    reply = await send(RedactMiddleware(provider, detector=detector, **options), orjson.dumps(chat(*contents)))
    return reply, provider


def said(reply: Reply) -> Any:
    return reply.json()["choices"][0]["message"]["content"]


# Entities that overlap


class Overlapping:
    """A detector that finds whole and part, and what begins in the one and ends in the other, in no order."""

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        return [
            [
                Span(at, at + len(part), kind, score)
                for part, kind, score in (
                    ("Lee", "PLACE", 0.9),
                    ("Ann Lee", "PERSON", 0.6),
                    ("Road", "X", 1.0),
                    ("Lee Road 5", "PLACE", 0.5),
                )
                if (at := text.find(part)) >= 0
            ]
            for text in texts
        ]


async def test_entities_that_overlap_leave_nothing_between_them() -> None:
    """Nested and interlocking findings become one; all that any of them covers is gone, and comes back."""
    reply, provider = await talk(Overlapping(), "I am Ann Lee Road 5, hi")
    assert last_text(provider.requests[0]) == "I am <X_1>, hi"
    assert said(reply) == "I am Ann Lee Road 5, hi"


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{MAIL}@host.example/{MAIL}?card={CARD}",
        f"mailto:{MAIL}{MAIL}",
        f"<{MAIL}><{MAIL}>",
        f"{CARD}{MAIL}",
        f"{CARD} {CARD}",
        f"{MAIL}:{CARD}",
        f"postgres://zebra.fish:{MAIL}@db.example/x",
    ],
)
async def test_values_inside_and_against_one_another(presidio: PresidioDetector, text: str) -> None:
    """However two values touch, neither is seen, and the text comes back as it was."""
    reply, provider = await talk(presidio, text)
    assert "zebra" not in provider.bodies[0].decode()
    assert "4111 1111 1111 1111" not in provider.bodies[0].decode()
    assert said(reply) == text


# Letters of every kind


@pytest.mark.parametrize(
    "beside",
    [
        *(
            "👩‍👩‍👧‍👦{}👍🏽",
            "\u202e{}\u202c",
            "مرحبا {} شكرا",
            "שלום,{}!",
            "e\u0301 {} a\u0308\u0323",
            "\u200f{}\u200e",
        ),
        *("𝕏 {} 🇩🇪", "日本語 {} です", "İ {} ı", "\x00{}\x07"),
    ],
    ids=[
        *("emoji", "override", "Arabic", "Hebrew", "combining", "marks"),
        *("astral", "Japanese", "dotted", "control"),
    ],
)
async def test_letters_beside_a_value(presidio: PresidioDetector, beside: str) -> None:
    """Offsets are of characters: what stands beside a value is neither eaten nor left over."""
    text = beside.format(MAIL)
    reply, provider = await talk(presidio, text)
    assert last_text(provider.requests[0]) == beside.format("<EMAIL_ADDRESS_1>")
    assert said(reply) == text


DISGUISED = {
    "zero-width spaces": "zebra\u200b.fish\u200b@example.com",
    "zero-width joiners": "zebra.fish@exam\u200cple\u200d.com",
    "byte order mark": "zebra.fish\ufeff@example.com",
    "soft hyphen": "zeb\u00adra.fish@example.com",
    "variation selector": "zebra\ufe0f.fish@example.com",
    "tags": "zebra\U000e0061.fish@example.com",
    "full width": "ｚｅｂｒａ．ｆｉｓｈ＠ｅｘａｍｐｌｅ．ｃｏｍ",
    "full-width at": "zebra.fish＠example.com",
    "mathematical": "𝐳𝐞𝐛𝐫𝐚.𝐟𝐢𝐬𝐡@𝐞𝐱𝐚𝐦𝐩𝐥𝐞.𝐜𝐨𝐦",
    "Cyrillic a": "zebrа.fish@example.com",
    "Cyrillic suffix": "zebra.fish@example.соm",
    "combining": "zebra\u0301.fish@example.com",
    "word joiners in a card": "4111\u20601111\u20601111\u20601111",
    "zero-width in a card": "4\u200b1\u200b1\u200b1\u200b 1111 1111 1111",
    "full-width card": "４１１１ １１１１ １１１１ １１１１",
    "Arabic digits": "٤١١١ ١١١١ ١١١١ ١١١١",
    "Devanagari digits": "४१११ ११११ ११११ ११११",
    "no-break card": "4111\u00a01111\u00a01111\u00a01111",
    "thin card": "4111\u20091111\u20091111\u20091111",
    "dashes in a card": "4111–1111–1111–1111",
    "zero-width in an SSN": "ssn 536\u200b-22-8721",
    "no-break hyphens": "ssn 536\u201122\u20118721",
    "zero-width in an IBAN": "GB82\u200b WEST 1234 5698 7654 32",
    "ideographic stops": "93。184。216。34",
}


@pytest.mark.parametrize("name", DISGUISED)
async def test_a_disguised_value(presidio: PresidioDetector, name: str) -> None:
    """What a reader, or a model, takes for a value is one, however it is written; it comes back as it was written."""
    text = f"it is {DISGUISED[name]} ok"
    reply, provider = await talk(presidio, text)
    value = DISGUISED[name].removeprefix("ssn ")
    assert re.fullmatch(r"it is (ssn )?<[A-Z_]+_1> ok", last_text(provider.requests[0])), value
    assert said(reply) == text


# Long texts


async def test_a_megabyte_is_looked_through_to_its_end(presidio: PresidioDetector) -> None:
    """Values across every border of the windows it is cut into are found, and everything comes back."""
    words = (f"{WORD} of {WORD} and so on, " * 40_000)[:1_000_000]
    step = WINDOW_CHARS - OVERLAP_CHARS
    text = ""
    for number in range(len(words) // step):
        text += words[number * step + len(text) % 7 : (number + 1) * step] + f" mail{number}.zebra@example.com "
    reply, provider = await talk(presidio, text, timeout_seconds=100.0)
    assert "zebra" not in provider.bodies[0].decode()
    assert said(reply) == text


@pytest.mark.parametrize("offset", [*range(-OVERLAP_CHARS - 30, -OVERLAP_CHARS + 30, 7), *range(-30, 30, 5)])
async def test_a_value_on_a_border(presidio: PresidioDetector, offset: int) -> None:
    """Wherever it stands to the border of a window, also where there is no blank to cut at."""
    text = "x" * (WINDOW_CHARS + offset - 1) + f"({MAIL})" + "y" * WINDOW_CHARS
    reply, provider = await talk(presidio, text)
    assert "zebra" not in provider.bodies[0].decode()
    assert said(reply) == text


async def test_what_takes_too_long_is_refused(presidio: PresidioDetector) -> None:
    """A text that is not looked through in time reaches nobody, and the next request is served as ever."""
    provider = Provider(lambda request: chat_answer(last_text(request)))
    app = RedactMiddleware(provider, detector=presidio, timeout_seconds=0.01)
    reply = await send(app, orjson.dumps(chat(f"{MAIL} {WORD} " * 40_000)))
    assert (reply.status, reply.json()["error"]["code"]) == (503, "backend_unavailable")
    assert provider.bodies == []
    reply, _ = await talk(presidio, MAIL)
    assert said(reply) == MAIL


HOSTILE = {
    "an at after letters": "a" * 60_000 + "@",
    "ats": "a@" * 30_000,
    "dots": "a." * 30_000 + "@a",
    "digits and dashes": "1-" * 30_000,
    "digits and blanks": "1 2 " * 15_000,
    "digits": "4" * 60_000,
    "brackets": "(" * 30_000 + "1" * 30_000,
    "colons": "a:" * 30_000,
    "hex and colons": "f:" * 30_000 + "x",
    "schemes": "http://" * 9_000,
    "credentials": "a://" + "b:" * 30_000,
    "blanks": " " * 60_000 + MAIL,
    "angles": "<EMAIL_ADDRESS_" * 4_000,
    "zero widths": "\u200b" * 30_000,
    "combining": "a" + "\u0301" * 30_000,
    "plus": "+" * 60_000,
    "quotes": '"' * 30_000,
    "backslashes": "\\" * 60_000,
    "capitals": "Ab" * 30_000,
    "IBANs": "DE89" * 15_000,
    "base58": "1A1zP1" * 10_000,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_text_is_looked_through(presidio: PresidioDetector, name: str) -> None:
    """No pattern takes so long over what almost matches that a value behind it would not be found in time."""
    text = f"{HOSTILE[name]} {MAIL}"
    reply, provider = await talk(presidio, text, timeout_seconds=30.0)
    assert reply.status == 200
    assert "zebra" not in provider.bodies[0].decode()
    assert said(reply) == text


# Bodies that are none


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.replace(b"quagmire", b"quagmire \xff\xfe", 1),
        lambda body: body.replace(b"quagmire", b"quagmire \xed\xa0\x80", 1),
        lambda body: body.replace(b"quagmire", rb"quagmire \ud800", 1),
        lambda body: body[:-1],
        lambda body: body + body,
        lambda body: b"[" + body + b"]",
        lambda body: body.replace(b'"model"', b'"deep":' + b"[" * 100_000 + b"]" * 100_000 + b',"model"', 1),
        lambda body: b'"' + body.replace(b'"', b"'") + b'"',
        lambda body: b"",
        lambda body: body.decode().encode("utf-16"),
    ],
    ids=[
        *("no UTF-8", "a surrogate in UTF-8", "a lone surrogate", "cut off", "two", "an array", "deep", "a string"),
        *("empty", "UTF-16"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    presidio: PresidioDetector, path: str, spoil: Callable[[bytes], bytes]
) -> None:
    """With 400, and without reaching the provider."""
    provider = Provider(lambda _: chat_answer("Hi"))
    reply = await send(RedactMiddleware(provider, detector=presidio), spoil(orjson.dumps(DIALECTS[path])), path)
    assert reply.status == 400
    assert provider.bodies == []


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


JUNK: list[Any] = [
    *(None, True, 0, -1.5, 4111111111111111, "", f"{WORD} {MAIL}", [], {}, [None], [[]], [1, 2, 3]),
    *([{}], {WORD: CARD}, [MAIL], [[MAIL]], {"type": "text"}, {"type": "text", "text": {"text": MAIL}}),
    *({"type": "text", "text": [MAIL]}, {"type": [], "text": MAIL}, [{"type": "nobody_knows", WORD: MAIL}]),
]


# Names of models, roles, kinds of parts, tools, what one turn refers to another by; and a number that is one.
_WORDS_OF_THE_API = {"model", "role", "type", "name", "id", "tool_call_id", "tool_use_id", "call_id", "max_tokens"}


@pytest.mark.parametrize("path", DIALECTS)
async def test_wrong_types_anywhere(presidio: PresidioDetector, path: str) -> None:
    """Whatever stands wherever: the request is refused with 400, or it goes on and holds neither value."""
    provider = Provider(lambda _: {"id": "x"})
    app = RedactMiddleware(provider, detector=presidio)
    whole = DIALECTS[path]
    for at in _paths(whole):
        for junk in JUNK:
            request = copy.deepcopy(whole)
            place = request
            for step in at[:-1]:
                place = place[step]
            place[at[-1]] = junk
            provider.bodies.clear()
            reply = await send(app, orjson.dumps(request), path)
            assert reply.status in (200, 400), (at, junk)
            # The provider would refuse these: no text belongs there.
            if at[-1] not in _WORDS_OF_THE_API:
                seen = b"".join(provider.bodies).decode()
                assert "zebra" not in seen, (at, junk)
                assert CARD not in seen, (at, junk)
                assert CARD.replace(" ", "") not in seen, (at, junk)
            assert (reply.status == 200) == bool(provider.bodies)


@pytest.mark.parametrize("content", [None, "", [], " ", [{"type": "text", "text": ""}]])
async def test_where_nothing_is_said(presidio: PresidioDetector, content: Any) -> None:
    """No text, an empty one, and no parts pass as they are beside a turn with a value."""
    reply, provider = await talk(presidio, MAIL, content)
    assert reply.status == 200
    assert [message["content"] for message in provider.requests[0]["messages"]] == ["<EMAIL_ADDRESS_1>", content]


# What is no text, and text in text


class Recording(FixedDetector):
    """Keeps what it is shown."""


async def test_images_and_files_are_not_looked_through() -> None:
    """Base64 of any kind is not shown to the detector, and reaches the provider as it came."""
    data = base64.b64encode(f"{MAIL} {'x' * 3000}".encode()).decode()
    url = f"data:image/png;base64,{data}"
    requests: dict[str, Any] = {
        "/v1/chat/completions": chat(
            [
                {"type": "text", "text": MAIL},
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
                {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}},
            ]
        ),
        "/v1/responses": {
            "model": "m",
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": MAIL},
                        {"type": "input_image", "image_url": url},
                        {"type": "input_file", "file_data": data},
                    ],
                }
            ],
        },
        "/v1/messages": {
            "model": "m",
            "max_tokens": 9,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": MAIL},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
                        {"type": "document", "source": {"type": "base64", "media_type": "x/pdf", "data": data}},
                    ],
                }
            ],
        },
    }
    for path, request in requests.items():
        detector = Recording(EMAIL_ADDRESS=[MAIL])
        provider = Provider(lambda _: {"id": "x"})
        await send(RedactMiddleware(provider, detector=detector), orjson.dumps(request), path)
        assert detector.asked
        assert not any(data[:40] in text for text in detector.asked)
        assert provider.bodies[0] == orjson.dumps(request).replace(MAIL.encode(), b"<EMAIL_ADDRESS_1>", 1)


async def test_json_in_strings_in_json(presidio: PresidioDetector) -> None:
    """A value three strings deep is not seen; every level is still JSON; all of it comes back."""
    inner = json.dumps({"mail": MAIL, "n": 1.50, "card": 4111111111111111})
    outer = json.dumps({"body": json.dumps({"payload": inner, "é": "\\"}), "to": [MAIL]})
    request = chat("go")
    request["messages"] += [
        {
            "role": "assistant",
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": outer}}],
        },
        {"role": "tool", "tool_call_id": "t", "content": outer},
    ]
    provider = Provider(lambda request: chat_answer(last_text(request)))
    reply = await send(RedactMiddleware(provider, detector=presidio), orjson.dumps(request))
    [seen] = provider.requests
    assert "zebra" not in provider.bodies[0].decode()
    assert "4111111111111111" not in provider.bodies[0].decode()
    for text in (seen["messages"][1]["tool_calls"][0]["function"]["arguments"], seen["messages"][2]["content"]):
        innermost = json.loads(json.loads(json.loads(text)["body"])["payload"])
        assert set(innermost) == {"mail", "n", "card"}
        assert innermost["n"] == 1.5
    assert said(reply) == outer


@pytest.mark.parametrize(
    "arguments",
    [
        '{"to": "zebra.fish@example.com", "x": "\\ud800"}',
        '{"to": "zebra.fish@example.com\\udfff"}',
        '{"to": "zebra.fish\\u0040example.com"}',
        '{"to": "zebra.fish@example.com"',
        '{"to": "zebra.fish@example.com",}',
        "{'to': 'zebra.fish@example.com'}",
        "zebra.fish@example.com",
        '"zebra.fish@example.com"',
        '["zebra.fish@example.com", NaN, -Infinity]',
        '{"zebra.fish@example.com": {"zebra.fish@example.com": []}}',
        "[" * 50_000 + '"zebra.fish@example.com"' + "]" * 50_000,
        '{"a": "zebra.fish@example.com", "a": "zebra.fish@example.com"}',
        "",
    ],
    ids=[
        *("lone surrogate", "value beside one", "escaped", "cut off", "comma", "Python", "bare", "string", "NaN"),
        *("keys", "deep", "twice", "empty"),
    ],
)
async def test_arguments_that_are_hardly_json(presidio: PresidioDetector, arguments: str) -> None:
    """A value in them is not seen, and what was JSON still is."""
    request = chat("go")
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": arguments}}
    request["messages"].append({"role": "assistant", "tool_calls": [call]})
    provider = Provider(lambda _: chat_answer("Hi"))
    reply = await send(RedactMiddleware(provider, detector=presidio), json.dumps(request).encode())
    assert reply.status == 200
    seen = provider.requests[0]["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert "zebra" not in seen
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        return
    json.loads(seen)


# Names of kinds, and objects that are shown


@pytest.mark.parametrize("make", [PresidioDetector, lambda entities: RedactMiddleware(_nobody, entities=entities)])
def test_an_unknown_kind_is_refused_with_the_known_ones(make: Callable[..., Any]) -> None:
    """Whoever misspells one is told what there is."""
    with pytest.raises(ValueError, match="EMAIL_ADRESS") as caught:
        make(entities={"EMAIL_ADRESS": "placeholder"})
    assert all(kind in str(caught.value) for kind in KNOWN_ENTITIES)


async def _nobody(*_: Any) -> None:
    raise AssertionError("nobody is called")


async def test_no_object_shows_a_value(presidio: PresidioDetector) -> None:
    """What a debugger, an error report or a log line might print of a request under way holds nothing of it."""
    provider = Provider(lambda request: chat_answer(last_text(request)))
    app = RedactMiddleware(provider, detector=presidio)
    await send(app, orjson.dumps(chat(f"{WORD} {MAIL} {CARD}")))
    exchange = provider.scopes[0][KEY]
    vault = Vault()
    vault.placeholder("EMAIL_ADDRESS", MAIL)
    shown = [app, presidio, exchange, exchange.record, vault, Restorer(vault)]
    told = " ".join(
        map(repr, (*shown, *(vars(one) for one in shown if hasattr(one, "__dict__")), exchange.record.redact))
    )
    assert not any(secret in told for secret in _SECRET)


class Failing:
    """A detector whose errors repeat what it was shown."""

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        raise ValueError(f"cannot read {texts!r}")


@pytest.mark.parametrize("path", DIALECTS)
async def test_a_detector_that_tells_is_not_repeated(path: str) -> None:
    """Its words, which hold the caller's, go neither to the caller nor to the log."""
    provider = Provider(lambda _: {"id": "x"})
    reply = await send(RedactMiddleware(provider, detector=Failing()), orjson.dumps(DIALECTS[path]), path)
    assert reply.status == 503
    assert provider.bodies == []


class Misplacing:
    """A detector whose spans are of no text that it was shown."""

    def __init__(self, *spans: Span) -> None:
        self._spans = spans

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        return [self._spans for _ in texts]


@pytest.mark.parametrize(
    "spans",
    [
        (Span(0, 10**6, "X", 1.0),),
        (Span(-3, 2, "X", 1.0),),
        (Span(4, 2, "X", 1.0),),
    ],
    ids=["past the end", "negative", "backwards"],
)
async def test_spans_that_fit_no_text_are_an_outage(spans: tuple[Span, ...]) -> None:
    """What such a detector means cannot be known: nothing is sent."""
    reply, provider = await talk(Misplacing(*spans), f"{WORD} {MAIL}")
    assert reply.status == 503
    assert provider.bodies == []
