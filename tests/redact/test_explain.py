"""The answer to: what would be taken out of this text, and why?"""

from __future__ import annotations

from helix.redact import Policy, PresidioDetector, explain


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
