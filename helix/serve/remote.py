"""Adapters from deployment handles to the Protocols that the stages know; a stage cannot tell which it has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from helix.kernel.errors import BackendUnavailable, HelixError
from helix.kernel.types import Span, Vector

__all__ = ["RemoteDetector", "RemoteEmbedder", "RemoteStore", "call"]


async def call(
    handle: DeploymentHandle, method: str, *arguments: Any, what: str, timeout_seconds: float, **named: Any
) -> Any:
    """Await a method of a deployment. Raises BackendUnavailable for Ray's errors and for time-outs.

    A HelixError that was raised there is raised here.
    """
    response = getattr(handle, method).remote(*arguments, **named)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await response
    except TimeoutError:
        response.cancel()
        raise BackendUnavailable(f"the {what} did not answer within {timeout_seconds:g} s") from None
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, HelixError):
            raise cause from None
        raise BackendUnavailable(f"the {what} failed with {type(cause).__name__}") from None
    except (RayError, RayServeException) as error:
        raise BackendUnavailable(f"the {what} cannot be reached ({type(error).__name__})") from None


class RemoteEmbedder:
    """An Embedder behind a deployment handle."""

    def __init__(self, handle: DeploymentHandle, facts: Mapping[str, Any], *, timeout_seconds: float) -> None:
        self._handle = handle
        self._timeout_seconds = timeout_seconds
        self.name: str = facts["name"]
        self.dim: int = facts["dim"]
        self.max_tokens: int = facts["max_tokens"]

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """One unit vector a text. Raises BackendUnavailable."""
        return await call(  # type: ignore[no-any-return]
            self._handle, "embed", list(texts), what="embedder", timeout_seconds=self._timeout_seconds
        )


class RemoteDetector:
    """A Detector behind a deployment handle."""

    def __init__(self, handle: DeploymentHandle, *, timeout_seconds: float, version: str = "") -> None:
        self._handle = handle
        self._timeout_seconds = timeout_seconds
        self.version = version

    async def detect(self, texts: Sequence[str], *, language: str | None = None) -> Sequence[Sequence[Span]]:
        """The spans of each text. Raises BackendUnavailable."""
        return await call(  # type: ignore[no-any-return]
            self._handle,
            "detect",
            list(texts),
            language=language,
            what="detector",
            timeout_seconds=self._timeout_seconds,
        )


class RemoteStore:
    """A store of rows behind a deployment handle."""

    def __init__(self, handle: DeploymentHandle, *, timeout_seconds: float = 60.0) -> None:
        self._handle = handle
        self._timeout_seconds = timeout_seconds

    async def insert(self, names: Sequence[str], rows: Sequence[Any], token: str) -> None:
        """Store rows once. Raises BackendUnavailable, RowsRejected."""
        await self._call("insert", names, rows, token)

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Ask. Raises BackendUnavailable."""
        return await self._call("query", sql, parameters)  # type: ignore[no-any-return]

    async def ping(self) -> None:
        """Raise unless it answers."""
        await self._call("ping")

    async def _call(self, method: str, *arguments: Any) -> Any:
        return await call(
            self._handle, method, *arguments, what="telemetry store", timeout_seconds=self._timeout_seconds
        )
