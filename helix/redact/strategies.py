"""What may be done with a piece of personal data."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["STRATEGIES", "masked"]

STRATEGIES: Mapping[str, str] = {
    "placeholder": "replaced by a placeholder, put back into the answer",
    "mask": "all but the last four letters and digits replaced by *, for good",
    "keep": "left as it is",
    "block": "the request is refused",
}
"""What may be done with a kind of personal data."""

_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_SHOWN = 4


def masked(value: str) -> str:
    """The value with all its letters and digits but the last four as `*`; where there are eight or fewer, with all."""
    total = len(_LETTER_OR_DIGIT.findall(value))
    return _LETTER_OR_DIGIT.sub("*", value, count=total - _SHOWN if total > 2 * _SHOWN else 0)
