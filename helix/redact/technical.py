"""Technical strings: identifiers, digests, versions and times whose digits look like somebody's number."""

from __future__ import annotations

import re

__all__ = ["is_plain", "is_technical"]

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
_DOTTED_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_ADDRESS_DIGITS = 9
_REACH = 40
_DOTTED_PHONE = re.compile(r"\d{3}\.\d{7}")


def is_plain(value: str, *, in_context: bool) -> bool:
    """Whether a value tells by itself, or with a context word beside it, that it is none of these in spite of its form.

    An IPv4 address of nine digits or more does so by itself: the four numbers of a version have fewer.
    """
    if _DOTTED_QUAD.fullmatch(value):
        return in_context or sum(map(str.isdigit, value)) >= _ADDRESS_DIGITS
    return in_context and _DOTTED_PHONE.fullmatch(value) is not None


def is_technical(text: str, start: int, end: int) -> bool:
    """Whether characters of a text lie inside a technical string.

    The string is looked for as far as the longest begins before its digits (a UUID). Of a longer one, a digest, what
    is left when its ends are cut off is a digest still.
    """
    offset = max(0, start - _REACH)
    for match in _TECHNICAL.finditer(text[offset : end + _REACH]):
        if offset + match.start() > start:
            return False
        if end <= offset + match.end():
            return True
    return False
