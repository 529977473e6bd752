"""The detector that a configuration describes, and what is told of a wrong one before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helix.config import Config
from helix.kernel.errors import ConfigError
from helix.local import detector, open_detector

MODEL = {"model_name": "demo/echo", "litellm_params": {"model": "demo/echo"}}
EMPLOYEE = {"entity": "EMPLOYEE_ID", "patterns": [r"\bEMP-\d{6}\b"]}


def config(**redact: Any) -> Config:
    """A configuration with these keys under helix.redact."""
    return Config.of({"model_list": [MODEL], "helix": {"redact": redact}}, {})


async def kinds(text: str, **redact: Any) -> list[str]:
    """What the configured detector finds in a text."""
    found = detector(config(names="none", **redact))
    assert found is not None
    [spans] = await found.detect([text])
    await found.close()
    return [span.kind for span in spans]


@pytest.mark.parametrize(
    ("redact", "place", "says"),
    [
        ({"language": "en"}, "language", "unknown key (did you mean 'languages'?)"),
        ({"languages": ["en", "klingon"]}, "languages", "unknown language 'klingon'; known are de, en, es"),
        ({"languages": []}, "languages", "tuple should have at least 1 item"),
        ({"entities": {"EMPLOYEE": "mask"}}, "entities", "unknown entity 'EMPLOYEE'; known are AGE, API_KEY"),
        ({"entities": {"EMAIL_ADDRESS": "hide"}}, "entities.EMAIL_ADDRESS", "found 'hide'"),
        ({"entities": {"DE_TAX_ID": "mask"}}, "entities", "DE_TAX_ID is found in texts of the language 'de'"),
        ({"score_threshold": {"E_MAIL": 0.9}}, "score_threshold", "unknown entity 'E_MAIL'; known are AGE, API_KEY"),
        ({"recognizers": [{"name": "x"}]}, "recognizers[0]", "name an entity, or a recognizer's code"),
        ({"recognizers": [{"code": "a:B", "score": 1}]}, "recognizers[0]", "take out score"),
        ({"recognizers": [EMPLOYEE | {"contexts": ["x"]}]}, "recognizers[0].contexts", "did you mean 'context'?"),
        ({"recognizers": [EMPLOYEE | {"score": 2}]}, "recognizers[0].score", "less than or equal to 1, found 2"),
        (
            {"recognizers": [EMPLOYEE | {"entity": "employee"}]},
            "recognizers[0].entity",
            "'employee' is no name of a kind",
        ),
        (
            {"recognizers": [EMPLOYEE | {"checksum": "crc32"}]},
            "recognizers[0].checksum",
            "unknown 'crc32'; known are damm",
        ),
        (
            {"recognizers": [EMPLOYEE | {"patterns": ["x", {"regex": "("}]}]},
            "recognizers[0].patterns[1].regex",
            "'(': not a regular expression: missing ) at position 1",
        ),
        (
            {"recognizers": [EMPLOYEE | {"patterns": [r"(\w+\s?)*:"]}]},
            "recognizers[0].patterns[0].regex",
            "it backtracks without end",
        ),
        ({"recognizer_registry": "/no/such.yaml"}, "recognizer_registry", "cannot be read: No such file"),
        ({"nlp_engine": {"nlp_engine_name": "flair"}}, "nlp_engine.nlp_engine_name", "allowed are spacy, stanza"),
        ({"execution_providers": ["GPU"]}, "execution_providers[0]", "input should be 'CPUExecutionProvider'"),
    ],
)
def test_faults(redact: dict[str, Any], place: str, says: str) -> None:
    """A fault is told with the path of its key, what was found, and what is allowed."""
    with pytest.raises(ConfigError) as raised:
        detector(config(**redact))
    assert str(raised.value).startswith(f"helix.redact.{place}: ")
    assert says in str(raised.value)


async def test_what_is_described_is_found() -> None:
    """A recognizer's kind is on beside the default kinds, and beside those that are named; unless it is kept."""
    text = "EMP-123456 a@b.com"
    assert await kinds(text, recognizers=[EMPLOYEE]) == ["EMPLOYEE_ID", "EMAIL_ADDRESS"]
    assert await kinds(text, recognizers=[EMPLOYEE], entities={"US_SSN": "mask"}) == ["EMPLOYEE_ID"]
    assert await kinds(text, recognizers=[EMPLOYEE], entities={"EMPLOYEE_ID": "keep"}) == []


async def test_what_a_registry_adds_is_found(tmp_path: Path) -> None:
    """The kinds of a registry are on where no kinds are named, else those that are."""
    file = tmp_path / "recognizers.yaml"
    file.write_text("recognizers: [{name: z, supported_language: en, supported_entity: ZIP, deny_list: ['90210']}]")
    assert await kinds("in 90210, a@b.com", recognizer_registry=str(file)) == ["ZIP", "EMAIL_ADDRESS"]
    assert await kinds("in 90210, a@b.com", recognizer_registry=str(file), entities={"ZIP": "mask"}) == ["ZIP"]


async def test_languages() -> None:
    """A configured language's numbers are on."""
    assert await kinds("Steuer-ID 86095742719", languages=["en", "de"]) == ["DE_TAX_ID"]
    assert await kinds("Steuer-ID 86095742719") == []


async def test_recognizers_of_other_languages() -> None:
    """One for a language that is not configured is no fault, and finds nothing."""
    german = EMPLOYEE | {"languages": ["de"]}
    assert await kinds("EMP-123456", recognizers=[german], languages=["de"]) == ["EMPLOYEE_ID"]
    assert await kinds("EMP-123456", recognizers=[german]) == []


async def test_names_are_on() -> None:
    """Names and places are found unless the model is `none`."""
    found = detector(config())
    assert found is not None
    [spans] = await found.detect(["Please call Amelia Thornton in Lisbon."])
    await found.close()
    assert [span.kind for span in spans] == ["PERSON", "LOCATION"]
    assert await kinds("Please call Amelia Thornton in Lisbon.") == []


def test_a_kind_of_ones_own_may_have_a_score() -> None:
    """What the configuration's own recognizers find is known too."""
    assert detector(config(recognizers=[EMPLOYEE], score_threshold={"EMPLOYEE_ID": 0.3})) is not None


async def test_code_that_is_not_there_is_named_when_a_detector_opens() -> None:
    """As a wrong configuration, not as a fault of Helix's."""
    found = detector(config(names="none", recognizers=[{"code": "no_such_package:Ids"}]))
    assert found is not None
    with pytest.raises(ConfigError, match=r"^helix.redact: recognizers\[0\]: 'no_such_package:Ids' cannot be imported"):
        await open_detector(found)
    await found.close()
