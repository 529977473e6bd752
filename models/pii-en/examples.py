"""Examples as the tagger learns from them: pieces, shapes and labels, from files of texts with marks.

Sets that other people labelled (JSON Lines of `text`, `spans`) know some kinds only. Where such a set says nothing,
nothing is learnt about the kinds that it lacks: a piece outside its marks may have O or any label of those.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from generate import Example, Mark
from network import KINDS, LABELS, base_folder
from tokenizers import Tokenizer
from values import UNSURE, Values

from helix.redact.shapes import shapes

__all__ = ["IGNORED", "Encoded", "encode", "labelled", "swapped", "tokenizer"]

IGNORED: Final = -100
"""The label of a piece that nothing is learnt from."""

_SET_KINDS: Final = frozenset({"PERSON", "LOCATION", "ORGANIZATION"})
# An account's name is a person's in one set and nobody's in another; here it is neither.
_HANDLE = re.compile(r"(?<![\w.])@\w+")


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example: ids of pieces, shapes, labels' numbers, and the kinds that it says nothing of."""

    pieces: list[int]
    shapes: list[int]
    labels: list[int]
    unknown: tuple[str, ...] = ()


def tokenizer() -> Tokenizer:
    """MiniLM's own, without its truncation and padding."""
    made = Tokenizer.from_file(str(base_folder() / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    return made


def labelled(path: Path) -> Iterator[Example]:
    """The examples of a set of other people's, handles marked as unsure."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            handles: list[Mark] = [
                {"start": m.start(), "end": m.end(), "type": UNSURE} for m in _HANDLE.finditer(row["text"])
            ]
            spans: list[Mark] = [
                {"start": span["start"], "end": span["end"], "type": span["type"]}
                for span in row["spans"]
                if not any(span["start"] < handle["end"] and handle["start"] < span["end"] for handle in handles)
            ]
            yield {"text": row["text"], "spans": sorted(spans + handles, key=lambda mark: mark["start"])}


def swapped(examples: Iterable[Example], seed: int) -> Iterator[Example]:
    """The same examples with other people, places and organisations in them: what stands around is what tells."""
    values = Values(seed)
    slots = {"PERSON": ("person", "first", "last"), "LOCATION": ("city", "country", "place"), "ORGANIZATION": ("org",)}
    for example in examples:
        if not any(mark["type"] in slots for mark in example["spans"]):
            continue
        text, at, spans = "", 0, list[Mark]()
        for mark in example["spans"]:
            old = example["text"][mark["start"] : mark["end"]]
            text += example["text"][at : mark["start"]]
            at = mark["end"]
            new = old
            if mark["type"] in slots:
                slot = values.rng.choice(slots[mark["type"]])
                slot = "first" if mark["type"] == "PERSON" and " " not in old and slot == "person" else slot
                new = " ".join("".join(part for part, _ in values[slot]()).split())
                new = new.lower() if old.islower() else new.upper() if old.isupper() and len(old) > 3 else new
            spans.append({"start": len(text), "end": len(text) + len(new), "type": mark["type"]})
            text += new
        yield {"text": text + example["text"][at:], "spans": spans}


def encode(
    examples: Iterable[Example],
    pieces: Tokenizer,
    *,
    known: Iterable[str] = KINDS,
    max_pieces: int = 192,
    seed: int = 0,
) -> Iterator[Encoded]:
    """Every example as pieces, longer ones cut into several of at most `max_pieces` at places that vary."""
    rng = random.Random(seed)
    number = {label: at for at, label in enumerate(LABELS)}
    unknown = tuple(kind for kind in KINDS if kind not in set(known))
    first, last = (pieces.token_to_id(token) or 0 for token in ("[CLS]", "[SEP]"))
    for example in examples:
        text = example["text"]
        encoding = pieces.encode(text, add_special_tokens=False)
        offsets = encoding.offsets
        labels, marks, at = [0] * len(offsets), example["spans"], 0
        for index, (start, end) in enumerate(offsets):
            while at < len(marks) and marks[at]["end"] <= start:
                at += 1
            if at < len(marks) and start < marks[at]["end"] and end > marks[at]["start"]:
                mark = marks[at]
                begins = index == 0 or offsets[index - 1][1] <= mark["start"]
                kind = mark["type"]
                labels[index] = number[f"{'B' if begins else 'I'}-{kind}"] if kind in KINDS else IGNORED
        written = shapes(text, offsets)
        start = 0
        while start < len(offsets):
            size = (
                max_pieces - 2
                if start == 0 and len(offsets) <= max_pieces - 2
                else rng.randint(max_pieces // 2, max_pieces - 2)
            )
            end = min(start + size, len(offsets))
            yield Encoded(
                [first, *encoding.ids[start:end], last],
                [0, *written[start:end], 0],
                [IGNORED, *labels[start:end], IGNORED],
                unknown,
            )
            start = end


def known_kinds() -> frozenset[str]:
    """What the openly licensed sets mark."""
    return _SET_KINDS
