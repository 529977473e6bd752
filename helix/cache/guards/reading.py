"""A text as the guards read it, made once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Reading", "read"]

_TOKEN = re.compile(r"<[A-Z][A-Z0-9_]*_\d+>|\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_SUFFIX = re.compile(r"(?:'s|\u2019s|ies|es|s|ed|ing|ly)$")
# Words that carry no content of their own: articles, auxiliaries, pronouns, prepositions, question words, politeness.
_FUNCTION = frozenset(
    "a an the i you he she it we they me him her us them my your his its our their this that these those is are am was "
    "were be been being do does did have has had will would shall should can could may might must of in on at to for "
    "with by from as into about and or but if so than then there here what which who whom whose when where why how "
    "please just really actually currently indeed truly literally somehow fact hi hello hey thanks thank".split()
)


@dataclass(frozen=True, slots=True)
class Reading:
    """The content words of a text, lower case, stripped of inflection."""

    words: tuple[str, ...]


@lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """Read a text; what was read lately is remembered."""
    words = []
    for token in _TOKEN.findall(text):
        word = token.lower()
        if word not in _FUNCTION and not word.endswith(("n't", "n\u2019t")):
            words.append(_stem(word))
    return Reading(tuple(words))


def _stem(word: str) -> str:
    if len(word) < 5 or not word.isalpha():
        return word
    return _SUFFIX.sub("", word).rstrip("ey") or word
