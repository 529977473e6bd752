"""Recognizers that others describe or write, as Presidio's. Imports Presidio: import where a detector is opened."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from typing import Any

import regex  # type: ignore[import-untyped]
from presidio_analyzer import EntityRecognizer, Pattern
from presidio_analyzer.nlp_engine import NoOpNlpEngine
from presidio_analyzer.predefined_recognizers import SpacyRecognizer
from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

from helix.redact.checksums import CHECKSUMS
from helix.redact.custom import CustomRecognizer, CustomRecognizers
from helix.redact.entities import DEFAULT_ENTITIES
from helix.redact.patterns import BoundedPattern
from helix.redact.reading import Reading
from helix.redact.recognizers import Native
from helix.redact.spans import windows

__all__ = ["GROUP", "build"]

GROUP = "helix.recognizers"
"""The group of entry points that packages offer recognizers under."""

_log = logging.getLogger("helix.redact")


def build(custom: CustomRecognizers, languages: Sequence[str]) -> list[EntityRecognizer]:
    """The recognizers of a configuration for some languages, held to a time limit. Raises ValueError."""
    made: list[EntityRecognizer] = []
    for declared in custom.declared:
        if not declared.languages or {*declared.languages} & {*languages}:
            made += _declared(declared, languages[0])
    for place, name in custom.code:
        made += _from_code(place, name, languages)
    if custom.registry is not None:
        made += _from_registry(custom.registry, languages)
    return made


class Declared(Native):
    """What a configuration describes: patterns or words, within a time limit, less what it allows."""

    is_certain = True

    def __init__(self, of: CustomRecognizer, patterns: Sequence[Pattern], checksum: str | None, language: str) -> None:
        super().__init__(
            of.entity,
            name=of.name,
            supported_language=language,
            patterns=list(patterns),
            context=list(of.context),
            global_regex_flags=of.flags,
        )
        self._folds = not of.case_sensitive
        self._allowed = frozenset(map(self._folded, of.allow_list))
        self._checksum = None if checksum is None else CHECKSUMS[checksum]

    def windows(self, reading: Reading) -> Iterator[tuple[int, int]]:
        """All of the text, in pieces: the time that a pattern takes may grow with more than their length."""
        for offset, window in windows(reading.text):
            yield offset, offset + len(window)

    def compiled(self, pattern: Pattern) -> BoundedPattern:
        """A pattern within the limit."""
        return BoundedPattern(
            regex.compile(pattern.regex, self.global_regex_flags), f"{pattern.name!r} of the recognizer {self.name!r}"
        )

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it is known to be none, or its check digits are wrong."""
        if self._folded(pattern_text) in self._allowed:
            return True
        return self._checksum is not None and not self._checksum(pattern_text)

    def _folded(self, text: str) -> str:
        words = " ".join(text.split())
        return words.casefold() if self._folds else words


def _declared(of: CustomRecognizer, language: str) -> Iterator[EntityRecognizer]:
    if of.patterns:
        patterns = [Pattern(pattern.name, pattern.regex, pattern.score) for pattern in of.patterns]
        yield Declared(of, patterns, of.checksum, language)
    if of.deny_list:
        # Longest first, so that of two words where one begins the other the whole is found.
        words = sorted(of.deny_list, key=len, reverse=True)
        spelled = "|".join(r"\s+".join(map(regex.escape, word.split())) for word in words)
        yield Declared(of, [Pattern("deny list", rf"(?<!\w)(?:{spelled})(?!\w)", 1.0)], None, language)


def _from_code(place: str, name: str, languages: Sequence[str]) -> list[EntityRecognizer]:
    """What a class, or a function, of somebody's package makes."""
    make = _attribute(place, name) if ":" in name else _entry_point(place, name)
    try:
        made = make()
    except Exception as error:
        raise ValueError(f"{place}: {name!r} cannot be made: {type(error).__name__}") from error
    recognizers = list(made) if isinstance(made, Iterable) else [made]
    for recognizer in recognizers:
        if not isinstance(recognizer, EntityRecognizer):
            raise ValueError(f"{place}: {name!r} makes a {type(recognizer).__name__}, not a Presidio EntityRecognizer")
        if recognizer.supported_language not in languages:
            recognizer.supported_language = languages[0]  # it was asked for by name
    return recognizers


def _attribute(place: str, name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{place}: {name!r} cannot be imported: {error}") from error
    return found


def _entry_point(place: str, name: str) -> Any:
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        told = ", ".join(sorted(offered.names)) or "none"
        raise ValueError(
            f"{place}: no installed package offers {name!r} under {GROUP!r}; offered are: {told}. "
            "A class of a module is written module:Class"
        )
    try:
        return offered[name].load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{place}: {name!r} cannot be imported: {error}") from error


def _from_registry(raw: dict[str, Any], languages: Sequence[str]) -> list[EntityRecognizer]:
    """What Presidio makes of a registry file for these languages, less what Helix has a form of its own of."""
    try:
        provider = RecognizerRegistryProvider(
            registry_configuration={**raw, "supported_languages": list(languages)},
            nlp_engine=NoOpNlpEngine([{"lang_code": language, "model_name": ""} for language in languages]),
        )
        found = list(provider.create_recognizer_registry().recognizers)
    except Exception as error:
        raise ValueError(f"recognizer_registry: Presidio does not take it: {_told(error)}") from error
    return [recognizer for recognizer in found if not _is_ours(recognizer)]


def _told(error: BaseException) -> str:
    """What Presidio says is wrong; where a check of pydantic's is behind its error, what that says."""
    cause: Any = error.__cause__ or error
    return "; ".join(fault["msg"] for fault in cause.errors()) if hasattr(cause, "errors") else str(cause)


def _is_ours(recognizer: EntityRecognizer) -> bool:
    """Whether it is one of Presidio's for what Helix finds anyway, or for an NLP engine, which is configured apart."""
    predefined = type(recognizer).__module__.startswith("presidio_analyzer.predefined_recognizers")
    return isinstance(recognizer, SpacyRecognizer) or (
        predefined and DEFAULT_ENTITIES.keys() >= {*recognizer.supported_entities}
    )
