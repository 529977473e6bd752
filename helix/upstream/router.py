"""Which deployment answers a request, and what happens when it does not.

    model ──alias──▶ group ──▶ deployments by order, then at random by weight ──▶ retries ──▶ next order ──▶ fallbacks

A retry goes to a deployment that this request has not tried yet, at once; only when there is none left does it wait
(exponential backoff with jitter, or what Retry-After says). A stream is held until its first event has come, and from
then on it belongs to the deployment that began it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from helix.kernel.errors import ConfigError, ModelNotFound, NoDeployment, UpstreamBroke, UpstreamError
from helix.kernel.exchange import Exchange
from helix.upstream.answer import Answer, Provider
from helix.upstream.caller import Caller
from helix.upstream.deployment import Deployment, Target, read_model_list
from helix.upstream.failure import (
    Fate,
    backoff_seconds,
    error_in,
    fate_of,
    is_content_policy,
    is_context_window,
    kind_of,
)
from helix.upstream.health import Health
from helix.upstream.providers import Providers
from helix.upstream.settings import Fallbacks, Settings, read_settings

__all__ = ["Router"]

_LISTED = 50
"""At most so many model names are put into an error message."""


class _Group:
    """The deployments that share a model name, by order."""

    __slots__ = ("deployments", "levels", "name", "pattern")

    def __init__(self, name: str, deployments: Sequence[Deployment]) -> None:
        self.name = name
        self.deployments = tuple(deployments)
        # Where some have an order, those without one come last.
        orders = sorted({d.order for d in deployments}, key=lambda order: (order is None, order))
        self.levels = tuple(tuple(d for d in deployments if d.order == order) for order in orders)
        self.pattern = re.compile(re.escape(name).replace(r"\*", "(.*)")) if "*" in name else None

    def target(self, deployment: Deployment, model: str) -> Target:
        """The deployment with the model that it is asked for: what `*` stood for goes where its own model has one."""
        match = self.pattern.fullmatch(model) if self.pattern is not None else None
        if match is None or "*" not in deployment.model:
            return Target(deployment, deployment.model, deployment.qualified)
        if len(match.groups()) > deployment.model.count("*"):
            own = model.removeprefix(f"{deployment.provider}/")  # LiteLLM: what the caller said
        else:
            own = deployment.model
            for part in match.groups():
                own = own.replace("*", part, 1)
            if self.name.startswith("*"):
                own = own.removeprefix(f"{deployment.provider}/")
        return Target(deployment, own, f"{deployment.provider}/{own}" if deployment.provider else own)


class Router:
    """Deployments by the names that callers use, from LiteLLM's own `model_list` and `router_settings`.

    Raises ConfigError for a wrong key or value. Opening (`open`, or the first request) connects nothing, but loads
    LiteLLM where a deployment needs it.
    """

    def __init__(
        self,
        model_list: Sequence[Mapping[str, Any]],
        router_settings: Mapping[str, Any] | None = None,
        *,
        providers: Providers | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.deployments = read_model_list(model_list)
        self.settings: Settings = read_settings(router_settings)
        self.health = Health(self.settings)
        self._providers = Providers() if providers is None else providers
        self._chance = random.Random() if chance is None else chance
        self._created = int(time.time())
        self._groups: dict[str, _Group] = {}
        for name in dict.fromkeys(d.model_name for d in self.deployments):
            self._groups[name] = _Group(name, [d for d in self.deployments if d.model_name == name])
        # The more specific pattern first: LiteLLM's rule, the longer one.
        patterns = [group for group in self._groups.values() if group.pattern is not None]
        self._patterns = sorted(patterns, key=lambda group: (len(group.name), group.name.count("*")), reverse=True)
        self._targets: dict[str, Target] = {
            d.id: Target(d, d.model, d.qualified) for d in self.deployments if not d.is_wildcard
        }
        self._check_names()

    async def open(self) -> None:
        """Make the providers ready. Raises ConfigError where one is not installed."""
        await self._providers.open(self.deployments)

    async def close(self) -> None:
        """Close connections."""
        await self._providers.close()

    def models(self) -> list[dict[str, Any]]:
        """The models that callers may name, in OpenAI's form; patterns and hidden aliases are left out."""
        names = {name: group.deployments[0].provider for name, group in self._groups.items() if group.pattern is None}
        for alias, item in self.settings.model_group_alias.items():
            group, _ = self._find(item.model)
            if not item.hidden and group is not None:
                names.setdefault(alias, group.deployments[0].provider)
        return [
            {"id": name, "object": "model", "created": self._created, "owned_by": provider or "litellm"}
            for name, provider in names.items()
        ]

    def knows(self, model: str) -> bool:
        """Whether a model name leads to a deployment."""
        return bool(model) and self._find(model)[0] is not None

    def check(self, model: str) -> None:
        """Raise ModelNotFound, with the names that are known, unless this one leads to a deployment."""
        if not self.knows(model):
            raise ModelNotFound(self._unknown(), "model")

    def leads_to(self, model: str) -> tuple[str, ...]:
        """The providers' models that a request for this name can end at, those of its fallbacks among them; none for
        a name that is not known."""
        found: dict[str, None] = {}
        seen, waiting = set[tuple[str, str]](), [model]
        while waiting:
            group, name = self._find(waiting.pop())
            if group is None or (group.name, name) in seen:
                continue
            seen.add((group.name, name))
            found |= dict.fromkeys(group.target(deployment, name).qualified for deployment in group.deployments)
            for fallbacks in (
                self.settings.fallbacks,
                self.settings.context_window_fallbacks,
                self.settings.content_policy_fallbacks,
            ):
                waiting += self._fallbacks_of(fallbacks, group, name)
        return tuple(found)

    async def ask(self, exchange: Exchange, caller: Caller) -> Answer:
        """The first good answer of the model's deployments and fallbacks.

        Notes in `exchange.record.upstream` who was asked. Raises ModelNotFound, ClientDisconnected, or the
        UpstreamError of the last attempt.
        """
        record = exchange.record.upstream
        record["attempts"] = record["fallbacks"] = 0
        self.check(exchange.model)
        failure: UpstreamError | None = None
        waiting, seen = [exchange.model], set[tuple[str, str]]()
        while waiting and len(seen) <= self.settings.max_fallbacks:
            group, model = self._find(waiting.pop(0))
            if group is None or (group.name, model) in seen:
                continue
            seen.add((group.name, model))
            record["fallbacks"] = len(seen) - 1
            for level in group.levels:
                try:
                    return await self._ask_level(exchange, caller, group, model, level)
                except UpstreamError as error:
                    # A level that was not asked, since it cools down, has nothing to say about why.
                    failure = failure if failure is not None and isinstance(error, NoDeployment) else error
                if fate_of(failure) == Fate.FINAL:
                    break
            if failure is not None and fate_of(failure) == Fate.FINAL:
                waiting = list(self._special_fallbacks(group, model, failure))
            else:
                # A fallback's own fallbacks come before the rest of the list, as in LiteLLM.
                waiting = [*self._fallbacks_of(self.settings.fallbacks, group, model), *waiting]
        if failure is None:
            raise RuntimeError("a model without deployments")
        raise failure

    async def _ask_level(
        self, exchange: Exchange, caller: Caller, group: _Group, model: str, level: Sequence[Deployment]
    ) -> Answer:
        """Ask the deployments of one order, with retries. Raises the last failure; NoDeployment where all cool down."""
        tried: set[str] = set()
        failure: UpstreamError | None = None
        retry = 0
        while True:
            deployment = self._pick(level, tried)
            if deployment is None:
                raise failure or self._cooling(level)
            target = self._targets.get(deployment.id) or group.target(deployment, model)
            try:
                return await self._attempt(exchange, caller, target)
            except UpstreamError as error:
                failure = error
                exchange.unanswered = exchange.unanswered or error.unanswered
            tried.add(deployment.id)
            self.failed(deployment, failure)
            if retry >= self._retries(group, deployment, failure):
                raise failure
            wait_seconds = self._wait_seconds(level, tried, retry, failure)
            if wait_seconds is None:
                raise failure
            if wait_seconds:
                await caller.sleeps(wait_seconds)
            retry += 1

    async def _attempt(self, exchange: Exchange, caller: Caller, target: Target) -> Answer:
        deployment = target.deployment
        record = exchange.record.upstream
        record["attempts"] += 1
        record["provider"], record["model"], record["deployment"] = (
            deployment.provider or target.qualified.partition("/")[0],
            target.qualified,
            deployment.id,
        )
        timeout_seconds = self.timeout_seconds(deployment, exchange.stream)
        provider = self._providers.of(deployment, exchange.dialect)
        answer = await caller.waits(
            self._begin(provider, exchange, target, timeout_seconds), timeout_seconds, "the provider's answer"
        )
        self.health.succeeded(deployment)
        return answer

    def failed(self, deployment: Deployment, error: UpstreamError) -> None:
        """Note that a deployment failed, before its answer began or in the midst of it."""
        alone = len(self._groups[deployment.model_name].deployments) == 1
        self.health.failed(deployment, error, alone=alone)

    def timeout_seconds(self, deployment: Deployment, stream: bool) -> float:
        """How long a whole answer may take, or a stream's next event."""
        whole = deployment.timeout_seconds or self.settings.timeout
        if not stream:
            return whole
        return deployment.stream_timeout_seconds or self.settings.stream_timeout or whole

    async def _begin(self, provider: Provider, exchange: Exchange, target: Target, timeout_seconds: float) -> Answer:
        """Ask, and see a stream to its first event: until then another deployment could still answer in its place."""
        answer = await provider.ask(exchange, target, timeout_seconds)
        if answer.events is None:
            return answer
        try:
            while True:
                events = await anext(answer.events, None)
                if events is None:
                    break
                answer.first += events
                begun = next((event for event in events if event.data is not None), None)
                if begun is not None:
                    if exchange.dialect is not None and exchange.dialect.is_error(begun):
                        raise error_in(begun)
                    return answer
            raise UpstreamBroke("the provider's stream ended before its first event")
        except BaseException:
            await answer.events.aclose()
            raise

    # Whom to ask

    def _find(self, name: str) -> tuple[_Group | None, str]:
        """The group that a name leads to, and the name that it is known by there."""
        group = self._groups.get(name)
        if group is None:
            alias = self.settings.model_group_alias.get(name)
            if alias is not None:
                name = alias.model
                group = self._groups.get(name)
        if group is None:
            group = next((g for g in self._patterns if g.pattern is not None and g.pattern.fullmatch(name)), None)
        return group, name

    def _fallbacks_of(self, fallbacks: Fallbacks, group: _Group, model: str) -> tuple[str, ...]:
        """Where to go when a model has failed: its own list, its pattern's, else everybody's."""
        if not fallbacks:
            return ()
        return next((fallbacks[key] for key in (model, group.name, "*") if key in fallbacks), ())

    def _special_fallbacks(self, group: _Group, model: str, error: UpstreamError) -> tuple[str, ...]:
        """Where a request goes that is too long for the model, or against the provider's policy."""
        if is_context_window(error):
            return self._fallbacks_of(self.settings.context_window_fallbacks, group, model)
        if is_content_policy(error):
            return self._fallbacks_of(self.settings.content_policy_fallbacks, group, model)
        return ()

    def _pick(self, level: Sequence[Deployment], tried: set[str]) -> Deployment | None:
        """One of the healthy, by weight; one that this request has not tried, while there is one."""
        well = self.health.well(level)
        fresh = [d for d in well if d.id not in tried] if tried else well
        choice = fresh or well
        if not choice:
            return None
        if len(choice) == 1:
            return choice[0]
        for weights in (
            [d.weight or 0.0 for d in choice],
            [d.rpm or 0.0 for d in choice],
            [d.tpm or 0.0 for d in choice],
        ):
            if any(weights):
                return self._chance.choices(choice, weights)[0]
        return self._chance.choice(choice)

    # How often, and when

    def _retries(self, group: _Group, deployment: Deployment, error: UpstreamError) -> int:
        policy = self.settings.model_group_retry_policy.get(group.name, self.settings.retry_policy)
        by_kind = policy.get(kind_of(error), policy.get("Default"))
        if by_kind is not None:
            return by_kind
        fate = fate_of(error)
        if fate == Fate.FINAL or (fate == Fate.ELSEWHERE and len(group.deployments) == 1):
            return 0
        return self.settings.num_retries if deployment.retries is None else deployment.retries

    def _wait_seconds(
        self, level: Sequence[Deployment], tried: set[str], retry: int, error: UpstreamError
    ) -> float | None:
        """How long to wait before the retry; None where there is nobody to ask again."""
        well = self.health.well(level)
        if any(d.id not in tried for d in well):
            return 0.0
        if not well or fate_of(error) == Fate.ELSEWHERE:
            return None
        return backoff_seconds(retry, error, self.settings.retry_after, self._chance)

    # What to say

    def _cooling(self, level: Sequence[Deployment]) -> NoDeployment:
        seconds = max(1, round(self.health.seconds_until_well(level) + 0.5))
        return NoDeployment(
            f"every deployment of this model failed lately and is left alone for another {seconds} s",
            "model",
            (("retry-after", str(seconds)),),
        )

    def _unknown(self) -> str:
        known = [*self._groups, *(name for name, item in self.settings.model_group_alias.items() if not item.hidden)]
        more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
        return f"there is no such model here; known are: {', '.join(known[:_LISTED])}{more}"

    def _check_names(self) -> None:
        """Every name in the settings must lead somewhere. Raises ConfigError."""
        for alias, item in self.settings.model_group_alias.items():
            if not self.knows(item.model):
                path = f"router_settings.model_group_alias.{alias}"
                raise ConfigError(f"{path}: there is no model '{item.model}' in model_list", path)
        for key in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
            fallbacks: Fallbacks = getattr(self.settings, key)
            for model, others in fallbacks.items():
                for name in others if model == "*" else (model, *others):
                    if name not in self._groups and not self.knows(name):
                        path = f"router_settings.{key}.{model}"
                        raise ConfigError(f"{path}: there is no model '{name}' in model_list", path)
