"""Telephone numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, ClassVar

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberMatch, PhoneNumberMatcher
from presidio_analyzer import Pattern, PatternRecognizer
from presidio_analyzer.predefined_recognizers import PhoneRecognizer

from helix.redact.reading import Reading, Window
from helix.redact.recognizers.base import WEAK, Clustered, Found

__all__ = ["NationalPhone", "Phone", "RegionsMatcher"]

_CONTEXT = (
    *("phone", "telephone", "cell", "cellphone", "mobile", "call", "calling", "tel", "fax", "sms", "text"),
    *("whatsapp", "dial", "reach", "contact", "office", "landline", "hotline", "answering", "telefon", "handy"),
)
_DOTTED_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


class Phone(Clustered):
    """Telephone numbers as phonenumbers knows them; a run of digits alone could be anything, so it needs context."""

    digits = 7
    # It has no pattern of its own: what it finds is checked by phonenumbers.
    proves = True
    _REGIONS: ClassVar = PhoneRecognizer.DEFAULT_SUPPORTED_REGIONS
    # A long row of short numbers is a table. A single number, its digits spaced out, is not long.
    _TABLE_DIGITS, _TABLE_GROUP_DIGITS = 30, 1.7
    _GROUP = re.compile(r"\d+")
    _PIECE, _MARGIN = 256, 48

    def __init__(self, supported_language: str = "en") -> None:
        # The shape that all of them have, for whoever wants to know what is looked for.
        shape = Pattern("phonenumbers", r"\d(?:[^\w\n]{0,4}\d){6,}", PhoneRecognizer.SCORE)
        super().__init__(
            "PHONE_NUMBER", patterns=[shape], context=list(_CONTEXT), supported_language=supported_language
        )

    def windows(self, reading: Reading) -> Iterator[Window]:
        """Where seven digits or more are that are no table, in pieces."""
        for start, end, digits in reading.clusters:
            if digits < self.digits:
                continue
            if digits > self._TABLE_DIGITS:
                groups = len(self._GROUP.findall(reading.text, start, end))
                if digits < self._TABLE_GROUP_DIGITS * groups:
                    continue
            # phonenumbers copies what follows a candidate, again and again.
            for first in range(start, end, self._PIECE):
                yield first if first > start else max(0, start - self.lead), min(first + self._PIECE, end)

    def found(self, reading: Reading, start: int, end: int, floor: float) -> Iterator[Found]:
        """The numbers of any region that begin in a window; bare digits are weak."""
        offset = max(0, start - self._MARGIN)
        part = reading.text[offset : end + self._MARGIN]
        for match in RegionsMatcher(part, self._REGIONS, with_bare=floor <= WEAK):
            if _DOTTED_QUAD.fullmatch(match.raw_string) or not start <= offset + match.start < end:
                continue
            score = WEAK if match.raw_string.isdigit() else PhoneRecognizer.SCORE
            if score >= floor:
                yield Found(offset + match.start, offset + match.end, score, "a number of phonenumbers'")


class RegionsMatcher(PhoneNumberMatcher):
    """phonenumbers' own matcher for several regions in one pass.

    Asked one region after the other, it takes 0.1 ms a number and region, most of it for numbers of other regions.
    Here a candidate is parsed for those regions alone whose numbers can have such digits; one of bare digits, of which
    texts are full, only `with_bare`.
    """

    def __init__(self, text: str, regions: Sequence[str], *, with_bare: bool = True) -> None:
        super().__init__(text, None)
        self._with_bare = with_bare
        self._regions = _distinct(tuple(regions))

    def _parse_and_verify(self, candidate: str, offset: int) -> PhoneNumberMatch | None:
        if not candidate or (candidate.isdigit() and not self._with_bare):
            return None
        for region in _regions_of(candidate, self._regions):
            self.preferred_region = region
            match: PhoneNumberMatch | None = super()._parse_and_verify(candidate, offset)
            if match is not None:
                return match
        return None


_NOT_DIGITS = re.compile(r"[^0-9]+")
_NATIONAL = re.compile(r"[0-9\s().\[\]/~\u2010-\u2015-]+")
_ABROAD = re.compile(r"[(\[]*\+[^\d+]*(\d{1,3})")
_KINDS = ("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager")
_MORE_KINDS = ("uan", "voicemail")


def _regions_of(candidate: str, regions: Sequence[str]) -> Sequence[str]:
    """The regions, of these, for which a candidate may be a valid number."""
    national = _NATIONAL.match(candidate)
    if national is None:
        abroad = _ABROAD.match(candidate)
        if abroad is None or not any(int(abroad[1][:n]) in COUNTRY_CODE_TO_REGION_CODE for n in (1, 2, 3)):
            return regions
        return regions[:1]  # which country's it is, it says itself
    forms = {_NOT_DIGITS.sub("", national.group())}
    if national.end() < len(candidate):
        if not candidate.isascii():
            return regions
        forms.add(_NOT_DIGITS.sub("", candidate))  # or what looks like an extension belongs to it
    return [region for region in regions if any(map(_form(region).fullmatch, forms))]


@cache
def _distinct(regions: tuple[str, ...]) -> tuple[str, ...]:
    """The regions without those in which a number is read as in an earlier one."""
    found: dict[tuple[Any, ...], str] = {}
    for region in regions:
        plan = _plan(region)
        desc = plan.general_desc
        found.setdefault(
            (
                *(plan.country_code, plan.international_prefix, plan.national_prefix_for_parsing),
                *(plan.national_prefix_transform_rule, desc.national_number_pattern),
                desc.possible_length,
            ),
            region,
        )
    return tuple(found.values())


def _plan(region: str) -> Any:
    return PhoneMetadata.metadata_for_region(region)


@cache
def _form(region: str) -> Any:
    """What the digits of a number may be that is dialled in a region: all that phonenumbers calls valid, and more."""
    plan = _plan(region)
    valid: list[str] = []
    for other in COUNTRY_CODE_TO_REGION_CODE[plan.country_code]:
        # Of another region that shares the country code: American numbers are valid in Canada.
        described = [getattr(_plan(other), kind) for kind in (*_KINDS, *_MORE_KINDS)]
        valid += [desc.national_number_pattern for desc in described if desc and desc.national_number_pattern]
    number = "|".join(dict.fromkeys(valid))
    trunk = plan.national_prefix_for_parsing or ""
    if plan.national_prefix_transform_rule:
        number += "|.*"  # what it makes of the digits may be valid
    code, abroad = plan.country_code, plan.international_prefix
    return re.compile(rf"(?:{code})?(?:{trunk})?(?:{number})|(?:{abroad}).*")


class NationalPhone(Clustered, PatternRecognizer):  # type: ignore[misc]
    """Groups of digits that are a telephone number because the words beside them say so."""

    digits = 6
    _DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1(?:19|20)\d\d")

    def __init__(self, supported_language: str = "en") -> None:
        groups = r"(?<![\w.])[+(]?\d{1,6}\)?(?:[ ./-]{1,2}\(?\d{1,6}\)?){1,5}(?:x\d{1,6})?(?!\w)"
        super().__init__(
            "PHONE_NUMBER",
            patterns=[Pattern("groups", groups, WEAK)],
            context=list(_CONTEXT),
            supported_language=supported_language,
        )

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it has too few digits or too many (E.164 has up to 15, an extension comes on top), or is a date."""
        number, _, _ = pattern_text.partition("x")
        digits = sum(map(str.isdigit, number))
        in_pairs = digits == 6 and number.count(" ") >= 2
        return bool(self._DATE.match(number)) or not (7 <= digits <= 15 or in_pairs)
