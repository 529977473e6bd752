"""The answer to: what would be taken out of this text, and why?"""

from __future__ import annotations

from collections.abc import Sequence

from helix.kernel.types import Span
from helix.redact import Policy, PresidioDetector, explain


class Met:
    """Knows Jane where she was met."""

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        return [[Span(4, 8, "PERSON", 0.9)] if text == "met Jane" else [] for text in texts]


async def test_spans_tell_why(presidio: PresidioDetector) -> None:
    """Each span with its kind, score, recognizer, what is done, and what stands there now."""
    text = "jane@x.com, 4111111111111111, 536-22-8721, 93.184.216.34"
    entities = {"EMAIL_ADDRESS": "placeholder", "CREDIT_CARD": "mask", "US_SSN": "block"}
    explained = await explain(presidio, text, policy=Policy(entities))
    assert explained.text == "<EMAIL_ADDRESS_1>, ************1111, <US_SSN_1>, 93.184.216.34"
    assert explained.actions == ("placeholder", "mask", "block", "keep")
    [mail, card, ssn, address] = explained.as_json()["spans"]
    assert mail == {
        "start": 0,
        "end": 10,
        "kind": "EMAIL_ADDRESS",
        "score": 1.0,
        "recognizer": "Email",
        "action": "placeholder",
        "reason": mail["reason"],
        "replacement": "<EMAIL_ADDRESS_1>",
    }
    assert card["replacement"] == "************1111"
    assert text[ssn["start"] : ssn["end"]] == "536-22-8721"
    assert address["replacement"] is None


async def test_a_clean_text_is_itself(presidio: PresidioDetector) -> None:
    """Nothing found, nothing said."""
    assert (await explain(presidio, "hello")).as_json() == {"text": "hello", "spans": []}


async def test_a_text_that_is_json_is_explained_like_any_other(presidio: PresidioDetector) -> None:
    """Places are those in the text as it was given; a number stays one, and a key tells of its value."""
    text = '{"mail": "jane@x.com", "card": 4111111111111111, "say": "\\"jane@x.com\\""}'
    explained = await explain(presidio, text)
    assert explained.text == (
        '{"mail": "<EMAIL_ADDRESS_1>", "card": 9000000000000001, "say": "\\"<EMAIL_ADDRESS_1>\\""}'
    )
    found = zip(explained.spans, explained.replacements, strict=True)
    told = [(text[span.start : span.end], instead) for span, instead in found]
    assert told == [
        ("jane@x.com", "<EMAIL_ADDRESS_1>"),
        ("4111111111111111", "9000000000000001"),
        ('"\\"jane@x.com\\""', "<EMAIL_ADDRESS_1>"),
    ]
    assert (await explain(presidio, "[1]")).as_json() == {"text": "[1]", "spans": []}


async def test_what_is_known_from_elsewhere_tells_what_stands_there() -> None:
    """Also where JSON spells it with escapes, and what would be refused is said to be."""
    text = '["met Jane", "Jane", "J\\u0061ne"]'
    explained = await explain(Met(), text, policy=Policy({"PERSON": "block"}))
    assert explained.actions == ("block", "block", "block")
    assert explained.replacements == ("<PERSON_1>", "<PERSON_1>", "<PERSON_1>")
    assert [text[span.start : span.end] for span in explained.spans] == ["Jane", "Jane", '"J\\u0061ne"']
