"""Languages: their countries' numbers by Presidio's recognizers, their words, and every text in all of them at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from helix.redact import PresidioDetector
from helix.redact.entities import default_entities
from helix.redact.languages import LANGUAGES, NATIONAL, check_languages, check_spoken

SPOKEN = ("en", "de", "fr", "es")


@pytest_asyncio.fixture
async def detector() -> AsyncIterator[PresidioDetector]:
    """A detector of patterns for four languages."""
    detector = PresidioDetector(entities=default_entities(SPOKEN, names=False), languages=SPOKEN)
    await detector.open()
    yield detector
    await detector.close()


FOUND = [
    ("Meine Steuer-ID ist 86095742719.", "DE_TAX_ID", "86095742719"),
    ("Personalausweis Nr. L01X00T44", "DE_ID_CARD", "L01X00T44"),
    ("Reisepass C01X00T41 liegt bei", "DE_PASSPORT", "C01X00T41"),
    ("Rentenversicherungsnummer 15070649C103", "DE_SOCIAL_SECURITY", "15070649C103"),
    ("Steuernummer 181/815/08155", "DE_TAX_NUMBER", "181/815/08155"),
    ("Handy 2025550173", "PHONE_NUMBER", "2025550173"),
    ("mon NIR est 1 85 05 78 006 084 91", "FR_NIR", "1 85 05 78 006 084 91"),
    ("née en Corse, INSEE 269052A58815717", "FR_NIR", "269052A58815717"),
    ("numéro fiscal 30 23 217 600 053", "FR_TAX_ID", "30 23 217 600 053"),
    ("passeport 15AB12345", "FR_PASSPORT", "15AB12345"),
    ("mi DNI es 12345678Z", "ES_NIF", "12345678Z"),
    ("mi NIE: X1234567L", "ES_NIE", "X1234567L"),
    ("pasaporte AAA123456", "ES_PASSPORT", "AAA123456"),
    ("my SSN is 856-45-6789", "US_SSN", "856-45-6789"),
]


@pytest.mark.parametrize(("text", "kind", "value"), FOUND, ids=[kind + "-" + value for _, kind, value in FOUND])
async def test_numbers_of_every_language(detector: PresidioDetector, text: str, kind: str, value: str) -> None:
    """A text in any of the configured languages is looked through without saying which it is in."""
    [spans] = await detector.detect([text])
    assert (kind, value) in [(span.kind, text[span.start : span.end]) for span in spans]


async def test_a_text_in_several_languages(detector: PresidioDetector) -> None:
    """One text may hold several: what each language finds is told together, without overlap."""
    text = "Steuer-ID 86095742719, DNI 12345678Z, NIR 1 85 05 78 006 084 91, a@b.com"
    [spans] = await detector.detect([text])
    assert [span.kind for span in spans] == ["DE_TAX_ID", "ES_NIF", "FR_NIR", "EMAIL_ADDRESS"]


HARMLESS = [
    "Bestellung L01X00T44 ist da",  # an identity card's form and check digit, but nothing says so
    "Artikel C01X00T41",
    "NIR 1 85 05 78 006 084 92",
    "numéro fiscal 30 23 217 600 054",
    "numéro de commande 30 23 217 600 053",
    "DNI 12345678A",
    "Steuer-ID 86095742718",
    "réf. 15AB12345",
]


@pytest.mark.parametrize("text", HARMLESS)
async def test_numbers_of_nobody(detector: PresidioDetector, text: str) -> None:
    """Wrong check digits, and common forms without a word that tells what they are, are left alone."""
    [spans] = await detector.detect([text])
    assert [span.kind for span in spans if span.kind[:3] in ("DE_", "FR_", "ES_")] == []


async def test_numbers_of_other_languages_are_left_alone() -> None:
    """Without its language a country's numbers are not looked for; asking for them by name is an error that says so."""
    detector = PresidioDetector()
    assert await detector.detect(["Steuer-ID 86095742719"]) == [()]
    await detector.close()
    with pytest.raises(ValueError, match="DE_TAX_ID is found in texts of the language 'de', which is not among"):
        check_spoken(["DE_TAX_ID"], ["en"])
    with pytest.raises(ValueError, match="DE_TAX_ID is found in texts of the language 'de'"):
        await PresidioDetector(entities=["DE_TAX_ID"]).open()


async def test_every_countrys_recognizer_opens() -> None:
    """Every kind of every language is found by a recognizer that there is."""
    entities = [kind for kinds in NATIONAL.values() for kind in kinds]
    detector = PresidioDetector(entities=entities, languages=LANGUAGES)
    [spans] = await detector.detect(["PESEL 44051401359; hetu 131052-308T; T.C. kimlik no 10000000146"])
    await detector.close()
    assert {"PL_PESEL", "FI_PERSONAL_IDENTITY_CODE", "TR_NATIONAL_ID"} <= {span.kind for span in spans}


@pytest.mark.parametrize(
    ("languages", "says"),
    [
        (["en", "xx"], "unknown language 'xx'; known are de, en, es, fi, fr"),
        ([], "name at least one language; known are"),
        (["en", "en"], "stands there twice"),
    ],
)
def test_wrong_languages(languages: list[str], says: str) -> None:
    """A language that nothing is known of is refused with those that are."""
    with pytest.raises(ValueError, match=says):
        check_languages(languages)
    check_languages(["en", "nb"], more=["nb"])
