"""The keys under `helix.cache.eligibility`, `storing` and `quota`: what may be answered from the cache, and kept."""

from __future__ import annotations

from pydantic import Field

from helix.config.base import Section

__all__ = ["EligibilityConfig", "QuotaConfig", "RuleConfig", "StoringConfig"]


class RuleConfig(Section):
    """A rule of one's own."""

    reason: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$", description="What is recorded: lower-case letters, digits, underscores."
    )
    words: tuple[str, ...] = Field((), description="Words and phrases, found whole, in any case.")
    patterns: tuple[str, ...] = Field((), description="Regular expressions, found anywhere, in any case.")


class EligibilityConfig(Section):
    """Which requests may be answered by the answer to a near question."""

    min_bytes: int = Field(
        12, ge=0, description="Texts with less are not looked up by meaning (UTF-8, without placeholders)."
    )
    max_chars: int = Field(8192, ge=1, description="Texts with more are not looked up by meaning.")
    max_temperature: float | None = Field(
        1.0, ge=0, description="Requests above it are not looked up by meaning; `null` for no bound."
    )
    freshness: bool = Field(True, description="Leave out texts whose answer holds for a moment only.")
    actions: bool = Field(True, description="Leave out texts that ask for something to be done.")
    languages: tuple[str, ...] | None = Field(
        None,
        description="ISO 639-1 codes of the languages in which those two are recognised. Unset: all that are known.",
    )
    rules: tuple[RuleConfig, ...] = Field((), description="Rules of one's own.")
    exempt: tuple[str, ...] = Field(
        (), description="Regular expressions of texts that freshness, actions and one's own rules do not apply to."
    )
    bypass: tuple[str, ...] = Field(
        (), description="Reasons for which an equal request is not answered from the cache either, and nothing is kept."
    )


class StoringConfig(Section):
    """Which answers are kept beside complete ones in words; they answer equal requests only."""

    refused: bool = Field(False, description="Answers that a provider's filter, or the model, refused.")
    truncated: bool = Field(False, description="Answers that were cut off at the cap on tokens.")
    tools: bool = Field(False, description="Answers that call tools.")


class QuotaConfig(Section):
    """The most that one partition, whoever shares answers by `share`, may keep; beyond it its own oldest go."""

    entries: int = Field(0, ge=0, description="Entries; 0 is no limit.")
    bytes: int = Field(0, ge=0, description="Bytes of answers with their questions and vectors; 0 is no limit.")
