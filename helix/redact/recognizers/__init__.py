"""Presidio's pattern recognizers as Helix runs them. Imports Presidio: import this package where a detector is opened.

What differs from Presidio's own, and why (tests/redact/test_equality.py holds the detector to this list):

- everything: a context word is a whole word ("lic" is not in "public"), five words before or three after; Presidio
  looks for parts of words, before the finding alone.
- everything: what stands in a digest, a UUID, a version, a decimal or a timestamp is left alone, unless it has a proof
  of its own. Of findings that overlap, one is told, over all they cover.
- everything: zero-width characters, full-width and other scripts' digits, look-alike letters do not hide a value.
- e-mail: the public suffix list is the packaged one (Presidio would fetch it), suffixes of internal networks count too,
  `git@host` does not; signs before an address do not belong to it; a local part may hold a slash; the pattern takes
  linear time (Presidio's takes quadratic, and a text that takes it long is given up, unread).
- cards: every scheme and length with a valid check digit, not only those that start with 1, 3, 4, 5 or 6, and only
  those of some scheme; not with other digits or letters round them; in groups that are parted alike.
- IBAN: lower case too.
- SSN: the published sample numbers too; groups parted by blanks or dots only beside a context word.
- phone: seven digits at least; digits without any separator, and national formats that phonenumbers does not know, only
  beside a context word (of which there are more than Presidio has, and "number" is none); no dotted quads, no tables.
- passports, licences, bank accounts, NHS and DEA numbers: only beside a context word. Licences: five digits at least.
- UK national insurance numbers are looked for; Presidio leaves them off.
- IP: not loopback, unspecified, multicast, whole networks or masks, nor fewer than three groups of IPv6.
- URL: only with a scheme, without the quotation marks round it. User names and passwords in it are a kind of their own,
  and part of what would else be the e-mail address behind them.
- off by default: URLs, dates, hardware addresses. UUIDs are no kind.
"""

from __future__ import annotations

from collections.abc import Sequence

from helix.redact.languages import context_words
from helix.redact.recognizers import national, secrets
from helix.redact.recognizers.base import Native
from helix.redact.recognizers.dates import Date
from helix.redact.recognizers.email import Email
from helix.redact.recognizers.finance import BankAccount, Card, Crypto, Iban
from helix.redact.recognizers.identity import Dea, Itin, License, Nhs, Nino, Passport, Ssn
from helix.redact.recognizers.network import Ip, Mac, Url, UrlCredentials
from helix.redact.recognizers.phone import NationalPhone, Phone

__all__ = ["Native", "recognizers"]


def recognizers(entities: Sequence[str], *languages: str) -> list[Native]:
    """One recognizer or two for each kind, which know the words and the numbers of these languages."""
    language = languages[0]
    speaks = {"supported_language": language}
    made: list[Native] = [
        Email(**speaks),
        Phone(**speaks),
        NationalPhone(**speaks),
        Card(**speaks),
        Iban(**speaks),
        Itin(**speaks),  # before the next, which has such numbers too
        Ssn(**speaks),
        Passport(**speaks, context=["passport"]),
        License(**speaks, context=["driver", "driving", "license", "licence", "dl", "dln", "cdl", "permit"]),
        BankAccount(**speaks, context=["account", "acct", "bank", "checking", "savings", "debit"]),
        Dea(**speaks, context=["dea", "medical", "prescriber", "physician"]),
        Nhs(**speaks, context=["nhs", "national health service"]),
        Nino(**speaks),
        Ip(**speaks),
        Crypto(**speaks),
        UrlCredentials(**speaks),
        Url(**speaks),
        Date(**speaks),
        Mac(**speaks),
    ]
    made += secrets.recognizers(entities, language)
    found = [recognizer for recognizer in made if recognizer.supported_entities[0] in entities]
    for recognizer in found:
        words = context_words(recognizer.supported_entities[0], languages)
        if words:
            recognizer.context = [*(recognizer.context or ()), *words]
    return found + national.recognizers(entities, languages)
