"""Which requests may be answered by the answer to a near question: rules, each with a reason that is recorded.

    several_answers    more than one answer is asked for
    temperature        above the bound: the caller wants variety
    tool_result        the last turn holds what a tool said
    parts, media       the last turn holds several parts, or an image, a file, a voice
    conversation       earlier turns are kept by the provider, so that nobody here knows what the question refers to
    no_question        nothing that a user asked comes last
    encoding           half a surrogate pair, which neither a model nor a store takes
    hidden             characters that a model reads and nobody sees, by which texts that look alike differ
    too_short          says too little for nearness to mean anything ("go on")
    too_long           longer than anything that is embedded
    window             longer than the embedder's window, or in letters that it does not know (found out by embedding)
    freshness          the answer holds for a moment only
    action             something is to be done, not said

Rules of one's own (`Rule`) have reasons of their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helix.cache.phrases import LANGUAGES, asks_for_action, asks_for_now, phrase_pattern, plain
from helix.kernel.wire import Dialect, Question

__all__ = ["REASONS", "Eligibility", "Rule"]

REASONS = (
    *("several_answers", "temperature", "tool_result", "parts", "media", "conversation", "no_question", "encoding"),
    *("hidden", "too_short", "too_long", "window", "freshness", "action"),
)
"""The reasons that Helix knows itself."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*_\d+>", re.ASCII)
# Controls, formats, tags, private and unassigned characters, and variation selectors but the one that makes an emoji;
# left out are what joins letters (U+200C, U+200D) and a soft hyphen.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u061c\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\uffff\ue000-\uf8ff\U000e0000-\U0010ffff]"
)
_TEXT_PARTS = frozenset(("text", "input_text"))


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of one's own: texts that contain one of the words, whole, or match one of the patterns are not eligible.

    `reason` is recorded: lower-case letters, digits, underscores. Words may be phrases; case does not matter to either.
    Raises ValueError.
    """

    reason: str
    words: Sequence[str] = ()
    patterns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.reason):
            raise ValueError("a rule's reason must be 1 to 32 lower-case letters, digits and underscores")
        if not self.words and not self.patterns:
            raise ValueError(f"the rule {self.reason!r} needs words or patterns")


class Eligibility:
    """Says why a request may not be answered semantically, if it may not.

    - `min_bytes`: the least that a text has, in UTF-8 and without placeholders, so that a Chinese character counts as
      much as a short word; `max_chars`: the most.
    - `max_temperature`: requests above it are not eligible; None for any. A request that says none has its model's own.
    - `freshness`, `actions`: whether Helix's own rules apply, in these `languages` (ISO 639-1).
    - `rules`: rules of one's own; `exempt`: patterns of texts that freshness, action and these rules do not apply to.
    - `bypass`: reasons for which the exact tier is not asked either, and nothing is stored.

    Raises ValueError.
    """

    def __init__(
        self,
        *,
        min_bytes: int = 12,
        max_chars: int = 8192,
        max_temperature: float | None = 1.0,
        freshness: bool = True,
        actions: bool = True,
        languages: Sequence[str] = LANGUAGES,
        rules: Sequence[Rule | Mapping[str, Any]] = (),
        exempt: Sequence[str] = (),
        bypass: Collection[str] = (),
    ) -> None:
        if min_bytes < 0 or max_chars < 1:
            raise ValueError("min_bytes must not be negative, and max_chars at least 1")
        if max_temperature is not None and not max_temperature >= 0:
            raise ValueError(f"max_temperature must be 0 or more, or None, not {max_temperature!r}")
        unknown = sorted(set(languages) - set(LANGUAGES))
        if unknown:
            raise ValueError(f"no phrases are known in {', '.join(unknown)}; there are: {', '.join(LANGUAGES)}")
        self._min_bytes = min_bytes
        self._max_chars = max_chars
        self._max_temperature = max_temperature
        self._languages = tuple(languages)
        self._freshness = freshness and bool(languages)
        self._actions = actions and bool(languages)
        own = [rule if isinstance(rule, Rule) else Rule(**rule) for rule in rules]
        self._rules = tuple((rule.reason, _compiled(rule)) for rule in own)
        self._exempt = _any_of(exempt, "exempt") if exempt else None
        unknown = sorted(set(bypass) - {*REASONS, *(rule.reason for rule in own)})
        if unknown:
            raise ValueError(f"bypass names what is no reason: {', '.join(unknown)}")
        self._bypass = frozenset(bypass)

    def why_not(self, dialect: Dialect, request: dict[str, Any], question: Question | None) -> str | None:
        """The first reason against it, or None; `question` is what the dialect takes for the question."""
        if dialect.choices(request) > 1:
            return "several_answers"
        if self._max_temperature is not None and (request.get("temperature") or 0) > self._max_temperature:
            return "temperature"
        return _no_question(request) if question is None else self._why_not_text(question.text)

    @property
    def may_bypass(self) -> bool:
        """Whether there is a reason for which a request bypasses the cache."""
        return bool(self._bypass)

    def bypasses(self, reason: str | None) -> bool:
        """Whether a request that is not eligible for this reason is left to the provider altogether."""
        return reason in self._bypass

    def _why_not_text(self, text: str) -> str | None:
        try:
            size = len(_PLACEHOLDER.sub("", text).strip().encode())
        except UnicodeEncodeError:
            return "encoding"
        if _HIDDEN.search(text):
            return "hidden"
        if size < self._min_bytes:
            return "too_short"
        if len(text) > self._max_chars:
            return "too_long"
        said = plain(text)
        if self._exempt is not None and self._exempt.search(said):
            return None
        if self._freshness and asks_for_now(said, self._languages):
            return "freshness"
        if self._actions and asks_for_action(said, self._languages):
            return "action"
        return next((reason for reason, pattern in self._rules if pattern.search(said)), None)


def _no_question(request: Mapping[str, Any]) -> str:
    """Why nobody's question comes last."""
    if request.get("previous_response_id") or request.get("conversation"):
        return "conversation"
    turns = request.get("messages", request.get("input"))
    last = turns[-1] if isinstance(turns, list) and turns else None
    if not isinstance(last, dict):
        return "no_question"
    if last.get("role") in ("tool", "function") or str(last.get("type", "")).endswith("_output"):
        return "tool_result"
    content = last.get("content")
    kinds = [part.get("type") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    if any(str(kind).endswith("tool_result") for kind in kinds):
        return "tool_result"
    if last.get("role") != "user" or not kinds:
        return "no_question"
    return "parts" if _TEXT_PARTS.issuperset(map(str, kinds)) else "media"


def _compiled(rule: Rule) -> re.Pattern[str]:
    found = [phrase_pattern(rule.words)] if rule.words else []
    if rule.patterns:
        found.append(_any_of(rule.patterns, rule.reason).pattern)
    return re.compile("|".join(found), re.IGNORECASE)


def _any_of(patterns: Sequence[str], where: str) -> re.Pattern[str]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"a pattern of {where!r} is not a regular expression: {error}") from None
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)
