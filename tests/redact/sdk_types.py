"""Requests with a planted text wherever the types of an SDK allow one."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, NotRequired, Required, TypeVar, Union, get_args, get_origin, get_type_hints

import typing_extensions
from typing_extensions import is_typeddict

_WRAPPED = (Annotated, Required, NotRequired, typing_extensions.Required, typing_extensions.NotRequired)


class Planter:
    """Makes requests of a type, with another text in each place, and remembers the place's field by the text."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def requests(self, of: Any) -> list[Any]:
        """Values of a type that together have every one of its fields in every one of their forms."""
        return self._values(of, "", frozenset())

    def _plant(self, field: str) -> str:
        text = f"s{len(self.fields)}q@x.example"
        self.fields[text] = field
        return f"https://x.example/of?m={text}" if field.endswith("url") else f"of {text}"

    def _values(self, of: Any, field: str, inside: frozenset[Any]) -> list[Any]:
        origin, arguments = get_origin(of), get_args(of)
        if origin in _WRAPPED:
            return self._values(arguments[0], field, inside)
        if origin is Literal:
            return [arguments[0]]
        if origin in (Union, types.UnionType):
            return [value for each in arguments for value in self._values(each, field, inside)]
        if of is str:
            return [self._plant(field)]
        if of is bool:
            return [True]
        if of is int or of is float:
            return [3]
        if of is Any or of is object:
            return [{"deep": [self._plant(field), 7]}]
        if is_typeddict(of):
            return [] if of in inside else self._objects(of, inside | {of})
        if origin is not None and origin is not type:
            name = getattr(origin, "__name__", "")
            if name in ("dict", "Dict", "Mapping"):
                values = self._values(arguments[1], f"{field}{{}}", inside)
                return [{f"k{index}": value for index, value in enumerate(values)}] if values else []
            items = self._values(arguments[0], f"{field}[]", inside) if name not in ("IO", "PathLike") else []
            texts = [item for item in items if isinstance(item, str)]
            rest = [item for item in items if not isinstance(item, (str, int))]
            return [some for some in (texts, rest) if some]
        if of is type(None) or isinstance(of, (type, TypeVar)):
            return []  # null; classes of answers, and files, which come as something else on the wire
        raise TypeError(f"a form that this test does not know: {of}")

    def _objects(self, of: Any, inside: frozenset[Any]) -> list[Any]:
        hints = get_type_hints(of, include_extras=True)
        forms = {key: self._values(hint, f"{of.__name__}.{key}", inside) for key, hint in hints.items()}
        forms = {key: values for key, values in forms.items() if values}
        count = max(map(len, forms.values()), default=0)
        return [{key: values[min(index, len(values) - 1)] for key, values in forms.items()} for index in range(count)]
