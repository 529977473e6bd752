"""What the budget stage reads of a reply: the model that answered, what it counted, how much was delivered."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import Any

from helix.budget.estimate import estimated_input_tokens, search_context, tokens_of
from helix.budget.rates import TIERS
from helix.kernel.errors import ClientDisconnected, UpstreamGarbled
from helix.kernel.exchange import Exchange
from helix.kernel.sse import Event
from helix.kernel.tap import HeaderList, Tap
from helix.kernel.types import NO_USAGE, Money, Price, Send, Usage

__all__ = ["BudgetTap"]


class BudgetTap(Tap):
    """Passes a reply on and can say, at any moment, what the request has cost so far."""

    __slots__ = (
        "_answered_by",
        "_began",
        "_counted",
        "_delivered_bytes",
        "_ended",
        "_hides_usage",
        "_price",
        "_readable",
        "_settled",
        "_tier",
        "used",
        "worst",
    )

    def __init__(self, exchange: Exchange, send: Send, price: Price, *, worst: Money | None, hides_usage: bool) -> None:
        super().__init__(exchange, send)
        self.worst = worst
        """What is reserved, charged where a reply cannot be read at all; None where nothing is reserved."""
        self.used: Usage | None = NO_USAGE
        """The tokens that the last `cost` was for; None where a reply could not be read at all."""
        self._price = price
        self._hides_usage = hides_usage
        self._answered_by: list[str] = []
        self._counted: Usage | None = None
        self._delivered_bytes = 0
        self._ended = False
        self._readable = False
        self._settled: Money | None = None
        self._tier = ""
        self._began = monotonic()

    @property
    def answered_by(self) -> str:
        """The model that answered, as far as it is known; with its provider where the upstream is Helix' own."""
        return self._answered_by[0] if self._answered_by else ""

    async def on_start(self, headers: HeaderList) -> HeaderList:
        """Note who answered; tell the cost of a whole answer."""
        for name, value in headers:
            if name.lower() == b"x-helix-model":
                self._answered_by.insert(0, value.decode("latin-1"))
        if self.is_stream:
            self._readable = True
            return headers
        cost = self.cost() if self._readable or self.status >= 400 else None
        if cost is None:
            return headers
        self.exchange.record.budget["cost_nano_usd"] = cost.nano_usd
        return [*headers, (b"x-helix-cost-usd", str(cost).encode())]

    async def on_answer(self, answer: Any) -> Any:
        """Note the usage of a whole answer, or the length of its texts where it tells none."""
        dialect = self.exchange.dialect
        if isinstance(answer, dict) and dialect is not None and self.status < 400:
            self._readable = self._ended = True
            self._note_model(answer)
            self._note_tier(answer)
            self._counted = self.exchange.usage(answer)
            if self._counted is None or self._counted.doubtful:
                self._deliver(text.value for text in dialect.answer_texts(answer))
        return answer

    async def on_events(self, events: list[Event], *, last: bool) -> list[Event]:
        """Note usage and the length of what is delivered; take out usage that the caller did not ask for."""
        dialect = self.exchange.dialect
        if dialect is None:
            return events
        hidden: list[Event] = []
        for event in events:
            try:
                payload = event.json()
            except UpstreamGarbled:
                self._delivered_bytes += len(event.data or b"")
                continue
            if isinstance(payload, dict):
                if not self._answered_by:
                    self._note_model(payload)
                self._note_tier(payload)
                self._counted = dialect.event_usage(payload, self._counted)
                self._deliver(text.value for text in dialect.event_texts(payload) if text.channel is not None)
                if self._hides_usage and dialect.is_usage_only(payload):
                    hidden.append(event)
            if not self._ended:
                self._ended = dialect.is_end(event)
        return [event for event in events if event not in hidden] if hidden else events

    def cost(self, *, sent: bool = True) -> Money | None:
        """What the request has cost so far; None for a model without a price.

        Nothing where the provider refused, or could not be reached. What the provider counted, where the answer came
        to its end; else the larger of that and an estimate of what was delivered, the input included even where
        nothing was delivered yet. `sent` says whether the request may have reached a provider at all.
        """
        if self._settled is not None and sent:
            return self._settled
        # That the caller left, or was tired of waiting, is no refusal: the provider had the question.
        given_up = self.status in (0, ClientDisconnected.status) or (self.status >= 400 and self.exchange.unanswered)
        if (self.status >= 400 and not given_up) or (given_up and not sent):
            self.used = NO_USAGE
            return Money(0)
        if not given_up and not self._readable:
            self.used = None
            return self.worst
        usage = self._usage()
        self.used = usage
        # The name in the request may stand for several models; what has answered is one.
        one: Price = getattr(self._price, "table", self._price)
        for price, model in (*((one, model) for model in self._answered_by), (self._price, self.exchange.model)):
            cost = price(model, self._timed(price, model, usage))
            if cost is not None:
                # What was counted at the proper end is final; the header and the ledger both ask.
                self._settled = cost if self._ended and self._counted is not None and not given_up else None
                return cost
        return None

    def _usage(self) -> Usage:
        """What is charged: what the provider counted, as far as that can be believed, else what Helix counts."""
        usage, record = self._counted, self.exchange.record.budget
        delivered = tokens_of(self._delivered_bytes)
        if usage is None:
            record["usage"] = "estimated"
            usage = Usage(estimated_input_tokens(self.exchange), delivered)
        elif usage.doubtful:
            record["usage"] = "doubtful"
            least = estimated_input_tokens(self.exchange)
            usage = replace(
                usage, input_tokens=max(usage.input_tokens, least), output_tokens=max(usage.output_tokens, delivered)
            )
        elif not self._ended and delivered > usage.output_tokens:
            record["usage"] = "partial"
            usage = replace(usage, output_tokens=delivered)
        payload = self.exchange.payload
        told = self._tier or usage.service_tier
        tier = TIERS.get(told)
        if tier is None:  # nothing that has a price was told, so what was asked for counts
            asked = payload.get("service_tier")
            tier = TIERS.get(asked, "") if isinstance(asked, str) else ""
        context = search_context(payload) if usage.searches else ""
        if tier != usage.service_tier or context:
            usage = replace(usage, service_tier=tier, search_context=context)
        return usage

    def _timed(self, price: Price, model: str, usage: Usage) -> Usage:
        find = getattr(price, "find", None)
        found = find(model) if find is not None else None
        if found is None or found.units.second is None:
            return usage
        return replace(usage, elapsed_seconds=monotonic() - self._began)

    def _note_model(self, payload: dict[str, Any]) -> None:
        for holder in (payload, payload.get("response"), payload.get("message")):
            if not isinstance(holder, dict):
                continue
            model = holder.get("model")
            if isinstance(model, str) and model:
                self._answered_by.append(model)
                return

    def _note_tier(self, payload: dict[str, Any]) -> None:
        for holder in (payload, payload.get("response")):
            tier = holder.get("service_tier") if isinstance(holder, dict) else None
            if isinstance(tier, str):
                self._tier = tier  # in a stream the last word counts: the first may be the request's own

    def _deliver(self, texts: Any) -> None:
        for text in texts:
            self._delivered_bytes += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
