"""What is done with each kind of personal data, and with what key."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from copy import copy
from hashlib import shake_256

from helix.kernel.types import Span
from helix.redact.allowed import AllowList, Entry
from helix.redact.encryption import KEY_BYTES, encrypted
from helix.redact.strategies import Given, Strategy, masked
from helix.redact.surrogates import Surrogates
from helix.redact.vault import Vault, folded, name_of

__all__ = ["Policy"]

_HASH_CHARACTERS = 12
_DEFAULT_SCORE = 0.4


class Policy:
    """What to do with each kind: a strategy by kind, and one for kinds not named; findings under their score are kept.

    `score_threshold` is one for all kinds or a map with `default`, 0.4 where it has none. `secret` is what hashes and
    surrogates derive from: without one they are the same in this process alone. `encryption_key` is that of `encrypt`:
    16, 24 or 32 bytes, AES. `language` chooses where surrogates' names come from. Values on `allow_list` stay as they
    are. Raises ValueError.
    """

    def __init__(
        self,
        strategies: Mapping[str, Given | Strategy],
        otherwise: Given | Strategy = "keep",
        score_threshold: float | Mapping[str, float] = 0.0,
        *,
        secret: str | bytes | None = None,
        encryption_key: str | bytes | None = None,
        language: str = "en",
        allow_list: AllowList | Iterable[Entry] = (),
    ) -> None:
        self.strategies = {kind: Strategy.of(given, kind) for kind, given in strategies.items()}
        self.otherwise = Strategy.of(otherwise, "other kinds")
        self._scores = dict(score_threshold) if isinstance(score_threshold, Mapping) else {"default": score_threshold}
        self._score = self._scores.pop("default", _DEFAULT_SCORE)
        for score in (self._score, *self._scores.values()):
            if not 0 <= score <= 1:
                raise ValueError(f"score_threshold must be from 0 to 1, not {score}")
        secret = secrets.token_bytes(32) if secret is None else secret
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._key = encryption_key.encode() if isinstance(encryption_key, str) else encryption_key
        used = {strategy.name for strategy in (*self.strategies.values(), self.otherwise)}
        if "encrypt" in used and (self._key is None or len(self._key) not in KEY_BYTES):
            raise ValueError("the strategy encrypt needs an encryption_key of 16, 24 or 32 bytes")
        self.allowed = AllowList.of(allow_list)
        self._surrogates = Surrogates(self._secret, language) if "surrogate" in used else None

    @property
    def sought(self) -> list[str]:
        """The kinds that something is done with."""
        return [kind for kind, strategy in self.strategies.items() if strategy.name != "keep"]

    @property
    def scored(self) -> list[str]:
        """The kinds that have a score of their own."""
        return list(self._scores)

    @property
    def least_score(self) -> float:
        """The lowest score at which something is done."""
        return min((self._score, *self._scores.values()))

    def of(self, span: Span) -> Strategy:
        """The strategy for a finding."""
        return _KEEP if self.is_unsure(span) else self.strategies.get(span.kind, self.otherwise)

    def is_unsure(self, span: Span) -> bool:
        """Whether a finding's score is under what its kind asks for."""
        return span.score < self._scores.get(span.kind, self._score)

    def without_blocks(self) -> Policy:
        """The same policy that gives a placeholder where it would refuse, for showing what it finds."""
        found = copy(self)
        found.strategies = {kind: _shown(strategy) for kind, strategy in self.strategies.items()}
        found.otherwise = _shown(self.otherwise)
        return found

    def open(self) -> None:
        """Load what the strategies need, which blocks. Raises ImportError where it is not installed."""
        if self._surrogates is not None:
            self._surrogates.open()

    def instead(self, strategy: Strategy, kind: str, value: str, vault: Vault, *, numeric: bool = False) -> str:
        """What goes out in the place of a value; `numeric` where it is a JSON number, which then stays one."""
        numeric = numeric and len(value) >= 4 and value.isascii() and value.isdigit()
        match strategy.name:
            case "mask" if numeric:
                hidden = masked(value, strategy.first, strategy.last, "0")
                return hidden if strategy.first else f"9{hidden[1:]}"
            case "mask":
                return masked(value, strategy.first, strategy.last, strategy.character)
            case "hash":
                digest = hmac.digest(self._secret, folded(value).encode("utf-8", "surrogatepass"), "sha256")
                if numeric:
                    return "9" + "".join(str(byte % 10) for byte in shake_256(digest).digest(len(value) - 1))
                return f"<{name_of(kind)}_h{digest.hex()[:_HASH_CHARACTERS]}>"
            case "encrypt":
                if self._key is None:
                    raise RuntimeError("a policy that encrypts has a key")
                return f"<{name_of(kind)}:{encrypted(value, self._key)}>"
            case "surrogate" if self._surrogates is not None:
                made = self._surrogates.of(kind, value, vault)
                if made is not None and (not numeric or (made.isdigit() and made[0] != "0")):
                    return made
        return vault.stand_in(kind, value, "number" if numeric else "text")


_KEEP = Strategy("keep")


def _shown(strategy: Strategy) -> Strategy:
    return Strategy("placeholder") if strategy.name == "block" else strategy
