"""English words: their parts of speech, base forms, synonyms and opposites, from WordNet and GeoNames.

The lexicon is text, sorted, searched where it lies: 1.4 MB of memory instead of the tens that a dictionary takes.
models/lexicon says how it is made and what a line means; data/LICENSE, whose it is.
"""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

__all__ = ["Entry", "bases", "entry", "undone"]


class Entry(NamedTuple):
    """What the lexicon knows of a word.

    `parts`: n, v, a, r for the parts of speech that it can be; `mostly` the most frequent of them. `frequent`: seen in
    WordNet's sample of running text; `proper`: written with a capital only. `root`: the verb that a noun is the act of.
    `senses`: numbers shared by synonyms.
    """

    parts: str
    mostly: str
    frequent: bool
    proper: bool
    root: str
    senses: frozenset[str]
    opposites: frozenset[str]


# WordNet's own rules ("Morphy"): an ending, what to put in its place, and which parts of speech that may give.
_ENDINGS = (
    *(("s", "", "nv"), ("ses", "s", "n"), ("xes", "x", "nv"), ("zes", "z", "nv"), ("ches", "ch", "nv")),
    *(("shes", "sh", "nv"), ("men", "man", "n"), ("ies", "y", "nv"), ("es", "e", "v"), ("es", "", "v")),
    *(("ed", "e", "v"), ("ed", "", "v"), ("ing", "e", "v"), ("ing", "", "v")),
    *(("er", "", "a"), ("est", "", "a"), ("er", "e", "a"), ("est", "e", "a"), ("ier", "y", "a"), ("iest", "y", "a")),
)
_SHORT = re.compile(r"[^aeiou]*[aeiou][^aeiouwxy]")
"""One short syllable, whose last letter is written twice before "ed" and "ing"."""
# Undone or denied by a prefix that speakers put before verbs and adjectives at will.
_UNDOING = ("un", "non", "de", "dis")


@lru_cache(maxsize=1)
def _words() -> bytes:
    return b"\n" + gzip.decompress((files(__package__) / "data" / "words.txt.gz").read_bytes())


@lru_cache(maxsize=1)
def _forms() -> dict[str, tuple[str, ...]]:
    text = gzip.decompress((files(__package__) / "data" / "forms.txt.gz").read_bytes()).decode()
    return {form: tuple(found.split(",")) for form, _, found in (line.partition("\t") for line in text.splitlines())}


@lru_cache(maxsize=8192)
def entry(word: str) -> Entry | None:
    """The entry of a lower-case base form, or None."""
    if not (word.isascii() and word.isalpha()):
        return None
    text, target = _words(), word.encode()
    low, high = 0, len(text) - 1
    while low < high:  # a line begins after low and ends at or after high
        start = text.rfind(b"\n", 0, (low + high) // 2 + 1) + 1
        end = text.index(b"\n", start)
        found = text[start:end].partition(b"\t")[0]
        if found == target:
            return _parse(text[start:end].decode())
        if found < target:
            low = end
        else:
            high = start - 1
    return None


def _parse(line: str) -> Entry:
    _, flags, root, senses, opposites = (line + "\t\t\t\t").split("\t")[:5]
    return Entry(
        parts="".join(part for part in "nvar" if part in flags.replace("P", "").replace("F", "").lower()),
        mostly="".join(part.lower() for part in flags if part in "NVAR"),
        frequent="F" in flags,
        proper="P" in flags,
        root=root,
        senses=frozenset(senses.split(",")) if senses else frozenset(),
        opposites=frozenset(opposites.split(",")) if opposites else frozenset(),
    )


@lru_cache(maxsize=8192)
def bases(form: str) -> frozenset[str]:
    """The base forms that a lower-case word may be of, itself included where it is one; empty where it is unknown."""
    found = set(_forms().get(form, ()))
    if entry(form) is not None:
        found.add(form)
    for ending, instead, parts in _ENDINGS:
        if form.endswith(ending) and len(form) - len(ending) >= 2:
            stem = form[: -len(ending)]
            doubles = ending in ("ed", "ing") and not instead
            if doubles and _SHORT.fullmatch(stem):
                continue  # "penned" is of "pen", "pened" of nothing
            for base in (stem + instead, stem[:-1] if doubles and stem[-2:-1] == stem[-1:] else ""):
                known = entry(base) if base else None
                if known is not None and not set(known.parts).isdisjoint(parts):
                    found.add(base)
    return frozenset(found)


@lru_cache(maxsize=4096)
def undone(form: str) -> frozenset[str]:
    """The base forms of what an unknown word undoes: {"subscribe"} for "unsubscribed"."""
    for prefix in _UNDOING:
        rest = form.removeprefix(prefix)
        if rest != form and len(rest) > 3:
            return frozenset(base for base in bases(rest) if _is_undoable(base))
    return frozenset()


def _is_undoable(base: str) -> bool:
    known = entry(base)
    return known is not None and ("v" in known.parts or "a" in known.parts)
