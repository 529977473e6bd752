"""The rules of who may import whom (docs/architecture.md), checked over every module's source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAGES = {"admit", "redact", "cache", "budget", "telemetry"}

# Package of helix → the other packages of helix that it may import. What is not listed may not be imported.
MAY_IMPORT: dict[str, set[str]] = {
    "kernel": set(),
    **{stage: {"kernel"} for stage in STAGES},
    "embed": {"kernel"},
    "upstream": {"kernel"},
    "embedded": {"kernel"},
    "admin": {"kernel"},
    "console": {"kernel"},
    "integrations": {"kernel", *STAGES, "embed"},
    "config": {"kernel"},
    "datadir": {"kernel"},
    "gateway": {"kernel", *STAGES, "embed", "upstream", "admin", "console", "config", "datadir"},
    "local": {"kernel", *STAGES, "embed", "embedded", "console", "config", "datadir", "gateway"},
    "serve": {"kernel", *STAGES, "embed", "embedded", "config", "datadir", "gateway", "local"},
    "cli": {"kernel", "config", "datadir", "gateway", "local", "serve"},
}

# A stage alone builds its own defaults at first use, inside a function: the cache its embedder.
LAZILY: dict[str, set[str]] = {"cache": {"embed"}}

# Third-party package → where it may be imported: prefixes of module paths, or module names anywhere.
HOMES: dict[str, tuple[str, ...]] = {
    "ray": ("helix/serve/", "helix/cli/up.py"),
    "gradio": ("helix/console/",),
    "pandas": ("helix/console/",),
    "redis": ("*/redis.py",),
    "redisvl": ("*/redis.py",),
    "clickhouse_connect": ("helix/telemetry/clickhouse.py",),
    "chdb": ("helix/telemetry/clickhouse.py",),
    "litellm": ("helix/upstream/through_litellm.py", "helix/budget/price.py", "helix/integrations/"),
    "presidio_analyzer": ("helix/redact/",),
    "presidio_anonymizer": ("helix/redact/",),
    "spacy": ("helix/redact/",),
    "tokenizers": ("helix/redact/", "helix/embed/"),
    "torch": ("helix/embed/",),
    "onnxruntime": ("helix/embed/", "helix/redact/"),
    "onnx": ("helix/embed/graph.py",),
    "transformers": ("helix/embed/",),
    "sentence_transformers": ("helix/embed/",),
    "pydantic": ("helix/config/", "helix/admin/", "helix/serve/"),
    "typer": ("helix/cli/",),
    "rich": ("helix/cli/",),
    "uvicorn": ("helix/cli/",),
    "aiohttp": ("helix/upstream/",),
}
KERNEL_MAY = {"starlette", "orjson", "redis", "hiredis"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether it does so inside a function or for type checking only."""
    tree = ast.parse(path.read_text())
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in lazy
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", id(node) in lazy


def modules() -> list[Path]:
    """Every source file of the package."""
    return sorted((ROOT / "helix").rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_rules(path: Path) -> None:
    """A module imports only what its place allows."""
    relative = path.relative_to(ROOT)
    part = relative.parts[1].removesuffix(".py")
    if part == "__init__":
        return
    for name, lazy in imports(path):
        top = name.split(".")[0]
        if top == "helix":
            target = name.split(".")[1] if "." in name else ""
            allowed = {part, *MAY_IMPORT[part], *(LAZILY.get(part, set()) if lazy else set())}
            assert target in allowed or not target, f"{relative} imports {name}"
        elif top in HOMES:
            homes = HOMES[top]
            at_home = any(
                path.name == home.removeprefix("*/") if home.startswith("*/") else str(relative).startswith(home)
                for home in homes
            )
            assert at_home, f"{relative} imports {name}"
        if part == "kernel" and top not in sys.stdlib_module_names and top != "helix":
            assert top in KERNEL_MAY, f"{relative} imports {name}"
            assert top not in ("redis", "hiredis") or path.name == "redis.py", f"{relative} imports {name}"


HEAVY = sorted({*HOMES, "starlette.applications"} - {"pydantic"})


def test_import_helix_is_light() -> None:
    """`import helix` pulls in nothing heavy, and naming a middleware pulls in none of the backends."""
    program = (
        "import sys, helix\n"
        "print(*sorted(name for name in sys.modules))\n"
        "from helix import RedactMiddleware, CacheMiddleware, BudgetMiddleware, AdmitMiddleware, TelemetryMiddleware\n"
        "print(*sorted(name for name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    bare, named = (set(line.split()) for line in done.stdout.splitlines())
    assert not {name for name in HEAVY if name in bare} | ({"orjson", "pydantic"} & bare)
    assert (
        not {"torch", "spacy", "presidio_analyzer", "redisvl", "litellm", "ray", "gradio", "clickhouse_connect"} & named
    )
