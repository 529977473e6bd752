"""Builders of the Ray Serve applications: what `import_path` names and `args:` fill in a Serve configuration.

No `from __future__ import annotations` here: Serve reads the builders' annotations.
"""

from typing import Any

from ray import serve
from ray.serve import Application

from helix.config import Config, ReplicasConfig
from helix.local import check
from helix.serve.deployments import Console, Detect, Embed, Gateway, Redis, Telemetry

__all__ = ["build", "build_console"]

# A gateway replica is bound by its event loop, which queues better than Serve does.
_GATEWAY_ONGOING = 1024
_MODEL_ONGOING = 256


def build(args: dict[str, Any]) -> Application:
    """The gateway and what it stands on. `args` is the configuration. Raises ConfigError."""
    config = Config.of(args)
    check(config)
    helix, raw = config.helix, config.raw
    semantic = helix.cache.enabled and helix.cache.mode != "exact"
    return _deployed(
        serve.ingress()(Gateway),
        helix.serve.gateway,
        _GATEWAY_ONGOING,
        raw,
        _deployed(Redis, _ONE, _MODEL_ONGOING, raw) if helix.redis_url is None else None,
        _deployed(Telemetry, _ONE, _MODEL_ONGOING, raw) if helix.telemetry.enabled else None,
        _deployed(Detect, helix.serve.detector, _MODEL_ONGOING, raw) if helix.redact.enabled else None,
        _deployed(Embed, helix.serve.embedder, _MODEL_ONGOING, raw) if semantic else None,
    )


def build_console(args: dict[str, Any]) -> Application:
    """The console, an application of its own under /console. `args` is the configuration. Raises ConfigError."""
    return _deployed(serve.ingress()(Console), _ONE, _MODEL_ONGOING, Config.of(args).raw)


_ONE = ReplicasConfig(num_cpus=0)


def _deployed(holder: type, replicas: ReplicasConfig, ongoing: int, *arguments: Any) -> Application:
    options: dict[str, Any] = {
        "name": holder.__name__.lower(),
        "max_ongoing_requests": ongoing,
        "ray_actor_options": {"num_cpus": replicas.num_cpus, "num_gpus": replicas.num_gpus},
    }
    if replicas.max_replicas > replicas.min_replicas:
        bounds = {"min_replicas": replicas.min_replicas, "max_replicas": replicas.max_replicas}
        options["autoscaling_config"] = bounds
    else:
        options["num_replicas"] = replicas.min_replicas
    return serve.deployment(**options)(holder).bind(*arguments)
