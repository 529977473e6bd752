"""What the console shows, fetched from the administration API over HTTP and shared by all its tabs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

__all__ = ["Feed", "FeedError"]

TIMEOUT_SECONDS = 10.0


class FeedError(Exception):
    """The administration API did not answer as it should; the message is for people to read.

    `status` is the reply's HTTP status; 0 without one.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Feed:
    """A client of the administration API. A reply is remembered for a moment, so that more tabs ask no more."""

    def __init__(self, api_url: str, api_key: str) -> None:
        self._api_url = api_url
        self._api_key = api_key
        self._client: httpx.AsyncClient | None = None
        self._replies: dict[str, tuple[float, Any]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, path: str, *, max_age_seconds: float) -> Any:
        """The JSON value at a path of the API, at most so old; with 0 nothing is remembered. Raises FeedError."""
        if max_age_seconds <= 0:
            return await self._fetch(path)
        async with self._locks.setdefault(path, asyncio.Lock()):
            known = self._replies.get(path)
            if known is not None and time.monotonic() - known[0] < max_age_seconds:
                return known[1]
            value = await self._fetch(path)
            self._replies[path] = (time.monotonic(), value)
            return value

    async def post(self, path: str, body: Any) -> Any:
        """What the API answers to a JSON body; nothing of either is remembered. Raises FeedError."""
        return await self._fetch(path, body)

    async def delete(self, path: str) -> Any:
        """What the API answers to a removal. Raises FeedError."""
        return await self._fetch(path, method="DELETE")

    async def close(self) -> None:
        """Close the connections; the next `get` opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _fetch(self, path: str, body: Any = None, method: str = "") -> Any:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._api_url,
                headers={"authorization": f"Bearer {self._api_key}"},
                timeout=TIMEOUT_SECONDS,
                trust_env=False,  # the gateway is next door: no proxy of the environment stands between
            )
        try:
            how = method or ("GET" if body is None else "POST")
            reply = await self._client.request(how, path, json=body)
        except httpx.TimeoutException:
            raise FeedError(f"The administration API did not answer within {TIMEOUT_SECONDS:g} s.") from None
        except httpx.HTTPError as error:
            raise FeedError(f"The administration API cannot be reached ({type(error).__name__}).") from None
        if reply.status_code != 200:
            raise FeedError(_message(reply), reply.status_code)
        try:
            return reply.json()
        except ValueError:
            raise FeedError("The administration API answered with something that is not JSON.") from None


def _message(reply: httpx.Response) -> str:
    try:
        said = reply.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"The administration API answered with status {reply.status_code}."
    return f"{str(said)[:1].upper()}{str(said)[1:]}."
