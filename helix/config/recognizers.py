"""The keys under `helix.redact.recognizers`: what to find beside the kinds that are built in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from helix.config.base import Section

__all__ = ["RecognizerConfig", "RecognizerPatternConfig"]

Sure = Annotated[float, Field(gt=0, le=1)]
Word = Annotated[str, Field(min_length=1, max_length=500)]


class RecognizerPatternConfig(Section):
    """One pattern; a regular expression alone is the same as `{regex: ...}`."""

    regex: str = Field(
        min_length=1,
        max_length=10_000,
        description="A regular expression of Python's `regex` module. One that backtracks without end is refused.",
    )
    score: Sure | None = Field(None, description="How sure a match is. Unset: the recognizer's.")
    name: Word | None = Field(None, description="What explanations call it. Unset: the recognizer's name and a number.")

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        return {"regex": value} if isinstance(value, str) else value


class RecognizerConfig(Section):
    """One recognizer: `entity` with `patterns` or a `deny_list`; or code, of which `module:Class` alone is the same."""

    code: Word | None = Field(
        None,
        description="A Presidio recognizer written in Python: `module:Class`, or the name of an entry point in the "
        "group `helix.recognizers`. Nothing else may stand beside it.",
    )
    name: Word | None = Field(None, description="What explanations call it. Unset: the entity.")
    entity: Word | None = Field(
        None, description="The kind of what it finds, one of the known or a new one, such as `EMPLOYEE_ID`."
    )
    patterns: tuple[RecognizerPatternConfig, ...] = Field((), description="Regular expressions for it.")
    score: Sure = Field(0.5, description="How sure a match of a pattern is that says nothing of it.")
    checksum: str | None = Field(
        None, description="What its check digits must satisfy; docs/redact.md lists the schemes."
    )
    context: tuple[Word, ...] = Field(
        (), description="Words beside which a match scores 0.35 more: up to five words before it, or three after."
    )
    deny_list: tuple[Word, ...] = Field((), description="Words that are always found.")
    allow_list: tuple[Word, ...] = Field((), description="Values that this recognizer never finds.")
    languages: tuple[str, ...] = Field((), description="Used where one of these is configured. Empty: always.")
    case_sensitive: bool = Field(False, description="Whether the case of letters counts.")

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        return {"code": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_or_other(self) -> RecognizerConfig:
        beside = sorted(self.model_fields_set - {"code"})
        if self.code is not None and beside:
            raise ValueError(f"a recognizer in code is made without settings; take out {', '.join(beside)}")
        if self.code is None and self.entity is None:
            raise ValueError("name an entity, or a recognizer's code")
        return self

    def plain(self) -> dict[str, Any] | str:
        """The same in plain values, which pickle."""
        if self.code is not None:
            return self.code
        return {**self.model_dump(exclude={"code"}), "name": self.name or self.entity}
