"""Write docs/configuration.md from the configuration's own models, so that it cannot say anything else."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from helix.config import Config

PAGE = Path(__file__).parent / "configuration.md"
INTRODUCTION = """\
# Configuration

One YAML file, given by `helix up --config FILE` or `HELIX_CONFIG`. `model_list` and `router_settings` are
[LiteLLM's](https://docs.litellm.ai/docs/proxy/configs); everything of Helix's own stands under `helix:`. Nothing is
required but `model_list`; without a file Helix serves the demo models and every provider whose key is in the
environment.

```yaml
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
helix:
  cache: {ttl_seconds: 600, share: team}
  budget: {limits: [{name: everybody, limit_usd: 100, window: day}]}
```

`os.environ/NAME` stands for the environment variable NAME, anywhere in the file. These variables fill in what the file
leaves open: `HELIX_MASTER_KEY`, `HELIX_KEY_SECRET`, `HELIX_REDACT_SECRET`, `HELIX_REDACT_KEY`, `HELIX_CACHE_KEYS`,
`HELIX_AUTH`, `HELIX_PORT`, `HELIX_DATA_DIR`, `REDIS_URL`, `CLICKHOUSE_URL`. The command line's `--host`, `--port` and
`--data` stand over both.

This page is written by `make docs` from `helix/config/`.
"""


def render() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *_section("", Config)]
    return "\n".join(parts).rstrip() + "\n"


def _section(prefix: str, model: type[BaseModel]) -> list[str]:
    title = f"## `{prefix}`" if prefix else "## Top level"
    summary = (model.__doc__ or "").strip().splitlines()[0]
    lines = [title, "", summary, "", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    deeper: list[str] = []
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        lines.append(f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {field.description} |")
        inner = _model_in(field.annotation)
        if inner is not None:
            deeper += ["", *_section(f"{path}[]" if inner is not field.annotation else path, inner)]
    return [*lines, *deeper]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in typing.get_args(annotation) if (found := _model_in(arg)) is not None), None)


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " \\| ".join(_type(item) for item in arguments if item is not type(None))
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "mapping"
    if annotation is SecretStr:
        return "string, secret"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping, below"
    names = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "path"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined or field.default is None:
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if field.default == ():
        return "`[]`"
    return f"`{field.default}`"


if __name__ == "__main__":
    PAGE.write_text(render())
