"""Made-up values of the same kind and the same form as real ones, by Faker, always the same for the same value."""

from __future__ import annotations

import hmac
import re
from calendar import day_abbr, day_name, month_abbr, month_name
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from helix.redact.vault import Vault, folded

if TYPE_CHECKING:
    from faker import Faker

__all__ = ["Surrogates", "check_digit"]

# Of reserved names alone (RFC 2606), so that nobody's address, page or host is made up.
_DOMAINS = ("example.com", "example.org", "example.net")
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737
_NATIONALITIES = (
    *("Albanian", "Argentinian", "Australian", "Austrian", "Belgian", "Bolivian", "Brazilian", "Bulgarian", "Canadian"),
    *("Chilean", "Colombian", "Croatian", "Danish", "Ecuadorian", "Estonian", "Finnish", "Georgian", "Ghanaian"),
    *("Greek", "Hungarian", "Icelandic", "Indonesian", "Irish", "Jamaican", "Kenyan", "Latvian", "Maltese", "Mexican"),
    *("Mongolian", "Nepalese", "Norwegian", "Peruvian", "Portuguese", "Romanian", "Slovenian", "Swedish", "Uruguayan"),
)
_SPOKEN = """
amber angel april archer austin autumn banks barber bender bishop booker branch brandy bridges brooks bullock butler
cannon carpenter chandler charlotte chase cherry christian collier colon cooper crystal cummings curry daisy dakota
dallas decker destiny diamond downs durham ebony english faith farmer fields fisher flowers foster frank french fuller
gamble glover golden grace grant graves hamilton heather herring holder holland holly hooper houston hunter jasmine
jesus jordan knight lance madison marshall mason meadows melody mercedes miller misty moses noble parker patty penny
porter potter powers prince proctor raven richmond riddle rivers robin roman sandy santiago savage savannah sawyer
sellers shepherd sherry shields sierra singleton skinner solomon spears summers sydney tanner turner valencia valentine
victoria virginia walker washington waters weaver winters
"""
_ATTEMPTS = 32
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CHARACTER = re.compile(r"[0-9]|[A-Z]|[a-z]")
_DIGIT = re.compile(r"[0-9]")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}")
_HEX = re.compile(r"[0-9A-Fa-f]")
_DATE_PART = re.compile(r"[0-9]+|[A-Za-z]+")
_CALENDAR = {
    name.casefold(): [other for other in names if other]
    for names in (month_name, month_abbr, day_name, day_abbr)
    for name in names
    if name
}


class Surrogates:
    """Gives surrogates, each derived from its value by a digest under a key, and notes in a vault what they stand for.

    A surrogate is never something that the request says. A person's is made word by word, so that a given name alone
    gets the one that it has in the full name. `language` chooses where the names come from.
    """

    def __init__(self, secret: bytes, language: str = "en") -> None:
        self._secret = secret
        self._language = language
        self._faker: Faker | None = None
        self._given: dict[str, list[str]] = {}
        self._family: list[str] = []
        self._gender: dict[str, str] = {}

    def open(self) -> None:
        """Load Faker and its names. Raises ImportError where it is not installed."""
        if self._faker is not None:
            return
        from faker import Faker
        from faker.config import AVAILABLE_LOCALES

        english = Faker("en_US")
        # A name that is also a word would be put back where the model meant the word.
        words = set(_SPOKEN.split()) | {str(word).casefold() for word in english.get_words_list()}

        def names(found: Iterable[str], least: int) -> list[str]:
            return sorted({n for n in found if len(n) >= least and n.isalpha() and n.casefold() not in words})

        wanted = f"{self._language}_{self._language.upper()}"
        faker = Faker(wanted) if wanted in AVAILABLE_LOCALES else english
        people = _people(faker) or _people(english)
        self._given = {"female": names(people.first_names_female, 5), "male": names(people.first_names_male, 5)}
        self._family = names(people.last_names, 6)
        genders = ("female", people.first_names_female), ("male", people.first_names_male)
        self._gender = {str(name).casefold(): gender for gender, found in genders for name in found}
        self._faker = faker

    def of(self, kind: str, value: str, vault: Vault) -> str | None:
        """The surrogate of a value; None where none can be made that the request does not say."""
        self.open()
        known = vault.known("surrogate", value)
        if known is not None:
            return known
        if kind == "PERSON":
            return self._person(value, vault)
        makes = _MAKERS.get(kind, _same_shape)
        for attempt in range(_ATTEMPTS):
            made = makes(self, self._random(kind, value, attempt), value)
            if _is_new(made, value, vault) and not vault.wording.says(made):
                return vault.keep("surrogate", value, made)
        return None

    def _random(self, kind: str, value: str, attempt: int) -> Random:
        message = f"{kind}\0{attempt}\0{folded(value)}".encode("utf-8", "surrogatepass")
        return Random(hmac.digest(self._secret, message, "sha256"))

    def _person(self, value: str, vault: Vault) -> str | None:
        words = _WORD.findall(value)
        mixed = any(word[0].isupper() for word in words)
        made: dict[str, str] = {}
        for word in words:
            if mixed and word.islower():  # van, de, bin: they tell nobody
                continue
            other = self._name(word, vault)
            if other is None:
                return None
            made[word] = other
        whole = _WORD.sub(lambda match: made.get(match.group(), match.group()), value)
        if vault.values.get(whole) == value:
            return whole
        return vault.keep("surrogate", value, whole) if _is_new(whole, value, vault) else None

    def _name(self, word: str, vault: Vault) -> str | None:
        known = vault.known("surrogate", word)
        if known is not None:
            return known
        if len(word) == 1:
            return self._random("PERSON", word, 0).choice("ABCDEFGHJKLMNPRSTW")
        gender = self._gender.get(word.casefold())
        names = self._given[gender] if gender is not None else self._family
        for attempt in range(_ATTEMPTS):
            other = _cased(self._random("PERSON", word, attempt).choice(names), word)
            if _is_new(other, word, vault) and other.casefold() not in vault.wording.words:
                return vault.keep("surrogate", word, other)
        return None

    @property
    def faker(self) -> Faker:
        """The opened Faker."""
        if self._faker is None:
            raise RuntimeError("the surrogates have not been opened")
        return self._faker


def _people(faker: Faker) -> Any:
    """Faker's names of people; None where the locale has none by gender."""
    return next((found for found in faker.get_providers() if hasattr(found, "first_names_female")), None)


def _is_new(made: str, value: str, vault: Vault) -> bool:
    return bool(made) and folded(made) != folded(value) and made not in vault.values


def _cased(name: str, like: str) -> str:
    if like.isupper():
        return name.upper()
    return name.lower() if like.islower() else name


def _faked(method: str) -> Callable[[Surrogates, Random, str], str]:
    def make(surrogates: Surrogates, random: Random, value: str) -> str:
        surrogates.faker.seed_instance(random.getrandbits(64))
        return _cased(str(getattr(surrogates.faker, method)()).replace("\n", ", "), value)

    return make


def _place(surrogates: Surrogates, random: Random, value: str) -> str:
    has_number = _DIGIT.search(value) is not None
    return _faked("street_address" if has_number else "city")(surrogates, random, value)


def _email(surrogates: Surrogates, random: Random, value: str) -> str:
    local = value.rpartition("@")[0]
    given = random.choice(surrogates._given[random.choice(("female", "male"))])
    family = random.choice(surrogates._family)
    mark = next((mark for mark in "._-" if mark in local), "")
    name = f"{given}{mark}{family}" if mark else f"{given[0]}{family}"
    digits = "".join(str(random.randrange(10)) for _ in _DIGIT.findall(local))
    return f"{name}{digits}@{random.choice(_DOMAINS)}".lower()


def _phone(surrogates: Surrogates, random: Random, value: str) -> str:
    """The same country and the same leading zeros, other digits."""
    total, seen, started = len(_DIGIT.findall(value)), 0, False
    fixed = 1 if value.startswith("+1") else 2 if value.startswith("+") else 0

    def digit(match: re.Match[str]) -> str:
        nonlocal seen, started
        seen += 1
        if total > 5 and (seen <= fixed or (not started and match.group() in "01")):
            return match.group()
        new = str(random.randrange(10) if started else random.randrange(2, 10))
        started = True
        return new

    return _DIGIT.sub(digit, value)


def _card(surrogates: Surrogates, random: Random, value: str) -> str:
    """The same scheme, length and spacing, with a valid check digit."""
    old = _DIGIT.findall(value)
    if len(old) < 2:
        return _same_shape(surrogates, random, value)
    new = [old[0], *(str(random.randrange(10)) for _ in old[1:-1])]
    left = iter([*new, check_digit("".join(new))])
    return _DIGIT.sub(lambda _: next(left), value)


def check_digit(digits: str) -> str:
    """The digit that makes a card's number valid (Luhn, ISO/IEC 7812-1)."""
    doubled = (2 * int(digit) if index % 2 == 0 else int(digit) for index, digit in enumerate(reversed(digits)))
    return str(-sum(number - 9 if number > 9 else number for number in doubled) % 10)


def _iban(surrogates: Surrogates, random: Random, value: str) -> str:
    """The same country, length and spacing, with valid check digits (ISO 13616)."""
    plain = re.sub(r"[^A-Za-z0-9]", "", value).upper()
    if not _IBAN.fullmatch(plain):
        return _same_shape(surrogates, random, value)
    account = _same_shape(surrogates, random, plain[4:])
    number = int("".join(str(int(character, 36)) for character in f"{account}{plain[:2]}00"))
    left = iter(f"{plain[:2]}{98 - number % 97:02d}{account}")
    return re.sub(r"[A-Za-z0-9]", lambda _: next(left), value)


def _address(surrogates: Surrogates, random: Random, value: str) -> str:
    if ":" in value:  # RFC 3849
        return f"2001:db8::{random.getrandbits(16):x}:{random.getrandbits(16):x}"
    return f"{random.choice(_NETWORKS)}.{random.randrange(1, 255)}"


def _url(surrogates: Surrogates, random: Random, value: str) -> str:
    scheme, mark, _ = value.partition("://")
    return f"{scheme + mark if mark else ''}{random.choice(surrogates._family).lower()}.{random.choice(_DOMAINS)}"


def _mac(surrogates: Surrogates, random: Random, value: str) -> str:
    """Marked as locally administered, as no maker's is."""
    left = iter(["0", "2"])

    def digit(match: re.Match[str]) -> str:
        new = next(left, None) or f"{random.randrange(16):x}"
        return new.upper() if any(character.isupper() for character in value) else new

    return _HEX.sub(digit, value)


def _date(surrogates: Surrogates, random: Random, value: str) -> str:
    """Other numbers in the same order, each of which is a day, a month, an hour or a minute all the same."""

    def part(match: re.Match[str]) -> str:
        old = match.group()
        if not old.isdigit():
            others = _CALENDAR.get(old.casefold())
            return _cased(random.choice(others), old) if others else old
        if len(old) == 4:
            return str(int(old) + random.choice((-3, -2, -1, 1, 2, 3)))
        if len(old) > 4:
            return _same_shape(surrogates, random, old)
        return str(random.randrange(1, 10) if len(old) == 1 else random.randrange(1, 13)).zfill(len(old))

    return _DATE_PART.sub(part, value)


def _ssn(surrogates: Surrogates, random: Random, value: str) -> str:
    area = random.choice([number for number in range(100, 900) if number != 666])
    left = iter(f"{area:03d}{random.randrange(1, 100):02d}{random.randrange(1, 10_000):04d}")
    return _DIGIT.sub(lambda match: next(left, match.group()), value)


def _nationality(surrogates: Surrogates, random: Random, value: str) -> str:
    return _cased(random.choice(_NATIONALITIES), value)


def _same_shape(surrogates: Surrogates, random: Random, value: str) -> str:
    """A digit for each digit, a letter for each letter; the first digit stays no zero."""

    def character(match: re.Match[str]) -> str:
        old = match.group()
        if old.isdigit():
            return str(random.randrange(0 if old == "0" else 1, 10))
        new = random.choice("abcdefghijklmnopqrstuvwxyz")
        return new.upper() if old.isupper() else new

    return _CHARACTER.sub(character, value)


_MAKERS: Mapping[str, Callable[[Surrogates, Random, str], str]] = {
    "EMAIL_ADDRESS": _email,
    "PHONE_NUMBER": _phone,
    "CREDIT_CARD": _card,
    "IBAN_CODE": _iban,
    "IP_ADDRESS": _address,
    "MAC_ADDRESS": _mac,
    "URL": _url,
    "DATE_TIME": _date,
    "US_SSN": _ssn,
    "LOCATION": _place,
    "ORGANIZATION": _faked("company"),
    "NRP": _nationality,
}
