"""The kinds of personal data that can be looked for, and what is done with each by default."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from helix.redact.languages import NATIONAL, national_entities

__all__ = ["BY_NAMES_MODEL", "DEFAULT_ENTITIES", "KNOWN_ENTITIES", "check_known", "default_entities"]

KNOWN_ENTITIES: Mapping[str, str] = {
    "EMAIL_ADDRESS": "e-mail addresses",
    "PHONE_NUMBER": "telephone numbers; bare digits only beside a word such as phone or call",
    "CREDIT_CARD": "payment cards of every scheme, 12 to 19 digits with a valid check digit",
    "IBAN_CODE": "international bank account numbers with valid check digits",
    "US_SSN": "US social security numbers",
    "US_ITIN": "US individual taxpayer numbers",
    "US_PASSPORT": "US passport numbers beside the word passport",
    "US_DRIVER_LICENSE": "US driver's licence numbers beside a word such as driver or license",
    "US_BANK_NUMBER": "US bank account numbers beside a word such as account",
    "MEDICAL_LICENSE": "US DEA certificate numbers with a valid check digit beside a word such as DEA",
    "UK_NHS": "UK NHS numbers with a valid check digit beside the word NHS",
    "UK_NINO": "UK national insurance numbers",
    "IP_ADDRESS": "addresses of single hosts; not loopback, networks, masks or version numbers",
    "CRYPTO": "Bitcoin addresses with a valid checksum",
    "URL_CREDENTIALS": "user name and password inside a URL",
    "API_KEY": "keys in the form of some fifty providers, such as OpenAI, AWS, GitHub, Stripe",
    "PRIVATE_KEY": "PEM blocks of private keys",
    "JWT": "JSON web tokens",
    "SECRET": "what looks random after a word such as secret, token or api key",
    "PASSWORD": "what is said to be a password, unless it is a plain word",
    "PERSON": "names of people, by the names model",
    "LOCATION": "places and addresses, by the names model",
    "NRP": "nationalities, religious and political groups, by the names model",
    "ORGANIZATION": "companies and institutions, by the names model",
    "AGE": "ages, by the names model",
    "TITLE": "titles such as Mr or Dr, by the names model",
    "URL": "URLs with a scheme",
    "DATE_TIME": "dates",
    "MAC_ADDRESS": "hardware addresses",
    **{kind: national.about for kinds in NATIONAL.values() for kind, national in kinds.items()},
}
"""Every kind that the built-in detector finds; countries' numbers in whatever language is configured."""

BY_NAMES_MODEL = frozenset({"PERSON", "LOCATION", "ORGANIZATION", "NRP", "AGE", "TITLE"})
"""The kinds that nothing but a model for names finds."""

# A plain URL, a date or a hardware address seldom says who somebody is, and technical text is full of them. Names take
# a model, and countries' numbers their language: `default_entities` has them.
_OFF_BY_DEFAULT = (
    BY_NAMES_MODEL | {"URL", "DATE_TIME", "MAC_ADDRESS"} | {kind for of in NATIONAL.values() for kind in of}
)
# A company, an age or a title seldom says who somebody is either.
_NAMES_BY_DEFAULT = ("PERSON", "LOCATION", "NRP")

DEFAULT_ENTITIES: Mapping[str, str] = {kind: "placeholder" for kind in KNOWN_ENTITIES if kind not in _OFF_BY_DEFAULT}
"""What patterns find, and is done with each kind unless configured; kinds that do not stand here are left alone."""


def default_entities(languages: Iterable[str], *, names: bool) -> dict[str, str]:
    """The same with the numbers of these languages' countries, and with the names of people and places."""
    more = [*national_entities(languages), *(_NAMES_BY_DEFAULT if names else ())]
    return {**DEFAULT_ENTITIES, **dict.fromkeys(more, "placeholder")}


def check_known(entities: Iterable[str], known: Collection[str]) -> None:
    """Raise ValueError for the first kind that is not known, naming those that are."""
    for kind in entities:
        if kind not in known:
            raise ValueError(f"unknown entity {kind!r}; known are {', '.join(sorted(known))}")
