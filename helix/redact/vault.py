"""One request's values and the placeholders that stand for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["PLACEHOLDER", "Vault", "literals_in"]

PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]*)_([0-9]{1,9})>")
"""The form of a placeholder: its kind and its number."""

# JSON that somebody wrote into a text may spell the angles as escapes.
_LITERAL = re.compile(r"(?:<|\\u003[cC])([A-Z][A-Z0-9_]*_[0-9]{1,9})(?:>|\\u003[eE])")
_NOT_IN_A_KIND = re.compile(r"[^A-Z0-9]+")


class Vault:
    """Gives a placeholder to each value, `<KIND_N>`, numbered by kind in order of first appearance.

    The same value gets the same placeholder, also when its letters' case or its spacing differs. A history that is sent
    again gets the same placeholders, since the order is the same. `literals` are placeholders that the caller wrote
    out: their numbers are not given away, so that nothing of the caller's is taken for one of ours.
    """

    __slots__ = ("_literals", "_numbers", "_placeholders", "values")

    def __init__(self, literals: Iterable[str] = ()) -> None:
        self._literals = frozenset(literals)
        self._numbers: dict[str, int] = {}
        self._placeholders: dict[str, str] = {}
        self.values: dict[str, str] = {}
        """Placeholder → the value as it first appeared."""

    def __repr__(self) -> str:
        return f"Vault(<{len(self.values)} values>)"

    @property
    def literals(self) -> frozenset[str]:
        """The placeholders that the caller wrote out."""
        return self._literals

    def placeholder(self, kind: str, value: str) -> str:
        """The placeholder of a value; `kind` is what the detector called it when it first appeared."""
        folded = " ".join(value.split()).casefold()
        known = self._placeholders.get(folded)
        if known is not None:
            return known
        name = _NOT_IN_A_KIND.sub("_", kind.upper()).strip("_0123456789")[:40] or "PRIVATE"
        number = self._numbers.get(name, 0) + 1
        while (placeholder := f"<{name}_{number}>") in self._literals:
            number += 1
        self._numbers[name] = number
        self._placeholders[folded] = placeholder
        self.values[placeholder] = value
        return placeholder


def literals_in(texts: Iterable[str]) -> frozenset[str]:
    """What looks like a placeholder in some texts."""
    return frozenset(
        f"<{name}>" for text in texts if "<" in text or "\\u003" in text for name in _LITERAL.findall(text)
    )
