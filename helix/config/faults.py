"""What is wrong with a configuration, in one clear sentence a fault: path, what was found, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

__all__ = ["explain", "names"]


def names(model: type[BaseModel]) -> str:
    """The keys of a section."""
    return ", ".join(model.model_fields)


def explain(error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any]) -> str:
    """One clear sentence a fault: path, what was found, what is allowed."""
    lines = []
    faults = error.errors(include_url=False, include_input=False)
    for fault in faults:
        if fault["type"] == "too_short" and any(other["loc"][:-1] == fault["loc"] for other in faults):
            continue  # it says "none" only because the ones that are there are wrong
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
        if fault["type"] == "extra_forbidden":
            name = str(fault["loc"][-1])
            allowed = _fields_at(model, fault["loc"][:-1])
            near = difflib.get_close_matches(name, allowed, 1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            lines.append(f"{path}: unknown key{hint}; allowed here: {', '.join(allowed)}")
        elif fault["type"] == "value_error":  # a sentence of ours, which needs nothing added
            lines.append(f"{path}: {fault['msg'].removeprefix('Value error, ')}")
        else:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            lines.append(f"{path}: {message}{_found(raw, fault['loc'], fault['type'])}")
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        annotation: Any = field.annotation if field is not None else None
        inner = next((a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)), annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)


def _found(raw: Any, path: tuple[int | str, ...], kind: str) -> str:
    # What stands in the place of a section may be a secret as well.
    name = next((part for part in reversed(path) if isinstance(part, str)), "")  # of a list, not the place in it
    if kind.startswith("model_") or any(word in name for word in ("key", "url", "secret", "password")):
        return ""
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return ""
    return f", found {raw!r}" if isinstance(raw, str | int | float | bool) else f", found {type(raw).__name__}"
