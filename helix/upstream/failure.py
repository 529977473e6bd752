"""What a failed attempt means: may it be tried again, where, after how long, and what LiteLLM's policies call it."""

from __future__ import annotations

import email.utils
import math
import random
import time

from helix.kernel.errors import UpstreamError, UpstreamStatus, UpstreamTimeout
from helix.kernel.sse import Event

__all__ = [
    "Fate",
    "backoff_seconds",
    "error_in",
    "fate_of",
    "is_content_policy",
    "is_context_window",
    "kind_of",
    "retry_after_seconds",
]

INITIAL_DELAY_SECONDS = 0.5  # openai.INITIAL_RETRY_DELAY, litellm.constants.INITIAL_RETRY_DELAY
MAX_DELAY_SECONDS = 8.0  # openai.MAX_RETRY_DELAY
MAX_RETRY_AFTER_SECONDS = 60.0  # openai's client does not wait for longer either


class Fate:
    """What may follow a failed attempt.

    AGAIN      the deployment may do better next time, or another may: time-outs, broken connections, 408, 409, 429, 5xx
    ELSEWHERE  this deployment will fail again, another may not: its credential, its quota, its model (401 to 404)
    FINAL      the request itself is at fault and would fail everywhere: any other 4xx

    LiteLLM falls back after a 400 as well; Helix does not, since the same request would be paid for and refused again.
    """

    AGAIN = "again"
    ELSEWHERE = "elsewhere"
    FINAL = "final"


def fate_of(error: UpstreamError) -> str:
    """What may follow this failure."""
    if not isinstance(error, UpstreamStatus):
        return Fate.AGAIN
    if error.status in (408, 409, 425, 429) or error.status >= 500:
        return Fate.AGAIN
    return Fate.ELSEWHERE if error.status in (401, 402, 403, 404) else Fate.FINAL


def kind_of(error: UpstreamError) -> str:
    """The failure's name in LiteLLM's retry_policy and allowed_fails_policy, without the suffix."""
    if isinstance(error, UpstreamTimeout):
        return "TimeoutError"
    if not isinstance(error, UpstreamStatus):
        return "InternalServerError"
    status = error.status
    if is_content_policy(error):
        return "ContentPolicyViolationError"
    named = {
        401: "AuthenticationError",
        403: "AuthenticationError",
        404: "NotFoundError",
        408: "TimeoutError",
        429: "RateLimitError",
        502: "BadGatewayError",
        503: "ServiceUnavailableError",
        504: "TimeoutError",
    }
    return named.get(status, "BadRequestError" if status < 500 else "InternalServerError")


_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Anthropic's error types (https://docs.claude.com/en/api/errors) and OpenAI's types and codes, as HTTP statuses."""


def error_in(event: Event) -> UpstreamStatus:
    """The failure that an error event in a stream stands for, as if the provider had refused with a status."""
    payload = event.json()
    error = payload.get("error") if isinstance(payload, dict) else None
    if error is None and isinstance(payload, dict):  # the Responses dialect has it one level deeper, or flat
        response = payload.get("response")
        error = response.get("error") if isinstance(response, dict) else payload
    words = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    status = 502
    for word in words:
        if isinstance(word, int) and 400 <= word < 600:
            status = word
        elif isinstance(word, str) and word.isdigit() and 400 <= int(word) < 600:
            status = int(word)
        elif isinstance(word, str) and word in _STATUS_OF_TYPE:
            status = _STATUS_OF_TYPE[word]
        else:
            continue
        break
    is_reply = isinstance(payload, dict) and isinstance(payload.get("error"), dict)
    return UpstreamStatus(
        "the provider began its stream with an error", status, event.data or b"" if is_reply and status != 401 else b""
    )


_CONTEXT_WINDOW = (  # litellm's ExceptionCheckers.is_error_str_context_window_exceeded, and Anthropic's own words
    b"context_length_exceeded",
    b"maximum context length",
    b"exceed context limit",
    b"prompt is too long",
    b"longer than the model's context length",
    b"input tokens exceed the configured limit",
    b"exceeds the available context size",
    b"exceeds the maximum number of tokens allowed",
)
_CONTENT_POLICY = (
    b"content_policy_violation",
    b"content_filter",
    b"responsibleaipolicyviolation",
    b"contentpolicyviolationerror",
)


def is_context_window(error: UpstreamError) -> bool:
    """Whether the provider said that the request is too long for the model."""
    return _says(error, _CONTEXT_WINDOW)


def is_content_policy(error: UpstreamError) -> bool:
    """Whether the provider's policy refused the request."""
    return _says(error, _CONTENT_POLICY)


def _says(error: UpstreamError, words: tuple[bytes, ...]) -> bool:
    if not isinstance(error, UpstreamStatus) or error.status not in (400, 413, 422):
        return False
    body = error.body.lower()
    return any(word in body for word in words)


def retry_after_seconds(error: UpstreamError) -> float | None:
    """How long the provider asks to be left alone, by its headers in their three forms; None if it does not."""
    headers = {name.lower(): value for name, value in error.headers}
    try:
        if "retry-after-ms" in headers:
            asked = float(headers["retry-after-ms"]) / 1000
        else:
            asked = float(headers["retry-after"])
    except KeyError:
        return None
    except ValueError:
        return _seconds_until(headers.get("retry-after", ""))
    return max(0.0, asked) if math.isfinite(asked) else None


def _seconds_until(date: str) -> float | None:
    """The seconds until an HTTP date; None for what is no date, or one that no clock can show."""
    try:
        when = email.utils.parsedate_tz(date)
        return None if when is None else max(0.0, email.utils.mktime_tz(when) - time.time())
    except (ValueError, OverflowError):
        return None


def backoff_seconds(retry: int, error: UpstreamError, least: float, chance: random.Random) -> float | None:
    """How long to wait before a retry, the first being 0; None where the provider asks for more than is worth waiting.

    What the provider asks for, else half a second doubled with every retry up to eight, less up to a quarter at random.
    """
    asked = retry_after_seconds(error)
    if asked is not None:
        # A little later than asked, so that those who were refused together do not come back together.
        delay = asked * (1 + 0.1 * chance.random())
        return max(least, delay) if asked <= MAX_RETRY_AFTER_SECONDS else None
    delay = min(INITIAL_DELAY_SECONDS * 2.0**retry, MAX_DELAY_SECONDS)
    return max(least, delay * (1 - 0.25 * chance.random()))
