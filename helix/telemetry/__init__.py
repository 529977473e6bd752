"""One record per request: to ClickHouse in batches, and to Prometheus as metrics."""

from helix.telemetry.middleware import TelemetryMiddleware

__all__ = ["TelemetryMiddleware"]
