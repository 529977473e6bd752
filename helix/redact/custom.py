"""Recognizers as configuration describes them: checked when they are read, built when a detector opens.

Imports no Presidio. Every ValueError names the place in the configuration, what was found there, and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from helix.redact.checksums import CHECKSUMS
from helix.redact.languages import check_languages
from helix.redact.patterns import FLAGS, IGNORECASE, check_pattern

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer

__all__ = ["CustomPattern", "CustomRecognizer", "CustomRecognizers"]

_KIND = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
# What Presidio compiles the patterns of a registry with unless the file says otherwise.
_REGISTRY_FLAGS = FLAGS | IGNORECASE


@dataclass(frozen=True, slots=True)
class CustomPattern:
    """A regular expression, its name, and how sure a match of it is (0 to 1)."""

    regex: str
    score: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomRecognizer:
    """What to find: by patterns, or by a list of words. Raises ValueError.

    A match of a pattern counts where `checksum` (of CHECKSUMS) holds, if one is named; it scores what the pattern says,
    and 0.35 more beside a word of `context`. A word of `deny_list` counts by itself. What equals one of `allow_list`
    never does. `languages` are those in which it is of use; none for all.
    """

    name: str
    entity: str
    patterns: tuple[CustomPattern, ...] = ()
    checksum: str | None = None
    context: tuple[str, ...] = ()
    deny_list: tuple[str, ...] = ()
    allow_list: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    case_sensitive: bool = False

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("name: must not be empty")
        if not _KIND.fullmatch(self.entity):
            raise ValueError(
                f"entity: {self.entity!r} is no name of a kind; allowed are capital letters, digits and _, "
                "such as EMPLOYEE_ID"
            )
        if not self.patterns and not self.deny_list:
            raise ValueError("patterns: name a pattern, or words in deny_list")
        for index, pattern in enumerate(self.patterns):
            if not 0 < pattern.score <= 1:
                raise ValueError(f"patterns[{index}].score: must be above 0 and at most 1, found {pattern.score:g}")
            try:
                check_pattern(pattern.regex, self.flags)
            except ValueError as error:
                raise ValueError(f"patterns[{index}].regex: {pattern.regex!r}: {error}") from None
        if self.checksum is not None and self.checksum not in CHECKSUMS:
            raise ValueError(f"checksum: unknown {self.checksum!r}; known are {', '.join(sorted(CHECKSUMS))}")
        if self.checksum is not None and not self.patterns:
            raise ValueError("checksum: checks what patterns find, and there are none")
        for field, words in (
            ("context", self.context),
            ("deny_list", self.deny_list),
            ("allow_list", self.allow_list),
        ):
            for index, word in enumerate(words):
                if not word.strip():
                    raise ValueError(f"{field}[{index}]: must not be empty")

    @property
    def flags(self) -> int:
        """The flags that its patterns are compiled with."""
        return FLAGS if self.case_sensitive else FLAGS | IGNORECASE

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> CustomRecognizer:
        """From plain values; a pattern may be a mapping or the expression alone, and takes the recognizer's `score`."""
        values = {key: value for key, value in raw.items() if value is not None}
        score: float = values.pop("score", 0.5)
        unknown = sorted(values.keys() - cls.__dataclass_fields__.keys())
        missing = [key for key in ("name", "entity") if key not in values]
        if unknown or missing:
            raise ValueError(f"{(unknown or missing)[0]}: {'unknown key' if unknown else 'required'}")
        patterns = []
        for index, pattern in enumerate(values.pop("patterns", ())):
            told: dict[str, Any] = {"regex": pattern} if isinstance(pattern, str) else dict(pattern)
            patterns.append(
                CustomPattern(
                    told["regex"],
                    score if told.get("score") is None else told["score"],
                    told.get("name") or f"{values['name']} {index + 1}",
                )
            )
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list | tuple)}
        return cls(**{**values, **lists}, patterns=tuple(patterns))


class CustomRecognizers:
    """All recognizers that a configuration adds: its own, those of code, those of a registry file of Presidio's.

    `recognizers` holds mappings (CustomRecognizer.of), and strings: `module:Class`, or the name of an entry point of
    the group `helix.recognizers`. `registry` is the path of a file in Presidio's own YAML form. Pickles, and makes the
    recognizers when a detector opens and calls it. Raises ValueError, with the place in the configuration before it.
    """

    def __init__(
        self,
        recognizers: Iterable[Mapping[str, Any] | str] = (),
        *,
        registry: str | Path | None = None,
        languages: Sequence[str] = ("en",),
    ) -> None:
        self.declared: list[CustomRecognizer] = []
        self.code: list[tuple[str, str]] = []
        for index, raw in enumerate(recognizers):
            place = f"recognizers[{index}]"
            if isinstance(raw, str):
                self.code.append((place, raw))
                continue
            try:
                made = CustomRecognizer.of(raw)
            except ValueError as error:
                raise ValueError(f"{place}.{error}") from None
            try:
                check_languages(made.languages or languages, languages)
            except ValueError as error:
                raise ValueError(f"{place}.languages: {error}") from None
            if made.name in (other.name for other in self.declared):
                raise ValueError(f"{place}.name: {made.name!r} stands there twice")
            self.declared.append(made)
        self.registry = None if registry is None else _registry(Path(registry))

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that the configuration itself declares; what code and registries find, they tell when opened."""
        return frozenset(recognizer.entity for recognizer in self.declared)

    @property
    def is_open(self) -> bool:
        """Whether there may be kinds beside those, of code or of a registry, which is known when a detector opens."""
        return bool(self.code or self.registry)

    @property
    def is_light(self) -> bool:
        """Whether none of them may need torch or transformers to be there when Presidio is imported."""
        predefined = (self.registry or {}).get("recognizers", ())
        return not any(isinstance(of, dict) and of.get("type") == "predefined" for of in predefined)

    def __call__(self, languages: Sequence[str]) -> list[EntityRecognizer]:
        """The recognizers, for these languages. Imports Presidio. Raises ValueError."""
        from helix.redact.foreign import build

        return build(self, languages)


def _registry(path: Path) -> dict[str, Any]:
    """A registry file in Presidio's form, with its patterns checked."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"recognizer_registry: the file {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise ValueError(f"recognizer_registry: the file {path} is not YAML") from None
    recognizers = raw.get("recognizers") if isinstance(raw, dict) else None
    if not isinstance(recognizers, list):
        raise ValueError(f"recognizer_registry: the file {path} has no list under `recognizers`, as Presidio's have")
    flags = raw.get("global_regex_flags", _REGISTRY_FLAGS)
    for index, recognizer in enumerate(recognizers):
        patterns = recognizer.get("patterns") if isinstance(recognizer, dict) else None
        for number, pattern in enumerate(patterns or ()):
            place = f"recognizer_registry: {path}: recognizers[{index}].patterns[{number}].regex"
            expression = pattern.get("regex") if isinstance(pattern, dict) else None
            if not isinstance(expression, str):
                raise ValueError(f"{place}: required")
            try:
                check_pattern(expression, flags)
            except ValueError as error:
                raise ValueError(f"{place}: {expression!r}: {error}") from None
    return dict(raw)
