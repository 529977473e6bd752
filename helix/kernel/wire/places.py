"""The texts of whatever stands in a message, an item or a block: those that this version knows, and those it does not.

Whoever looks for personal data must not miss a field because it is new. So every string is a text, but for those that
are known to be something else: names of the wire's own, ids, ciphertext, pictures.
"""

from __future__ import annotations

from typing import Any

from helix.kernel.wire.base import Json, Path, Text, object_text, whole_text

__all__ = ["definition_texts", "held_definitions", "label_texts", "request_labels", "texts_in"]

# What these hold is the wire's own: kinds, states, the names of tools and of servers, signatures, encodings.
_NAMES = frozenset(
    (
        *("type", "id", "role", "status", "model", "name", "namespace", "tool_name", "toolset_name", "server_name"),
        *("server_label", "mcp_server_name", "signature", "fingerprint", "media_type", "mime_type", "detail", "format"),
        *("phase", "cache_control", "caller", "execution", "error_code", "stop_reason", "retrieved_at", "page_age"),
        *("file_data", "partial_image_b64", "finish_reason", "object"),
    )
)
# Definitions of tools, which `definition_texts` reads.
_DEFINITIONS = frozenset(("tools", "input_schema", "output_schema", "parameters"))
# JSON of the caller's own, or of a tool's: its keys and numbers may tell as much as its strings.
_OBJECTS = frozenset(("input", "arguments", "attributes", "env", "metadata", "variables", "documents"))
# JSON of a tool's own, where it is not a block of the wire's.
_RESULTS = frozenset(("content", "output", "result", "error"))
_TEXTS = frozenset(("text", *_RESULTS, *_OBJECTS))
_URLS = frozenset(("url", "image_url", "file_url"))
# Where blocks hold pictures, documents, ciphertext; and the fields whose blocks hold sound.
_DATA = {
    "base64": "data",
    "redacted_thinking": "data",
    "reasoning.encrypted": "data",
    "image_generation_call": "result",
}
_SOUNDS = frozenset(("audio", "input_audio"))
_THOUGHTS = ("thinking", "text", "summary")


def texts_in(value: Any, path: Path, role: str, key: str = "") -> list[Text]:
    """Every text of a value; `key` is the name of the field that holds it."""
    found: list[Text] = []
    _add(value, path, role, key, found)
    return found


_LABELS = ("user", "safety_identifier", "prompt_cache_key")


def label_texts(holder: Json, path: Path) -> list[Text]:
    """The labels of a request, or of an answer that repeats them."""
    found: list[Text] = []
    for key in (*_LABELS, "metadata"):
        at, value = (*path, key), holder.get(key)
        # Of the wrong type it is for the provider to refuse, and not to read.
        found += whole_text(at, value, "label") or object_text(at, value, "label") or _number_text(at, value, "label")
    return found


def request_labels(request: Json, known: frozenset[str]) -> list[Text]:
    """The labels of a request, its stop sequences, and the texts of its fields that are not among the known.

    A model that is given placeholders stops at a placeholder alone; and a provider may read what Helix never heard of.
    """
    found = label_texts(request, ())
    for key in request:
        if key in ("stop", "stop_sequences"):
            _add(request[key], (key,), "label", key, found)
        elif key not in known and key not in _LABELS and key != "metadata":
            found += _unknown_texts((key,), request[key], key)
    return found


def _unknown_texts(path: Path, value: Any, key: str) -> list[Text]:
    """The texts of a field that is not the wire's: whatever its keys are called, and its numbers, may be somebody's."""
    found = object_text(path, value, "label") or _number_text(path, value, "label")
    if value and isinstance(value, str):
        _add_string(value, path, "label", key if key == "filename" or key.endswith("url") else "", found)
    return found


def _add(value: Any, path: Path, role: str, key: str, found: list[Text]) -> None:
    if isinstance(value, str):
        if value and key not in _NAMES:
            _add_string(value, path, role, key, found)
    elif key in _NAMES or not isinstance(value, (dict, list)):
        if key in _TEXTS:
            found += _number_text(path, value, role)
    elif key in _OBJECTS or (key in _RESULTS and not _is_wire(value)):
        found += object_text(path, value, role)
    elif isinstance(value, dict):
        _add_block(value, path, role, key, found)
    else:
        for index, item in enumerate(value):
            _add(item, (*path, index), role, key, found)


def _number_text(path: Path, value: Any, role: str) -> list[Text]:
    """A number where a text belongs, unless it is too short to be somebody's."""
    is_long = isinstance(value, int) and abs(value) >= 100_000
    return [Text(path, str(value), role, "object")] if is_long else []


def _is_wire(value: Any) -> bool:
    """Whether a result is the wire's own: a block, or blocks and texts."""
    if isinstance(value, dict):
        return isinstance(value.get("type"), str) or "stdout" in value  # a shell's output has no type
    return all(isinstance(item, str) or (isinstance(item, dict) and _is_wire(item)) for item in value)


def _add_string(value: str, path: Path, role: str, key: str, found: list[Text]) -> None:
    if key == "arguments":
        found.append(Text(path, value, role, "json"))
    elif key in _URLS or key.endswith("_url"):
        if value[:5].lower() != "data:":  # the thing itself
            found.append(Text(path, value, "label", "url"))
    elif key == "filename":
        found.append(Text(path, value, "label", "name"))
    elif not (key.endswith(("_id", "_ids")) or key.startswith("encrypted_")):
        found.append(Text(path, value, role))


def _add_block(block: Json, path: Path, role: str, holder: str, found: list[Text]) -> None:
    kind = block.get("type")
    data = "data" if holder in _SOUNDS else _DATA.get(kind) if isinstance(kind, str) else None
    # By the signature a provider tells whether its thoughts were changed.
    is_signed = bool(block.get("signature"))
    for key, value in block.items():
        if key == data or _is_definition(key, value):
            continue
        if is_signed and key in _THOUGHTS and isinstance(value, str):
            if value:
                found.append(Text((*path, key), value, role, "signed"))
        else:
            _add(value, (*path, key), role, key, found)


def held_definitions(value: Any, path: Path) -> list[Text]:
    """The texts of the definitions of tools that come with messages, items or blocks."""
    found: list[Text] = []
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += held_definitions(item, (*path, index))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if _is_definition(key, inner):
                found += definition_texts(inner, (*path, key))
            elif key not in _OBJECTS:
                found += held_definitions(inner, (*path, key))
    return found


def _is_definition(key: str, value: Any) -> bool:
    return key in _DEFINITIONS or (key == "definition" and isinstance(value, dict))


# What of a definition is not written for the model to read: names, by which code is called, what a schema is built of,
# and what a tool of the provider's own acts on: addresses, credentials, where to look.
_BUILT_OF = _NAMES | frozenset(
    (
        *(
            "$ref",
            "$id",
            "$schema",
            "$anchor",
            "$dynamicRef",
            "pattern",
            "required",
            "syntax",
            "strict",
            "memory_limit",
        ),
        *("user_location", "allowed_domains", "blocked_domains", "filters", "container", "domain_secrets", "headers"),
        *("authorization", "server_url", "allowed_tools", "require_approval", "configs", "ranking_options", "ranker"),
        *("input_image_mask", "image_url", "path", "version", "data", "size", "allowed_callers", "token", "effort"),
    )
)
# A definition's fields that have the form of a schema's own names.
_VALUES = frozenset(("default", "examples", "example", "input_examples", "enum", "const"))
_SCHEMAS = frozenset(("properties", "$defs", "definitions", "patternProperties", "dependentSchemas"))


def definition_texts(value: Any, path: Path, key: str = "") -> list[Text]:
    """The texts of tools' and formats' definitions: descriptions, those inside JSON schemas too, examples, values."""
    found: list[Text] = []
    if isinstance(value, str):
        if value and key not in _BUILT_OF and not key.endswith(("_id", "_ids")):
            found.append(Text(path, value, "definition"))
    elif isinstance(value, dict):
        for name, inner in value.items():
            at = (*path, name)
            if key in _SCHEMAS:  # a property may have any name, `description` or `required` too
                found += definition_texts(inner, at)
            elif name in _VALUES and isinstance(inner, (dict, list)):
                found += object_text(at, inner, "definition")
            elif name == "format" or name not in _BUILT_OF:
                found += definition_texts(inner, at, name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += definition_texts(item, (*path, index), key)
    return found
