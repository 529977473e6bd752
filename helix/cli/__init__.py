"""The `helix` command, for people.

Exit codes: 0 when all went well, 2 for a wrong configuration or argument, 1 for anything else. A signal is the ordinary
end of `helix up`: 0 once it is up; 130 (SIGINT) or 143 (SIGTERM) where it was still starting.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from helix.cli.admin import budgets, keys
from helix.cli.cache import cache
from helix.cli.redact import redact
from helix.config import Config
from helix.kernel.errors import ConfigError, HelixError

__all__ = ["app", "main"]

app = typer.Typer(
    name="helix",
    help="Helix, an AI gateway: personal data out, answers from cache, hard budgets, every request on record.",
    epilog="Start here:  helix up    then    helix doctor    if something does not come up.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(keys, name="keys")
app.add_typer(budgets, name="budgets")
app.add_typer(cache, name="cache")
app.add_typer(redact, name="redact")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="HELIX_CONFIG",
        help="YAML file. Without one: the demo models, and every provider whose key is in the environment.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of the embedded Redis and ClickHouse and of the master key.",
        show_default="the file's, else HELIX_DATA_DIR, else .helix",
    ),
]


def configuration(
    file: Path | None, *, data: Path | None = None, host: str | None = None, port: int | None = None
) -> Config:
    """The configuration of a file or the default one, with the command line's word over the file's."""
    config = Config.load(file) if file is not None else Config.default()
    changed: dict[str, object] = {"data_dir": str(data)} if data is not None else {}
    server = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if server:
        changed["server"] = server
    if changed:
        config = config.but(changed)
    config.check_exposure()
    return config


@app.command()
def up(
    config: ConfigOption = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", metavar="ADDRESS", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port to listen on.", show_default="the file's, else HELIX_PORT, else 8000"
        ),
    ] = None,
    data: DataOption = None,
    ray: Annotated[
        bool,
        typer.Option("--ray/--no-ray", help="Ray Serve with autoscaled embedder and detector, or all in one process."),
    ] = True,
) -> None:
    """Start the gateway and everything it needs, and keep it running until Ctrl-C.

    Prints its addresses and a request that works as it stands. The master key is made at the first start, shown that
    once, and kept in the data folder; HELIX_MASTER_KEY sets another. REDIS_URL and CLICKHOUSE_URL name servers of your
    own. HELIX_AUTH=off needs no key, and is allowed on loopback only.
    """
    chosen = configuration(config, data=data, host=host, port=port)
    if ray:
        from helix.cli.up import run_on_ray as run
    else:
        from helix.cli.up import run_in_one_process as run
    run(chosen)


@app.command()
def migrate(config: ConfigOption = None, data: DataOption = None) -> None:
    """Bring the ClickHouse schema up to date (the gateway does so itself when it starts)."""
    from helix.cli.up import migrate as run

    run(configuration(config, data=data))


@app.command()
def doctor(config: ConfigOption = None, data: DataOption = None) -> None:
    """Say what is installed, reachable and configured, and what is missing. Changes nothing."""
    from helix.cli.doctor import examine

    raise typer.Exit(examine(configuration(config, data=data)))


@app.command()
def version() -> None:
    """Print the version."""
    from helix import __version__

    print(__version__)


def main() -> None:
    """Run the command; an error is one sentence on stderr, never a traceback."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    # They log what they raise, and what they raise is told in words of our own.
    for name in ("clickhouse_connect", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        app()
    except ConfigError as error:
        Console(stderr=True).print(
            f"[bold red]helix:[/] the configuration is wrong\n{escape(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(2)
    except HelixError as error:
        Console(stderr=True).print(f"[bold red]helix:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
