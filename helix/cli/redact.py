"""`helix redact`: what the redact stage encrypted, read with its key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from helix.config import Config
from helix.kernel.errors import ConfigError

__all__ = ["redact"]

redact = typer.Typer(help="Read what the redact stage encrypted.", no_args_is_help=True)


@redact.callback()
def _commands() -> None:
    """Keep `decrypt` a command of its own, however many there are."""


@redact.command()
def decrypt(
    file: Annotated[
        Path | None, typer.Argument(help="A text with `<KIND:...>` in it.", show_default="standard input")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", envvar="HELIX_CONFIG", help="YAML file with helix.redact.encryption_key."),
    ] = None,
) -> None:
    """Print a text with the values that the strategy `encrypt` took out of it.

    The key is the configuration's, or HELIX_REDACT_KEY. What another key encrypted stays as it is, and is counted on
    stderr; the exit code is then 1.
    """
    from helix.local import readable

    chosen = Config.load(config) if config is not None else Config.default()
    try:
        text = sys.stdin.read() if file is None else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the file {file} cannot be read: {error.strerror}") from None
    text, unread = readable(chosen, text)
    sys.stdout.write(text)
    if unread:
        print(f"helix: {unread} could not be read with this key", file=sys.stderr)
        raise typer.Exit(1)
