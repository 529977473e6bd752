"""Recognizers from a configuration: what they find, and what a wrong one is told."""

from __future__ import annotations

import pickle
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from helix.kernel.errors import BackendUnavailable
from helix.redact import PresidioDetector, patterns
from helix.redact.custom import CustomRecognizers

Find = Callable[..., Any]

EMPLOYEE = {"name": "employees", "entity": "EMPLOYEE_ID", "patterns": [r"\bEMP-\d{6}\b"]}


@pytest_asyncio.fixture
async def find() -> AsyncIterator[Find]:
    """`await find(text, *recognizers, languages=..., registry=...)`: kind and value of what they find."""
    async with AsyncExitStack() as stack:

        async def found(
            text: str, *recognizers: Any, languages: Sequence[str] = ("en",), registry: Path | None = None
        ) -> list[tuple[str, str]]:
            custom = CustomRecognizers(recognizers, registry=registry, languages=languages)
            detector = PresidioDetector(recognizers=custom, languages=languages)
            stack.push_async_callback(detector.close)
            (spans,) = await detector.detect([text], language=languages[0])
            return [(span.kind, text[span.start : span.end]) for span in spans]

        yield found


async def test_patterns(find: Find) -> None:
    """A pattern finds a kind of the user's own, whatever the case of its letters unless that counts."""
    text = "I am emp-123456, not EMP-12"
    assert await find(text, EMPLOYEE) == [("EMPLOYEE_ID", "emp-123456")]
    assert await find(text, {**EMPLOYEE, "case_sensitive": True}) == []


async def test_context(find: Find) -> None:
    """A pattern that is too weak alone finds what stands beside a context word, which is a whole word."""
    order = {
        "name": "orders",
        "entity": "ORDER_ID",
        "patterns": [{"regex": r"\b\d{8}\b", "score": 0.1}],
        "context": ["order", "purchase number"],
    }
    assert await find("my order 20417733 is late", order) == [("ORDER_ID", "20417733")]
    assert await find("purchase numbers: 20417733", order) == [("ORDER_ID", "20417733")]
    assert await find("the border 20417733 is late", order) == []
    assert await find("20417733", order) == []


async def test_checksum(find: Find) -> None:
    """With a scheme named, only what has right check digits is found."""
    member = {"name": "members", "entity": "MEMBER_ID", "patterns": [r"\bM-\d{9}\b"], "checksum": "luhn"}
    assert await find("M-123456782 and M-123456783", {**member, "patterns": [r"\b\d{9}\b"]}) == [
        ("MEMBER_ID", "123456782")
    ]
    assert await find("M-123456782", {**member, "checksum": "mod97"}) == []


async def test_word_lists(find: Find) -> None:
    """Words of a list are found as whole words, the longest first, also with other spacing; allowed values never."""
    names = {"name": "projects", "entity": "CODENAME", "deny_list": ["Falcon", "Blue Falcon", "C++"]}
    assert await find("blue  falcon, falcon, falconry; C++", names) == [
        ("CODENAME", "blue  falcon"),
        ("CODENAME", "falcon"),
        ("CODENAME", "C++"),
    ]
    allowing = {**EMPLOYEE, "allow_list": ["EMP-000000"]}
    assert await find("emp-000000 EMP-000001", allowing) == [("EMPLOYEE_ID", "EMP-000001")]


async def test_what_looks_technical_counts(find: Find) -> None:
    """What a configuration asks for is found in what looks like a version, a digest or a UUID too."""
    build = {"name": "builds", "entity": "BUILD_ID", "patterns": [r"\b[0-9a-f]{16}\b"]}
    assert await find("build 3f786850e387550f", build) == [("BUILD_ID", "3f786850e387550f")]


async def test_languages_of_a_recognizer(find: Find) -> None:
    """A recognizer for some languages is used where one of them is configured."""
    german = {**EMPLOYEE, "languages": ["de"]}
    assert await find("EMP-123456", german, languages=("de",)) == [("EMPLOYEE_ID", "EMP-123456")]
    with pytest.raises(ValueError, match=r"recognizers\[0\]\.languages: unknown language 'xx'; known are"):
        CustomRecognizers([{**EMPLOYEE, "languages": ["xx"]}])


async def test_one_that_takes_too_long_is_an_outage(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that gets past the check and then takes too long refuses the request: no hang, no miss."""
    monkeypatch.setattr("helix.redact.custom.check_pattern", lambda *_: None)
    monkeypatch.setattr(patterns, "RUN_LIMIT_SECONDS", 0.05)
    with pytest.raises(BackendUnavailable, match=r"'slow 1'.*took longer"):
        await find("a" * 4000 + "!b", {"name": "slow", "entity": "SLOW", "patterns": ["(a+)+b"]})


REGISTRY = r"""
global_regex_flags: 26
recognizers:
  - name: Zip code Recognizer
    supported_language: en
    patterns: [{name: zip code, regex: '(\b\d{5}(?:\-\d{4})?\b)', score: 0.5}]
    context: [zip, code]
    supported_entity: ZIP
  - name: Titles recognizer
    supported_languages: [en]
    supported_entity: SALUTATION
    deny_list: [Mr., Mrs.]
  - name: InPanRecognizer
    type: predefined
    supported_languages: [en]
  - name: EmailRecognizer
    type: predefined
  - name: somewhere else
    supported_language: de
    supported_entity: ELSEWHERE
    deny_list: [Dr.]
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    file = tmp_path / "recognizers.yaml"
    file.write_text(REGISTRY)
    return file


async def test_presidios_registry_files(find: Find, registry: Path) -> None:
    """A registry in Presidio's form works as it stands: custom and predefined recognizers, for the languages asked."""
    text = "Mrs. A of zip 90210 has PAN ABCPD1234K, a@b.com, Dr. No"
    assert await find(text, registry=registry) == [
        ("SALUTATION", "Mrs."),
        ("ZIP", "90210"),
        ("IN_PAN", "ABCPD1234K"),
        ("EMAIL_ADDRESS", "a@b.com"),
    ]


@pytest.mark.parametrize("name", ["example_recognizers.yaml", "default_recognizers.yaml"])
async def test_presidios_own_registry_files(find: Find, name: str) -> None:
    """The files that Presidio ships can be used."""
    import presidio_analyzer

    file = Path(presidio_analyzer.__file__).parent / "conf" / name
    assert ("EMAIL_ADDRESS", "a@b.com") in await find("Mr. X a@b.com", registry=file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is not YAML"),
        ("a: 1", "has no list under `recognizers`"),
        ("recognizers: [{name: a, patterns: [{name: b}]}]", r"recognizers\[0\].patterns\[0\].regex: required"),
        (
            "recognizers: [{name: a, patterns: [{name: b, regex: '(a+)+b', score: 1}]}]",
            r"recognizers\[0\].patterns\[0\].regex: '\(a\+\)\+b': it backtracks",
        ),
    ],
)
def test_faults_in_registry_files(tmp_path: Path, text: str, message: str) -> None:
    """What is wrong in a registry file is told with its place."""
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"recognizer_registry: .*{message}"):
        CustomRecognizers(registry=file)


async def test_what_presidio_does_not_take(find: Find, tmp_path: Path) -> None:
    """A registry that names a recognizer that there is not is refused when the detector opens."""
    file = tmp_path / "r.yaml"
    file.write_text("recognizers: [{name: NobodysRecognizer, type: predefined}]")
    with pytest.raises(ValueError, match=r"recognizer_registry: Presidio does not take it: .*NobodysRecognizer"):
        await find("x", registry=file)


CODE = r"""
from presidio_analyzer import Pattern, PatternRecognizer

class Badge(PatternRecognizer):
    def __init__(self):
        super().__init__("BADGE", patterns=[Pattern("badge", r"B#\d{4}", 0.6)], supported_language="de")

def several():
    return [Badge(), Badge()]

def broken():
    raise RuntimeError("no")

def other():
    return 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with recognizers, which is also offered as an entry point."""
    (tmp_path / "acme_pii.py").write_text(CODE)
    info = tmp_path / "acme_pii-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pii\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[helix.recognizers]\nacme-badge = acme_pii:Badge\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_pii", raising=False)
    return "acme_pii"


@pytest.mark.parametrize("name", ["acme_pii:Badge", "acme_pii:several", "acme-badge"])
async def test_recognizers_in_code(find: Find, module: str, name: str) -> None:
    """A class, a function, or an entry point gives recognizers, whatever language they say they speak."""
    assert await find("badge B#1234", name) == [("BADGE", "B#1234")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme_pii:Nothing", r"recognizers\[0\]: 'acme_pii:Nothing' cannot be imported"),
        ("no_such_module:X", r"recognizers\[0\]: 'no_such_module:X' cannot be imported"),
        ("acme_pii:broken", r"recognizers\[0\]: 'acme_pii:broken' cannot be made: RuntimeError"),
        ("acme_pii:other", r"recognizers\[0\]: 'acme_pii:other' makes a .*not a Presidio EntityRecognizer"),
        ("other-badge", r"recognizers\[0\]: no installed package offers 'other-badge'.*offered are: acme-badge"),
    ],
)
async def test_faults_in_code(find: Find, module: str, name: str, message: str) -> None:
    """Code that is not there, fails or makes something else is named."""
    with pytest.raises(ValueError, match=message):
        await find("x", name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entity": "employee id"}, "entity: 'employee id' is no name of a kind; allowed are capital letters"),
        ({"patterns": []}, "patterns: name a pattern, or words in deny_list"),
        ({"patterns": ["("]}, r"patterns\[0\].regex: '\(': not a regular expression: missing \) at position 1"),
        ({"patterns": ["x", r"\d*"]}, r"patterns\[1\].regex: .*every part of it is optional"),
        ({"patterns": [r"(\w+\s?)*:"]}, r"patterns\[0\].regex: .*it backtracks without end"),
        ({"patterns": [{"regex": "x", "score": 2}]}, r"patterns\[0\].score: must be above 0 and at most 1, found 2"),
        ({"checksum": "crc"}, "checksum: unknown 'crc'; known are damm, gs1, iban"),
        ({"checksum": "luhn", "patterns": [], "deny_list": ["x"]}, "checksum: checks what patterns find"),
        ({"context": ["a", " "]}, r"context\[1\]: must not be empty"),
        ({"deny_list": [""]}, r"deny_list\[0\]: must not be empty"),
        ({"name": " "}, "name: must not be empty"),
        ({"pattern": "x"}, "pattern: unknown key"),
    ],
)
def test_faults(change: dict[str, Any], message: str) -> None:
    """What is wrong in a recognizer is told with its place, what was found, and what is allowed."""
    with pytest.raises(ValueError, match=rf"recognizers\[1\]\.{message}"):
        CustomRecognizers([{**EMPLOYEE, "name": "first"}, {**EMPLOYEE, **change}])


def test_two_of_one_name() -> None:
    """Explanations name recognizers, so no two have the same name."""
    with pytest.raises(ValueError, match=r"recognizers\[1\]\.name: 'employees' stands there twice"):
        CustomRecognizers([EMPLOYEE, EMPLOYEE])


async def test_they_pickle(find: Find, registry: Path) -> None:
    """What is configured travels to another process, and opens there."""
    custom = CustomRecognizers([EMPLOYEE], registry=registry)
    detector = PresidioDetector(recognizers=pickle.loads(pickle.dumps(custom)))
    (spans,) = await detector.detect(["EMP-123456, zip 90210"])
    await detector.close()
    assert [span.kind for span in spans] == ["EMPLOYEE_ID", "ZIP"]
