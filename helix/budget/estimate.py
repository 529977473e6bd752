"""How many tokens a request can cost at most, and how many it did where the provider did not count them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from helix.budget.rates import LONGEST_SECONDS, MOST_SEARCHES, ModelPrice
from helix.budget.tokens import MOST_BYTES, MOST_CHARACTERS, Encoding
from helix.kernel.exchange import Exchange
from helix.kernel.types import Money, Price, Usage
from helix.kernel.wire import Dialect, Text

__all__ = ["Sizes", "dearest", "estimated_input_tokens", "search_context", "tokens_of", "worst_case"]

IMAGE_TOKENS = 48_169
"""The most one image costs: gpt-4o-mini's 2833 and 5667 for each of at most 8 tiles (OpenAI's vision guide)."""

TEMPLATE_TOKENS = 64
"""What a chat template puts round a conversation; what it puts round a message is less than its JSON."""

TEXT_TOKENS = 4
"""What a text may take beside its own tokens where it is joined to another."""

TOOLS_TOKENS = 1024
"""What a provider's own prompt about tools adds at most: Anthropic's tables say up to 804."""

UNKNOWN_CONTEXT_TOKENS = 1_048_576
"""The context of a model that the price table does not know: the largest that is usual."""

BYTES_PER_TOKEN = 3
"""Errs on the side of more tokens: cl100k and o200k have 4.2 to 4.5 bytes a token on prose and on code, 3.2 on JSON,
3.05 and 4.3 on Chinese; digits (2.2) and emoji (1.5) alone have fewer (measured with tiktoken)."""

# What stands for content that is not in the request, so that nothing but the model's context bounds it.
_ELSEWHERE = frozenset(("previous_response_id", "conversation", "web_search_options", "mcp_servers", "container"))
_PLAIN = frozenset(("role", "content"))
_OPAQUE_PARTS = frozenset(
    {"file", "input_file", "document", "video_url", "input_video", "item_reference", "container_upload"}
)
_IMAGE_PARTS = frozenset({"image", "image_url", "input_image", "computer_screenshot"})
_OWN_TOOLS = ("web_", "file_search", "code_", "mcp", "tool_search", "image_generation")
_NESTED = ("content", "output")


@runtime_checkable
class Sizes(Protocol):
    """A price that also knows how much a model takes in and gives out."""

    def find(self, model: str) -> ModelPrice | None:
        """The model's price and sizes; None where it is not known."""
        ...


def worst_case(
    exchange: Exchange,
    sizes: ModelPrice | None,
    default_max_output_tokens: int,
    encodings: Sequence[Encoding] = (),
) -> Usage:
    """The most that a request can be charged for.

    Input: no tokenizer makes more tokens of a text than it has bytes, and JSON never takes fewer bytes than the text in
    it; so the body's length is a bound, with images counted by themselves and, where the request refers to content that
    is not in it (a file, an earlier response, a provider's own search), the model's whole context instead. With
    `encodings`, those of all the models that may answer, a text counts as the most tokens any makes of it: closer, but
    slower by some 35 µs a KB. Output: the caller's cap, else the model's own, else `default_max_output_tokens`; for
    each choice. Searches: the caller's cap, else `MOST_SEARCHES`.
    """
    dialect, request = exchange.dialect, exchange.payload
    tokens = len(exchange.body) + TEMPLATE_TOKENS
    if encodings and dialect is not None and len(exchange.body) <= MOST_BYTES:
        tokens -= _spared(dialect.texts(request), encodings)
    tools = request.get("tools") or request.get("functions")
    if tools:
        tokens += TOOLS_TOKENS
    images, image_bytes, opaque = _attachments(request)
    tokens += images * IMAGE_TOKENS - image_bytes
    if opaque or (isinstance(tools, list) and any(map(_runs_at_the_provider, tools))):
        context = sizes.max_input_tokens if sizes is not None else None
        tokens = max(tokens, context or UNKNOWN_CONTEXT_TOKENS)
    cap = _cap(dialect, request) if dialect is not None else None
    if cap is None:
        cap = (sizes.max_output_tokens if sizes is not None else None) or default_max_output_tokens
    more: dict[str, Any] = {}
    if isinstance(tier := request.get("service_tier"), str):
        more["service_tier"] = tier
    if request.get("speed") == "fast":
        more["speed"] = "fast"
    if searches := _searches(request, tools):
        more["searches"] = searches
    if sizes is not None and sizes.has_units:
        more |= _most_units(exchange, request, images)
    return Usage(tokens, cap * (dialect.choices(request) if dialect is not None else 1), **more)


def dearest(price: Price, model: str, usage: Usage) -> Money | None:
    """The most a usage can cost: with its input fresh, cached or written to a cache, its output spoken or thought."""
    bound = getattr(price, "dearest", None)  # not isinstance: that walks a Protocol's members anew for each request
    if bound is not None:
        return bound(model, usage)  # type: ignore[no-any-return]
    tokens_in, tokens_out = usage.input_tokens, usage.output_tokens
    kinds = (
        usage,
        replace(usage, cache_write_tokens=tokens_in),
        replace(usage, cached_input_tokens=tokens_in),
    )
    costs = [price(model, one) for kind in kinds for one in (kind, replace(kind, reasoning_tokens=tokens_out))]
    return max((cost for cost in costs if cost is not None), default=None)


def search_context(request: dict[str, Any]) -> str:
    """How much of what a search finds the request lets the model read: "low", "medium" or "high"; "" for the usual."""
    tools = request.get("tools")
    for holder in (request.get("web_search_options"), *(tools if isinstance(tools, list) else ())):
        size = holder.get("search_context_size") if isinstance(holder, dict) else None
        if isinstance(size, str):
            return size
    return ""


def _spared(texts: Iterable[Text], encodings: Sequence[Encoding]) -> int:
    # A message's text stands between a template's special tokens, so no token reaches beyond it.
    spared = 0
    for text in texts:
        if not text.is_json and len(text.value) <= MOST_CHARACTERS:
            value = text.value if text.value.isascii() else text.value.encode("utf-8", "replace").decode()
            size = len(value) if value.isascii() else len(value.encode())
            spared += max(size - max(encode(value) for encode in encodings) - TEXT_TOKENS, 0)
    return spared


def _searches(request: dict[str, Any], tools: Any) -> int:
    most = MOST_SEARCHES if request.get("web_search_options") is not None else 0
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind.startswith("web_"):
            cap = tool.get("max_uses")
            most += cap if type(cap) is int and cap > 0 else MOST_SEARCHES
    return most


def _most_units(exchange: Exchange, request: dict[str, Any], images: int) -> dict[str, Any]:
    # What is paid beside tokens: a text has no more characters than bytes; an input to embed may be an image or sound.
    inputs = request.get("input")
    items = len(inputs) if isinstance(inputs, list) else 1
    most: dict[str, Any] = {"input_characters": len(exchange.body), "input_images": images, "queries": items}
    if exchange.dialect is not None and exchange.dialect.name == "embeddings":
        seconds = LONGEST_SECONDS * items
        most |= {"input_images": items, "audio_input_seconds": seconds, "video_input_seconds": seconds}
    return most


def tokens_of(size_bytes: int) -> int:
    """About how many tokens a text of so many bytes has; rather more than fewer."""
    return -(-size_bytes // BYTES_PER_TOKEN)


def estimated_input_tokens(exchange: Exchange) -> int:
    """About how many tokens a request's input has, where the provider did not count them."""
    if exchange.dialect is None:
        return 0
    images, _, _ = _attachments(exchange.payload)
    size = sum(len(text.value.encode("utf-8", "replace")) for text in exchange.dialect.texts(exchange.payload))
    return tokens_of(size) + images * IMAGE_TOKENS


def _cap(dialect: Dialect, request: dict[str, Any]) -> int | None:
    cap = dialect.max_output_tokens(request)
    # Servers differ in which of the two they obey where a caller gives both.
    other = request.get("max_tokens")
    return max(cap, other) if cap is not None and isinstance(other, int) else cap


def _runs_at_the_provider(tool: Any) -> bool:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return isinstance(kind, str) and kind.startswith(_OWN_TOOLS)


def _attachments(request: dict[str, Any]) -> tuple[int, int, bool]:
    # Images, the bytes of the request that they take, and whether there is content that is not in the request.
    images = image_bytes = 0
    opaque = not _ELSEWHERE.isdisjoint(request) and any(request.get(key) is not None for key in _ELSEWHERE)
    opaque = opaque or isinstance(request.get("prompt"), dict)
    stack: list[Any] = []
    for key in ("messages", "input"):
        items = request.get(key)
        if isinstance(items, list):
            stack.extend([item for item in items if isinstance(item, dict) and not _is_plain(item)])
    while stack:
        part = stack.pop()
        for key in _NESTED:
            inner = part.get(key)
            if isinstance(inner, list):
                stack.extend(item for item in inner if isinstance(item, dict))
            elif isinstance(inner, dict):
                stack.append(inner)
        kind = part.get("type")
        if not isinstance(kind, str):
            continue
        if kind in _IMAGE_PARTS:
            images += 1
            image_bytes += _data_bytes(part)
        elif kind in _OPAQUE_PARTS:
            source = part.get("source")
            opaque = opaque or not (isinstance(source, dict) and source.get("type") in ("text", "content"))
    return images, image_bytes, opaque


def _is_plain(item: dict[str, Any]) -> bool:
    return item.keys() == _PLAIN and isinstance(item["content"], str)


def _data_bytes(part: dict[str, Any]) -> int:
    for holder in (part.get("image_url"), part.get("source")):
        if isinstance(holder, str):
            return len(holder)
        if isinstance(holder, dict):
            data = holder.get("url") if "url" in holder else holder.get("data")
            if isinstance(data, str):
                return len(data)
    return 0
