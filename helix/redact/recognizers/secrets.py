"""API keys, private keys, tokens and passwords. Imports Presidio: import this module where a detector is opened.

A key is known by its provider's own form; other secrets by a key word before them and by looking random. What only
stands for a secret (`sk-...`, `<your key>`, `os.environ/KEY`, `xxxx`) is none, nor is a digest or a UUID without such
a word.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import regex  # type: ignore[import-untyped]
from presidio_analyzer import LocalRecognizer, Pattern

from helix.redact.reading import LONG_WORD, Reading
from helix.redact.recognizers.base import Found, Native
from helix.redact.recognizers.keys import KEY_FORMATS

__all__ = ["recognizers"]

# What people write where a secret would stand.
_STAND_IN = re.compile(
    r"""(?ix) \.\.\.|…|\*{3}|x{4}|0{8}|\#{3} | ^(?P<one>.)(?P=one)*$ | 1234567|abcdef(?:g|$)|qwerty
    | example|placeholder|change.?me|redacted|replace(?:me|with|this)
    | (?<![a-z0-9])(?:your|sample|insert|dummy|fake|real|todo|here|my|some)(?![a-z0-9])  # shorter: drawn by chance
    | os\.environ|process\.env|getenv|secrets?\. | [<>{}\[\]|\\] | ^\$[({\w] | %\w+%""",
)
_HEX = re.compile(r"[0-9a-fA-F]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_CLASSES = (str.islower, str.isupper, str.isdigit)


def bits_per_character(text: str) -> float:
    """How much each character tells, by how often each occurs (Shannon's entropy)."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def _looks_random(text: str, least_bits: float) -> bool:
    """Whether a text has letters and digits and is no word, name or placeholder."""
    kinds = sum(any(map(of, text)) for of in _CLASSES)
    return (
        kinds >= 2
        and any(map(str.isdigit, text))
        and bits_per_character(text) >= least_bits
        and not _STAND_IN.search(text)
    )


class _Secret(Native):
    """A recognizer of one kind that knows for itself what it sees."""

    KIND = ""
    is_certain = True

    def __init__(self, language: str) -> None:
        LocalRecognizer.__init__(self, [self.KIND], name=type(self).__name__, supported_language=language)
        self.patterns: list[Pattern] = []

    @property
    def is_weak(self) -> bool:
        """Never: no context word is needed."""
        return False

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """What stands in a text."""
        raise NotImplementedError


class ApiKey(_Secret):
    """Keys in the form that a provider gives them."""

    needs = LONG_WORD
    KIND = "API_KEY"
    _FORMATS = tuple((regex.compile(rf"(?<![A-Za-z0-9])(?:{f.regex})(?![A-Za-z0-9])"), f) for f in KEY_FORMATS)
    _MARKS = tuple((mark, index) for index, form in enumerate(KEY_FORMATS) for mark in form.marks)

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """Each format where the text has a mark of it at all."""
        text = reading.text
        for index in sorted({index for mark, index in self._MARKS if mark in text}):
            pattern, form = self._FORMATS[index]
            for match in pattern.finditer(text):
                value = match.group()
                if bits_per_character(value) >= form.least_bits and not _STAND_IN.search(value):
                    yield Found(match.start(), match.end(), 1.0, form.provider)


class Jwt(_Secret):
    """JSON web tokens: signed (RFC 7515) or encrypted (RFC 7516), with a header that is one."""

    needs = "eyJ"
    KIND = "JWT"
    _FORM = regex.compile(r"(?<![\w.-])(eyJ[\w-]{8,}+)(?:\.[\w-]*+){2,4}(?![\w-])")

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """Three parts or five whose first is a JSON object that names an algorithm."""
        text = reading.text
        if "eyJ" not in text:
            return
        for match in self._FORM.finditer(text):
            header = match.group(1)
            try:
                told = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
            except (ValueError, binascii.Error):
                continue
            if isinstance(told, dict) and "alg" in told:
                yield Found(match.start(), match.end(), 1.0, "header and parts")


_LABEL = r"(?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?"
_BREAK = r"(?:\s|\\[nr])"  # escapes too: a block is often written into a string
_PEM = re.compile(
    rf"-----BEGIN (?P<label>{_LABEL})-----"
    rf"(?:(?:[^-]|-(?!----)){{16,20000}}-----END (?P=label)-----|{_BREAK}*+(?:[A-Za-z0-9+/=]{{16,}}+{_BREAK}*+)++)"
)
_PEM_REST = re.compile(rf"\A(?:[A-Za-z0-9+/=]++{_BREAK}*+)*+-----END {_LABEL}-----")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16}")


class PrivateKey(_Secret):
    """Private keys as PEM blocks (RFC 7468), also one that begins, or ends, outside of the text."""

    needs = "PRIVATE KEY"
    KIND = "PRIVATE_KEY"

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """Blocks that hold a key, and what is left of one that began before this text."""
        text = reading.text
        if "PRIVATE KEY" not in text:
            return
        rest = _PEM_REST.match(text)
        if rest is not None:
            yield Found(0, rest.end(), 1.0, "end of a PEM block")
        for match in _PEM.finditer(text):
            if _BASE64.search(text, match.end("label"), match.end()):
                yield Found(match.start(), match.end(), 1.0, "PEM block")


_ASSIGNED = r"""["'`]?\s{0,3}(?::=|=>|[:=]|\b(?:is|ist|es|est|lautet)\b:?)\s{0,3}(?:str\s*=\s*)?(?P<quote>["'`]?)"""


class Secret(_Secret):
    """What looks random and stands after a word such as secret, token or api key; credentials of HTTP headers."""

    needs = LONG_WORD
    KIND = "SECRET"
    _WORDS = ("secret", "token", "key", "credential", "bearer", "basic", "authorization")
    _NAMES = (
        *("secret", "secret[_ -]?(?:access[_ -]?)?key", "client[_ -]?secret", "credentials?", "(?<![a-z])tokens?"),
        "(?:access|auth|bearer|refresh|api|bot|session|id|deploy|personal)[_ -]?tokens?",
        "(?:api|access|auth|private|account|encryption|signing|master|license)[_ -]?keys?",
    )
    _NAMED = regex.compile(
        rf"(?i)(?:{'|'.join(_NAMES)})(?:_\d+)?{_ASSIGNED}(?P<value>[\w+/.~=:!@#^&*?-]{{12,512}}+)(?P<call>\()?"
    )
    _HEADER = regex.compile(r"(?i)\b(?:bearer|basic|authorization:\s*token)\s+(?P<value>[\w.~+/-]{16,4096}+={0,2})")

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """Values after a key word."""
        text, lowered = reading.text, reading.lowered
        if not any(word in lowered for word in self._WORDS):
            return
        for match in self._NAMED.finditer(text):
            value = match["value"].rstrip(".:=!?&" if not match["value"].endswith("==") else ".")
            if match["call"] or not _is_secret(value):
                continue
            yield Found(match.start("value"), match.start("value") + len(value), 0.8, "beside a key word")
        if "bearer" in lowered or "basic" in lowered or "authorization" in lowered:
            for match in self._HEADER.finditer(text):
                if _looks_random(match["value"], 3.3):
                    yield Found(match.start("value"), match.end("value"), 0.9, "in an HTTP header")


def _is_secret(value: str) -> bool:
    if _UUID.fullmatch(value):
        return False
    if _HEX.fullmatch(value):
        return len(value) >= 16 and _looks_random(value, 2.8)
    return len(value) >= 16 and _looks_random(value, 3.3) and not _PATH.fullmatch(value)


# Names with numbers in them, of parts that are words, numbers, or a word and a number: model-v2, eu-west-1, /a/path/7.
_PART = r"(?:[A-Za-z]{1,24}\d{0,3}|\d{1,4}[a-z]?)"
_PATH = re.compile(rf"[\W_]*{_PART}(?:[./_:@-]+{_PART})*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


class Password(_Secret):
    """What is said to be a password; a plain word is not, since it may be the next word of a sentence or a name."""

    KIND = "PASSWORD"
    _NAMED = regex.compile(
        r"""(?i)(?:pass(?:word|wd|phrase|code)|pwd|passwort|kennwort|mot de passe|contrase(?:ñ|n)a|hasło|wachtwoord)"""
        + _ASSIGNED
        + r"""(?P<value>(?(?<=["'`])[^\s"'`]{4,128}|[^\s"'`,;<>()\[\]{}|]{4,128}))(?P<call>\()?"""
    )
    _WORDS = ("pass", "pwd", "kennwort", "contrase", "hasło", "wachtwoord")
    _STRONG = re.compile(r"[!@#$%^&*+~?]")

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """Values after a word for a password."""
        text, lowered = reading.text, reading.lowered
        if not any(word in lowered for word in self._WORDS):
            return
        for match in self._NAMED.finditer(text):
            value = match["value"].rstrip(".:?,;" if not match["quote"] else "")
            if match["call"] or len(value) < 6 or _STAND_IN.search(value) or _DOTTED.fullmatch(value):
                continue
            digits, letters = (any(map(of, value)) for of in (str.isdigit, str.isalpha))
            if digits or (letters and self._STRONG.search(value)):
                yield Found(match.start("value"), match.start("value") + len(value), 0.7, "beside a key word")


def recognizers(entities: Sequence[str], language: str) -> list[Native]:
    """The recognizers of the kinds that are asked for."""
    return [of(language) for of in (ApiKey, Jwt, PrivateKey, Secret, Password) if of.KIND in entities]
