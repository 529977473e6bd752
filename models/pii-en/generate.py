"""Make texts with the places of names, places, dates and the like in them, for training; equal seeds, equal texts.

    python generate.py --texts 40000 --technical 9000 --seed 1 --out .cache/made.jsonl

One JSON object a line: `text`, `spans` ([{start, end, type}], type "?" for what is left out of the loss).
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypedDict

from technical import logs, snippets
from templates import ASKS, CONTEXT_KEYS, FORMS, LETTERS, PLAIN, SENTENCES
from values import Part, Values, choose
from words import PRODUCTS

__all__ = ["Example", "Mark", "examples"]


class Mark(TypedDict):
    """Where something of a kind stands: characters [start, end)."""

    start: int
    end: int
    type: str


class Example(TypedDict):
    """A text and its marks, sorted, none overlapping another."""

    text: str
    spans: list[Mark]


_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


@cache
def _lines(block: str) -> tuple[str, ...]:
    return tuple(line.replace("\\n", "\n").replace("\\t", "\t") for line in block.strip("\n").split("\n"))


@cache
def _fields(block: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, _, value in (line.partition(" :: ") for line in _lines(block)))


class Writer:
    """Writes texts: templates filled with values, and values laid out as forms, records and tables."""

    def __init__(self, seed: int) -> None:
        self.values = Values(seed)
        self.rng = self.values.rng

    def fill(self, template: str) -> list[Part]:
        """The parts of a template, its choices made and its slots filled."""
        text = _CHOICE.sub(lambda match: choose(match[1].split("|"), self.rng), template)
        parts: list[Part] = []
        at = 0
        for match in _SLOT.finditer(text):
            parts.append((text[at : match.start()], None))
            slot = match[1]
            parts += [(choose(PRODUCTS, self.rng), None)] if slot == "product" else self.values[slot]()
            at = match.end()
        return [*parts, (text[at:], None)]

    def sentence(self) -> list[Part]:
        """One sentence, mostly with somebody or some place in it."""
        return self.fill(choose(_lines(PLAIN if self.rng.random() < 0.15 else SENTENCES), self.rng))

    def paragraph(self) -> list[Part]:
        """Two to five sentences that have nothing to do with each other."""
        joint = self.rng.choice([" ", " ", "\n", "\n\n"])
        parts: list[Part] = []
        for _ in range(self.rng.randint(2, 5)):
            ended = not parts or "".join(text for text, _ in parts[-2:]).rstrip().endswith((".", "?", "!"))
            parts += [*([(joint if ended else "\n", None)] if parts else []), *self.sentence()]
        return parts

    def letter(self) -> list[Part]:
        """An e-mail, a letter, an invoice, minutes."""
        return self.fill(choose(_lines(LETTERS), self.rng))

    def form(self) -> list[Part]:
        """Names of fields and their values, one a line."""
        rng = self.rng
        colon, end = (
            rng.choice([": ", ": ", " - ", ":\t", ":\n", " = ", " "]),
            rng.choice(["\n", "\n", "; ", " | ", ", "]),
        )
        lead = rng.choice(["", "", "", "- ", "* ", "**"])
        parts: list[Part] = []
        for key, value in rng.sample(_fields(FORMS), rng.randint(2, 8)):
            parts += self.fill(f"{lead}{key}{'**' if lead == '**' else ''}{colon}")
            parts += [*self.fill(value), (end, None)]
        return parts[:-1]

    def _record(self, count: int) -> list[tuple[str, list[Part]]]:
        rng = self.rng
        spellings: list[Callable[[str], str]] = [str, str, _camel, _kebab, str.upper, _title]
        spelling = rng.choice(spellings)
        return [(spelling(key), self.fill(value)) for key, value in rng.sample(_fields(CONTEXT_KEYS), count)]

    def record(self) -> list[Part]:
        """JSON, YAML, XML, a query string or a log line with values in it."""
        rng = self.rng
        form = rng.choice(["json", "json", "json", "yaml", "xml", "log", "python", "escaped", "env"])
        fields = self._record(rng.randint(2, 8))
        parts: list[Part] = []
        indent = rng.choice(["", "\n  ", " "])
        wrap = {
            "json": ("{" + indent, '"{k}": "', '"', "," + (indent or " "), "\n}" if "\n" in indent else "}"),
            "escaped": ('{"arguments": "{', '\\"{k}\\": \\"', '\\"', ", ", '}"}'),
            "yaml": ("", "{k}: ", "", "\n", ""),
            "xml": ("<record>", "<{k}>", "</{k}>", indent, "</record>"),
            "log": (
                rng.choice(["INFO ", "", "[app] "]),
                "{k}=" + (quote := rng.choice(["", '"', "'"])),
                quote,
                " ",
                "",
            ),
            "python": (rng.choice(["User(", "dict(", "create_customer("]), "{k}='", "'", ", ", ")"),
            "env": ("", "{k}=", "", "\n", ""),
        }[form]
        head, opening, closing, joint, tail = wrap
        parts.append((head, None))
        for at, (key, value) in enumerate(fields):
            flat = [(text.replace("\n", "\\n" if form in {"json", "python"} else ", "), kind) for text, kind in value]
            if form == "json":
                flat = [(text.replace('"', '\\"'), kind) for text, kind in flat]
            parts += [(joint, None)] if at else []
            parts += [(opening.replace("{k}", key), None), *flat, (closing.replace("{k}", key), None)]
        return [*parts, (tail, None)]

    def table(self) -> list[Part]:
        """CSV, Markdown, SQL or tab-parted rows, with the head or without."""
        rng = self.rng
        keys = rng.sample(_fields(CONTEXT_KEYS), rng.randint(2, 7))
        form = rng.choice(["csv", "csv", "markdown", "sql", "tab", "quoted"])
        joint = {"csv": rng.choice([",", ", ", ";"]), "markdown": " | ", "sql": ", ", "tab": "\t", "quoted": ","}[form]
        mark = {"sql": "'", "quoted": '"'}.get(form, "")
        parts: list[Part] = []
        head = joint.join(key for key, _ in keys)
        if form == "sql":
            parts.append(
                (f"INSERT INTO {rng.choice(['customers', 'users', 'patients', 'orders'])} ({head}) VALUES\n", None)
            )
        elif rng.random() < 0.7:
            parts.append((f"| {head} |\n|{'---|' * len(keys)}\n" if form == "markdown" else head + "\n", None))
        rows = rng.randint(1, 4)
        for row in range(rows):
            parts.append(({"sql": "(", "markdown": "| "}.get(form, ""), None))
            for at, (_, value) in enumerate(keys):
                flat = [
                    (text.replace("\n", " ").replace("'", "''" if form == "sql" else "'"), kind)
                    for text, kind in self.fill(value)
                ]
                parts += [(joint, None)] if at else []
                parts += [(mark, None), *flat, (mark, None)]
            parts.append(({"sql": ")," if row < rows - 1 else ");", "markdown": " |"}.get(form, "") + "\n", None))
        return parts

    def asked(self) -> list[Part]:
        """A request about something, and the thing."""
        thing = self.rng.choice([self.record, self.table, self.form, self.letter, self.paragraph])()
        fence = self.rng.choice(["", "", "```\n", '"""\n'])
        ask = self.fill(choose(_lines(ASKS), self.rng))
        return [*ask, ("\n\n" + fence, None), *thing, ("\n" + fence.strip() if fence else "", None)]

    def text(self) -> Example:
        """Any of these."""
        rng = self.rng
        forms = [self.sentence, self.paragraph, self.letter, self.form, self.record, self.table, self.asked]
        (form,) = rng.choices(forms, weights=[52, 16, 7, 6, 8, 5, 6])
        return _joined(_noisy(form(), rng))


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.title() for word in rest)


def _kebab(key: str) -> str:
    return key.replace("_", "-")


def _title(key: str) -> str:
    return key.replace("_", " ").title()


def _noisy(parts: list[Part], rng: random.Random) -> list[Part]:
    """The parts in the case of a hurried or a shouting writer, now and then, and without the last full stop."""
    chance = rng.random()
    if chance < 0.13:
        return [(text.lower(), kind) for text, kind in parts]
    if chance < 0.18:
        return [(text.upper(), kind) for text, kind in parts]
    if chance < 0.21:
        return [(text.lower() if kind else text, kind) for text, kind in parts]
    if chance < 0.27 and parts[-1][0].endswith("."):
        return [*parts[:-1], (parts[-1][0][:-1], None)]
    return parts


def _joined(parts: list[Part]) -> Example:
    text, spans = "", list[Mark]()
    for part, kind in parts:
        bare = part.strip()
        if kind and bare:
            start = len(text) + part.index(bare)
            spans.append({"start": start, "end": start + len(bare), "type": kind})
        text += part
    return {"text": text, "spans": spans}


def examples(texts: int, technical: int, seed: int) -> Iterator[Example]:
    """`texts` texts with personal data in most of them, and `technical` without any, in no order."""
    writer = Writer(seed)
    rng = random.Random(seed + 1)
    bare = snippets(technical * 3 // 5, rng) + logs(technical - technical * 3 // 5, rng)
    made = [writer.text() for _ in range(texts)]
    made += [{"text": text, "spans": []} for text in bare]
    rng.shuffle(made)
    yield from made


def main() -> None:
    """Write a file of examples."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--texts", type=int, default=40_000)
    arguments.add_argument("--technical", type=int, default=9_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path, required=True)
    options = arguments.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="utf-8") as file:
        for example in examples(options.texts, options.technical, options.seed):
            file.write(json.dumps(example, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
