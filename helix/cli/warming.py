"""`helix cache warm`: requests of a file through the gateway, one after another, so that their answers are cached."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helix.cli.admin import ask
from helix.kernel.errors import ConfigError

__all__ = ["warm"]

PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages")
_ALLOWED_HEADERS = ("cache-control", "x-helix-cache-", "anthropic-", "openai-beta")
_MOST_REPORTED = 5


@dataclass(frozen=True, slots=True)
class Warming:
    """One request of the file."""

    line: int
    path: str
    request: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def warm(file: Path, *, url: str | None, data: Path, key: str | None, per_second: float, skip: int) -> dict[str, int]:
    """Send them, at most so many a second; how many, by what the cache said of each, and `failed`.

    The file is read whole and checked before the first is sent. Raises ConfigError for a wrong one, HelixError where no
    gateway answers.
    """
    requests = [one for one in _read(file) if one.line > skip]
    became: Counter[str] = Counter()
    for number, one in enumerate(requests):
        started = time.monotonic()
        status, headers, message = ask("POST", url, one.path, data, one.request, key=key, headers=one.headers)
        if status == 200:
            became[headers.get("x-helix-cache") or "uncached"] += 1
        else:
            became["failed"] += 1
            if became["failed"] <= _MOST_REPORTED:
                print(f"line {one.line}: status {status}: {message}", file=sys.stderr)
            if status in (401, 403, 429):
                raise ConfigError(f"stopped at line {one.line}; go on with --skip {one.line - 1}: {message}")
        if number + 1 < len(requests):
            time.sleep(max(0.0, started + 1 / per_second - time.monotonic()))  # the rate that was asked for
    return dict(became)


def _read(file: Path) -> Iterator[Warming]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read ({type(error).__name__})") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _one(file, number, line)


def _one(file: Path, number: int, line: str) -> Warming:
    def wrong(what: str) -> ConfigError:
        return ConfigError(f"{file}, line {number}: {what}; nothing was sent")

    try:
        value = json.loads(line)
    except ValueError:
        raise wrong("is not JSON") from None
    if not isinstance(value, dict):
        raise wrong("must be a JSON object: a request, or {path, request, headers}")
    whole = value if "request" in value else {"request": value}
    path, request, headers = whole.get("path", PATHS[0]), whole["request"], whole.get("headers", {})
    if unknown := whole.keys() - {"path", "request", "headers"}:
        raise wrong(f"has {len(unknown)} fields beside path, request and headers")
    if path not in PATHS:
        raise wrong(f"path must be one of {', '.join(PATHS)}")
    if not isinstance(request, dict) or not isinstance(request.get("model"), str):
        raise wrong("the request must be a JSON object with a model")
    if not isinstance(headers, dict) or not all(isinstance(item, str) for pair in headers.items() for item in pair):
        raise wrong("headers must be texts by name")
    if not all(name.lower().startswith(_ALLOWED_HEADERS) and _is_clean(said) for name, said in headers.items()):
        raise wrong(f"headers may begin with {', '.join(_ALLOWED_HEADERS)} alone")
    # A stream is stored as a whole answer is, and a whole answer answers both.
    return Warming(number, path, {**request, "stream": False} if path != PATHS[2] else request, headers)


def _is_clean(value: str) -> bool:
    return value.isascii() and value.isprintable()
