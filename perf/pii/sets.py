"""The texts to measure with: JSON Lines with `text` and `spans: [{start, end, type}]`, end exclusive."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.process import Unavailable

__all__ = ["CERTAIN", "SAME_KIND", "Annotated", "Corpus", "corpora", "kind_of", "of_length"]

SAME_KIND: Mapping[str, str] = {
    **dict.fromkeys(("ADDRESS", "STREET_ADDRESS", "CITY", "STATE", "COUNTRY", "ZIP_CODE", "GPE", "LOC"), "LOCATION"),
    **dict.fromkeys(("NAME", "PER", "FIRST_NAME", "LAST_NAME"), "PERSON"),
    **dict.fromkeys(("PREFIX",), "TITLE"),
    **dict.fromkeys(("ORG", "COMPANY"), "ORGANIZATION"),
    **dict.fromkeys(("NORP", "NATIONALITY", "RELIGION"), "NRP"),
    **dict.fromkeys(("DATE", "TIME"), "DATE_TIME"),
    **dict.fromkeys(("DOMAIN_NAME",), "URL"),
    **dict.fromkeys(("EMAIL",), "EMAIL_ADDRESS"),
    **dict.fromkeys(("PHONE",), "PHONE_NUMBER"),
    **dict.fromkeys(("SSN",), "US_SSN"),
    **dict.fromkeys(("IBAN",), "IBAN_CODE"),
}
"""What data sets call a kind, and what Helix and Presidio call it; names that do not stand here are the same."""

CERTAIN = ("CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "US_SSN", "IP_ADDRESS")
"""Kinds that patterns and check digits can find without fail."""

# Corpora of names mark nothing else: in them an e-mail address that is found is no mistake.
_NAMES = frozenset({"PERSON", "LOCATION", "ORGANIZATION", "NRP", "MISC"})


def kind_of(name: str) -> str:
    """The kind that a data set's, or a detector's, name means."""
    return SAME_KIND.get(name, name)


@dataclass(frozen=True)
class Annotated:
    """A text and what is marked in it: (start, end, kind)."""

    text: str
    spans: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True)
class Corpus:
    """One file: its texts, and the kinds that are marked in it; none where nothing personal stands in it."""

    name: str
    rows: tuple[Annotated, ...]
    kinds: frozenset[str]

    @property
    def names_only(self) -> bool:
        """Whether it is a corpus of names, in which other personal data may stand unmarked."""
        return self.kinds <= _NAMES


def corpora(folder: Path) -> list[Corpus]:
    """Every set in a folder, or in its `pii` folder, but those to train on. Raises Unavailable where there is none."""
    inner = folder / "pii"
    files = sorted((inner if inner.is_dir() else folder).glob("*.jsonl"))
    found = [corpus for file in files if not file.stem.endswith("_train") and (corpus := _read(file))]
    if not found:
        raise Unavailable(f"no JSON Lines with text and spans in {folder}: say where with --data")
    return found


def _read(file: Path) -> Corpus | None:
    rows: list[Annotated] = []
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        if not isinstance(row, dict) or "text" not in row or "spans" not in row:
            return None
        spans = ((span["start"], span["end"], kind_of(span["type"])) for span in row["spans"])
        rows.append(Annotated(row["text"], tuple(sorted(spans))))
    kinds = frozenset(kind for row in rows for _, _, kind in row.spans)
    return Corpus(file.stem, tuple(row for row in rows if row.text.strip()), kinds)


def of_length(texts: Sequence[str], characters: int, count: int, rng: random.Random) -> Iterator[str]:
    """`count` texts of about some length: texts drawn at random, joined, cut at a blank; hardly ever the same twice."""
    for _ in range(count):
        parts: list[str] = []
        while sum(map(len, parts)) < characters:
            parts.append(rng.choice(texts))
        text = "\n".join(parts)
        # From anywhere in it, so that short texts do not all begin where a text begins.
        start = rng.randrange(len(text) - characters + 1)
        start = text.find(" ", start, start + characters // 2) + 1 or start
        yield text[start : start + characters]
