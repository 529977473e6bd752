"""Disguises do not hide a value, and what is found stands for the caller's own characters."""

from __future__ import annotations

import itertools

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helix.kernel.types import Span
from helix.redact import PresidioDetector
from helix.redact.shadow import shadow_of, whole

DISGUISED = {
    "zero-width space": (
        "card 4111\u200b1111\u200b1111\u200b1111.",
        "CREDIT_CARD",
        "4111\u200b1111\u200b1111\u200b1111",
    ),
    "zero-width joiners": ("ssn 53\u200d6-22-87\u200c21", "US_SSN", "53\u200d6-22-87\u200c21"),
    "byte order mark": ("j\ufeffane@example.com", "EMAIL_ADDRESS", "j\ufeffane@example.com"),
    "soft hyphen": ("mail jane.\u00addoe@exam\u00adple.com", "EMAIL_ADDRESS", "jane.\u00addoe@exam\u00adple.com"),
    "direction marks": ("ssn \u202e536-22-8721\u202c", "US_SSN", "536-22-8721"),
    "variation selector": ("4\ufe0f111 1111 1111 1111", "CREDIT_CARD", "4\ufe0f111 1111 1111 1111"),
    "full-width digits": (
        "カード４１１１　１１１１　１１１１　１１１１です",
        "CREDIT_CARD",
        "４１１１　１１１１　１１１１　１１１１",
    ),
    "full-width letters": ("ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ", "EMAIL_ADDRESS", "ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
    "Arabic digits": ("رقم ٤١١١١١١١١١١١١١١١", "CREDIT_CARD", "٤١١١١١١١١١١١١١١١"),
    "Devanagari digits": ("ssn ५३६-२२-८७२१", "US_SSN", "५३६-२२-८७२१"),
    "mathematical digits": ("ssn 𝟓𝟑𝟔-𝟐𝟐-𝟖𝟕𝟐𝟏", "US_SSN", "𝟓𝟑𝟔-𝟐𝟐-𝟖𝟕𝟐𝟏"),
    "circled digits": ("ssn ⑤③⑥-②②-⑧⑦②①", "US_SSN", "⑤③⑥-②②-⑧⑦②①"),
    "other dashes": ("ssn 536–22—8721", "US_SSN", "536–22—8721"),
    "no-break spaces": ("4111\u00a01111\u202f1111\u20091111", "CREDIT_CARD", "4111\u00a01111\u202f1111\u20091111"),
    "Cyrillic letters": ("jаne@exаmple.cоm", "EMAIL_ADDRESS", "jаne@exаmple.cоm"),
    "Greek letters": ("jαne@example.cοm", "EMAIL_ADDRESS", "jαne@example.cοm"),
    "Cyrillic IBAN": ("iban GВ82 WЕST 1234 5698 7654 32", "IBAN_CODE", "GВ82 WЕST 1234 5698 7654 32"),
    "ideographic full stop": ("jane@example。com", "EMAIL_ADDRESS", "jane@example。com"),
    "marks on digits": ("ssn 5\u03363\u03366\u0336-22-8721\u0336", "US_SSN", "5\u03363\u03366\u0336-22-8721\u0336"),
    "marks on letters": ("ja\u0301ne@example.com\u0301 is", "EMAIL_ADDRESS", "ja\u0301ne@example.com\u0301"),
}


@pytest.mark.parametrize(("text", "kind", "value"), DISGUISED.values(), ids=DISGUISED)
async def test_a_disguised_value_is_found(presidio: PresidioDetector, text: str, kind: str, value: str) -> None:
    """With its borders in the original text."""
    [spans] = await presidio.detect([text])
    assert [(span.kind, text[span.start : span.end]) for span in spans] == [(kind, value)]


OWN = {
    "ASCII": "plain text, 4111 1111 1111 1111",
    "accents": "Señor Müller à Besançon, naïve café",
    "Russian": "Привет, меня зовут Анна, я живу в Москве",
    "Greek": "Καλημέρα κόσμε",
    "Chinese": "我叫王小明。我住在北京。",
    "Hebrew": "שלום עולם",
    "emoji": "ok 👍 fine",
}


@pytest.mark.parametrize("text", OWN.values(), ids=OWN)
def test_plain_writing_is_its_own_shadow(text: str) -> None:
    """Letters of any language stay what they are."""
    assert shadow_of(text) is None


def test_a_word_in_another_alphabet_stays() -> None:
    """Look-alike letters are others only in a word with Latin letters."""
    shadow = shadow_of("мама ест aрple\u200b")
    assert shadow is not None
    assert shadow.text == "мама ест apple"


_disguise = st.text(st.sampled_from("a1@. 4á\u0301\u200b\u00adаＡ１😀👩\u200d🚀🇩🇪\ufe0f한"), max_size=40)


@settings(max_examples=300)
@given(_disguise)
@example("\u200b\u200b1\u200b")
def test_offsets_lead_back(text: str) -> None:
    """Every character of a shadow stands for the character of the original that it was made of, in order."""
    shadow = shadow_of(text)
    if shadow is None:
        return
    at = [shadow.original(Span(i, i + 1, "X", 1.0)) for i in range(len(shadow.text))]
    assert all(span.end == span.start + 1 for span in at)
    assert all(a.start < b.start for a, b in itertools.pairwise(at))
    for seen, span in zip(shadow.text, at, strict=True):
        # What is not another's double is the character itself.
        assert seen == text[span.start] or seen.isascii()


@settings(max_examples=300)
@given(_disguise, st.integers(0, 40), st.integers(1, 40))
def test_no_cluster_is_cut(text: str, start: int, length: int) -> None:
    """A span that would end inside of what is shown as one character takes all of it."""
    end = min(start + length, len(text))
    if start >= end:
        return
    [span] = whole(text, [Span(start, end, "X", 1.0)])
    borders = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    assert span.start <= start
    assert end <= span.end
    assert {span.start, span.end} <= borders


async def test_an_emoji_stays_whole(presidio: PresidioDetector) -> None:
    """What stands beside a value is not cut in half, nor taken."""
    text = "👩\u200d🚀jane@example.com👩\u200d🚀"
    [[span]] = await presidio.detect([text])
    assert text[: span.start] == "👩\u200d🚀"
    assert text[span.end :] == "👩\u200d🚀"
