"""What makes two requests equal: the canonical key of the exact tier, and the scope of the semantic tier.

Both are keyed digests (BLAKE2b), so that who reads keys or the ids of entries cannot find out by guessing what was
asked, nor make two requests that have one key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from helix.cache.neutral import neutral, neutral_variant
from helix.kernel.wire import Path, replaced

__all__ = ["entry_id", "exact_key", "key_of", "scope_key", "stand_ins_of"]

_FORMAT = 2
"""Raised when keys come to mean something else, so that older entries are not found any more."""

# How the answer is delivered, billed or filed, not what it says.
_IGNORED = frozenset(
    (
        "stream",
        "stream_options",
        "store",
        "metadata",
        "service_tier",
        "prompt_cache_key",
        "prompt_cache_retention",
    )
)
# A response repeats its request's fields, all but these, so that they are part of what it says.
_IGNORED_IN_RESPONSES = frozenset(("stream", "stream_options"))

# Defaults that hold at every provider, so that saying them changes nothing. Temperature and top_p are not among them:
# vLLM and Ollama take them from the model where OpenAI takes 1.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "chat": {
        "n": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "logprobs": False,
        "logit_bias": {},
        "parallel_tool_calls": True,
        "response_format": {"type": "text"},
    },
    "completions": {
        "n": 1,
        "best_of": 1,
        "echo": False,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "logit_bias": {},
    },
    "embeddings": {"encoding_format": "float"},
    "responses": {
        "background": False,
        "metadata": {},
        "parallel_tool_calls": True,
        "service_tier": "auto",
        "store": True,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "truncation": "disabled",
    },
    "messages": {"stop_sequences": []},
}

# Keyed hashes and ciphertexts, as the redact stage writes them; placeholders, and what somebody typed like one.
_STAND_IN = r"<[A-Z][A-Z0-9_]*(?:_h[0-9a-f]+|:[A-Za-z0-9+/=_-]+)>|< ?[A-Za-z][A-Za-z0-9_]*_[0-9]+ ?>"
_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*_[0-9]+>")

# Where orjson may have written a number that has another spelling: 1.0 for 1, 1e16 for 10000000000000000.
_EXPONENT = re.compile(rb"e\+?[1-9][0-9]")


def key_of(secret: str | bytes) -> bytes:
    """The key of digests under a secret of any length; an empty secret is none."""
    given = secret.encode() if isinstance(secret, str) else secret
    return blake2b(given, digest_size=32, person=b"helix cache").digest() if given else b""


def exact_key(
    dialect: str,
    request: dict[str, Any],
    *,
    partition: str,
    namespace: str,
    variant: tuple[str, ...],
    key: bytes = b"",
) -> str:
    """The digest of everything that can change the answer: equal for equal requests however they are written.

    Dict order, number spelling, nulls, said defaults and `stream` do not matter, nor does the dialect of a plain
    conversation (see neutral.py). `key` is what `key_of` made of a secret.
    """
    essence = _essence(dialect, request)
    plain = neutral(dialect, essence)
    if plain is not None:
        dialect, essence, variant = "", plain, neutral_variant(dialect, variant)
    return _digest([_FORMAT, dialect, partition, namespace, variant, essence], key, b"exact")


def scope_key(
    dialect: str,
    request: dict[str, Any],
    question: Path,
    *,
    partition: str,
    namespace: str,
    variant: tuple[str, ...],
    embedder: str,
    named: Sequence[str] = (),
    key: bytes = b"",
) -> str:
    """The digest of everything but the text at `question`: only inside one scope may a near text answer another.

    `named` is what stands for personal data in the text (`stand_ins_of`), which has to be the same as well.
    """
    essence = _essence(dialect, request)
    plain = neutral(dialect, essence)
    if plain is not None:
        dialect, essence, variant = "", plain, neutral_variant(dialect, variant)
        question = ("turns", len(plain["turns"]) - 1)
    essence = replaced(essence, {question: None})
    return _digest([_FORMAT, dialect, partition, namespace, variant, embedder, question, named, essence], key, b"scope")


def stand_ins_of(text: str, known: Collection[str] = ()) -> list[str]:
    """What stands for one person's data and no other's in a text, in order: what is known to, and what has the form.

    Placeholders do not: whose they are is not said, and a guard sees to their kinds and roles.
    """
    told = {item for item in known if item and item in text and not _PLACEHOLDER.fullmatch(item)}
    known = sorted(map(re.escape, told), key=len, reverse=True)
    if not known and "<" not in text:
        return []
    found = re.findall("|".join((*known, _STAND_IN)), text)
    return [item for item in found if not _PLACEHOLDER.fullmatch(item)]


def entry_id(key: str, namespace: str) -> str:
    """An entry's public id, which is also its store key: namespaces can be listed and flushed by it."""
    return f"{namespace}:{key}" if namespace else key


def _essence(dialect: str, request: dict[str, Any]) -> dict[str, Any]:
    ignored = _IGNORED_IN_RESPONSES if dialect == "responses" else _IGNORED
    essence = {key: value for key, value in request.items() if value is not None and key not in ignored}
    if dialect == "messages" and request.get("metadata") is not None:
        essence["metadata"] = request["metadata"]  # there it names the end user, as `user` does elsewhere
    defaults = _DEFAULTS.get(dialect)
    if defaults:
        for key in defaults.keys() & essence.keys():
            if _same(essence[key], defaults[key]):
                del essence[key]
    return essence


def _same(value: Any, default: Any) -> bool:
    # To Python, True equals 1 and False 0; to JSON they do not.
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def _digest(value: Any, key: bytes, purpose: bytes) -> str:
    return blake2b(_canonical(value), digest_size=20, key=key, person=purpose).hexdigest()


def _canonical(value: Any) -> bytes:
    try:
        written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        if b".0" not in written and _EXPONENT.search(written) is None:
            return written
        value = _whole_numbers(value)
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # An integer of more than 64 bits, or a lone surrogate: rare, and so may be slow.
        return json.dumps(_whole_numbers(value), sort_keys=True, separators=(",", ":")).encode()


def _whole_numbers(value: Any) -> Any:
    """The same value with every float that is a whole number as an integer."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(item) for item in value]
    return value
