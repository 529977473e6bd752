"""The spellings of a model's name: which rows of a price table a name may mean, as LiteLLM looks them up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["candidates", "serves"]

_ROUTES: Final = ("chat_completions/", "converse/", "invoke/", "openai/", "mantle/")
_REGION: Final = re.compile(r"[a-z]{2,3}(-gov|-iso[a-z]?)?-[a-z]+-\d/")
_CROSS_REGION: Final = re.compile(r"(us-gov|us|eu|apac|global|jp|au|ca)\.")
_THROUGHPUT: Final = re.compile(r"(:\d+):\d+k$")
_VERSION: Final = re.compile(r"-\d+$")
_SNAPSHOT: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_BILLIONS: Final = re.compile(r"(\d+)b")
_EXPERTS: Final = re.compile(r"(\d+)x(\d+)b")
# (billions of parameters, at most; the row of LiteLLM's table), for models that have no row of their own
_TOGETHER: Final = (
    (4, "together-ai-up-to-4b"),
    (8, "together-ai-4.1b-8b"),
    (21, "together-ai-8.1b-21b"),
    (41, "together-ai-21.1b-41b"),
    (80, "together-ai-41.1b-80b"),
    (110, "together-ai-81.1b-110b"),
)
_FIREWORKS: Final = (
    (4, "fireworks-ai-up-to-4b"),
    (16, "fireworks-ai-4.1b-to-16b"),
    (10**6, "fireworks-ai-above-16b"),
)
_FIREWORKS_EXPERTS: Final = ((56, "fireworks-ai-moe-up-to-56b"), (176, "fireworks-ai-56b-to-176b"))


def candidates(provider: str, name: str) -> Iterator[str]:
    """The rows that "provider/name" may mean beside one of just that name, the likeliest first; provider "" is any."""
    head = f"{provider}/" if provider else ""
    yield name
    if name.startswith("ft:"):  # "ft:gpt-4o-2024-08-06:my-org::id" is listed by its base model
        base = ":".join(name.split(":", 2)[:2])
    elif provider == "bedrock":
        base = name
        for route in _ROUTES:
            base = base.removeprefix(route)
        yield f"{head}{base}"
        yield base
        region = _REGION.match(base)
        base = _THROUGHPUT.sub(r"\1", base[region.end() :] if region else _CROSS_REGION.sub("", base, count=1))
    elif provider in ("vertex_ai", "gemini", "databricks"):
        base = _VERSION.sub("", name)
    else:
        base = _SNAPSHOT.sub("", name)
    yield f"{head}{base}"
    yield base
    size = _by_size(provider, name.lower())
    if size is not None:
        yield size


def serves(provider: str, owner: str) -> bool:
    """Whether a row whose provider is `owner` says what a model costs at `provider`.

    "bedrock" is also "bedrock_converse", "vertex_ai" also "vertex_ai-language-models". Somebody's own server that
    serves a model of the same name is another provider.
    """
    return owner.startswith(provider) or (provider == "azure_ai" and owner in ("azure", "openai"))


def _by_size(provider: str, name: str) -> str | None:
    classes: tuple[tuple[int, str], ...]
    if provider == "fireworks_ai":
        experts = _EXPERTS.search(name)
        if experts is not None:
            size = int(experts[1]) * int(experts[2])
            found = next((row for most, row in _FIREWORKS_EXPERTS if size <= most), None)
            if found is not None:
                return found
        classes, otherwise = _FIREWORKS, "fireworks-ai-default"
    elif provider == "together_ai":
        classes, otherwise = _TOGETHER, None
    else:
        return None
    billions = _BILLIONS.search(name)
    if billions is None:
        return otherwise
    return next((row for most, row in classes if int(billions[1]) <= most), otherwise)
