"""Technical strings: identifiers, digests, versions and times whose digits look like somebody's number."""

from __future__ import annotations

import re

__all__ = ["IN_CONTEXT", "is_plain", "is_technical", "technical_spans"]

IN_CONTEXT = "in_context"
"""The key of a Presidio result's metadata that tells that a context word stands beside it."""

_TECHNICAL = re.compile(
    r"""
      \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b                # UUID
    | \b(?=\d*[a-fA-F])(?=[a-fA-F]*\d)[0-9a-fA-F]{12,}\b                       # digest
    | \b0[xX][0-9a-fA-F]+\b                                                    # hexadecimal number
    | (?<![\w.])[-+]?\d+\.\d+(?:[eE][-+]?\d+)?(?!\w|\.\d)                      # decimal number
    | \b(?:[vV]|[vV]er(?:sion)?|VERSION|[rR]elease)[ =:.]{0,3}\d+(?:\.\d+)+     # version
    | (?:[=~<>!]=|[\^~])[ ]?\d+(?:\.\d+)+                                      # requirement
    | \b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[ ]?[+-]\d\d:?\d\d)?)?\b  # ISO date, time
    """,
    re.VERBOSE,
)
# What has its own proof (a domain, a checksum over many characters) is not doubted for standing in such a string.
_CERTAIN = frozenset({"EMAIL_ADDRESS", "IBAN_CODE", "CRYPTO", "URL_CREDENTIALS", "URL", "DATE_TIME", "MAC_ADDRESS"})
_DOTTED_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_ADDRESS_DIGITS = 9
_DOTTED_PHONE = re.compile(r"\d{3}\.\d{7}")


def technical_spans(text: str) -> list[tuple[int, int]]:
    """Where technical strings stand in a text, in order."""
    return [match.span() for match in _TECHNICAL.finditer(text)]


def is_plain(value: str, *, in_context: bool) -> bool:
    """Whether a value tells by itself, or with a context word beside it, that it is none of these in spite of its form.

    An IPv4 address of nine digits or more does so by itself: the four numbers of a version have fewer.
    """
    if _DOTTED_QUAD.fullmatch(value):
        return in_context or sum(map(str.isdigit, value)) >= _ADDRESS_DIGITS
    return in_context and _DOTTED_PHONE.fullmatch(value) is not None


def is_technical(kind: str, start: int, end: int, spans: list[tuple[int, int]]) -> bool:
    """Whether a finding of this kind lies inside a technical string."""
    return kind not in _CERTAIN and any(first <= start and end <= last for first, last in spans)
