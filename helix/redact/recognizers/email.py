"""E-mail addresses."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

from presidio_analyzer import Pattern
from presidio_analyzer.predefined_recognizers import EmailRecognizer
from tldextract import TLDExtract

from helix.redact.recognizers.base import Anchored

__all__ = ["Email"]


class Email(Anchored, EmailRecognizer):  # type: ignore[misc]
    """E-mail addresses, known by the packaged public suffix list: nothing is fetched."""

    needs = "@"
    is_certain = True
    # A run of characters that may stand before an @ is entered where it begins, or where the last address ended, and
    # nothing is given back. A local part begins with a letter or digit and does not end with a dot; a domain has a dot.
    _SIGNS = r"!#$%&'*+\-/=?^`{|}~."
    _LABEL = r"\w++(?:-++\w++)*+"
    anchor = "@"
    around = rf"\w@{_SIGNS}"
    proves = True
    PATTERNS: ClassVar = [
        Pattern(
            "address",
            rf"(?:\G|(?<![{_SIGNS}\w]))[{_SIGNS}]*+\K\w[{_SIGNS}\w]*+(?<!\.)@{_LABEL}(?:\.{_LABEL})++",
            0.5,
        )
    ]
    # Repositories are cloned as git@host, which is nobody's address.
    _NOBODY = ("git@", "hg@", "svn@")

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the domain ends in a public or an internal suffix."""
        return not pattern_text.startswith(self._NOBODY) and is_domain(pattern_text.rpartition("@")[2])


# What networks at home and at work are named with (RFC 6762, appendix G).
_INTERNAL = ("local", "localdomain", "intranet", "internal", "private", "corp", "home", "lan")


def is_domain(host: str) -> bool:
    """Whether a host's name is more than a public or an internal suffix (https://publicsuffix.org/list)."""
    suffixes = _suffixes()
    labels = [_unicode(label) for label in host.lower().split(".")]
    if labels[-1] not in suffixes:
        return False
    name, parent = ".".join(labels), ".".join(("*", *labels[1:]))
    return "!" + name in suffixes or (name not in suffixes and parent not in suffixes)


def _unicode(label: str) -> str:
    if label.startswith("xn--"):
        try:
            return label.encode().decode("idna")
        except UnicodeError:
            pass
    return label


@cache
def _suffixes() -> frozenset[str]:
    # The packaged list: tldextract would fetch it. Asked itself, it takes 0.1 ms an address.
    listed = TLDExtract(cache_dir=None, suffix_list_urls=(), extra_suffixes=_INTERNAL).tlds
    # "*.ck" has every name under ck for a suffix, and so ck.
    return frozenset(listed) | {rule.rpartition(".")[2] for rule in listed}
