"""Presidio's pattern recognizers as Helix runs them. Imports Presidio: import this module where a detector is opened.

What differs from Presidio's own, and why:

- e-mail: the public suffix list is the packaged one (Presidio would fetch it), suffixes of internal networks count too;
  the pattern takes linear time (Presidio's takes quadratic, and a text that takes it long is given up, unread).
- cards: every scheme and length with a valid check digit, not only those that start with 1, 3, 4, 5 or 6.
- IBAN: lower case too.
- SSN: the published sample numbers too; groups parted by blanks or dots only beside a context word.
- phone: digits without any separator, and national formats that phonenumbers does not know, only beside a context word.
- passports, licences, bank accounts, NHS and DEA numbers: only beside a context word, which must be a whole word.
- IP: not loopback, unspecified, multicast, whole networks or masks.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from phonenumbers import PhoneNumberMatcher
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    CryptoRecognizer,
    DateRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    MacAddressRecognizer,
    MedicalLicenseRecognizer,
    NhsRecognizer,
    PhoneRecognizer,
    UkNinoRecognizer,
    UrlRecognizer,
    UsBankRecognizer,
    UsItinRecognizer,
    UsLicenseRecognizer,
    UsPassportRecognizer,
    UsSsnRecognizer,
)
from tldextract import TLDExtract

from helix.redact.technical import IN_CONTEXT

__all__ = ["WordContext", "recognizers"]

_WEAK = 0.1
"""A score under any sensible threshold: found only when a context word raises it."""

_WORD = re.compile(r"[^\W_]+")
_BEFORE_CHARS, _AFTER_CHARS = 80, 40
_BEFORE_WORDS, _AFTER_WORDS = 5, 3


class WordContext(ContextAwareEnhancer):  # type: ignore[misc]
    """Raises the score of what stands near a context word of its recognizer: five words before or three after.

    Presidio's own enhancer needs lemmas, which a pipeline without a model does not give (its words then never match),
    and a spaCy vocabulary, which keeps every word that it ever saw. This one reads the text itself. It wants whole
    words ("lic" is not in "duplicate"), singular or plural.
    """

    def __init__(self, recognizers: Iterable[EntityRecognizer]) -> None:
        # By how much a context word raises a score, and to what at least: Presidio's defaults.
        super().__init__(0.35, 0.4, _BEFORE_WORDS, _AFTER_WORDS)
        self._phrases = {
            recognizer.id: [f" {_folded(phrase)} " for phrase in recognizer.context or ()] for recognizer in recognizers
        }

    def enhance_using_context(
        self, text: str, raw_results: list[RecognizerResult], *_args: Any, **_options: Any
    ) -> list[RecognizerResult]:
        """Raise scores in place, and return the results."""
        for result in raw_results:
            phrases = self._phrases.get(result.recognition_metadata[RecognizerResult.RECOGNIZER_IDENTIFIER_KEY])
            if not phrases or result.score >= self.MAX_SCORE:
                continue
            before = _WORD.findall(text[max(0, result.start - _BEFORE_CHARS) : result.start])[-_BEFORE_WORDS:]
            after = _WORD.findall(text[result.end : result.end + _AFTER_CHARS])[:_AFTER_WORDS]
            # Two blanks part what stands before from what stands after, so that no phrase reaches across.
            near = f" {_folded(' '.join(before))}  {_folded(' '.join(after))} "
            if any(phrase in near for phrase in phrases):
                raised = result.score + self.context_similarity_factor
                result.recognition_metadata[IN_CONTEXT] = True
                result.score = min(max(raised, self.min_score_with_context_similarity), self.MAX_SCORE)
        return raw_results


def _folded(words: str) -> str:
    return " ".join(word.rstrip("s") or word for word in _WORD.findall(words.lower()))


class OnlyInContext:
    """Before a pattern recognizer whose patterns are too weak alone: looks at texts with a context word somewhere."""

    context: list[str]

    def analyze(self, text: str, *args: Any, **options: Any) -> list[RecognizerResult]:
        """Look for the patterns where a context word occurs at all."""
        lowered = text.lower()
        if not any(word.rstrip("s") in lowered for word in self.context):
            return []
        return super().analyze(text, *args, **options)  # type: ignore[misc,no-any-return]


class Email(EmailRecognizer):  # type: ignore[misc]
    """E-mail addresses, known by the packaged public suffix list: nothing is fetched."""

    # A run of characters that may stand before an @ is entered where it begins, or where the last address ended, and
    # nothing is given back. A local part begins with a letter or digit and does not end with a dot; a domain has a dot.
    _SIGNS = r"!#$%&'*+\-/=?^`{|}~."
    _LABEL = r"\w++(?:-++\w++)*+"
    PATTERNS: ClassVar = [
        Pattern(
            "address",
            rf"(?:\G|(?<![{_SIGNS}\w]))[{_SIGNS}]*+\K\w[{_SIGNS}\w]*+(?<!\.)@{_LABEL}(?:\.{_LABEL})++",
            0.5,
        )
    ]
    # What networks at home and at work are named with (RFC 6762, appendix G).
    _INTERNAL = ("local", "localdomain", "intranet", "internal", "private", "corp", "home", "lan")
    # Repositories are cloned as git@host, which is nobody's address.
    _NOBODY = ("git@", "hg@", "svn@")
    _suffixes = TLDExtract(cache_dir=None, suffix_list_urls=(), extra_suffixes=_INTERNAL)

    def analyze(self, text: str, *args: Any, **options: Any) -> list[RecognizerResult]:
        """Look where there is an @."""
        return super().analyze(text, *args, **options) if "@" in text else []

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the domain ends in a public or an internal suffix."""
        return not pattern_text.startswith(self._NOBODY) and self._suffixes(pattern_text).fqdn != ""


class Card(CreditCardRecognizer):  # type: ignore[misc]
    """Payment cards by length, first digits and check digit (ISO/IEC 7812), in one run of digits or in groups."""

    _ALONE = r"(?<![^\W_])(?<!\d[.]){}(?![^\W_])(?![.]\d)"
    PATTERNS: ClassVar = [
        Pattern("run", _ALONE.format(r"(?:[2-6]\d{11,18}|81\d{14,17}|1\d{14})"), 0.3),
        Pattern("groups", _ALONE.format(r"[1-68]\d{3}([ -])\d{4,6}\1\d{4,5}(?:\1\d{1,4}){0,2}"), 0.3),
    ]
    # Lengths by first digits: Visa, Mastercard, Maestro and UnionPay and Discover, Amex, Diners, JCB, UATP, Mir.
    _SCHEME = re.compile(
        r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"
        r"|(?:50|5[6-9]|6\d)\d{10,17}|3[47]\d{13}|3(?:0[0-59]|6\d|[89]\d)\d{11,16}|35\d{14,17}|(?:2131|1800)\d{11}|1\d{14}"
        r"|220[0-5]\d{12,15}|81\d{14,17}"
    )

    # Numbers of 15 digits that start with 1 are mostly not UATP's: those need context.
    _RARE = re.compile(r"1(?!800)")

    def validate_result(self, pattern_text: str) -> bool | None:
        """Whether it is a card number of some scheme with a valid check digit."""
        number = "".join(character for character in pattern_text if character.isdigit())
        if not self._SCHEME.fullmatch(number) or not super().validate_result(number):
            return False
        return None if self._RARE.match(number) else True


class Ssn(UsSsnRecognizer):  # type: ignore[misc]
    """US social security numbers."""

    PATTERNS: ClassVar = [
        Pattern("dashes", r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])", 0.5),
        Pattern("blanks or dots", r"(?<![\w.])\d{3}([ .])\d{2}\1\d{4}(?![\w.]\w)\b", _WEAK),
        Pattern("other groups", r"\b(?:\d{5}-\d{4}|\d{3}-\d{6}|\d{9})\b", _WEAK),
    ]
    _SAMPLES = frozenset({"123456789", "987654320", "078051120"})

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it can be none; the published samples, which Presidio leaves out, are taken for real ones."""
        digits = "".join(character for character in pattern_text if character.isdigit())
        return digits not in self._SAMPLES and bool(super().invalidate_result(pattern_text))


class Ip(IpRecognizer):  # type: ignore[misc]
    """Addresses of single hosts."""

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it is no address, or that of no particular host."""
        try:
            interface = ipaddress.ip_interface(pattern_text)
        except ValueError:
            return True
        address = interface.ip
        if interface.version == 6 and sum(map(bool, re.split(r"[:%/]", pattern_text))) < 3:
            return True  # "::add" and "cafe::" are names in code before they are addresses
        prefix = interface.network.prefixlen
        return (
            address.is_loopback
            or address.is_unspecified
            or address.is_multicast
            or (prefix < address.max_prefixlen and address == interface.network.network_address)
            or (interface.version == 4 and (int(address) >> 24 in (0, 255)))
        )


class Phone(PhoneRecognizer):  # type: ignore[misc]
    """Telephone numbers as phonenumbers knows them; a run of digits alone could be anything, so it needs context."""

    # phonenumbers is slow (0.1 ms a number and region), so it is given only the neighbourhood of seven digits or more
    # that are parted by nothing else than a telephone number's are.
    _DIGITS = re.compile(r"(?:\d[ \u00a0\u2009\u202f.()/+~\u2010-\u2015-]{0,3}){6,}\d")
    _MARGIN = 24
    # A long row of short numbers is a table. A single number, its digits spaced out, is not long.
    _TABLE_DIGITS, _TABLE_GROUP_DIGITS = 30, 1.7
    _GROUP = re.compile(r"\d+")
    _DOTTED_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
    CONTEXT: ClassVar = [
        *("phone", "telephone", "cell", "cellphone", "mobile", "call", "calling", "tel", "fax", "sms", "text"),
        *("whatsapp", "dial", "reach", "contact", "office", "landline", "hotline", "answering", "telefon", "handy"),
    ]

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Look where there are enough digits; what one region knows, the next is not asked about."""
        results: list[RecognizerResult] = []
        for start, end in self._neighbourhoods(text):
            part = text[start:end]
            for region in self.supported_regions:
                for match in list(PhoneNumberMatcher(part, region, leniency=self.leniency)):
                    part = part[: match.start] + " " * (match.end - match.start) + part[match.end :]
                    if self._DOTTED_QUAD.fullmatch(match.raw_string):
                        continue
                    match.start, match.end = start + match.start, start + match.end
                    result = self._get_recognizer_result(match, text, region, nlp_artifacts)
                    if match.raw_string.isdigit():
                        result.score = _WEAK
                    results.append(result)
        return results

    def _neighbourhoods(self, text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for match in self._DIGITS.finditer(text):
            groups = self._GROUP.findall(match.group())
            digits = sum(map(len, groups))
            if digits > self._TABLE_DIGITS and digits < self._TABLE_GROUP_DIGITS * len(groups):
                continue
            start, end = max(0, match.start() - self._MARGIN), match.end() + self._MARGIN
            if found and start < found[-1][1]:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found


class NationalPhone(OnlyInContext, PatternRecognizer):  # type: ignore[misc]
    """Groups of digits that are a telephone number because the words beside them say so."""

    _DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1(?:19|20)\d\d")

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it has too few digits or too many (E.164 has up to 15, an extension comes on top), or is a date."""
        number, _, _ = pattern_text.partition("x")
        digits = sum(map(str.isdigit, number))
        in_pairs = digits == 6 and number.count(" ") >= 2
        return bool(self._DATE.match(number)) or not (7 <= digits <= 15 or in_pairs)


class Dea(OnlyInContext, MedicalLicenseRecognizer):  # type: ignore[misc]
    """US DEA certificate numbers; about one in ten such strings has a valid check digit, so it needs context."""

    PATTERNS: ClassVar = [Pattern("DEA", r"\b[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}\b", _WEAK)]

    def validate_result(self, pattern_text: str) -> bool | None:
        """False with a wrong check digit; with a right one the score stays for the context to raise."""
        return None if super().validate_result(pattern_text) else False


class Nhs(OnlyInContext, NhsRecognizer):  # type: ignore[misc]
    """UK NHS numbers; one in eleven ten-digit numbers has a valid check digit, so it needs context."""

    PATTERNS: ClassVar = [Pattern("NHS", r"\b\d{3}[- ]?\d{3}[- ]?\d{4}\b", _WEAK)]

    def validate_result(self, pattern_text: str) -> bool | None:
        """False with a wrong check digit; with a right one the score stays for the context to raise."""
        return None if super().validate_result(pattern_text) else False


class Passport(OnlyInContext, UsPassportRecognizer):  # type: ignore[misc]
    """US passport numbers."""


class License(OnlyInContext, UsLicenseRecognizer):  # type: ignore[misc]
    """US driver's licence numbers."""

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it is shorter than any state's, or a word."""
        return sum(map(str.isdigit, pattern_text)) < 5


class BankAccount(OnlyInContext, UsBankRecognizer):  # type: ignore[misc]
    """US bank account numbers."""


class UrlCredentials(PatternRecognizer):  # type: ignore[misc]
    """User name and password before the host of a URL."""


def recognizers(entities: Sequence[str], language: str) -> list[EntityRecognizer]:
    """One recognizer or two for each kind, speaking a language."""
    speaks = {"supported_language": language}
    made: list[EntityRecognizer] = [
        Email(**speaks),
        Phone(**speaks, context=Phone.CONTEXT),
        NationalPhone(
            "PHONE_NUMBER",
            patterns=[
                Pattern(
                    "groups", r"(?<![\w.])[+(]?\d{1,6}\)?(?:[ ./-]{1,2}\(?\d{1,6}\)?){1,5}(?:x\d{1,6})?(?!\w)", _WEAK
                )
            ],
            context=Phone.CONTEXT,
            **speaks,
        ),
        Card(**speaks),
        IbanRecognizer(**speaks, regex_flags=re.DOTALL | re.MULTILINE | re.IGNORECASE),
        Ssn(**speaks),
        UsItinRecognizer(**speaks),
        Passport(**speaks, context=["passport"]),
        License(**speaks, context=["driver", "driving", "license", "licence", "dl", "dln", "cdl", "permit"]),
        BankAccount(**speaks, context=["account", "acct", "bank", "checking", "savings", "debit"]),
        Dea(**speaks, context=["dea", "medical", "prescriber", "physician"]),
        Nhs(**speaks, context=["nhs", "national health service"]),
        UkNinoRecognizer(**speaks),
        Ip(**speaks),
        CryptoRecognizer(**speaks),
        UrlCredentials(
            "URL_CREDENTIALS",
            patterns=[Pattern("userinfo", r"(?<=[a-z0-9]://)[^\s/?#@:\"'<>]*:[^\s/?#@\"'<>]+(?=@)", 1.0)],
            **speaks,
        ),
        UrlRecognizer(**speaks, patterns=[p for p in UrlRecognizer.PATTERNS if p.name == "Standard Url"]),
        DateRecognizer(**speaks),
        MacAddressRecognizer(**speaks),
    ]
    return [recognizer for recognizer in made if recognizer.supported_entities[0] in entities]
