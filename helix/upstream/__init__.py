"""Where answers come from: routing, retries and fallbacks over native providers, LiteLLM's, and the offline demo."""

from __future__ import annotations

from helix.upstream.app import Upstream
from helix.upstream.deployment import Deployment
from helix.upstream.router import Router

__all__ = ["Deployment", "Router", "Upstream"]
