"""The names model as it ships: what it finds, where, in which casing; long texts, batches, and files that are wrong."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helix.kernel.errors import BackendUnavailable
from helix.redact.names import NAME_KINDS, NameRecognizer
from helix.redact.tagger import PACKAGED


@pytest.fixture(scope="module")
def names() -> NameRecognizer:
    return NameRecognizer()


def found(names: NameRecognizer, text: str, *kinds: str) -> list[tuple[str, str]]:
    """What was found in a text and as which kind."""
    results = names.analyze(text, kinds or names.supported_entities)
    return [(result.entity_type, text[result.start : result.end]) for result in results]


def places(names: NameRecognizer, texts: Sequence[str]) -> list[list[tuple[int, int, str, float]]]:
    """All that a batch says, one row a text."""
    return [[(r.start, r.end, r.entity_type, r.score) for r in results] for results in names.analyze_batch(texts)]


@pytest.mark.parametrize(
    ("text", "person"),
    [
        ("Hi, my name is Amelia Thornton and my parcel is late.", "Amelia Thornton"),
        ("please cancel the booking of amelia thornton, thanks", "amelia thornton"),
        ("URGENT: CALL AMELIA THORNTON BACK TODAY", "AMELIA THORNTON"),
        ('{"status": "open", "customer_name": "Amelia Thornton", "priority": 2}', "Amelia Thornton"),
        ("id,name,plan\n17,Amelia Thornton,basic", "Amelia Thornton"),
        ("Kind regards,\nAmelia Thornton\nHead of Sales", "Amelia Thornton"),
        ("Amelia Thornton's invoice was paid twice.", "Amelia Thornton"),
        ("Could you ask Priya Raghunathan (support) about it?", "Priya Raghunathan"),
    ],
)
def test_a_name_is_found_whatever_stands_around_it(names: NameRecognizer, text: str, person: str) -> None:
    """In prose, in any case, in records, lists, signatures, and without the possessive."""
    assert ("PERSON", person) in found(names, text)


def test_places_peoples_and_addresses_are_found(names: NameRecognizer) -> None:
    """Towns and countries are LOCATION, nationalities NRP, and a whole address is one place."""
    text = "My Brazilian flatmate moved from Lisbon to 48 Harcourt Street, Dublin."
    kinds = found(names, text)
    assert ("NRP", "Brazilian") in kinds
    assert ("LOCATION", "Lisbon") in kinds
    assert any(kind == "LOCATION" and value.startswith("48 Harcourt Street") for kind, value in kinds)


def test_a_title_stays_outside_the_name(names: NameRecognizer) -> None:
    """Mr. says nothing of anybody, so the name's placeholder leaves it to the reader."""
    assert ("PERSON", "Okafor") in found(names, "Dear Mr. Okafor, your order has shipped.")


def test_punctuation_stays_outside(names: NameRecognizer) -> None:
    """What ends a sentence or a quotation is no part of a name."""
    assert found(names, '"Is this Henrik Lindqvist?" she asked.', "PERSON") == [("PERSON", "Henrik Lindqvist")]


def test_one_name_in_each_line_is_one_person_each(names: NameRecognizer) -> None:
    """Two people never share a placeholder because their names stand under each other."""
    people = found(names, "Attendees:\nHenrik Lindqvist\nAmelia Thornton\nPriya Raghunathan", "PERSON")
    assert [person for _, person in people] == ["Henrik Lindqvist", "Amelia Thornton", "Priya Raghunathan"]


@pytest.mark.parametrize(
    "before",
    [
        "👩‍👩‍👧‍👦 🙂 ",
        "cafe\u0301 nin\u0303o: ",
        "你好，",
        "שלום עולם ",
        "مرحبا ",
        "\ud800 ",
        "\u200b\u00ad",
        "\x00\x07 ",
        "ﬁﬂ ½ ",
    ],
)
def test_offsets_are_those_of_the_text(names: NameRecognizer, before: str) -> None:
    """Emoji, combining marks, other scripts, ligatures and broken characters before a name move nothing."""
    text = f"{before}Please call Amelia Thornton back."
    assert ("PERSON", "Amelia Thornton") in found(names, text)


def test_a_long_text_is_read_to_its_end(names: NameRecognizer) -> None:
    """Every name in a text of many windows is found, with the places that it has there."""
    filler = "The invoice was paid and the parcel arrived on time as it should have. "
    text = "".join(f"{filler}Then Amelia Thornton called again. {filler}" for _ in range(40))
    wanted = [at for at in range(len(text)) if text.startswith("Amelia Thornton", at)]
    assert [result.start for result in names.analyze(text, ["PERSON"])] == wanted


def test_a_long_text_without_any_end_of_a_sentence_is_read_in_windows_that_overlap(names: NameRecognizer) -> None:
    """No name is cut in two where no good place to cut is."""
    text = " and ".join(["then Amelia Thornton called us"] * 60)
    assert found(names, text, "PERSON") == [("PERSON", "Amelia Thornton")] * 60


def test_a_batch_says_what_each_text_alone_says(names: NameRecognizer) -> None:
    """What stands in one message does not change what is found in another."""
    texts = ["", "   ", "Call Amelia Thornton.", "no one here", "He lives in Lisbon. " * 40, "Henrik from Oslo", "\n"]
    assert places(names, texts) == [places(names, [text])[0] for text in texts]


def test_threads_may_share_it(names: NameRecognizer) -> None:
    """The same text gives the same findings from eight threads at once."""
    text = "Amelia Thornton moved from Lisbon to Dublin with Henrik Lindqvist."
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: places(names, [text])[0], range(32)))
    assert results == [results[0]] * 32
    assert results[0]


def test_only_what_is_asked_for_is_given(names: NameRecognizer) -> None:
    """Presidio passes the kinds of the call; others stay out, and none asks for nothing."""
    text = "Amelia Thornton moved to Lisbon."
    assert {kind for kind, _ in found(names, text, "LOCATION", "IP_ADDRESS")} == {"LOCATION"}
    assert names.analyze(text, ["IP_ADDRESS"]) == []


def test_technical_text_names_nobody(names: NameRecognizer) -> None:
    """Products, classes, keys and log lines are no people and no places."""
    texts = [
        "from flask import Flask\napp = Flask(__name__)\n\n@app.route('/')\ndef index():\n    return render('a.html')",
        "2024-03-01 10:22:07,113 ERROR [worker-3] redis.exceptions.ConnectionError: Error 111 connecting to cache:6379",
        "Install Docker, then run Kafka and Cassandra with `docker compose up -d`; Grafana listens on port 3000.",
        "SELECT name, city FROM users WHERE id = 17 ORDER BY created_at DESC LIMIT 50;",
    ]
    assert [found(names, text, "PERSON", "LOCATION", "NRP") for text in texts] == [[], [], [], []]


def test_it_stands_in_anybodys_registry() -> None:
    """Presidio's own AnalyzerEngine runs it as it runs any recognizer."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    engine = AnalyzerEngine(
        registry=RecognizerRegistry([NameRecognizer(entities=["PERSON"])], supported_languages=["en"]),
        nlp_engine=NoOpNlpEngine([{"lang_code": "en", "model_name": ""}]),
        supported_languages=["en"],
    )
    text = "Ask Amelia Thornton in Lisbon."
    (result,) = engine.analyze(text, "en")
    assert (text[result.start : result.end], result.entity_type) == ("Amelia Thornton", "PERSON")
    assert result.recognition_metadata[result.RECOGNIZER_NAME_KEY] == "NameRecognizer"


def test_work_can_be_given_up_between_windows(names: NameRecognizer) -> None:
    """Whoever waits no longer ends the work by raising."""
    calls = 0

    def going_on() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise BackendUnavailable("given up")

    with pytest.raises(BackendUnavailable, match="given up"):
        names.analyze_batch(["He lives in Lisbon. " * 400], going_on=going_on)
    assert calls == 2


def test_the_kinds_that_are_told_are_those_of_the_model(names: NameRecognizer) -> None:
    """NAME_KINDS is what configuration is checked against without opening the model."""
    assert tuple(names.supported_entities) == NAME_KINDS


def test_an_unknown_kind_is_refused() -> None:
    """With the kinds that the model knows."""
    with pytest.raises(ValueError, match=r"'SHOE_SIZE'; it finds PERSON, LOCATION"):
        NameRecognizer(entities=["SHOE_SIZE"])


def test_its_version_is_that_of_its_files(names: NameRecognizer) -> None:
    """Whoever remembers findings can tell one model from another."""
    assert (
        names.version == NameRecognizer().version == hashlib.sha256((PACKAGED / "SHA256SUMS").read_bytes()).hexdigest()
    )


def copy(folder: Path) -> Path:
    return Path(shutil.copytree(PACKAGED, folder / "model"))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    """A model that is not the one that was measured finds nobody knows what."""
    folder = copy(tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BackendUnavailable, match=f"{name} of the names model"):
        NameRecognizer(folder)


@pytest.mark.parametrize("name", ["model.onnx", "SHA256SUMS"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """The folder that was looked in is told."""
    folder = copy(tmp_path)
    (folder / name).unlink()
    with pytest.raises(BackendUnavailable, match=r"the names model in .* cannot be read: No such file"):
        NameRecognizer(folder)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "helix.redact.tagger", raising=False)
    with pytest.raises(BackendUnavailable, match=r"names need the package onnxruntime: pip install"):
        NameRecognizer()


def test_a_provider_that_is_not_there_is_named() -> None:
    """Whoever asks for a GPU is not given the processor without a word."""
    with pytest.raises(BackendUnavailable, match=r"none of NoSuchProvider .* here are .*CPUExecutionProvider"):
        NameRecognizer(providers=["NoSuchProvider"])
