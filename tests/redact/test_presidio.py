"""What the built-in detector finds, what it leaves alone, and what it never does."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helix.kernel.errors import BackendUnavailable
from helix.redact import DEFAULT_ENTITIES, KNOWN_ENTITIES, PresidioDetector
from helix.redact.languages import LANGUAGES
from helix.redact.recognizers.email import Email


async def found(detector: PresidioDetector, text: str) -> list[tuple[str, str]]:
    [spans] = await detector.detect([text])
    return [(span.kind, text[span.start : span.end]) for span in spans]


FOUND = [
    ("mail jane.doe@example.com now", "EMAIL_ADDRESS", "jane.doe@example.com"),
    ("ask ops@build.internal", "EMAIL_ADDRESS", "ops@build.internal"),
    ("user@münchen.de schrieb", "EMAIL_ADDRESS", "user@münchen.de"),
    ("ring +1 202-555-0173 today", "PHONE_NUMBER", "+1 202-555-0173"),
    ("(202) 555-0173", "PHONE_NUMBER", "(202) 555-0173"),
    ("my mobile is 2025550173", "PHONE_NUMBER", "2025550173"),
    ("reach me at 467 3395", "PHONE_NUMBER", "467 3395"),
    ("my iban is GB82 WEST 1234 5698 7654 32", "IBAN_CODE", "GB82 WEST 1234 5698 7654 32"),
    ("de89370400440532013000", "IBAN_CODE", "de89370400440532013000"),
    ("ssn 536-22-8721", "US_SSN", "536-22-8721"),
    ("the usual 123-45-6789", "US_SSN", "123-45-6789"),
    ("social security number 536228721", "US_SSN", "536228721"),
    ("from 93.184.216.34 again", "IP_ADDRESS", "93.184.216.34"),
    ("v 203.0.113.77", "IP_ADDRESS", "203.0.113.77"),
    ("ip == 8.8.8.8", "IP_ADDRESS", "8.8.8.8"),
    ("call 415.5552671", "PHONE_NUMBER", "415.5552671"),
    ("from 2a00:1450:4001:81b::200e", "IP_ADDRESS", "2a00:1450:4001:81b::200e"),
    ("passport 912803456", "US_PASSPORT", "912803456"),
    ("my driver's license number is A56319335", "US_DRIVER_LICENSE", "A56319335"),
    ("bank account 1234567890", "US_BANK_NUMBER", "1234567890"),
    ("NHS number 943 476 5919", "UK_NHS", "943 476 5919"),
    ("her number is AB 12 34 56 C", "UK_NINO", "AB 12 34 56 C"),
    ("DEA number BB1388568", "MEDICAL_LICENSE", "BB1388568"),
    ("pay 1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "CRYPTO", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
    ("postgres://admin:s3cret@db.example/x", "URL_CREDENTIALS", "admin:s3cret"),
]


@pytest.mark.parametrize(("text", "kind", "value"), FOUND, ids=[kind + "-" + value for _, kind, value in FOUND])
async def test_each_kind_is_found(presidio: PresidioDetector, text: str, kind: str, value: str) -> None:
    """Every default kind is found with its exact borders."""
    assert await found(presidio, text) == [(kind, value)]


def test_every_default_kind_has_an_example() -> None:
    """The table above leaves no default kind out but those that have tests of their own."""
    elsewhere = {"CREDIT_CARD", "US_ITIN", "API_KEY", "PRIVATE_KEY", "JWT", "SECRET", "PASSWORD"}
    assert {kind for _, kind, _ in FOUND} | elsewhere == set(DEFAULT_ENTITIES)


CARDS = {
    "Visa 16": "4111111111111111",
    "Visa 13": "4222222222222",
    "Visa 19": "4000000000000000006",
    "Mastercard 5": "5555555555554444",
    "Mastercard 2": "2223003122003222",
    "Amex": "378282246310005",
    "Diners": "30569309025904",
    "Discover": "6011111111111117",
    "JCB 16": "3530111333300000",
    "JCB 15": "213112345678906",
    "Maestro 12": "501800000009",
    "UnionPay": "6205500000000000004",
    "grouped": "4111 1111 1111 1111",
    "dashes": "4111-1111-1111-1111",
    "Amex grouped": "3782 822463 10005",
}


def _with_check_digit(number: str) -> str:
    digits = [int(c) for c in number if c.isdigit()][:-1]
    total = sum(sum(divmod(d * 2, 10)) if i % 2 == 0 else d for i, d in enumerate(reversed(digits)))
    return number[:-1] + str(-total % 10)


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
async def test_cards_of_every_scheme_are_found(presidio: PresidioDetector, card: str) -> None:
    """All lengths from 12 to 19 digits, also those that Presidio's own recognizer does not know."""
    card = _with_check_digit(card)
    assert await found(presidio, f"It is {card}, thanks.") == [("CREDIT_CARD", card)]


JUNK = {
    "schema-less URL": "see app.config.fr and tempfile.mk and os.sy",
    "modules": "import rpc.py, tempfile.mk, c.Ge; obj.pro() is app.py",
    "word in another": "the public part A5631933 of a slice 12345678, republic 228011",
    "bare unix time": "started_at=1700000000 ended_at=1700000000123 ts:1699999999",
    "digest by a word": "account 9fceb02d0ae598e95dc970b74767f19372d61af8, dl 123e4567-e89b-12d3-a456-426614174000",
    "plain URL": "see https://example.com/a?b=c#d",
    "word": "INTRODUCTORY C4 S3 i32 b1 F401 and the license says MIT",
    "licence in prose": "The Apache license 2.0 grants a permit. See RFC7231.",
    "UUID": "id 123e4567-e89b-12d3-a456-426614174000",
    "digest": "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "version": "version 2.10.16.1, v10.0.19045.3693, numpy==1.26.4.0",
    "date": "on 2024-02-30 at 12:30:59, 05/06/2023",
    "unix time": "at 1700000000 and 1700000000123",
    "decimal": "loss 0.221459 then 1234567.891011",
    "decimal beside a context word": "call me when pi is 3.1415926535, the call took 1234.5678901",
    "time beside a context word": "call 2024-01-02 12:33:44 and 1700000000.123",
    "loopback": "http://127.0.0.1:8000 and ::1 and 0.0.0.0",
    "network": "10.0.0.0/8 masked by 255.255.255.0",
    "C++ scope": "std::add and fe::bad and ::DEAD",
    "clone URL": "git clone git@github.com:encode/starlette.git",
    "wrong check digit": "card 4111111111111112, iban GB82WEST12345698765433",
    "port": "localhost:5432/app?x=1",
}


@pytest.mark.parametrize("text", JUNK.values(), ids=JUNK)
async def test_technical_text_is_left_alone(presidio: PresidioDetector, text: str) -> None:
    """What notes from the field call junk is not found."""
    assert await found(presidio, text) == []


async def test_context_words_are_whole_words(presidio: PresidioDetector) -> None:
    """The "us" in "bus" and the "lic" in "duplicate" do not make a passport or a licence of a number."""
    assert await found(presidio, "bus 912803456 is a duplicate of A5631933") == []


async def test_context_may_follow(presidio: PresidioDetector) -> None:
    """A context word counts within three words after the value as well."""
    assert await found(presidio, "912803456 is my passport") == [("US_PASSPORT", "912803456")]


async def test_credentials_are_hidden_whole(presidio: PresidioDetector) -> None:
    """A password before a host reads as an e-mail address too; what overlaps is hidden as one."""
    text = "https://admin:s3cret@example.com/"
    [(_, value)] = await found(presidio, text)
    assert value.startswith("admin:s3cret")


async def test_a_long_text_is_found_through(presidio: PresidioDetector) -> None:
    """Values are found wherever the windows' borders fall, once each."""
    text = "".join(f"line {n} of the log says user{n}@example.com did it\n" for n in range(400))
    assert await found(presidio, text) == [("EMAIL_ADDRESS", f"user{n}@example.com") for n in range(400)]


async def test_a_value_across_a_window_is_whole(presidio: PresidioDetector) -> None:
    """A card that begins before a window's end is found whole."""
    for shift in range(60):
        text = "x" * (4060 + shift) + " 4111 1111 1111 1111 " + "y " * 300
        assert await found(presidio, text) == [("CREDIT_CARD", "4111 1111 1111 1111")]


async def test_texts_are_answered_in_order(presidio: PresidioDetector) -> None:
    """A batch gives one answer a text."""
    spans = await presidio.detect(["a@b.com", "", "nothing", "1.2.3.4 c@d.org"])
    assert [[span.kind for span in each] for each in spans] == [
        ["EMAIL_ADDRESS"],
        [],
        [],
        ["IP_ADDRESS", "EMAIL_ADDRESS"],
    ]


_odd = st.one_of(st.text(), st.from_regex(r"[0-9٣ .()+@:/xſK-]{0,40}"), st.sampled_from([text for text, _, _ in FOUND]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_odd, max_size=4))
def test_any_text_is_answered(presidio: PresidioDetector, texts: list[str]) -> None:
    """Whatever a text holds, the answer is sorted spans inside it without overlap, never an error."""
    text = " ".join(texts)
    [spans] = presidio._detect_all([text], "en", threading.Event())
    at = 0
    for span in spans:
        assert at <= span.start < span.end <= len(text)
        at = span.end


async def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening and detecting open no connection."""

    def refuse(*_args: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    detector = PresidioDetector()
    assert await found(detector, "a@b.co.uk https://x.com 4111111111111111") != []
    await detector.close()


async def test_nothing_is_logged(presidio: PresidioDetector, caplog: pytest.LogCaptureFixture) -> None:
    """No piece of a text reaches a log, at any level."""
    with caplog.at_level(logging.DEBUG):
        await presidio.detect(["iban XX99 ABCD 1234 5678 9012, jane@example.com, ssn 536-22-8721"])
    assert caplog.records == []


def test_torch_is_not_loaded() -> None:
    """Presidio comes without torch and transformers, and both can still be imported afterwards."""
    code = """
import asyncio, sys
from helix.redact import PresidioDetector
async def main():
    detector = PresidioDetector()
    await detector.open()
    await detector.close()
asyncio.run(main())
assert "presidio_analyzer" in sys.modules
assert not {"torch", "transformers"} & set(sys.modules)
import importlib.util
assert importlib.util.find_spec("torch")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_stage_loads_no_detector() -> None:
    """`import helix.redact` brings neither Presidio nor spaCy."""
    code = "import sys, helix.redact; assert not {'presidio_analyzer', 'spacy', 'tldextract'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"entities": ["EMAIL"]}, "known are .*EMAIL_ADDRESS"),
        ({"score_threshold": 1.5}, "from 0 to 1"),
        ({"languages": ()}, "languages"),
        ({"workers": 0}, "workers"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], says: str) -> None:
    """A wrong option is a ValueError that says what is allowed."""
    with pytest.raises(ValueError, match=says):
        PresidioDetector(**options)


async def test_only_the_kinds_asked_for_are_found() -> None:
    """`entities` narrows, and widens to kinds that are off by default."""
    detector = PresidioDetector(entities=["URL", "DATE_TIME", "MAC_ADDRESS"])
    text = "a@b.com saw https://example.com/x on 12/31/2023 from 00:1B:44:11:3A:B7"
    assert [kind for kind, _ in await found(detector, text)] == ["URL", "DATE_TIME", "MAC_ADDRESS"]
    await detector.close()


async def test_every_known_kind_has_a_recognizer() -> None:
    """No kind can be configured that nothing finds."""
    from helix.redact.names import NAME_KINDS
    from helix.redact.recognizers import recognizers

    made = {recognizer.supported_entities[0] for recognizer in recognizers(list(KNOWN_ENTITIES), *LANGUAGES)}
    assert made | {*NAME_KINDS} == set(KNOWN_ENTITIES)


async def test_another_language() -> None:
    """The patterns serve any language that is configured; one that is not is an outage, not silence."""
    detector = PresidioDetector(languages=("de",))
    [spans] = await detector.detect(["Telefon 2025550173"], language="de")
    assert [span.kind for span in spans] == ["PHONE_NUMBER"]
    with pytest.raises(BackendUnavailable, match="de"):
        await detector.detect(["x"], language="fr")
    await detector.close()


async def test_too_many_calls_are_refused() -> None:
    """What waits for the threads is bounded."""
    detector = PresidioDetector(workers=1, max_waiting=1)
    await detector.open()
    first = asyncio.ensure_future(detector.detect(["a@b.com " * 2000]))
    await asyncio.sleep(0)
    with pytest.raises(BackendUnavailable, match="busy"):
        await detector.detect(["x"])
    assert len((await first)[0]) == 2000
    assert await detector.detect(["x"]) == [()]
    await detector.close()


async def test_a_call_given_up_ends(presidio: PresidioDetector) -> None:
    """A caller who leaves does not leave a thread working through the rest."""
    abandoned = threading.Event()
    abandoned.set()
    with pytest.raises(BackendUnavailable):
        presidio._detect_all(["a@b.com"], "en", abandoned)


@pytest.mark.parametrize("text", ["a." * 20_000 + "@", "a@" + "b-" * 20_000, "!" * 40_000 + "@x", "a@b" * 13_000])
def test_looking_for_addresses_gives_nothing_back(text: str) -> None:
    """The pattern never backtracks over a run, so that no text takes long; Presidio gives a slow text up, unread."""
    pattern = Email.PATTERNS[0].regex
    assert list(regex.compile(pattern).finditer(text, timeout=5)) == []


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("'a.b+c@x.example.org'", ["a.b+c@x.example.org"]),
        ("a@x.com/b@y.com;c@xn--80ak6aa92e.com.", ["a@x.com", "b@y.com", "c@xn--80ak6aa92e.com"]),
        ("a@b@y.com a.@y.com @y.com a@y", ["b@y.com"]),
        ("a" * 70 + "@x.com", ["a" * 70 + "@x.com"]),
    ],
)
def test_the_borders_of_addresses(text: str, addresses: list[str]) -> None:
    """As Presidio's own pattern has them, less signs that stand before an address."""
    pattern = Email.PATTERNS[0].regex
    assert [match.group() for match in regex.compile(pattern).finditer(text)] == addresses
