"""Regular expressions of others: dangerous ones are refused when read, and all are held to a limit when they run."""

from __future__ import annotations

import threading

import pytest
import regex  # type: ignore[import-untyped]

from helix.kernel.errors import BackendUnavailable
from helix.redact import patterns
from helix.redact.lean import without
from helix.redact.patterns import FLAGS, IGNORECASE, BoundedPattern, bound, check_pattern

DANGEROUS = [
    r"(a+)+b",
    r"(a|a)*b",
    r"(a|aa)+$",
    r"(\w+\s?)*:",
    r"(x+x+)+y",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(?:\d+-?)+X",
    r"([a-zA-Z]+)*\d{4}",
    r"(?:(?:[a-z]+)\.?)+@",
    r"(?:foo|fo|o)+$",
    r"(\s*\w+\s*)+;",
    r"((a*)*)*b",
    r"(\p{L}+\s*)+!",
    r"\d+\d+\d+\d+x",
    r'(?:[^"]+|"")*"z',
    r"(\w+)+(?=z)",
    r"(?P<a>x+)+(?P=a)y",
    r"([+-]?\d+(\.\d+)?)*e",
]
HARMLESS = [
    r"\bEMP-\d{6}\b",
    r"\d+-\d+",
    r"\w+@\w+\.\w+",
    r"\s+x",
    r"(?:ab?)+c",
    r"[A-Z]{2}\d{2}(?:\s?\d{4}){4}",
    r"(?:a++)+b",
    r"(?>a+)+b",
    r"ORD(?:-\d{3})+",
    r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b",
    r"\d{3}[- ]?\d{3}[- ]?\d{4}",
    r"(?<=ticket )\p{Lu}{3}\d+",
]


@pytest.mark.parametrize("expression", DANGEROUS)
def test_backtracking_without_end_is_refused(expression: str) -> None:
    """A pattern whose work doubles with every character, or grows with the cube, is refused with what to do instead."""
    with pytest.raises(ValueError, match=r"backtracks without end.*possessive"):
        check_pattern(expression, FLAGS | IGNORECASE)


@pytest.mark.parametrize("expression", HARMLESS)
def test_ordinary_patterns_are_taken(expression: str) -> None:
    """Patterns of people's own numbers, and possessive forms of dangerous ones, are taken."""
    check_pattern(expression, FLAGS | IGNORECASE)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "not a regular expression: missing ) at position 1"),
        ("[a", "not a regular expression: unterminated character set at position 2"),
        ("*a", "not a regular expression: nothing to repeat at position 0"),
        ("a{2,1}", "not a regular expression: min repeat greater than max repeat"),
        (r"\1", "not a regular expression: invalid group reference"),
        ("", "every part of it is optional"),
        ("a*", "every part of it is optional"),
        (r"(?:\d{4})?", "every part of it is optional"),
        (r"\b", "every part of it is optional"),
        (r"(?=x)", "every part of it is optional"),
        (r"\p{Lu}*", "every part of it is optional"),
    ],
)
def test_patterns_that_are_none(expression: str, message: str) -> None:
    """What is no regular expression, or finds nothing everywhere, is refused with where and why."""
    with pytest.raises(ValueError, match=regex.escape(message)):
        check_pattern(expression, FLAGS)


def test_a_pattern_that_takes_too_long_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit a pattern's work ends with BackendUnavailable, which names the pattern and nothing of the text."""
    monkeypatch.setattr(patterns, "RUN_LIMIT_SECONDS", 0.05)
    pattern = BoundedPattern(regex.compile("(a+)+b"), "'name' of somebody's")
    with pytest.raises(BackendUnavailable, match="the pattern 'name' of somebody's took longer") as raised:
        list(pattern.finditer("a" * 9000 + "!b", timeout=60))
    assert "aaa" not in str(raised.value)


def test_other_threads_run_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a pattern works, other threads get on: the interpreter is not held."""
    monkeypatch.setattr(patterns, "RUN_LIMIT_SECONDS", 0.5)
    pattern = BoundedPattern(regex.compile("(a+)+b"), "slow")
    counted, ended = [0], threading.Event()

    def count() -> None:
        while not ended.is_set():
            counted[0] += 1

    other = threading.Thread(target=count)
    other.start()
    before = counted[0]
    try:
        with pytest.raises(BackendUnavailable):
            list(pattern.finditer("a" * 9000 + "!b"))
        during = counted[0] - before
    finally:
        ended.set()
        other.join()
    assert during > 0


def test_anybodys_recognizers_are_bound() -> None:
    """Patterns of Presidio's recognizers run within the limit, and find what they found."""
    with without("torch", "transformers"):
        from presidio_analyzer import Pattern, PatternRecognizer

    given = PatternRecognizer("THING", name="things", patterns=[Pattern("number", r"thing-\d+", 0.5)])
    bound([given])
    assert isinstance(given.patterns[0].compiled_regex, BoundedPattern)
    (result,) = given.analyze("a THING-12 here", ["THING"])
    assert (result.start, result.end, result.score) == (2, 10, 0.5)
