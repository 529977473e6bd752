"""JSON that comes out as it went in: orjson, but for the integers that it would turn into floats.

A value that `loads` returns is at most `MAX_DEPTH` deep, so that whoever walks it may recurse and `dumps` never fails.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

__all__ = ["MAX_DEPTH", "dumps", "loads", "repeats_a_key"]

MAX_DEPTH = 200
"""Arrays and objects inside one another; orjson itself writes 254."""

# orjson reads an integer of more than 64 bits (19 digits and more) as a float. Looking for one is done on every sixth
# byte first, since a run of 19 digits shows there as three in a row: a regular expression over the whole body would
# take sixty times as long as parsing it.
_DIGITS = bytes(48 if chr(code).isdigit() and code < 128 else 0 for code in range(256))
_LONG_INTEGER = re.compile(rb"(?<![\d.])\d{19}")


def loads(data: bytes) -> Any:
    """Parse a JSON text in UTF-8. Raises ValueError, whose text holds nothing of the data."""
    value: Any
    if b"000" in data[::6].translate(_DIGITS) and _LONG_INTEGER.search(data):
        try:
            value = json.loads(data.decode(), parse_constant=_no_constant)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # refuses what orjson refuses to read
        except (ValueError, RecursionError):
            raise ValueError("not valid JSON") from None
    else:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"not valid JSON (line {error.lineno}, column {error.colno})") from None
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _is_deep(value):
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    return value


def dumps(value: Any) -> bytes:
    """Write a JSON value in UTF-8."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # A long integer is the only thing in a value of `loads` that orjson cannot write. What was put into one since
        # may hold half a pair of surrogates, which an escape can spell and UTF-8 cannot.
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            return json.dumps(value, separators=(",", ":")).encode()


def repeats_a_key(data: bytes, value: Any) -> bool:
    """Whether an object of a JSON text says a key twice, so that `value`, what `loads` read, lacks some of the text."""
    # Without escapes every quote begins or ends a string, and one before a colon is a key. Pairs of backslashes go
    # first: what is left of a run is what escapes the character behind it.
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"")
    said = sum(outside.lstrip().startswith(b":") for outside in plain.split(b'"')[2::2])
    values = [value]
    for item in values:
        if isinstance(item, dict):
            said -= len(item)
            values.extend(item.values())
        elif isinstance(item, list):
            values.extend(item)
    return said > 0


def _no_constant(name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
