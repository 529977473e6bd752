"""What a model costs once its row of a price table has been read: integers, and the arithmetic over them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final, TypeAlias

from helix.budget.amounts import PER_NANO_USD
from helix.budget.hours import Hours
from helix.kernel.types import Money, Usage

__all__ = ["FREE", "NO_UNITS", "TIERS", "ModelPrice", "Rates", "Tariff", "Units"]

_HALF: Final = PER_NANO_USD // 2

LONGEST_SECONDS: Final = 3600.0
"""How long a provider is taken to need at most by a reservation for a model that is paid by the second."""
MOST_SEARCHES: Final = 16
"""How many searches a provider is taken to make at most for one answer where the caller sets no limit."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What one token costs, by its kind, in 1e-24 USD."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_read_audio: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    image_input: int = 0
    video_input: int = 0
    audio_output: int = 0
    image_output: int = 0
    video_output: int = 0

    @property
    def dearest_input(self) -> int:
        """The most that an input token costs, of whatever kind it is."""
        return max(
            *(self.input, self.cache_read, self.cache_read_audio, self.cache_write, self.cache_write_1h),
            *(self.audio_input, self.image_input, self.video_input),
        )

    @property
    def dearest_output(self) -> int:
        """The most that an output token costs."""
        return max(self.output, self.reasoning, self.audio_output, self.image_output, self.video_output)


@dataclass(frozen=True, slots=True)
class Units:
    """What is paid beside tokens, in 1e-24 USD; None where the unit has no price, which is not the same as 0."""

    character: int | None = None
    image: int | None = None
    audio_second: int | None = None
    video_second: int | None = None
    second: int | None = None
    """Of the provider's time; such a model's tokens cost nothing."""
    query: int = 0
    citation: int = 0
    search: Mapping[str, int] = field(default_factory=dict)
    """By how much of what is found is read; "" for the usual."""
    searches_once: bool = False
    """Whether an answer's searches cost what one does (Gemini 2)."""
    map_search: int = 0
    page_visit: int = 0


Tariff: TypeAlias = tuple[tuple[float, Rates], ...]
"""(threshold, rates), ascending: the last whose threshold the input tokens exceed holds for the whole request."""

TIERS: Final = {
    **dict.fromkeys(("auto", "default", "standard", "standard_only"), ""),
    **{tier: tier for tier in ("flex", "balanced", "priority", "fast", "ultrafast", "batch")},
}
"""The tiers of service that can have a price of their own, by the names that requests and answers give them."""

FREE: Final[Tariff] = ((-1, Rates()),)
NO_UNITS: Final = Units()
_KEPT: Final[Mapping[str, tuple[str, ...]]] = {"default": (), "standard": (), "standard_only": (), "flex": ("flex",)}
"""What may serve beside the ordinary tier, by what a request asks for; anything else may end at any tier."""
_FAST: Final = "fast"
_ONE: Final = (1, 1)


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """A model's prices, and the sizes it is capped at: None where they are not known.

    The sum of what a request costs is exact; it is rounded to the nano-USD once, halves up.
    """

    tariff: Tariff
    """At the ordinary tier."""
    tariffs: Mapping[str, Tariff] = field(default_factory=dict)
    """At other tiers, by the names that requests and answers give them; tiers at the ordinary price are left out."""
    units: Units = NO_UNITS
    off_peak: Hours | None = None
    off_peak_tariffs: Mapping[str, Tariff] = field(default_factory=dict)
    """By tier, "" for the ordinary one, while `off_peak`."""
    factors: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By region, or by speed, as the answer names it: numerator and denominator of what all tokens cost there."""
    uplifts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The same by where a deployment stands, which no answer names; see `at`."""
    trusts_provider: bool = False
    """Whether the provider's own word on the cost is taken."""
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    tokenizer: str = ""
    """The encoding of its text, if it is known and can be had offline."""

    @property
    def has_units(self) -> bool:
        """Whether anything is paid beside tokens and searches."""
        one = self.units
        return bool(
            one is not NO_UNITS
            and (one.character or one.image or one.audio_second or one.video_second or one.second or one.query)
        )

    def cost(self, usage: Usage, *, at: float | None = None) -> Money:
        """The cost of a usage; `at` is a Unix time, now by default: some models are cheaper by night."""
        if self.trusts_provider and usage.stated_nano_usd is not None:
            return Money(usage.stated_nano_usd)
        tariff = self.tariff
        if self.off_peak is not None and self.off_peak.includes(time.time() if at is None else at):
            tariff = self.off_peak_tariffs.get(usage.service_tier, self.off_peak_tariffs[""])
        elif self.tariffs and usage.service_tier:
            tariff = self.tariffs.get(usage.service_tier, tariff)
        units = self.units
        if units is NO_UNITS:
            total = _of_tokens(_rates(tariff, usage.input_tokens), usage)
        elif units.second is not None:
            total = round(units.second * usage.elapsed_seconds)
        else:
            total = _of_units(units, _rates(tariff, usage.input_tokens), usage)
        if self.factors:
            numerator, denominator = self._factor(usage)
            total = total * numerator // denominator
        if units is not NO_UNITS:
            total += _of_tools(units, usage)
        return Money((total + _HALF) // PER_NANO_USD)

    def dearest(self, usage: Usage) -> Money:
        """The most that so much input and output can cost, of whatever kind it is and whenever and wherever it is
        served; at the tier that the usage names if that is one that a provider keeps to, else at the dearest."""
        tokens_in, tokens_out = usage.input_tokens, usage.output_tokens
        kept = _KEPT.get(usage.service_tier)
        tariffs = [self.tariff, *self.tariffs.values()]
        if kept is not None:
            tariffs = [self.tariff, *(self.tariffs[tier] for tier in kept if tier in self.tariffs)]
        most_in = most_out = 0
        for threshold, rates in (band for tariff in (*tariffs, *self.off_peak_tariffs.values()) for band in tariff):
            if tokens_in > threshold:
                most_in, most_out = max(most_in, rates.dearest_input), max(most_out, rates.dearest_output)
        total = tokens_in * most_in + tokens_out * most_out
        units = self.units
        if units is not NO_UNITS:
            if units.second is not None:
                total = round(units.second * (usage.elapsed_seconds or LONGEST_SECONDS))
            total += usage.input_characters * (units.character or 0) + usage.input_images * (units.image or 0)
            total += usage.queries * units.query + tokens_in * units.citation
            total += round((units.audio_second or 0) * usage.audio_input_seconds)
            total += round((units.video_second or 0) * usage.video_input_seconds)
        for name, (numerator, denominator) in self.factors.items():
            if numerator > denominator and (name != _FAST or usage.speed == name):
                total = total * numerator // denominator
        if usage.searches and units is not NO_UNITS:
            total += usage.searches * (max(units.search.values(), default=0) + units.map_search + units.page_visit)
        return Money(-(-total // PER_NANO_USD))

    def at(self, region: str) -> ModelPrice:
        """The same as it is for a deployment in a region: OpenAI's data residency, or a Vertex AI location."""
        uplift = self.uplifts.get(region, self.uplifts.get(""))
        return (
            self if uplift is None or region in ("", "global") else replace(self, factors={**self.factors, "": uplift})
        )

    def sized_as(self, other: ModelPrice) -> ModelPrice:
        """The same prices with another's sizes where these are not known."""
        return replace(
            self,
            max_input_tokens=self.max_input_tokens or other.max_input_tokens,
            max_output_tokens=self.max_output_tokens or other.max_output_tokens,
        )

    def _factor(self, usage: Usage) -> tuple[int, int]:
        by_region = self.factors.get(usage.region, _ONE)
        by_speed = self.factors.get(usage.speed, _ONE) if usage.speed else _ONE
        return by_region[0] * by_speed[0], by_region[1] * by_speed[1]


def _rates(tariff: Tariff, input_tokens: int) -> Rates:
    rates = tariff[0][1]
    if len(tariff) > 1:
        for threshold, dearer in tariff[1:]:
            if input_tokens <= threshold:
                break
            rates = dearer
    return rates


def _of_tokens(rates: Rates, usage: Usage) -> int:
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    fresh = max(usage.input_tokens - cached - written, 0)
    total = 0
    if usage.audio_input_tokens or usage.image_input_tokens or usage.video_input_tokens:
        audio, image, video = _modalities(usage, fresh)
        fresh = max(fresh - audio - image - video, 0)
        total = audio * rates.audio_input + image * rates.image_input + video * rates.video_input
    total += fresh * rates.input + _of_cache(rates, usage)
    other = usage.reasoning_tokens + usage.audio_output_tokens + usage.image_output_tokens + usage.video_output_tokens
    if other:
        total += usage.reasoning_tokens * rates.reasoning + usage.audio_output_tokens * rates.audio_output
        total += usage.image_output_tokens * rates.image_output + usage.video_output_tokens * rates.video_output
    return total + max(usage.output_tokens - other, 0) * rates.output


def _of_cache(rates: Rates, usage: Usage) -> int:
    total = 0
    if usage.cached_input_tokens:
        spoken = usage.cached_audio_tokens
        total = (usage.cached_input_tokens - spoken) * rates.cache_read + spoken * rates.cache_read_audio
    if usage.cache_write_tokens:
        hour = usage.cache_write_1h_tokens
        total += (usage.cache_write_tokens - hour) * rates.cache_write + hour * rates.cache_write_1h
    return total


def _modalities(usage: Usage, fresh: int) -> tuple[int, int, int]:
    # A count by kind may overlap with what was cached, and then it is text that is left over.
    audio, image, video = usage.audio_input_tokens, usage.image_input_tokens, usage.video_input_tokens
    if usage.cached_input_tokens or usage.cache_write_tokens:
        audio = min(audio, fresh)
        image = min(image, fresh - audio)
        video = min(video, fresh - audio - image)
    return audio, image, video


def _of_units(units: Units, rates: Rates, usage: Usage) -> int:
    # What is paid by another unit is not paid by the token as well.
    paid = {}
    if units.character is not None and usage.input_characters:
        paid["input"] = 0
    if units.audio_second is not None and usage.audio_input_seconds:
        paid["audio_input"] = 0
    if units.image is not None and usage.input_images:
        paid["image_input"] = 0
    if units.video_second is not None and usage.video_input_seconds:
        paid["video_input"] = 0
    if paid:
        rates = Rates(**{kind.name: paid.get(kind.name, getattr(rates, kind.name)) for kind in fields(Rates)})
    total = _of_tokens(rates, usage)
    total += usage.input_characters * (units.character or 0) + usage.input_images * (units.image or 0)
    total += round(usage.audio_input_seconds * (units.audio_second or 0))
    total += round(usage.video_input_seconds * (units.video_second or 0))
    return total + usage.queries * units.query + usage.citation_tokens * units.citation


def _of_tools(units: Units, usage: Usage) -> int:
    total = usage.page_visits * units.page_visit
    if usage.searches and units.search:
        price = units.search.get(usage.search_context, units.search[""])
        total += price if units.searches_once else price * usage.searches
    if usage.map_searches:
        total += units.map_search if units.searches_once else units.map_search * usage.map_searches
    return total
