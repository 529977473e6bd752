"""The ways of reaching models, and which of them serves a deployment in a dialect."""

from __future__ import annotations

from collections.abc import Sequence

from helix.kernel.wire import Dialect
from helix.upstream.answer import Provider
from helix.upstream.demo import Demo
from helix.upstream.deployment import OPENAI_WIRE, Deployment
from helix.upstream.native import Native
from helix.upstream.through_litellm import ThroughLiteLLM

__all__ = ["Providers"]

_OPENAI_DIALECTS = frozenset({"chat", "completions", "embeddings", "responses"})
_ANTHROPIC_DIALECTS = frozenset({"messages", "count_tokens"})


class Providers:
    """Native where the provider speaks the caller's dialect, the demo for its own models, LiteLLM for the rest."""

    def __init__(self) -> None:
        self._native = Native()
        self._demo = Demo()
        self._litellm = ThroughLiteLLM()

    async def open(self, deployments: Sequence[Deployment]) -> None:
        """Get ready what the deployments need; LiteLLM takes seconds to load. Raises ConfigError."""
        translated = [deployment for deployment in deployments if deployment.via_litellm]
        native = [deployment for deployment in deployments if deployment.is_native]
        if native:
            await self._native.open(native)
        if translated:
            await self._litellm.open(translated)

    async def close(self) -> None:
        """Close all of them."""
        await self._native.close()
        await self._litellm.close()

    def of(self, deployment: Deployment, dialect: Dialect | None) -> Provider:
        """The way to a deployment for a request in this dialect."""
        name = dialect.name if dialect is not None else ""
        provider = deployment.provider
        if provider == "anthropic":
            return self._native if name in _ANTHROPIC_DIALECTS else self._litellm
        if provider == "text-completion-openai":
            return self._native if name == "completions" else self._litellm
        if provider in OPENAI_WIRE:
            return self._native if name in _OPENAI_DIALECTS else self._litellm
        return self._demo if provider == "demo" else self._litellm
