"""Beside stock Presidio, span by span: nothing differs but what helix/redact/recognizers says differs."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import phonenumbers
import pytest
import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from spacy.tokens import Doc

from helix.kernel.types import Span
from helix.redact import PresidioDetector
from helix.redact.recognizers import recognizers
from helix.redact.spans import resolve

DATA = Path(__file__).parents[3] / "shared" / "data" / "pii"


class Blank(SpacyNlpEngine):  # type: ignore[misc]
    """Tokens without a model, each its own lemma in lower case, so that Presidio's context words work."""

    def load(self) -> None:
        self.nlp = {"en": spacy.blank("en")}

    def _doc_to_nlp_artifact(self, doc: Doc, language: str) -> Any:
        for token in doc:
            token.lemma_ = token.lower_
        return super()._doc_to_nlp_artifact(doc, language)


class Stock:
    """Presidio's analyzer with the recognizers that it loads by itself."""

    def __init__(self) -> None:
        self._engine = AnalyzerEngine(nlp_engine=Blank(), supported_languages=["en"])

    def find(self, text: str) -> tuple[Span, ...]:
        """What it finds of the kinds that Helix knows, less URLs without a scheme; what overlaps is one."""
        found = []
        for result in self._engine.analyze(text, "en", score_threshold=0.4, return_decision_process=True):
            pattern = result.analysis_explanation.pattern_name or ""
            if result.entity_type != "UUID" and "on-schema" not in pattern and "Non schema" not in pattern:
                found.append(Span(result.start, result.end, result.entity_type, result.score))
        return resolve(found)


@pytest.fixture(scope="module")
def stock() -> Iterator[Stock]:
    """The stock analyzer, told to fetch no list of suffixes."""
    with pytest.MonkeyPatch.context() as patch:
        offline = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
        patch.setattr("tldextract.tldextract.TLD_EXTRACTOR", offline)
        yield Stock()


@pytest.fixture(scope="module")
def helix() -> Iterator[PresidioDetector]:
    """Helix's patterns for every kind that stock Presidio finds too."""
    kinds = {recognizer.supported_entities[0] for recognizer in every()}
    detector = PresidioDetector(entities=sorted(kinds), names=None)
    asyncio.run(detector.open())
    yield detector
    asyncio.run(detector.close())


PATTERN_KINDS = (
    *("CREDIT_CARD", "CRYPTO", "DATE_TIME", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS"),
    *("MEDICAL_LICENSE", "PHONE_NUMBER", "UK_NHS", "UK_NINO", "URL", "URL_CREDENTIALS", "US_BANK_NUMBER"),
    *("US_DRIVER_LICENSE", "US_ITIN", "US_PASSPORT", "US_SSN"),
)


def every() -> Sequence[Any]:
    return recognizers(PATTERN_KINDS, "en")


class Found(NamedTuple):
    """A finding in its text, and all that both sides found there."""

    text: str
    span: Span
    stock: Sequence[Span]
    helix: Sequence[Span]

    @property
    def value(self) -> str:
        return self.text[self.span.start : self.span.end]

    @property
    def digits(self) -> int:
        return sum(map(str.isdigit, self.value))

    @property
    def in_context(self) -> bool:
        """Whether a context word of Helix's stands beside it, whole, up to five words before or three after."""
        before = re.findall(r"[^\W_]+", self.text[: self.span.start].lower())[-5:]
        after = re.findall(r"[^\W_]+", self.text[self.span.end :].lower())[:3]
        words = {word.rstrip("s") for word in (*before, *after)}
        return any(
            {part.rstrip("s") for part in phrase.lower().split()} <= words
            for recognizer in every()
            if recognizer.supported_entities[0] == self.span.kind
            for phrase in recognizer.context or ()
        )

    def told_as(self, kinds: Iterable[str], by: Sequence[Span]) -> bool:
        """Whether one side tells the same characters as another kind."""
        return any(s.kind in kinds and s.start <= self.span.start and self.span.end <= s.end for s in by)


SURE = {"PHONE_NUMBER", "MAC_ADDRESS", "CREDIT_CARD", "IP_ADDRESS", "IBAN_CODE", "EMAIL_ADDRESS", "DATE_TIME", "URL"}
IN_CONTEXT_ALONE = {"US_DRIVER_LICENSE", "US_PASSPORT", "US_BANK_NUMBER", "MEDICAL_LICENSE", "UK_NHS"}
TECHNICAL = re.compile(
    r"(?<![\w.])\d+\.\d+(?![\w.])|\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{12,}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|\bv?\d+(?:\.\d+){2,}\b|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*|\b0x[0-9a-f]+\b",
    re.IGNORECASE,
)


def technical(found: Found) -> bool:
    spans = (match.span() for match in TECHNICAL.finditer(found.text))
    return any(start <= found.span.start and found.span.end <= end for start, end in spans)


def no_host(found: Found) -> bool:
    interface = ipaddress.ip_interface(found.value)
    address, network = interface.ip, interface.network
    is_network = network.prefixlen < address.max_prefixlen and address == network.network_address
    is_mask = address.version == 4 and str(address).split(".")[0] in ("0", "255")
    few = address.version == 6 and len([part for part in found.value.split(":") if part]) < 3
    return address.is_loopback or address.is_unspecified or address.is_multicast or is_network or is_mask or few


def unquoted(found: Found, others: Sequence[Span]) -> bool:
    return any((s.start - 1, s.end + 1) == (found.span.start, found.span.end) and s.kind == "URL" for s in others)


def no_card(found: Found) -> bool:
    """Whether no scheme gives such numbers: its first digits, and how many it has (Wikipedia, payment card number)."""
    lengths = {
        "4": (13, 16, 19),
        "34": (15,),
        "37": (15,),
        "35": range(16, 20),
        "36": range(14, 20),
        "6": range(12, 20),
    }
    lengths |= {prefix: range(14, 20) for prefix in ("300", "301", "302", "303", "304", "305", "309", "38", "39")}
    lengths |= {prefix: (16,) for prefix in ("51", "52", "53", "54", "55")}
    lengths |= {prefix: range(12, 20) for prefix in ("50", "56", "57", "58", "59")}
    number = re.sub(r"\D", "", found.value)
    return not any(number.startswith(prefix) and len(number) in lengths[prefix] for prefix in lengths)


Rule = Callable[[Found], bool]

LESS: Mapping[str, tuple[str, Rule]] = {
    "licences and the like need a whole context word": (
        "*",
        lambda f: f.span.kind in IN_CONTEXT_ALONE and not f.in_context,
    ),
    "a licence has five digits": ("US_DRIVER_LICENSE", lambda f: f.digits < 5),
    "technical strings": ("*", technical),
    "a phone number has seven digits": ("PHONE_NUMBER", lambda f: f.digits < 7),
    "bare digits are no phone number": ("PHONE_NUMBER", lambda f: f.value.isdigit() and not f.in_context),
    "SSN in blanks or dots needs context": (
        "US_SSN",
        lambda f: re.search(r"\d{3}[ .]\d\d[ .]\d{4}$", f.value) is not None and not f.in_context,
    ),
    "addresses of no host": ("IP_ADDRESS", no_host),
    "URL without its quotation marks": ("URL", lambda f: f.value[0] in "\"'" and unquoted(f, f.helix)),
    "cards of no scheme, or of one that needs context": ("CREDIT_CARD", no_card),
    "told as what is surer": ("*", lambda f: f.span.kind in IN_CONTEXT_ALONE and f.told_as(SURE, f.helix)),
    "credentials belong to what follows them": ("EMAIL_ADDRESS", lambda f: f.told_as({"EMAIL_ADDRESS"}, f.helix)),
    "nobody's address": ("EMAIL_ADDRESS", lambda f: f.value.startswith("git@")),
}
"""What stock Presidio finds and Helix does not: kind, and whether the difference is this one."""

MORE: Mapping[str, tuple[str, Rule]] = {
    "national formats beside a context word": (
        "PHONE_NUMBER",
        lambda f: f.span.reason.startswith("pattern 'groups', "),
    ),
    "what a context word behind it makes sure of": ("*", lambda f: ", beside " in f.span.reason and f.span.score < 0.5),
    "IBAN in lower case": ("IBAN_CODE", lambda f: f.value != f.value.upper()),
    "told as a number that needs context": ("*", lambda f: f.told_as({*IN_CONTEXT_ALONE, "US_SSN"}, f.stock)),
    "dotted quads are no phone number": (
        "IP_ADDRESS",
        lambda f: f.told_as({"PHONE_NUMBER"}, f.stock) and "/" not in f.value,
    ),
    "national insurance numbers, which Presidio leaves off": ("UK_NINO", lambda f: True),
    "URL without its quotation marks": (
        "URL",
        lambda f: any((s.start + 1, s.end - 1) == (f.span.start, f.span.end) for s in f.stock),
    ),
    "cards of other schemes and lengths": (
        "CREDIT_CARD",
        lambda f: (
            re.fullmatch(r"(?!1\d{12}$)(?:[1346]\d|5[0-5])\d\d[- ]?\d{3,4}[- ]?\d{3,4}[- ]?\d{3,5}", f.value) is None
        ),
    ),
    "sample SSN": ("US_SSN", lambda f: f.value in ("123-45-6789", "078-05-1120", "987-65-4320")),
    "internal suffixes": ("EMAIL_ADDRESS", lambda f: f.value.endswith((".internal", ".local", ".corp", ".lan"))),
    "a slash before the @": ("EMAIL_ADDRESS", lambda f: "/" in f.value or "?" in f.value or "#" in f.value),
    "credentials in URLs": ("*", lambda f: re.match(r"[^\s/]*:[^\s/]*@?", f.value) is not None and "://" in f.text),
}
"""What Helix finds and stock Presidio does not."""


def listed(found: Found, rules: Mapping[str, tuple[str, Rule]]) -> str | None:
    """Which of the listed differences one is."""
    for name, (kind, rule) in rules.items():
        if kind in ("*", found.span.kind) and rule(found):
            return name
    return None


async def differences(texts: Sequence[str], stock: Stock, helix: PresidioDetector) -> tuple[Counter[str], list[str]]:
    """How often which listed difference occurs ("same" counts what does not differ), and the others, told in full."""
    counts: Counter[str] = Counter()
    others: list[str] = []
    for text in texts:
        theirs = stock.find(text)
        [ours] = await helix.detect([text])
        known = {(s.start, s.end, s.kind) for s in ours} & {(s.start, s.end, s.kind) for s in theirs}
        counts["same"] += len(known)
        for sign, spans, rules in (("-", theirs, LESS), ("+", ours, MORE)):
            for span in spans:
                if (span.start, span.end, span.kind) in known:
                    continue
                found = Found(text, span, theirs, ours)
                name = listed(found, rules)
                counts[f"{sign} {name}"] += 1
                if name is None:
                    others.append(f"{sign} {span} {found.value!r} in {text!r}")
    return counts, others


def with_luhn(digits: str) -> str:
    total = sum(sum(divmod(int(d) * 2, 10)) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def iban(country: str, bban: str) -> str:
    number = "".join(str(int(c, 36)) for c in bban + country + "00")
    return f"{country}{98 - int(number) % 97:02d}{bban}"


def generated(count: int) -> list[str]:
    """Texts that people send, with values of every kind, and lines of logs and code."""
    rng = random.Random(7)

    def digits(n: int) -> str:
        return "".join(rng.choice("0123456789") for _ in range(n))

    def phone() -> str:
        region = rng.choice(("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR", "CH", "AU"))
        number = phonenumbers.example_number_for_type(region, rng.choice((0, 1, 3)))
        return phonenumbers.format_number(number, rng.choice((1, 2))) if number else "none"

    def grouped(number: str, sign: str) -> str:
        return sign.join(number[i : i + 4] for i in range(0, len(number), 4))

    values: Sequence[Callable[[], str]] = (
        lambda: f"{rng.choice(('jane.doe', 'bob', 'x_y+z'))}@{rng.choice(('mail.co.uk', 'example.com', 'büro.de'))}",
        lambda: rng.choice(("ops@build.internal", "git@github.com:a/b.git", "a@b", "who/what@example.org")),
        phone,
        phone,
        lambda: grouped(with_luhn("4" + digits(14)), rng.choice(("", " ", "-"))),
        lambda: with_luhn(rng.choice(("5018", "2223", "6205", "36")) + digits(rng.choice((11, 12)))),
        lambda: with_luhn("37" + digits(12)),
        lambda: digits(16),
        lambda: iban("GB", "WEST" + digits(14)),
        lambda: grouped(iban("DE", digits(18)), " "),
        lambda: iban("FR", digits(23)).lower(),
        lambda: f"{rng.randint(100, 665)}{(s := rng.choice('- .'))}{rng.randint(10, 99)}{s}{rng.randint(1000, 9999)}",
        lambda: rng.choice(("123-45-6789", "912-70-1234", "000-12-3456")),
        lambda: ".".join(str(rng.randint(0, 300)) for _ in range(4)),
        lambda: rng.choice(("2a00:1450:4001:81b::200e", "::1", "std::add", "fe80::1", "10.0.0.0/8", "12:30:59")),
        lambda: "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        lambda: rng.choice(("AB 12 34 56 C", "BB1388568", "A5631933", "H12345678", "943 476 5919", digits(9))),
        lambda: rng.choice(("https://example.com/a?b=c", "'https://x.org/y'", "os.sy", "http://u:p@h.com/", "a.com")),
        lambda: f"{rng.randint(1, 12)}/{rng.randint(1, 28)}/{rng.randint(1950, 2024)}",
        lambda: rng.choice(("12-JAN-2020", "2024-02-30", "1.2.2023", "5-10", "JAN-24", "3/2021")),
        lambda: "00:1B:44:11:3A:B7",
        lambda: rng.choice(("v2.10.16", "0.221459", "1700000000", "9fceb02d0ae598e95dc970b74767f19372d61af8")),
        lambda: digits(rng.randint(3, 14)),
        lambda: rng.choice(("A123", "i32", "H1234")),
        lambda: with_luhn("1" + digits(13)),
        lambda: f"0{digits(4)}",
    )
    around = (
        *("My number is {}, call me.", "call {}", "phone: {}", "{} is my passport", "my driver's license is {}"),
        *(
            "bank account {}",
            "ssn {}",
            "NHS number {}",
            "Please pay with {} today",
            "from {} to {}",
            "DEA {}",
            "ip {}",
            "number {}",
        ),
        *(
            '{{"id": "{}", "note": "{}"}}',
            "INFO [x] {} took {} ms",
            "id,{},{}",
            "public {}",
            "the slice {} of",
            "{}\n{}",
        ),
        *("see {} or write to {}", "date {}", "INTRODUCTORY {}", "tax id {}", "iban {}", "credit card {}"),
    )
    return [re.sub(r"(?<!{){}(?!})", lambda _: rng.choice(values)(), rng.choice(around)) for _ in range(count)]


async def test_nothing_else_differs_on_generated_texts(stock: Stock, helix: PresidioDetector) -> None:
    """Every difference is a listed one, and every listed one occurs."""
    counts, others = await differences(generated(4000), stock, helix)
    assert others == []
    assert counts["same"] > 1500
    assert {name[2:] for name in counts if name[0] in "-+"} == {*LESS, *MORE}


@pytest.mark.parametrize(
    ("name", "every_nth", "same"),
    [("generated_dev", 1, 500), ("negative_dev", 1, 100), ("wnut17_train", 20, 10)],
)
async def test_nothing_else_differs_on_data(
    stock: Stock, helix: PresidioDetector, name: str, every_nth: int, same: int
) -> None:
    """The same on texts that others collected."""
    file = DATA / f"{name}.jsonl"
    if not file.exists():
        pytest.skip(f"no data at {file}")
    with file.open() as lines:
        texts = [json.loads(line)["text"] for line in lines][::every_nth]
    counts, others = await differences(texts, stock, helix)
    assert others == []
    assert counts["same"] > same
